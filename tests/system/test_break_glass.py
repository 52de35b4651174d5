"""Break-glass is loud and owed a review; who waits goes on when somebody decides; a session goes on under the grant that prolongs its own."""
import pytest

import labkit
from harness import Client, events, recording_of, replay, until
from test_ends import lasting, open_cat


@pytest.fixture(scope="module")
def fire(lab, fresh):
    """A user in a role whose members may break the glass, over web1, with two approvals that nobody can give."""
    role, name = fresh("fire"), fresh("fireman")
    lab.ask("role add", role=role, host=["web1"], login=["dba"], approvals=2, break_glass=True)
    lab.ask("role approver add", role=role, user="bob")
    lab.make_user(name, role=role)
    return name


def uid(lab, name):
    return lab.state["users"][name]


def test_glass(lab, fire, terminals):
    user = Client(lab, fire)
    said = lab.ask("request", as_uid=uid(lab, fire), host="web1", login="dba", reason="it burns", break_glass=True)
    shell = terminals(user.terminal("web1.name"))
    shell.expect(rb"break-glass: this access was not approved")
    shell.line("exit 0")
    shell.wait()
    row, = [row for row in lab.ask("reviews", as_uid=uid(lab, "bob"))["rows"] if row["id"] == said["id"]]
    assert row["user"] == fire and row["reason"] == "it burns" and row["until"] - row["start"] == 3600 and row["logins"] == 1
    with pytest.raises(labkit.LabError, match="Nobody reviews"):
        lab.ask("review", as_uid=uid(lab, fire), id=said["id"], verdict="justified", reason="mine")
    lab.ask("review", as_uid=uid(lab, "bob"), id=said["id"], verdict="justified", reason="it did")
    assert [e["actor"] for e in events(lab, "break-glass.review")][-1] == "bob"
    assert "break-glass" in replay(lab, "show", recording_of(lab, fire)).stdout.decode()


def test_waiting(lab, engineer):
    user = engineer(grant=False)
    words = ("request", "web1", "--login", "dba", "--for", "1h", "--reason", "lab", "--wait")
    with user.start("bastion", *words) as process:
        number = until(lambda: [r["id"] for r in lab.ctl_json("requests")["rows"] if r["user"] == user.user], deadline=60)[0]
        assert process.poll() is None
        lab.ask("approve", as_uid=uid(lab, "bob"), id=number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and f"Grant {number}".encode() in out, (out, err)


def test_a_session_goes_on_under_the_next_grant(lab, engineer, deploy):
    span = lasting(8, lambda: deploy.run("web1.name", "true", check=True))
    user = engineer(span=span)
    process = open_cat(user, "web1.name")
    number = lab.ask("extend", as_uid=uid(lab, user.user), id=int(user.grant), **{"for": 600})["id"]
    lab.ask("approve", as_uid=uid(lab, "bob"), id=number)
    until(lambda: events(lab, "grant.carried", user.user), deadline=span + 22)
    process.stdin.write(b"on\n")
    assert process.stdout.read(3) == b"on\n"
    lab.ask("revoke", as_uid=uid(lab, "bob"), id=number)
    assert process.wait(20) != 0


def test_connect_waits_and_goes_on(lab, engineer, terminals):
    user = engineer(grant=False)
    number = lab.request(user.user)
    console = terminals(user.terminal("bastion"))
    console.expect(rb"> ?$", timeout=60)
    console.line("connect web1 as dba --wait")
    console.expect(rb"--wait\r\n")
    console.read(1.0)
    assert b"Grant" not in console.seen
    lab.ask("approve", as_uid=uid(lab, "bob"), id=int(number))
    console.expect(rb"Grant \d+")
    console.line("echo $((6*7))")
    console.expect(rb"\n42\r\n")
