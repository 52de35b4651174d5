"""A database of a newer version is left alone: bastiond says so and does not start."""
import glob
import sqlite3
import subprocess

import pytest

from harness import Client, labkit


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def start_fails(lab):
    done = subprocess.run(lab.command("bastiond"), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0
    return done.stderr


def test_newer_version(own):
    own.stop("bastiond")
    path = glob.glob(own.path("state", "db", "*.db"))[0]
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
    for name in glob.glob(path + "*"):
        labkit.os.chown(name, labkit.ROLE_UIDS["policy"], labkit.ROLE_UIDS["policy"])
    own.start("bastiond")
    assert Client(own, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"


def test_events_cannot_be_changed(own):
    own.stop("bastiond")
    path = glob.glob(own.path("state", "db", "*.db"))[0]
    with sqlite3.connect(path) as db:
        with pytest.raises(sqlite3.DatabaseError):
            db.execute("DELETE FROM event WHERE id = 3")
        with pytest.raises(sqlite3.DatabaseError):
            db.execute("UPDATE event SET actor = 'x' WHERE id = 3")
    db.close()
    for name in glob.glob(path + "*"):
        labkit.os.chown(name, labkit.ROLE_UIDS["policy"], labkit.ROLE_UIDS["policy"])
    own.start("bastiond")
    own.ctl("events", "--verify")
