"""Events are a recording of their own: each arrives at the collector, in order, whatever dies; what is taken away or changed shows."""
import glob
import json
import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import struct
import hashlib
import time

import pytest

from harness import Terminal, copy_of_store, events, labkit, replay, roles, until

pytestmark = pytest.mark.chained

ROLES = ("policy", "recorder", "collector")
HURRIED, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def recorded(lab, store=None, status=0):
    """Events as the recordings have them, and what was said about them."""
    done = replay(lab, "events", "--json", check=False, store=store)
    assert done.returncode == status, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def everything(lab):
    """The list of the database."""
    rows = []
    while True:
        more = events(lab, after=rows[-1]["id"] if rows else 0) if rows else lab.ctl_json("events", "--limit", "1000", "--after", "1")["rows"]
        if not more:
            return rows
        rows += more


def arrived(lab):
    """Waits until all of the database is recorded; the recorded events."""
    rows = everything(lab)

    def same():
        got, _ = recorded(lab)
        return got if got and got[-1]["number"] >= rows[-1]["id"] else None
    got = until(same, deadline=30, pause=0.3, what="the last event in a recording")
    assert [e["number"] for e in got] == list(range(1, len(got) + 1))
    by_number = {e["number"]: e for e in got}
    for row in rows:
        e = by_number[row["id"]]
        assert (e["kind"], e["actor"], e["subject"], e["hash"]) == (row["kind"], row["actor"], row.get("subject", ""), row["hash"])
    return got


def happen(lab, n, name="x"):
    """n events, or one more."""
    for i in range(n + n % 2):
        lab.ask("user lock" if i % 2 == 0 else "user unlock", user="alice", **({"reason": f"{name}{i}"} if i % 2 == 0 else {}))


def pid_of(lab, role):
    if role == "collector":
        return lab.state["pids"]["collector"][0]
    return next(reversed(roles(lab, {"recorder": "rec"}.get(role, role))), None)


def test_every_event_arrives(own):
    happen(own, 20)
    got = arrived(own)
    assert got[0]["kind"] == "store.init"
    text, said = replay(own, "events", "--user", "alice").stdout.decode(), recorded(own)[1]
    assert "user.lock" in text and "policy.start" not in text
    assert f"events 1 to {got[-1]['number']}, whole and unchanged. Head: {got[-1]['number']} {got[-1]['hash']}" in said
    listed = [row for row in map(json.loads, replay(own, "list", "--json").stdout.splitlines()) if row["capability"] == "events"]
    shown = json.loads(replay(own, "show", "--json", listed[0]["id"]).stdout)
    assert shown["meta"]["kind"] == "events" and shown["meta"]["after"] == {"number": 0, "hash": "00" * 32}
    assert shown["events"][0]["value"]["kind"] == "store.init"
    exported = [row for row in map(json.loads, replay(own, "export", "--json", listed[0]["id"]).stdout.splitlines()) if row["kind"] == "event"]
    assert [row["data"] for row in exported] == [event["value"] for event in shown["events"] if event["kind"] == "event"]


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_how_far_it_is(own, terminals, tmp_path, term):
    """With a clock that is so fast that all is long work: the recordings that are looked through, and those of events that are read."""
    def starts():
        return replay(own, "events", "--json", check=False).stdout.decode().count('"policy.start"')
    happen(own, 2)
    before = starts()
    os.kill(pid_of(own, "policy"), signal.SIGKILL)      # the next one begins a recording of events
    until(lambda: starts() > before, deadline=30, what="events of the next one")
    arrived(own)
    words = [own.bin("bastion-replay"), "events", "--json", "--store", own.path("store"), "--key", own.path("auditor.key"), "--trust", own.path("auditor.trust")]
    run = terminals(Terminal(["/bin/sh", "-c", f"exec {shlex.join(words)} >{tmp_path}/rows"], os.environ | {
        "TERM": term, "LD_PRELOAD": labkit.preload(HURRIED), "FAKETIME": "+0 x10000"}))
    run.wait()
    assert [json.loads(line)["number"] for line in (tmp_path / "rows").read_text().splitlines()][:3] == [1, 2, 3], run.seen
    for bar in rb"look through", rb"read":
        assert (re.search(rb"\r\x1b\[K" + bar + rb" \[#* *\] \d+% \d+ of \d+", run.seen) is not None) == (term == "xterm"), run.seen
    assert term != "dumb" or b"\x1b" not in run.seen


def test_kills_lose_and_double_nothing(own):
    dice = random.Random(7)
    for cycle in range(6):
        role = ROLES[cycle % 3]
        happen(own, dice.randrange(1, 12), f"kill{cycle}.")
        policy = pid_of(own, "policy")
        os.kill(pid_of(own, role), signal.SIGKILL)
        if role == "collector":
            own.stop("collector")
            happen(own, 5, "away")
            own.start("collector")
        else:
            until(lambda: pid_of(own, "policy") not in (None, policy), deadline=20, what="another policy")
            if own.control:
                own.control.close()
                own.control = None
    arrived(own)


def test_a_collector_that_is_away_stops_nothing(own):
    def spent(name):
        began = time.monotonic()
        happen(own, 60, name)
        return time.monotonic() - began
    there = spent("there")
    own.stop("collector")
    before = events(own)[-1]["id"] if events(own) else 0
    # a word that waits for a collector takes seconds, and there are 60
    away = spent("away")
    assert away < 3 * there + 5, (there, away)
    own.start("collector")
    got = arrived(own)
    assert got[-1]["number"] >= before + 60


def own_copy(lab, tmp_path):
    store = copy_of_store(lab, tmp_path / "store")
    recordings = [json.loads(line) for line in replay(lab, "list", "--json", store=store).stdout.splitlines()]
    return store, [row for row in recordings if row["capability"] == "events"]


def test_a_missing_recording_is_a_gap(own, tmp_path):
    own.stop("bastiond")
    own.start("bastiond")
    happen(own, 3)
    arrived(own)
    store, rows = own_copy(own, tmp_path)
    shutil.rmtree(rows[-2]["dir"])
    _, said = recorded(own, store, status=1)
    assert "are missing" in said and "NOT as they were written" in said


def test_a_missing_beginning_is_a_gap(own, tmp_path):
    store, rows = own_copy(own, tmp_path)
    for row in rows[:-1]:
        shutil.rmtree(row["dir"])
    assert "the events 1 to " in recorded(own, store, status=1)[1]


def chain(before, row):
    def text(s):
        return struct.pack(">I", len(s.encode())) + s.encode()
    return hashlib.sha256(before + struct.pack(">QQ", row[0], row[1]) + b"".join(text(s) for s in row[2:6])).digest()


def test_a_database_changed_with_its_whole_chain_shows(own):
    """Whoever has the database can make its chain anew: the database's own check is satisfied, the recordings are not."""
    arrived(own)
    own.stop("bastiond")
    path = glob.glob(own.path("state", "db", "*.db"))[0]
    owner = os.stat(path)
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER events_fixed")
    number = db.execute("SELECT max(id) FROM events WHERE kind='user.lock'").fetchone()[0]
    db.execute("UPDATE events SET actor='mallory' WHERE id=?", (number,))
    before = b"\0" * 32
    for row in db.execute("SELECT id, at, kind, actor, subject, detail FROM events ORDER BY id").fetchall():
        before = chain(before, row)
        db.execute("UPDATE events SET hash=? WHERE id=?", (before, row[0]))
    db.commit()
    db.close()
    for name in glob.glob(path + "*"):
        os.chown(name, owner.st_uid, owner.st_gid)
    own.start("bastiond")
    assert "fit the chain" in own.ctl("events", "--verify")
    until(lambda: replay(own, "events", check=False).returncode == 1, deadline=20, pause=0.3, what="the change seen")
    got, said = recorded(own, status=1)
    assert "database was changed" in said
    assert [e["actor"] for e in got if e["number"] == number] == ["root"]       # what was recorded first stands


def test_a_chain_made_anew_while_it_runs_shows_here_too(new_lab):
    """Policy remembers the hash of what the collectors acknowledged: `events verify` needs no auditor for that."""
    lab = new_lab()
    happen(lab, 4)
    arrived(lab)
    assert "fit the chain" in lab.ctl("events", "verify")
    db = sqlite3.connect(glob.glob(lab.path("state", "db", "*.db"))[0], timeout=20)
    db.execute("DROP TRIGGER events_fixed")
    number = db.execute("SELECT max(id) FROM events WHERE kind='user.lock'").fetchone()[0]
    db.execute("UPDATE events SET actor='mallory' WHERE id=?", (number,))
    before = b"\0" * 32
    for row in db.execute("SELECT id, at, kind, actor, subject, detail FROM events ORDER BY id").fetchall():
        before = chain(before, row)
        db.execute("UPDATE events SET hash=? WHERE id=?", (before, row[0]))
    db.commit()
    db.close()
    with pytest.raises(Exception, match="another one than the collectors have"):
        lab.ctl("events", "verify")
