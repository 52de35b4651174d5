"""Key, then code: each code once, a new one for the next login; mfa_grace; service accounts from their network only."""
import subprocess
import time

import pytest

from harness import Client, labkit


def test_key_and_code(engineer, target):
    assert engineer().run(target, "echo in", check=True).stdout == b"in\n"


def test_a_code_opens_one_login(engineer):
    user = engineer()
    code = labkit.next_code(user.env["LAB_CODE"])
    answer = labkit.write(f"{user.folder}/answer", f"#!/bin/sh\necho {code}\n", 0o755)
    assert user.run("bastion", "hosts", env={"SSH_ASKPASS": answer}).returncode == 0
    assert user.run("bastion", "hosts", env={"SSH_ASKPASS": answer}).returncode == 255
    assert user.run("bastion", "hosts").returncode == 0, "the next code opens"


@pytest.mark.parametrize("answer", ["000000", "12345", "1234567", "", "abcdef", "1" * 2000, "123456 "])
def test_wrong_codes(engineer, answer):
    user = engineer()
    path = labkit.write(f"{user.folder}/answer", f"#!/bin/sh\necho '{answer}'\n", 0o755)
    assert user.run("bastion", "hosts", env={"SSH_ASKPASS": path}).returncode == 255


def test_no_grace_by_default(engineer):
    user = engineer()
    assert user.run("bastion", "hosts").returncode == 0
    asked = labkit.write(f"{user.folder}/answer", f"#!/bin/sh\ntouch {user.folder}/asked\n", 0o755)
    assert user.run("bastion", "hosts", env={"SSH_ASKPASS": asked}).returncode == 255
    assert labkit.os.path.exists(f"{user.folder}/asked")


def test_grace_is_bound_to_the_device(new_lab):
    lab = new_lab(options=["mfa_grace = 10m"])
    alice = Client(lab, "alice")
    nothing = labkit.write(lab.path("users", "alice", "answer"), "#!/bin/sh\nexit 1\n", 0o755)
    assert alice.run("bastion", "hosts", env={"SSH_ASKPASS": nothing}).returncode == 255
    assert alice.run("bastion", "hosts").returncode == 0
    for _ in range(3):
        assert alice.run("bastion", "hosts", env={"SSH_ASKPASS": nothing}).returncode == 0
    other = lab.path("users", "alice", "second")
    labkit.keygen(other)
    lab.ctl("user", "key", "add", "alice", "second", other + ".pub")
    assert Client(lab, "alice", key=other).run("bastion", "hosts", env={"SSH_ASKPASS": nothing}).returncode == 255
    assert Client(lab, "bob").run("bastion", "hosts", env={"SSH_ASKPASS": nothing}).returncode == 255


def test_service_account_is_bound_to_its_network_and_end(lab):
    for name, words in (("far", ["--from", "192.0.2.0/24", "--until", "2099-01-01"]), ("near", ["--from", "127.0.0.0/8", "--until", "2099-01-01"])):
        if name not in lab.state["users"]:
            lab.ctl("user", "add", name, "--service", *words)
            labkit.os.mkdir(lab.path("users", name), 0o755)
            labkit.keygen(lab.path("users", name, "key"))
            lab.ctl("user", "key", "add", name, "job", lab.path("users", name, "key.pub"))
    assert Client(lab, "near").run("bastion", "hosts").returncode == 0
    done = Client(lab, "far").run("bastion", "hosts")
    assert done.returncode == 255 and b"far may not come from 127.0.0.1. Use one of: 192.0.2.0/24" in done.stderr
    with pytest.raises(labkit.LabError):
        lab.ctl("user", "add", "unbound", "--service")
    rows = {row["name"]: row["kind"] for row in lab.ctl_json("user", "list")["rows"]}
    assert rows["near"] == "service" and rows["alice"] == "human"


def test_another_key_is_not_taken(engineer, tmp_path):
    user = engineer()
    labkit.keygen(str(tmp_path / "other"))
    assert Client(user.lab, user.user, key=str(tmp_path / "other")).run("bastion", "hosts").returncode == 255


def test_wrong_codes_of_a_stranger_lock_nobody_out(engineer, tmp_path):
    """Who lacks the key cannot use up the owner's attempts."""
    user = engineer()
    labkit.keygen(str(tmp_path / "other"))
    stranger = Client(user.lab, user.user, key=str(tmp_path / "other"))
    start = time.monotonic()
    running = [subprocess.Popen(stranger.argv("bastion", "hosts"), env=stranger.env | {"SSH_ASKPASS": "/bin/echo"}, stdin=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(30)]
    assert all(process.wait(60) == 255 for process in running)
    assert user.run("bastion", "hosts").returncode == 0
    assert time.monotonic() - start < 60
