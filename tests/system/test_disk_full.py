"""A full disk at the collector holds sessions and refuses new ones; at the bastion it stops logins. Both go on when there is room."""
import glob
import json
import os

import pytest

from harness import Client, labkit, replay, until

ROOM = 64 << 20


@pytest.fixture(scope="module")
def small(new_lab):
    """A lab whose store and state lie on small file systems of their own."""
    lab = new_lab(options=["hold_deadline = 10s"])
    lab.stop_all()
    for name in ("store", "state"):
        os.rename(lab.path(name), lab.path(name + ".was"))
        os.mkdir(lab.path(name))
        labkit.run("mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=711", "tmpfs", lab.path(name))
        labkit.run("cp", "-a", lab.path(name + ".was") + "/.", lab.path(name))
    for name in ("collector", "target", "bastiond"):
        lab.start(name)
    yield lab
    lab.stop_all()
    for name in ("store", "state"):
        labkit.run("umount", lab.path(name))


class Full:
    """Fills the file system of a directory, and gives the room back."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "filler")

    def __enter__(self):
        with open(self.path, "wb", buffering=0) as f:
            try:
                while f.write(bytes(1 << 16)):
                    pass
            except OSError:
                return self

    def __exit__(self, *_):
        os.unlink(self.path)


def works(lab):
    return Client(lab, "deploy").run("web1.name", "echo in").stdout == b"in\n"


def recorded_input(lab, ident):
    """What the auditor reads of what was sent in a recording, and whether it says that there was more."""
    path, = glob.glob(lab.path("store", "recordings", "*", ident))
    rows = [json.loads(line) for line in replay(lab, "export", "--json", path, check=False).stdout.splitlines()]
    return "".join(row["data"] for row in rows if row.get("kind") == "in").encode(), any(
        row.get("kind") == "gap" and row["data"]["dir"] == "in" for row in rows)


def test_collector(small):
    client, got = Client(small, "deploy"), small.path("target", "home", "dba", "got")
    assert works(small)
    with client.start("web1.name", f"tee {got}", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        # the row of the session before this one stays until its recording is closed
        ident, = until(lambda: len(rows := [row["recording"] for row in small.ask("sessions")["rows"] if row["user"] == "deploy"]) == 1 and rows,
                       what="this session alone")
        with Full(small.path("store")):
            data = b"what does not fit into the store is not done\n" * 20000
            try:
                # preallocated room is used first; then the session is held, and ended by its deadline
                for _ in range(ROOM >> 19):
                    process.stdin.write(data)
            except BrokenPipeError:
                pass
            _, err = process.communicate(timeout=40)
            assert process.returncode != 0 and b"could not be stored in time" in err, err
            until(lambda: not works(small), deadline=40, what="new sessions are refused")
    with open(got, "rb") as f:
        arrived = f.read()
    assert arrived.startswith(b"up\n")
    until(lambda: works(small), deadline=30, what="works again")

    def proven():
        said, more = recorded_input(small, ident)
        both = min(len(arrived), len(said))
        return arrived[:both] == said[:both] and (len(arrived) <= len(said) or more)
    until(proven, what="the target got nothing that the auditor cannot read")
    rows = [json.loads(line) for line in replay(small, "verify", "--json", check=False).stdout.splitlines()]
    assert rows and {row["verdict"] for row in rows} <= {"complete", "abandoned", "open"}, rows


def test_bastion(small):
    assert works(small)
    with Full(small.path("state")):
        until(lambda: not works(small), deadline=60, what="no login without an event")
    until(lambda: works(small), deadline=30, what="works again")
