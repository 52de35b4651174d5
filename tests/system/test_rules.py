"""Roles as rules, with real clients: what denies ends what is open, groups approve, hours have a time zone, hosts stand in a zone."""
import itertools
import time

import pytest

from harness import Client, labkit, until

counter = itertools.count(1)


@pytest.fixture
def rule(lab):
    """rule("deny", ...): a role with a name of its own, gone after the test."""
    made = []

    def add(**args):
        name = f"rule{next(counter)}"
        lab.ask("role add", role=name, **args)
        made.append(name)
        return name
    yield add
    for name in made:
        lab.ask("role remove", role=name)


@pytest.fixture
def account(lab):
    """account(role): a service account in that role: each login is by its key alone, no code to wait for."""
    def make(role, login="app"):
        name = f"svc{next(counter)}"
        lab.make_user(name, service=True, role=role)
        return Client(lab, name, login=login)
    return make


def ask(lab, user, host="web2", login="app", **more):
    """carol, an administrator, asks for the service account; the reply."""
    return lab.ask("request", as_uid=lab.state["users"]["carol"], user=user.user, host=host, login=login,
                   **{"for": 3600, "reason": "lab"} | more)


def cat(client, target):
    process = client.start(target, "cat", bufsize=0)
    process.stdin.write(b"up\n")
    assert process.stdout.read(3) == b"up\n"
    return process


def end_of(process):
    """Its standard input stays open: `cat` ends by the bastion alone."""
    held, process.stdin = process.stdin, None
    out, err = process.communicate(timeout=20)
    held.close()
    assert process.returncode != 0
    return (out + err).decode(errors="replace")


def refused(client, target, *words):
    done = client.run(target, *(words or ("true",)))
    assert done.returncode != 0
    return done.stderr.decode()


def test_a_rule_that_denies_ends_what_is_open(lab, account, target, rule):
    role = rule(host=["web1"], login=["app"], approvals=0)
    user, other = account(role), account(role)
    for who in (user, other):
        ask(lab, who, "web1")
    open_one, open_two = cat(user, target), cat(other, target)
    freeze = rule(deny=True, host=["web*"], login=["app"])
    lab.ask("role member add", role=freeze, user=user.user)
    assert f"Rule {freeze} denies app@web1" in end_of(open_one)
    open_two.stdin.write(b"on\n")
    assert open_two.stdout.read(3) == b"on\n"     # nobody else's
    open_two.stdin.close()
    assert open_two.wait(20) == 0
    assert f"Rule {freeze} denies" in refused(user, target)
    with pytest.raises(labkit.LabError, match="denies it"):
        ask(lab, user, "web1")
    lab.ask("role member remove", role=freeze, user=user.user)
    user.run(target, "true", check=True)


def test_a_change_of_the_rule_counts_at_once(lab, account, rule):
    role = rule(host=["web2"], login=["app"], approvals=0)
    user = account(role)
    ask(lab, user)
    process = cat(user, "web2.jump")
    lab.ask("role change", role=role, cap=["shell"])
    assert "the role was changed" in end_of(process)
    # hours of a place: half an hour of today there, which is not now
    hour = (time.gmtime().tm_hour + 9 + 5) % 24
    lab.ask("role change", role=role, cap=["shell", "exec"], hours=f"mon-sun {hour:02d}:00-{hour:02d}:30 Asia/Tokyo")
    ask(lab, user)
    assert "holds only at these hours: mon-sun" in refused(user, "web2.jump")
    hour = (time.gmtime().tm_hour + 9) % 24
    lab.ask("role change", role=role, hours=f"mon-sun {hour:02d}:00-{(hour + 2) % 24:02d}:00 Asia/Tokyo")
    user.run("web2.jump", "true", check=True)


def test_a_group_approves_and_the_zone_counts(lab, account, rule):
    leads = rule(group=True)
    lab.ask("role member add", role=leads, user="bob")
    role = rule(zone=["cloud"], login=["app"], approver_role=[leads], ask_reason="no")
    user = account(role)
    with pytest.raises(labkit.LabError, match="No host web2"):
        ask(lab, user)
    lab.ctl("host", "change", "web2", "--zone", "cloud")
    try:
        reply = ask(lab, user)
        assert f"any of {leads}" in reply["text"]
        with pytest.raises(labkit.LabError, match="Nobody decides their own"):
            lab.ask("approve", as_uid=lab.state["users"]["carol"], id=reply["id"])
        lab.ctl("approve", str(reply["id"]), uid=lab.state["users"]["bob"])
        user.run("web2.jump", "true", check=True)
        row = [r for r in lab.ctl_json("role", "list")["rows"] if r["name"] == role][0]
        assert row["quorum"] == "1 of 1" and row["zones"] == ["cloud"] and row["reason"] is False
    finally:
        lab.ctl("host", "change", "web2", "--zone", "test")
    assert "No host web2 for you here" in refused(user, "web2.jump")


def test_explain_now_and_then(lab, account, rule):
    role = rule(host=["web2"], login=["app"], approvals=0)
    user = account(role)
    said = user.run("bastion", "explain", "app@web2", check=True).stdout.decode()
    assert f"role {role}: may ask; 0 approvals" in said and "No grant for app@web2" in said
    ask(lab, user)
    row = lab.ctl_json("explain", user.user, "app@web2")["row"]
    assert row["allowed"] is True and row["rule"] == role and row["grant"]
    then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    until(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > then, what="the next second")
    lab.ask("role member remove", role=role, user=user.user)
    assert "was revoked" in lab.ctl_json("explain", user.user, "app@web2")["row"]["says"]
    rows = lab.ctl_json("explain", "app@web2", "--at", then)["rows"]
    assert [r for r in rows if r["user"] == user.user and r["allowed"] and r["grant"] == row["grant"]], rows
    assert not [r for r in lab.ctl_json("explain", "app@web2")["rows"] if r["user"] == user.user and r["allowed"]]
    refused_word = user.run("bastion", "explain", "alice", "dba@web1")
    assert refused_word.returncode == 3
