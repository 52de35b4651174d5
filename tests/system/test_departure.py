"""A person leaves or changes post: what is open ends at once, for all accounts, and the word says what ended."""
import json

from harness import events


def test_leave_ends_everything(lab, engineer):
    user = engineer()
    again = f"{user.user}b"
    lab.ctl("user", "add", again, "--person", f"{user.user} of the lab")
    with user.start("web1.jump", "cat") as open_one:
        open_one.stdin.write(b"hello\n")
        open_one.stdin.flush()
        assert open_one.stdout.readline() == b"hello\n"
        reply = lab.ctl_json("user", "leave", "--person", f"{user.user} of the lab", "--reason", "retired")
        assert open_one.wait(20) != 0
        assert b"the person left" in open_one.stderr.read()
    rows = {(row["account"], row["what"], row["state"]) for row in reply["rows"]}
    assert {(user.user, "session", "ended"), (user.user, "grant", "revoked"), (user.user, "device", "revoked"), (user.user, "role", "removed"),
            (user.user, "codes", "removed"), (user.user, "account", "removed"), (again, "account", "removed")} <= rows
    assert user.run("bastion", "hosts").returncode == 255
    assert {row["subject"] for row in events(lab, "user.leave", user.user)} == {user.user}
    assert json.loads(events(lab, "user.leave", user.user)[0]["detail"])["reason"] == "retired"


def test_move_keeps_the_device_where_it_is_said(lab, engineer):
    user = engineer()
    assert user.run("web1.name", "echo in").stdout == b"in\n"
    table = lab.ctl("user", "move", user.user, "--keep-devices")
    assert "revoked" in table and "role" in table and "device" not in table.split("DETAIL")[1]
    done = user.run("web1.name", "echo in")
    assert done.returncode != 0 and done.stdout == b"" and b"dba" in done.stderr + done.stdout
