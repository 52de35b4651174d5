"""No grant, pending, denied, expired, revoked, locked: each its own line, and what to do next."""
import time

import pytest

from harness import labkit


def refusal(client, target):
    done = client.run(target, "echo let in")
    assert done.returncode != 0 and done.stdout == b""
    lines = [line for line in done.stderr.decode().splitlines() if line.strip()]
    assert lines, "a refusal says why"
    return " ".join(lines)


def test_no_grant(engineer, target):
    line = refusal(engineer(grant=False), target)
    assert "request web1 --login dba" in line and "ssh " in line


def test_pending(lab, engineer, target):
    user = engineer(grant=False)
    number = lab.request(user.user)
    line = refusal(user, target)
    assert number in line and ("pending" in line or "waits" in line or "waiting" in line)


def test_denied(lab, engineer, target):
    user = engineer(grant=False)
    number = lab.request(user.user)
    lab.ctl("deny", number, "--reason", "use the replica", uid=lab.state["users"]["bob"])
    line = refusal(user, target)
    assert "denied" in line and "use the replica" in line


def test_revoked(lab, engineer, target):
    user = engineer()
    lab.ctl("revoke", user.grant, "--reason", "done early", uid=lab.state["users"]["bob"])
    line = refusal(user, target)
    assert "revoked" in line and "done early" in line


def test_expired(engineer, target):
    user = engineer(span=1)
    time.sleep(1.1)     # the grant's own length
    line = refusal(user, target)
    assert "expired" in line or "ended" in line or "over" in line
    assert "request web1" in line


def test_locked(lab, engineer, target):
    """A locked user is a stranger before login: sees what a stranger sees."""
    user = engineer()
    lab.ctl("user", "lock", user.user, "--reason", "laptop stolen")
    done = user.run(target, "echo let in")
    assert done.returncode == 255 and done.stdout == b""
    assert b"stolen" not in done.stderr


def test_other_login_and_other_host(lab, engineer, way):
    user = engineer()
    done = user.run(f"web2.{way}", "echo let in")
    assert done.returncode != 0 and done.stdout == b"" and b"request web2" in done.stderr


@pytest.mark.parametrize("name", ["nosuch", "localhost", "127.0.0.1", "169.254.169.254", "::1", "0x7f000001", "2130706433"])
def test_unregistered_names(deploy, lab, way, name):
    if way == "jump":
        done = deploy.run(name, "echo let in", options=("-J", "bastion", "-l", "dba", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"))
    else:
        done = deploy.run("web1.name", "echo let in", options=("-l", f"deploy@dba@{name}"))
    assert done.returncode != 0 and done.stdout == b""


def test_self_approval_is_refused(lab, engineer):
    user = engineer(grant=False)
    lab.ctl("role", "approver", "add", "dba", user.user)
    number = lab.request(user.user)
    with pytest.raises(labkit.LabError) as refused:
        lab.ctl("approve", number, uid=lab.state["users"][user.user])
    assert "own" in str(refused.value)
