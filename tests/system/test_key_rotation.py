"""Managed keys that rotate, at a stock sshd: by word, by age, after use; the old key is refused afterwards, what others wrote into
authorized_keys stays, and whatever breaks on the way leaves a key that works."""
import contextlib
import os
import signal
import sqlite3
import subprocess

import pytest

from harness import Client, events, labkit, role, until

pytestmark = pytest.mark.chained

OTHERS = "# kept by hand\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEC1BanFgxAV/IiwvsPLIfRklyiTAY90VjSZ8mmL0sMF somebody\n\n"


class Legacy:
    """A lab whose host legacyN takes no certificates and has its keys where sshd usually has them. The key `legacy` is the test's, too."""

    def __init__(self, lab):
        self.lab, config = lab, lab.target_config
        lab.target_config = lambda: config().replace(f"AuthorizedKeysFile {lab.path('target', 'authorized_keys')}", "AuthorizedKeysFile .ssh/authorized_keys")
        lab.stop("target")
        labkit.write(lab.path("target", "ca.pub"), "")
        lab.start("target")
        told = lab.ctl("key", "add", "legacy").strip().splitlines()
        self.line = " ".join(next(line for line in told if line.startswith("ssh-")).split()[:2])
        self.restart()
        pinned = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
        for host, login in (("web-legacy", "dba"), ("web-other", "app")):
            lab.ask("host add", host=host, address="127.0.0.1", port=lab.port("target"), key=[pinned], login=[login], managed_key="legacy")
        self.folder = lab.path("target", "home", "dba", ".ssh")
        self.file = os.path.join(self.folder, "authorized_keys")
        os.mkdir(self.folder, 0o700)
        os.chown(self.folder, labkit.DBA_UID, labkit.DBA_UID)
        self.write(OTHERS + f"restrict,pty {self.line} old\n")
        lab.make_user("bob", approver="dba")
        lab.make_user("deploy", service=True, role="dba")
        lab.grant("deploy", host="web-legacy")
        self.client = Client(lab, "deploy")

    def restart(self, **how):
        self.lab.stop("bastiond", **how)
        self.lab.start("bastiond")
        until(lambda: "legacy" in [row["name"] for row in self.lab.ask("key list")["rows"]], 20)

    def write(self, text):
        with open(self.file, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.file, 0o640)
        os.chown(self.file, labkit.DBA_UID, labkit.DBA_UID)

    def lines(self):
        return labkit.read(self.file).splitlines()

    def keys(self):
        """state → rows of dba's keys at the host."""
        rows = [row for row in self.lab.ask("host keys", host="web-legacy")["rows"] if row.get("login") == "dba"]
        return {state: [row for row in rows if row["state"] == state] for state in {row["state"] for row in rows}}

    def settled(self, not_before=None):
        """The active key's fingerprint once nothing else is left."""
        def look():
            keys = self.keys()
            return set(keys) == {"active"} and keys["active"][0]["fingerprint"] != not_before and keys["active"][0]["fingerprint"]
        return until(look, 40, 0.1, "one key, and another one than before")

    def now(self):
        return (self.keys().get("active") or [{"fingerprint": None}])[0]["fingerprint"]

    def rotate(self):
        before = self.now()
        self.lab.ask("host rotate", host="web-legacy")
        return self.settled(before)

    def runs(self):
        done = self.client.run("web1.name", "echo in", options=("-l", "deploy@dba@web-legacy"))
        return done.returncode == 0 and done.stdout == b"in\n", done.stderr

    def database(self, *statements):
        """By hand, while the daemon is down."""
        self.lab.stop("bastiond")
        with sqlite3.connect(self.lab.path("state", "db", "policy.db")) as db:
            for statement in statements:
                db.execute(statement)
        db.close()
        self.lab.start("bastiond")

    @contextlib.contextmanager
    def other_files(self, name, before=""):
        """Meanwhile sshd reads, behind what `before` names, this file of the target's, which begins as a copy of the account's own."""
        config, path = self.lab.target_config, labkit.write(self.lab.path("target", name), labkit.read(self.file))
        self.lab.stop("target")
        self.lab.target_config = lambda: config().replace("AuthorizedKeysFile .ssh/authorized_keys", f"AuthorizedKeysFile {before} {path}")
        self.lab.start("target")
        try:
            yield path
        finally:
            self.lab.stop("target")
            self.lab.target_config = config
            self.lab.start("target")

    def option(self, *lines):
        self.lab.state["options"] = list(lines)
        self.lab.write_configs()


@pytest.fixture(scope="module")
def legacy(new_lab):
    return Legacy(new_lab(people=False))


@pytest.fixture
def private(legacy, tmp_path):
    """The first managed key as a file of the test's, to see whether the host still takes it."""
    pem = legacy.lab.path("state", "keys", "managed", "legacy.pem")
    openssh = tmp_path / "old"
    # OpenSSH of this age reads no PKCS#8 of Ed25519: the seed is the last 32 bytes
    der = subprocess.run(["openssl", "pkey", "-in", pem, "-outform", "DER"], capture_output=True, check=True).stdout
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    key = Ed25519PrivateKey.from_private_bytes(der[-32:])
    openssh.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()))
    openssh.chmod(0o600)
    return str(openssh)


def straight(lab, key):
    """Does the host let this key in?"""
    return subprocess.run(["ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
                           "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", str(lab.port("target")),
                           "dba@127.0.0.1", "true"], capture_output=True, check=False).returncode == 0


def test_by_word(legacy, private):
    lab = legacy.lab
    assert legacy.runs()[0] and straight(lab, private)
    first = legacy.rotate()
    # what others wrote, in its order; the options of the old line; the mode
    *others, last = legacy.lines()
    assert "\n".join(others) + "\n" == OTHERS
    assert last.startswith("restrict,pty ssh-ed25519 ") and legacy.line not in last
    assert os.stat(legacy.file).st_mode & 0o777 == 0o640 and os.listdir(legacy.folder) == ["authorized_keys"]
    assert not straight(lab, private)
    assert legacy.runs()[0]
    # and the next one, from a key that was made here
    assert legacy.rotate() != first and legacy.runs()[0]
    assert len(legacy.lines()) == len(OTHERS.splitlines()) + 1
    steps = [e["kind"] for e in events(lab) if e["kind"].startswith("target-key.")]
    assert steps == ["target-key.rotate", "target-key.new", "target-key.new", "target-key.active", "target-key.old", "target-key.gone"] * 2
    # what would let the bastion in is printed, and the key of keys/managed for who still has that
    assert last.split()[2] not in lab.ctl("host", "trust", "web-legacy") and legacy.lines()[-1].split()[2] in lab.ctl("host", "trust", "web-legacy")
    assert legacy.line in lab.ctl("host", "trust", "web-other")


def test_the_database_has_no_key_in_clear(legacy):
    """A sealed key that is moved to another place opens nothing."""
    lab = legacy.lab
    with sqlite3.connect(f"file:{lab.path('state', 'db', 'policy.db')}?mode=ro", uri=True) as db:
        sealed = [row[0] for row in db.execute("SELECT sealed FROM target_keys WHERE state='active' AND sealed IS NOT NULL")]
    db.close()
    assert [len(one) for one in sealed] == [68]
    assert os.stat(lab.path("state", "keys", "target.key")).st_mode & 0o777 == 0o600


def test_an_open_session_goes_on(legacy):
    session = legacy.client.start("web1.name", "cat", options=("-l", "deploy@dba@web-legacy"))
    with session:
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        legacy.rotate()
        session.stdin.write(b"after\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"after\n"
        session.stdin.close()
        assert session.wait(30) == 0


def test_a_host_that_cannot_be_written(legacy):
    """The old key stays and works; it is an alarm; and when the host is right again it goes on by itself, or at once by word."""
    lab, before = legacy.lab, legacy.now()
    failed = len(events(lab, "target-key.failed"))
    lines = legacy.lines()
    os.chown(legacy.folder, 0, 0)
    os.chmod(legacy.folder, 0o755)
    lab.ask("host rotate", host="web-legacy")
    why = until(lambda: [row.get("why") for row in legacy.keys().get("new", []) if row.get("why")], 30)
    assert "ermission denied" in why[0] and len(events(lab, "target-key.failed")) == failed + 1
    assert legacy.now() == before and legacy.lines() == lines and legacy.runs()[0]
    os.chmod(legacy.folder, 0o700)
    os.chown(legacy.folder, labkit.DBA_UID, labkit.DBA_UID)
    lab.ask("host rotate", host="web-legacy")
    legacy.settled(before)
    assert legacy.runs()[0]


def test_a_new_key_that_is_refused(legacy):
    """The line is there and the host does not take it: the old one stays where it is."""
    lab, before = legacy.lab, legacy.now()
    # what the host reads is a copy of before
    with legacy.other_files("frozen"):
        lab.ask("host rotate", host="web-legacy")
        why = until(lambda: [row.get("why") for row in legacy.keys().get("new", []) if row.get("why")], 30)
        assert why[0].startswith("refused") and legacy.now() == before and legacy.runs()[0]
    lab.ask("host rotate", host="web-legacy")
    legacy.settled(before)
    assert legacy.runs()[0] and len(legacy.lines()) == len(OTHERS.splitlines()) + 1


def test_an_old_key_that_still_works_is_an_alarm(legacy):
    """Taken out of the file, and the host takes it all the same: from another file."""
    lab, before = legacy.lab, legacy.now()
    with legacy.other_files("more", ".ssh/authorized_keys") as more:
        lab.ask("host rotate", host="web-legacy")
        why = until(lambda: [row.get("why") for row in legacy.keys().get("old", []) if row.get("why")], 30)
        assert "still logs in" in why[0] and legacy.now() != before and legacy.runs()[0]
        labkit.write(more, "")
        lab.ask("host rotate", host="web-legacy")
        legacy.settled(before)


@pytest.mark.parametrize("step", ["wanted", "new", "old"])
def test_kill_9_at_each_step(legacy, step):
    """Whatever step it was at, the next start goes on with it, and at no moment is there no way in."""
    if legacy.now() is None:
        legacy.rotate()
    lab, before = legacy.lab, legacy.now()
    # nobody makes the key; nobody takes it. Between the switch and the check nothing can be held: any moment behind the switch is as good
    if step == "wanted":
        os.kill(role(lab, "keys"), signal.SIGSTOP)
    elif step == "new":
        lab.stop("target")
    try:
        lab.ask("host rotate", host="web-legacy")
        until(lambda: step in legacy.keys() or (step == "old" and legacy.now() != before), 30, 0.001)
        assert step == "old" or legacy.now() == before
    finally:
        legacy.restart(deadline=None)
        if step == "new":
            lab.start("target")
    if step == "new":
        lab.ask("host rotate", host="web-legacy")   # now, not after the pause of a failure
    assert legacy.runs()[0]
    legacy.settled(before)
    assert len(legacy.lines()) == len(OTHERS.splitlines()) + 1 and legacy.runs()[0]


def test_two_names_of_one_machine(legacy):
    """They began with one key: both rotate, and it goes from the host when neither logs in with it."""
    lab, names = legacy.lab, ("web-one", "web-two")
    pinned = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
    for name in names:
        lab.ask("host add", host=name, address="127.0.0.1", port=lab.port("target"), key=[pinned], login=["dba"], managed_key="legacy")
        lab.grant("deploy", host=name)
    legacy.write(labkit.read(legacy.file) + legacy.line + "\n")

    def both_run():
        return all(legacy.client.run("web1.name", "echo in", options=("-l", f"deploy@dba@{name}")).stdout == b"in\n" for name in names)

    def active(name):
        rows = [row for row in lab.ask("host keys", host=name)["rows"] if row.get("login") == "dba"]
        return len(rows) == 1 and rows[0]["state"] == "active" and rows[0]["fingerprint"]
    assert both_run()
    failed = len(events(lab, "target-key.failed"))
    assert "web-two" in lab.ctl("host", "rotate", "web-one")
    one, two = (until(lambda name=name: active(name), 40, 0.1) for name in names)
    assert one != two and legacy.line not in labkit.read(legacy.file) and both_run() and legacy.runs()[0]
    assert len(events(lab, "target-key.failed")) == failed
    for name in names:
        lab.ask("host remove", host=name)


def test_by_age(legacy):
    lab, before = legacy.lab, legacy.now()
    legacy.option("key_rotate = 30")
    legacy.database("UPDATE target_keys SET made=made-29*86400 WHERE state='active'")
    # the other host never rotated: its key is of an age that nobody knows
    until(lambda: [e for e in events(lab, "target-key.new") if e["subject"] == "web-other"], 30)
    assert legacy.now() == before
    legacy.database("UPDATE target_keys SET made=made-2*86400 WHERE state='active'")
    legacy.settled(before)
    assert legacy.runs()[0]


def test_after_use(legacy):
    before = legacy.now()
    legacy.option("key_rotate_after_use = true")
    legacy.restart()
    assert legacy.now() == before
    session = legacy.client.start("web1.name", "cat", options=("-l", "deploy@dba@web-legacy"))
    with session:
        session.stdin.write(b"in\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"in\n"
        # a second one comes and goes: the first still has it in use
        assert legacy.runs()[0] and legacy.now() == before
        session.stdin.close()
        assert session.wait(30) == 0
    legacy.settled(before)
    assert legacy.runs()[0]
