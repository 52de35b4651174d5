"""Approvals that are signed: with stock ssh and ssh-keygen, checked in the recording by ssh-keygen alone; a forged one shows."""
import glob
import json
import sqlite3
import subprocess

import pytest

import labkit
from harness import Client, events, recording_of, recordings, replay, until
from test_multiplexing import Master

SPACE = "bastiond-approval"


@pytest.fixture(scope="module")
def bob(lab):
    """One login of the approver for all words."""
    it = Master(Client(lab, "bob"), "bastion")
    yield it
    it.close()


@pytest.fixture(scope="module")
def vault(lab, fresh):
    """A role over web1 that wants one signed approval, by bob; its user has a request."""
    role = fresh("vault")
    lab.ask("role add", role=role, host=["web1"], login=["dba"], max=3600, approvals=1, signed=True)
    lab.ask("role approver add", role=role, user="bob")
    return role


def sign(lab, folder, text, user="bob"):
    path = folder / "text"
    path.write_bytes(text)
    (folder / "text.sig").unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", SPACE, "-f", lab.path("users", user, "key"), str(path)], check=True)
    return (folder / "text.sig").read_bytes()


def ask(lab, vault, name):
    lab.make_user(name, role=vault)
    return str(lab.request(name, "web1", "dba", 3600))


def test_consent_is_proven_by_the_recording(lab, vault, bob, tmp_path, fresh):
    name = fresh("vaulted")
    number = ask(lab, vault, name)
    user = Client(lab, name)
    shown = bob.run("approve", number)
    assert shown.returncode == 0 and b"Not approved yet" in shown.stderr, shown.stderr
    assert shown.stdout.endswith(b"\n") and f"request: {number}\n".encode() in shown.stdout
    # one text, also on the bastion itself
    uid = lab.state["users"]["bob"]
    local = subprocess.run([lab.bin("bastionctl"), "-S", lab.path("run", "control.sock"), "approve", number], capture_output=True,
                           user=uid, group=uid, check=True, env={"PATH": "/usr/bin"})
    assert local.stdout == shown.stdout

    signature = sign(lab, tmp_path, shown.stdout)
    wrong = bob.run("approve", number, "--signature", "-", stdin=sign(lab, tmp_path, shown.stdout, name))
    assert wrong.returncode == 1 and b"no registered device of yours" in wrong.stderr
    assert bob.run("approve", number, "--signature", "-", stdin=b"").returncode == 2
    assert bob.run("approve", number, "--signature", "-", stdin=bytes(100_000)).returncode == 2
    done = bob.run("approve", number, "--signature", "-", stdin=signature)
    assert done.returncode == 0 and b"Grant" in done.stdout, done
    assert user.run("web1.name", "echo in", check=True).stdout == b"in\n"

    path = recording_of(lab, name)
    key = " ".join(labkit.read(lab.path("users", "bob", "key.pub")).split()[:2])
    signers = tmp_path / "signers"
    signers.write_text(f"bob {key}\n")
    out = tmp_path / "o'u t;"
    out.mkdir()
    said = replay(lab, "approvals", path, "--signers", str(signers), "--output", str(out)).stdout.decode()
    assert "holds" in said and "listed" in said
    assert "signed with SHA256:" in replay(lab, "show", path).stdout.decode()
    # by ssh-keygen alone, in the line that is shown
    line, = [row.split("check", 1)[1] for row in said.splitlines() if row.startswith("  check ")]
    subprocess.run(line.replace("ALLOWED_SIGNERS", str(signers)), shell=True, check=True, capture_output=True)
    row = json.loads(replay(lab, "approvals", path, "--json").stdout)
    assert row["state"] == "holds" and row["approval"]["by"] == "bob" and row["listed"] is False
    # whose key it is, the auditor's list says
    signers.write_text(f"carol {key}\nbob {labkit.read(lab.path('users', name, 'key.pub'))}")
    bad = replay(lab, "approvals", path, "--signers", str(signers), check=False)
    assert bad.returncode == 1 and b"not listed" in bad.stdout


def test_a_signature_is_for_one_request(lab, vault, bob, tmp_path, fresh):
    first, second = ask(lab, vault, fresh("vaulted")), ask(lab, vault, fresh("vaulted"))
    signature = sign(lab, tmp_path, bob.run("approve", first, check=True).stdout)
    swapped = bob.run("approve", second, "--signature", "-", stdin=signature)
    assert swapped.returncode == 1 and b"does not hold" in swapped.stderr
    assert bob.run("approve", first, "--signature", "-", stdin=signature).returncode == 0


def test_a_grant_that_the_database_widened_is_told(lab, vault, bob, tmp_path, fresh):
    name = fresh("vaulted")
    number = ask(lab, vault, name)
    signature = sign(lab, tmp_path, bob.run("approve", number, check=True).stdout)
    assert bob.run("approve", number, "--signature", "-", stdin=signature).returncode == 0
    user = Client(lab, name)
    user.run("web1.name", "true", check=True)
    assert json.loads(replay(lab, "approvals", recording_of(lab, name), "--json").stdout)["state"] == "holds"
    with sqlite3.connect(glob.glob(lab.path("state", "db", "*.db"))[0]) as db:     # whoever has the file can
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'requests'").fetchall()
        for trigger, _ in triggers:
            db.execute(f"DROP TRIGGER {trigger}")
        assert db.execute("UPDATE requests SET caps = 127, forwards = 'db1:5432' WHERE id = ?", (number,)).rowcount == 1
        for _, sql in triggers:
            db.execute(sql)
    db.close()
    user.run("web1.name", "true", check=True)
    until(lambda: len(recordings(lab, name)) == 2, what="the second recording")
    wide = recording_of(lab, name)
    done = replay(lab, "approvals", wide, check=False)
    assert done.returncode == 1 and b"DOES NOT HOLD" in done.stdout and b"'capabilities'" in done.stdout, done
    assert "THE SIGNATURE DOES NOT HOLD" in replay(lab, "show", wide).stdout.decode()


def test_what_another_grant_opened_is_told(lab, vault, bob, tmp_path, fresh):
    """A second grant, which nobody signed, opens a channel in the session that began under the signed one."""
    loose, name = fresh("loose"), fresh("vaulted")
    lab.ask("role add", role=loose, host=["web1"], login=["dba"], max=3600, approvals=0)
    lab.make_user(name, role=vault)
    lab.ask("role member add", role=loose, user=name)
    uid = lab.state["users"][name]
    # a request without a ticket is under the role that wants a signature
    lab.ask("role change", role=loose, ask_ticket="yes")
    number = lab.request(name, "web1", "dba", 3600, caps=["exec"])
    signature = sign(lab, tmp_path, bob.run("approve", number, check=True).stdout)
    assert bob.run("approve", number, "--signature", "-", stdin=signature).returncode == 0
    other = lab.ask("request", as_uid=uid, host="web1", login="dba", reason="lab", ticket="OPS-1", cap=["sftp-read"], **{"for": 600})["id"]
    shared = Master(Client(lab, name), "web1.name")
    try:
        shared.run("true", check=True)
        assert b"NOT SIGNED" not in replay(lab, "approvals", recording_of(lab, name, closed=False)).stdout
        shared.sftp(b"ls\n")
    finally:
        shared.close()
    path = recording_of(lab, name)
    done = replay(lab, "approvals", path)
    assert f"grant {other}  this session used it, too\nthe grant needed no approval\n".encode() in done.stdout and b"NOT SIGNED" not in done.stdout, done
    # who wants signatures is told what nobody signed for
    (tmp_path / "signers").write_text("bob " + " ".join(labkit.read(lab.path("users", "bob", "key.pub")).split()[:2]) + "\n")
    done = replay(lab, "approvals", path, "--signers", str(tmp_path / "signers"), check=False)
    assert done.returncode == 1 and b"sftp sftp: NOT SIGNED FOR" in done.stdout and b"exec true: NOT" not in done.stdout, done
    opened = [json.loads(row["detail"]) for row in events(lab, "channel.open", name)]
    assert [(row["capability"], row["grant"]) for row in opened] == [("exec", int(number)), ("sftp", other)]


def test_who_wants_signatures_is_not_content_with_none(lab, tmp_path, fresh):
    role, name = fresh("open"), fresh("eager")
    lab.ask("role add", role=role, host=["web1"], login=["dba"], max=3600, approvals=0)
    lab.make_user(name, role=role)
    lab.request(name, "web1", "dba", 3600)
    Client(lab, name).run("web1.name", "true", check=True)
    path = recording_of(lab, name)
    assert replay(lab, "approvals", path).stdout == b"the grant needed no approval\n"
    (tmp_path / "signers").write_text("")
    done = replay(lab, "approvals", path, "--signers", str(tmp_path / "signers"), check=False)
    assert done.returncode == 1 and b"nobody signed" in done.stdout, done


def test_an_unsigned_approval_is_named_so(lab, engineer):
    user = engineer()
    user.run("web1.name", "true", check=True)
    path = recording_of(lab, user.user)
    assert "not signed" in replay(lab, "approvals", path).stdout.decode()
    assert "approved by bob" in replay(lab, "show", path).stdout.decode()
