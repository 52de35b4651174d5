"""Accounts of one's own at a target: the bastion makes them when a grant begins and removes them when it ends, at a real sshd with
accounts of its own; what others made there is never touched."""
import contextlib
import math
import os
import sqlite3
import subprocess
import time

import pytest

from harness import DEADLINE, Client, labkit, recording_of, replay, until
from test_signed_approval import sign

pytestmark = pytest.mark.chained

SLOW = 60   # seconds, on a busy machine
waits = []  # seconds, for each account that was waited for


@pytest.fixture(scope="module")
def lab(new_lab):
    it = new_lab(people=False, accounts=True, options=['account_uids = "70000-70999"'])
    it.ask("host change", host="web1", login=["dba", "@self"])
    it.ask("role add", role="own", host=["web*"], login=["@self"], max=8 * 3600, approvals=1)
    it.make_user("bob", approver="own")
    return it


@pytest.fixture
def user(lab):
    """user(): somebody new, with a key alone, who may ask for an account of their own; locked when the test ends."""
    made = []

    def make():
        name = f"own{len(lab.state['users'])}"
        lab.make_user(name, service=True, role="own")
        made.append(Client(lab, name, login=name))
        return made[-1]
    yield make
    for it in made:
        with contextlib.suppress(labkit.LabError):  # locked or removed already
            lab.ask("user lock", user=it.user)


def accounts(lab, client, **args):
    return [row for row in lab.ask("accounts", **args)["rows"] if row["user"] == client.user]


def target(lab, script, check=True):
    """Runs at the target, as root, in its namespaces."""
    pid = lab.state["pids"]["target"][0]
    inside = until(lambda: labkit.read(f"/proc/{pid}/task/{pid}/children").split(), what="the target")[0]
    done = subprocess.run(["nsenter", "-t", inside, "--mount", "--pid", "--wd=/", "sh", "-c", script], capture_output=True, text=True, timeout=60,
                          check=False, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def there(lab, client, seconds=SLOW):
    start = time.monotonic()
    row = until(lambda: [row for row in accounts(lab, client) if row["state"] == "there"], seconds, what="the account")[0]
    waits.append(time.monotonic() - start)
    return row


def gone(lab, client, seconds=SLOW):
    """No account at the bastion, and nothing of it at the target."""
    until(lambda: not accounts(lab, client), seconds, what="the removal")
    assert target(lab, f"getent passwd {client.user}; getent group {client.user}; ls -d /home/{client.user}", check=False) == ""
    assert client.user not in target(lab, f"sh {lab.account_program()} list")


def events(lab, kind, name):
    return [row for row in lab.ask("events", user=name, limit=1000)["rows"] if row["kind"] == kind]


def own_grant(lab, client, span=3600):
    client.grant = lab.grant(client.user, login=client.user, span=span)
    return client.grant


def shell(client, command, **kw):
    return client.run("web1.name", command, **kw)


def test_for_the_time_of_a_grant(lab, user):
    alice = user()
    assert shell(alice, "id").returncode != 0
    grant = own_grant(lab, alice)
    # it waits for the account, if that is not there yet
    said = shell(alice, "id -un; id -u; id -g; pwd; touch mine", check=True).stdout.decode().split()
    row = there(lab, alice)
    assert said == [alice.user, str(row["uid"]), str(row["uid"]), f"/home/{alice.user}"] and 70000 <= row["uid"] <= 70999
    end = lab.ask("grants")["rows"][-1]["until"]
    assert row["until"] == end
    assert f"{alice.user} {row['uid']} {end} there " in target(lab, f"sh {lab.account_program()} list")
    assert shell(alice, "ls").stdout == b"mine\n"
    # the session, what it left in the background and the account go with the grant
    held = alice.start("web1.name", "setsid sh -c 'trap \"\" HUP TERM; exec cat' <>/dev/zero >/dev/null 2>&1 & exec cat", bufsize=0)
    held.stdin.write(b"up\n")
    assert held.stdout.read(3) == b"up\n"
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=int(grant), reason="done")
    held.wait(timeout=DEADLINE)
    gone(lab, alice)
    assert target(lab, f"grep -l '^Uid:.*{row['uid']}' /proc/[0-9]*/status | xargs -r grep -L '^State:.*Z'", check=False) == ""
    assert [len(events(lab, f"account.{kind}", alice.user)) for kind in ("create", "there", "remove", "gone", "fail")] == [1, 1, 1, 1, 0]
    assert shell(alice, "id").returncode != 0
    # who comes back is somebody else to the target's files
    own_grant(lab, alice)
    assert int(shell(alice, "id -u", check=True).stdout) > row["uid"]


def test_a_signed_approval_of_ones_own_account_holds(lab, tmp_path, fresh):
    """What the approver signs says @self; the recording's login is the user's name."""
    role, name = fresh("vow"), fresh("vowed")
    lab.ask("role add", role=role, host=["web*"], login=["@self"], max=3600, approvals=1, signed=True)
    lab.ask("role approver add", role=role, user="bob")
    lab.make_user(name, service=True, role=role)
    bob, number = lab.state["users"]["bob"], lab.request(name, "web1", name, 3600)
    text = lab.ask("approve", as_uid=bob, id=int(number))["text"] + "\n"
    assert f"\nuser: {name}\n" in text and "\nlogin: @self\n" in text
    lab.ask("approve", as_uid=bob, id=int(number), signature=sign(lab, tmp_path, text.encode()).decode())
    shell(Client(lab, name, login=name), "true", check=True)
    signers = tmp_path / "signers"
    signers.write_text("bob " + labkit.read(lab.path("users", "bob", "key.pub")))
    said = replay(lab, "approvals", recording_of(lab, name), "--signers", str(signers)).stdout.decode()
    assert "holds, and its text speaks of this recording; the key is listed" in said
    lab.ask("user lock", user=name)


def test_leaving_removes_it(lab, user):
    alice = user()
    own_grant(lab, alice)
    assert alice.run("web1.jump", "id -un", check=True).stdout.decode().strip() == alice.user
    lab.ask("user leave", user=alice.user)
    gone(lab, alice)


def test_another_end(lab, user):
    """An extension moves the end at the target, and what revokes it moves it back; what is open goes on."""
    alice = user()
    first = own_grant(lab, alice)
    before = there(lab, alice)
    held = alice.start("web1.name", "cat", bufsize=0)
    held.stdin.write(b"up\n")
    assert held.stdout.read(3) == b"up\n"
    more = lab.ask("extend", as_uid=lab.state["users"][alice.user], id=int(first), reason="x", **{"for": 7200})["id"]
    lab.ask("approve", as_uid=lab.state["users"]["bob"], id=more)
    later = until(lambda: [row for row in accounts(lab, alice) if row["until"] > before["until"]], SLOW, what="the later end")[0]
    assert later["uid"] == before["uid"]
    assert f"{alice.user} {later['uid']} {later['until']} there " in target(lab, f"sh {lab.account_program()} list")
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=more)
    until(lambda: accounts(lab, alice)[0]["until"] == before["until"], SLOW, what="the earlier end")
    held.stdin.write(b"still\n")
    assert held.stdout.read(6) == b"still\n"
    held.kill()
    held.wait()


def test_a_renewal_meets_the_end_at_the_host(lab, user):
    """The host's timer removed the account at the end that it knew, as an extension came that it did not hear of in time: there is a new one."""
    alice = user()
    first = own_grant(lab, alice)
    before = there(lab, alice)
    mark = f"/var/lib/bastion-account/{alice.user}"
    target(lab, f"awk '{{ $2 = 1; print }}' {mark} >{mark}.x && mv {mark}.x {mark}")
    assert target(lab, f"sh {lab.account_program()} sweep").startswith(f"gone {alice.user} ")
    more = lab.ask("extend", as_uid=lab.state["users"][alice.user], id=int(first), reason="x", **{"for": 7200})["id"]
    lab.ask("approve", as_uid=lab.state["users"]["bob"], id=more)
    said = shell(alice, "id -u", check=True).stdout
    after = there(lab, alice)
    assert int(said) == after["uid"] > before["uid"] and after["until"] > before["until"]
    assert not events(lab, "account.fail", alice.user)


def test_ones_own_alone(lab, user):
    alice, mallory = user(), user()
    own_grant(lab, alice)
    there(lab, alice)
    own_grant(lab, mallory)
    there(lab, mallory)
    for login in (alice.user, "root", "bob", "@self"):
        done = mallory.run("web1.name", "id", options=("-l", f"{mallory.user}@{login}@web1"))
        assert done.returncode != 0 and b"uid=" not in done.stdout


def test_what_others_made_stays(lab, user):
    alice = user()
    target(lab, f"useradd -m -u 61999 {alice.user} && touch /home/{alice.user}/theirs")
    own_grant(lab, alice)
    done = shell(alice, "id")
    said = (done.stdout + done.stderr).decode()
    assert done.returncode != 0 and "did not make" in said and "uid=" not in said
    row, = accounts(lab, alice)
    assert row["state"] == "creating" and "did not make" in row["line"] and row["tries"] >= 1
    assert events(lab, "account.fail", alice.user)
    lab.ask("user lock", user=alice.user)
    until(lambda: not accounts(lab, alice), SLOW, what="the end of trying")
    assert target(lab, f"id -u {alice.user}; ls /home/{alice.user}").split() == ["61999", "theirs"]
    target(lab, f"userdel -r {alice.user}")


def test_no_program_no_login(lab, user):
    """The target cannot make it: no login, with a line that says why; once it can, the next login has it made at once."""
    alice = user()
    target(lab, f"mkdir /home/{alice.user}")
    own_grant(lab, alice)
    done = shell(alice, "id")
    assert done.returncode != 0 and b"is there already" in done.stderr + done.stdout and b"administrators" in done.stderr + done.stdout
    target(lab, f"rmdir /home/{alice.user}")
    assert shell(alice, "id -un", check=True).stdout.decode().strip() == alice.user


def test_one_that_others_took_away(lab, user):
    """The host is asked again before a login: what somebody removed or replaced there lets nobody in, and is not made again under that grant."""
    alice = user()
    grant = own_grant(lab, alice)
    row = there(lab, alice)
    owner = target(lab, f"sh {lab.account_program()} list | grep '^{alice.user} '").split()[4]
    assert len(owner) == 32 and int(owner, 16)
    target(lab, f"userdel -r {alice.user} && useradd -m {alice.user} && touch /home/{alice.user}/theirs")
    with contextlib.closing(sqlite3.connect(lab.path("state", "db", "policy.db"), timeout=20)) as db:
        assert db.execute("SELECT lower(hex(id)) FROM bastion").fetchone()[0] == owner
        with db:    # a minute later
            db.execute("UPDATE accounts SET checked=0 WHERE id=?", (row["id"],))
    done = shell(alice, "id")
    said = (done.stdout + done.stderr).decode()
    assert done.returncode != 0 and "others removed or replaced it" in said and "uid=" not in said
    now, = accounts(lab, alice)
    assert (now["state"], now["uid"]) == ("there", row["uid"]) and "replaced" in now["line"]
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=int(grant))
    until(lambda: not accounts(lab, alice), SLOW, what="the removal")
    assert target(lab, f"ls /home/{alice.user}") == "theirs"
    target(lab, f"userdel -r {alice.user}")


def test_removed_when_the_target_is_back(lab, user):
    alice = user()
    grant = own_grant(lab, alice)
    uid = there(lab, alice)["uid"]
    lab.stop("target")
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=int(grant))
    row = until(lambda: [row for row in accounts(lab, alice) if row.get("tries", 0) >= 1], SLOW, what="a try that failed")[0]
    assert row["state"] == "removing" and row["uid"] == uid and "unreachable" in row["line"] and row["next"] > time.time() - 60
    assert uid == accounts(lab, alice)[0]["uid"] and os.path.exists(lab.path("target", "homes", alice.user))
    lab.start("target")
    gone(lab, alice)


def test_policy_killed_at_any_step(lab, user):
    """kill -9 while the target makes the account, and while it removes it: the next bastiond goes on where that one was."""
    alice = user()
    held = subprocess.Popen(["flock", lab.path("target", "lib", "bastion-account", ".lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    held.stdin.write(b"up")
    held.stdin.flush()
    assert held.stdout.read(2) == b"up"
    grant = own_grant(lab, alice)
    asked = "grep -lz '[b]astion-account' /proc/[0-9]*/cmdline"      # not the one that looks
    until(lambda: accounts(lab, alice) and target(lab, asked, check=False), SLOW, what="the question")
    lab.stop("bastiond", deadline=None)
    lab.start("bastiond")
    held.communicate(timeout=DEADLINE)
    row = there(lab, alice)
    assert len(accounts(lab, alice, all=True)) == 1
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=int(grant))
    until(lambda: all(one["state"] == "removing" for one in accounts(lab, alice)), SLOW, what="the end")
    lab.stop("bastiond", deadline=None)
    lab.start("bastiond")
    gone(lab, alice)
    assert [one["uid"] for one in accounts(lab, alice, all=True)] == [row["uid"]]


def test_the_end_holds_with_the_bastion_dead(lab, user):
    """The last test: bastiond is gone, and what the target's timer runs removes the account at its time, not before."""
    alice = user()
    # one that takes longer than any before is still there when bastiond goes
    own_grant(lab, alice, span=max(15, math.ceil(4 * max(waits, default=0)) + 2))
    end = there(lab, alice)["until"]
    lab.stop("bastiond", deadline=None)
    try:
        sweep = f"sh {lab.account_program()} sweep"
        while time.time() < end - 1:
            assert target(lab, sweep) == "" or time.time() >= end
            time.sleep(min(1, max(0, end - 1 - time.time())))
        assert until(lambda: target(lab, sweep), SLOW, what="the sweep").startswith(f"gone {alice.user} ")
        assert target(lab, f"getent passwd {alice.user}", check=False) == ""
    finally:
        lab.start("bastiond")
