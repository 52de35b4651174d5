"""A user's devices over ssh: brought with a code or an approval, listed, revoked; a login from something new is an event; hosts that
want a fresh code do not take an old connection, and those that want an approval of now do not take a new device."""
import json
import re
import time

from harness import Client, events, labkit, until


def bring(user, name, *options):
    """device add over ssh, the key on standard input; the new device's client, and what was said."""
    key = f"{user.folder}/{name}"
    labkit.keygen(key)
    with open(key + ".pub", "rb") as f:
        done = user.run("bastion", "device", "add", name, *options, "-", stdin=f.read())
    return Client(user.lab, user.user, key=key), done


def test_a_code_enrols_a_device(lab, engineer):
    user = engineer()
    code = lab.ctl_json("user", "key", "invite", user.user)["code"]
    desk, done = bring(user, "desk", "--code", code)
    assert done.returncode == 0, done.stderr
    assert desk.run("web1.name", "echo in").stdout == b"in\n"
    found = events(lab, "login.new-device", user.user)
    assert [json.loads(row["detail"])["device"] for row in found] == ["laptop", "desk"]
    assert len(events(lab, "login.new-network", user.user)) == 1
    desk.run("bastion", "device", "revoke", "laptop", check=True)
    assert user.run("bastion", "hosts").returncode == 255
    rows = {row["device"]: row for row in lab.ctl_json("user", "key", "list", user.user)["rows"]}
    assert rows["desk"]["client"].startswith("SSH-2.0-OpenSSH") and rows["desk"]["first_used"] <= rows["desk"]["used"]
    assert rows["laptop"]["state"] == "revoked"


def test_without_a_code_somebody_must_approve(lab, engineer):
    user = engineer(grant=False)
    desk, done = bring(user, "desk")
    assert done.returncode == 0 and b"waits" in done.stdout, done
    assert desk.run("bastion", "hosts").returncode == 255
    lab.ctl("user", "key", "approve", user.user, "desk")
    assert desk.run("bastion", "hosts").returncode == 0


def test_a_class_of_hosts_is_left_out_of_grace(new_lab):
    lab = new_lab(options=['no_grace = "tier=lab"', 'mfa_grace = "10m"'])
    alice = Client(lab, "alice")
    assert alice.run("web1.jump", "echo in").stdout == b"in\n", "with a code"
    assert alice.run("bastion", "hosts").returncode == 0, "without one"
    done = alice.run("web1.name", "echo in")
    assert done.returncode != 0 and b"asks for a one-time code at the login" in done.stderr, done


def test_a_class_of_hosts_wants_an_approval_of_who_comes(new_lab):
    lab = new_lab(options=['approve_new = "tier=lab"', 'mfa_grace = "10m"'])
    alice = Client(lab, "alice")

    def refused(client, what):
        """As what was approved before this came; what the line advises is done, and somebody approves."""
        done = client.run("web1.jump", "echo in")
        line = done.stderr.decode()
        said = re.search(rf"the {what} is newer than the approval of grant (\d+), and web1 wants .*: cancel \1, then request web1 again", line)
        assert done.returncode != 0 and done.stdout == b"" and said, line
        client.run("bastion", "cancel", said[1], check=True)
        asked = json.loads(client.run("bastion", "request", "web1", "--login", "dba", "--for", "1h", "--reason", "new", "--json", check=True).stdout)
        lab.ask("approve", as_uid=lab.state["users"]["bob"], id=asked["id"])

    begun = max(row["start"] for row in lab.ctl_json("report", "grants", "--user", "alice")["rows"])
    until(lambda: time.time() >= begun + 1, what="a second after the approval")
    refused(alice, "device")
    assert alice.run("web1.jump", "echo in").stdout == b"in\n"
    desk, done = bring(alice, "desk", "--code", lab.ctl_json("user", "key", "invite", "alice")["code"])
    assert done.returncode == 0, done.stderr
    begun = time.time()
    until(lambda: time.time() >= begun + 1, what="a second after the approval")
    refused(desk, "device")
    assert desk.run("web1.jump", "echo in").stdout == b"in\n"
    assert alice.run("web1.name", "echo in").stdout == b"in\n", "the old one is no newer"


def test_a_class_of_hosts_wants_a_fresh_code(new_lab):
    lab = new_lab(options=['name = "bastion"', 'step_up = "tier=lab"', 'step_up_time = "6s"', 'mfa_grace = "10m"'])
    alice = Client(lab, "alice")
    with open(alice.config, encoding="ascii") as f:
        config = f.read()
    labkit.write(alice.config, f"Host *\n    ControlMaster auto\n    ControlPath {alice.folder}/m-%C\n    ControlPersist 60\n{config}", 0o600)

    def refused(host, why, options=()):
        done = alice.run(host, "echo in", options=options)
        line = done.stderr.decode()
        said = re.search(r"fresh one-time code, .*; (.*)\. Log in anew; .* first: ssh -O stop (\S+), and ssh -O stop with web1 as you call it", line)
        assert done.returncode != 0 and said and why in said[1], done
        return said[2], host

    def let_go(kept):
        """What the line says. A connection inside one, or by name, that never came to its host is over already."""
        return [alice.run(name, options=("-O", "stop")).returncode for name in kept]

    try:
        assert alice.run("web1.name", "echo in").stdout == b"in\n"
        let_go(refused("web1.jump", "came without one"))
        assert alice.run("web1.jump", "echo in").stdout == b"in\n", "asked again, and let in"
        # the connections with a code go on: not after its time to hosts of that class, however often
        time.sleep(6.1)
        for _ in range(2):
            named, jumped = refused("web1.name", "has the age"), refused("web1.jump", "has the age")
        refused("web1.jump", "has the age", options=("-o", "ControlPath=none"))
        assert let_go(named) == [0, 0]
        assert alice.run("web1.name", "echo in").stdout == b"in\n", "asked again, and let in"
        assert let_go(jumped) == [255, 0], "of the one to the bastion, too, just now"
        refused("web1.jump", "came without one")
    finally:
        for name in ("bastion", "web1.jump", "web1.name"):
            alice.run(name, options=("-O", "exit"))
    assert Client(lab, "deploy").run("web1.name", "echo in").stdout == b"in\n", "a service account has no code"
