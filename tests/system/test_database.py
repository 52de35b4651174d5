"""A database of a newer version is left alone: bastiond says so and does not start. And what a large one answers."""
import contextlib
import glob
import json
import sqlite3
import subprocess

import pytest

from harness import Client, labkit


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


@contextlib.contextmanager
def stopped(lab):
    """bastiond is down meanwhile, and what was done to its database, whose path it is, stays readable to it."""
    lab.stop("bastiond")
    path = glob.glob(lab.path("state", "db", "*.db"))[0]
    try:
        yield path
    finally:
        for name in glob.glob(path + "*"):
            labkit.os.chown(name, labkit.ROLE_UIDS["policy"], labkit.ROLE_UIDS["policy"])
        lab.start("bastiond")


def start_fails(lab):
    done = subprocess.run(lab.command("bastiond"), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0
    return done.stderr


def test_newer_version(own):
    with stopped(own) as path:
        with sqlite3.connect(path) as db:
            was = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {was + 1000}")
        db.close()
        try:
            assert "version" in start_fails(own).lower()
        finally:
            with sqlite3.connect(path) as db:
                db.execute(f"PRAGMA user_version = {was}")
            db.close()
    assert Client(own, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"


def test_events_cannot_be_changed(own):
    with stopped(own) as path:
        with sqlite3.connect(path) as db:
            before = db.execute("SELECT * FROM events").fetchall()
            assert [row[0] for row in before[:3]] == [1, 2, 3]
            for change, why in (("DELETE FROM events WHERE id = 3", "events are"), ("UPDATE events SET actor = 'x' WHERE id = 3", r"events\s+stay"),
                                ("INSERT INTO events SELECT id + 1000000, at, kind, actor, subject, detail, hash FROM events WHERE id = 3", "no holes")):
                with pytest.raises(sqlite3.IntegrityError, match=why):
                    db.execute(change)
            assert db.execute("SELECT * FROM events").fetchall() == before
        db.close()
    own.ctl("events", "--verify")


def by_hand(lab, work):
    with sqlite3.connect(glob.glob(lab.path("state", "db", "*.db"))[0]) as db:
        work(db)
    db.close()


def test_more_hosts_than_a_page_holds(own):
    """Their names for the completion are all of them, and one is found wherever it stands."""
    by_hand(own, lambda db: db.executemany(
        "INSERT INTO hosts (name, address, port, labels, logins, method, managed_key, source_address, added) "
        "VALUES (?, '192.0.2.1', 22, '', 'dba', 'certificate', '', '', 1)", [(f"{'W' if i % 2 else 'w'}ebs{i:04}",) for i in range(1200)]))
    for uid in (None, own.state["users"]["alice"]):
        names = own.ctl("names", "host", uid=uid).split()
        assert len(names) == len(set(names)) and sum(name.lower().startswith("webs") for name in names) == 1200, uid
    said = Client(own, "alice").run("bastion", "hosts", "WEBS1199", "--json", check=True)
    assert [row["name"] for row in json.loads(said.stdout)["rows"]] == ["Webs1199"]


def test_more_people_than_one_answer_looks_at(own):
    """bastionctl asks on by itself; a page says where the next begins."""
    def crowd(db):
        role = db.execute("SELECT id FROM roles WHERE name = 'dba'").fetchone()[0]
        first = db.execute("SELECT max(id) FROM users").fetchone()[0] + 1
        db.executemany("INSERT INTO users (id, name, person, kind, state, admin, auditor, networks, added) "
                       "VALUES (?, ?, ?, 'human', 'active', 0, 0, '', 1)", [(first + i, f"crowd{i:03}", f"crowd{i:03}") for i in range(450)])
        db.executemany("INSERT INTO role_users VALUES (?, ?, 'm')", [(role, first + i) for i in range(450)])

    by_hand(own, crowd)
    rows = own.ctl_json("explain", "dba@web1")["rows"]
    assert sum(row["user"].startswith("crowd") for row in rows) == 450 and len({row["user"] for row in rows}) == len(rows)
    assert [row["user"] for row in rows if row["allowed"]] == ["alice", "deploy"]
    first = own.ctl_json("explain", "dba@web1", "--limit", "10")
    second = own.ctl_json("explain", "dba@web1", "--limit", "10", "--after", str(first["next"]))
    assert [row["user"] for row in first["rows"] + second["rows"]] == [row["user"] for row in rows[:20]]
