"""No grant, pending, denied, expired, revoked, locked: each its own line, and what to do next."""
import json
import os
import re
import time

import pytest

from paramiko.common import AUTH_PARTIALLY_SUCCESSFUL

from harness import Client, events, labkit, until
from rogue import Accepts, LetsIn, Rogue, Server


def refusal(client, target):
    done = client.run(target, "echo let in")
    assert done.returncode != 0 and done.stdout == b""
    lines = [line for line in done.stderr.decode().splitlines() if line.strip()]
    assert lines, "a refusal says why"
    return " ".join(lines)


def test_no_grant(engineer, target):
    line = refusal(engineer(grant=False), target)
    assert "request web1 --login dba" in line and "ssh " in line


class WantsMore(LetsIn):
    """AuthenticationMethods publickey,password."""

    def _parse_userauth_request(self, m):
        self._send_auth_result(m.get_text(), "publickey", AUTH_PARTIALLY_SUCCESSFUL)

    _server_handler_table = {**LetsIn._server_handler_table, 50: _parse_userauth_request}


class Password(Accepts):
    def get_allowed_auths(self, username):
        return "password"


def test_a_target_that_wants_more_than_the_key(lab, deploy, way):
    rogue = Rogue(lab, lambda sock: type("Half", (Server,), {"logins": WantsMore})(lab, sock, Password()).join())
    try:
        host, options = rogue.to(way)
        done = deploy.run(host, "anything", options=options)
    finally:
        rogue.close()
    assert done.returncode == 255 and b"wants more than that (AuthenticationMethods" in done.stderr and b"CA" not in done.stderr, done


def test_pending(lab, engineer, target):
    user = engineer(grant=False)
    number = lab.request(user.user)
    line = refusal(user, target)
    assert re.search(rf"\b{number}\b", line) and ("pending" in line or "waits" in line or "waiting" in line)


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


def barred(client, target, auth_floor=0.3):
    """Who proved a registered key and may not come in: the line in the end of the connection, as late as any refusal."""
    begin = time.monotonic()
    done = client.run(target, "echo let in")
    assert done.returncode == 255 and done.stdout == b""
    assert time.monotonic() - begin > auth_floor
    lines = [line for line in done.stderr.decode().splitlines() if "Received disconnect" in line]
    assert len(lines) == 1, done
    return lines[0]


def test_locked(lab, engineer, target):
    """It may be about who holds the key now: why is not said."""
    user = engineer()
    lab.ctl("user", "lock", user.user, "--reason", "laptop stolen")
    line = barred(user, target)
    assert f"{user.user} is locked" in line and "administrator" in line and "stolen" not in line
    lab.ctl("user", "unlock", user.user)
    assert user.run(target, "echo in").stdout == b"in\n"


def test_no_second_factor_yet(lab, fresh):
    name = fresh("unenrolled")
    lab.ask("user add", user=name, person=name)
    os.mkdir(lab.path("users", name), 0o755)
    labkit.keygen(lab.path("users", name, "key"))
    lab.ask("user key add", user=name, device="laptop", key=labkit.read(lab.path("users", name, "key.pub")).strip())
    assert f"bastionctl user totp enrol {name}" in barred(Client(lab, name), "bastion")
    assert [json.loads(row["detail"])["device"] for row in events(lab, "login.fail", name)] == ["laptop"]


def test_too_many_connections(new_lab):
    lab = new_lab(options=["max_sessions_per_user = 1"])
    user = Client(lab, "deploy")
    with user.start("web1.name", "cat", bufsize=0) as first:
        first.stdin.write(b"up\n")
        assert first.stdout.read(3) == b"up\n"
        line = barred(user, "bastion")
        assert "deploy has as many connections open as max_sessions_per_user allows: 1." in line and "ControlMaster" in line
        first.stdin.close()
        assert first.wait(20) == 0
    until(lambda: user.run("bastion", "hosts").returncode == 0, what="a login, with the first connection gone")


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
