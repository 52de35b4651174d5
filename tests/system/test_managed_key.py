"""A host that takes no certificates: the bastion logs in with a managed key, which stays in the keys role."""
import os
import subprocess

import pytest

from harness import Client, labkit, until

TYPES = ("ed25519", "ecdsa", "rsa")


@pytest.fixture(scope="module")
def managed(new_lab):
    """A lab whose hosts old-TYPE are logged in to with the managed key TYPE, and whose target knows no CA."""
    lab = new_lab(people=False)
    lines = [lab.ctl("key", "add", kind, "--type", kind).strip().splitlines() for kind in TYPES]
    keys = [next(line for line in told if line.startswith(("ssh-", "ecdsa-"))) for told in lines]
    with open(lab.path("target", "authorized_keys"), "a", encoding="ascii") as f:
        f.write("\n".join(keys) + "\n")
    labkit.write(lab.path("target", "ca.pub"), "")
    lab.stop("bastiond")
    lab.start("bastiond")
    pinned = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
    for kind in TYPES:
        lab.ask("host add", host=f"web-{kind}", address="127.0.0.1", port=lab.port("target"), key=[pinned], login=["dba"],
                managed_key=kind)
    lab.make_user("bob", approver="dba")
    lab.make_user("deploy", service=True, role="dba")
    for kind in TYPES:
        lab.grant("deploy", host=f"web-{kind}")
    return lab


@pytest.mark.parametrize("kind", TYPES)
def test_login_with_a_lent_key(managed, kind):
    done = Client(managed, "deploy").run("web1.name", "echo in", options=("-l", f"deploy@dba@web-{kind}"), check=True)
    assert done.stdout == b"in\n"


def sockets_of_keys(lab):
    """Descriptors of the keys role: its links, and one for each key that is lent."""
    for pid in labkit.family(lab.state["pids"]["bastiond"][0]):
        if labkit.read(f"/proc/{pid}/comm").strip() == "bastiond-keys":
            return len(os.listdir(f"/proc/{pid}/fd"))
    raise AssertionError("no bastiond-keys")


def test_a_lent_key_is_given_back_at_the_login(managed):
    """So many are lent at a time: sessions that go on for hours must not stand in the way of other logins."""
    before = sockets_of_keys(managed)
    with Client(managed, "deploy").start("web1.name", "echo in; cat", options=("-l", "deploy@dba@web-ed25519"), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"in\n"
        until(lambda: sockets_of_keys(managed) <= before, deadline=20, what="the key is given back")
        assert run.communicate(b"still here", timeout=20)[0] == b"still here"


def test_a_target_without_the_key_is_explained_with_the_key(managed):
    path = managed.path("target", "authorized_keys")
    lines = labkit.read(path)
    labkit.write(path, "")
    try:
        done = Client(managed, "deploy").run("web1.name", "echo in", options=("-l", "deploy@dba@web-ed25519"))
    finally:
        labkit.write(path, lines)
    assert done.returncode == 255 and b"the target refused the managed key" in done.stderr and b"CA" not in done.stderr, done


def test_the_key_is_readable_to_root_alone(managed):
    for kind in TYPES:
        path = managed.path("state", "keys", "managed", f"{kind}.pem")
        assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(path).st_uid == 0


def test_an_unknown_managed_key_is_said(managed):
    pinned = labkit.read(managed.path("target", "ssh_host_ed25519_key.pub")).strip()
    try:
        managed.ask("host add", host="web-lost", address="127.0.0.1", port=managed.port("target"), key=[pinned], login=["dba"],
                    managed_key="lost")
    except labkit.LabError as refused:
        assert "lost" in str(refused)
        return
    managed.grant("deploy", host="web-lost")
    done = Client(managed, "deploy").run("web1.name", "echo in", options=("-l", "deploy@dba@web-lost"))
    assert done.returncode == 255 and b"managed key" in done.stderr
