"""A full disk at the collector holds sessions and refuses new ones; at the bastion it stops logins. Both go on when there is room."""
import json
import os

import pytest

from harness import Client, labkit, replay, until

ROOM = 64 << 20


@pytest.fixture(scope="module")
def small(new_lab):
    """A lab whose store and state lie on small file systems of their own."""
    lab = new_lab(options=["hold_deadline = 5s"])
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


def test_collector(small):
    client = Client(small, "deploy")
    assert works(small)
    with client.start("web1.name", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        with Full(small.path("store")):
            data = os.urandom(1 << 20)
            try:
                # preallocated room is used first; then the session is held, and ended by its deadline
                for _ in range(ROOM >> 19):
                    process.stdin.write(data)
            except BrokenPipeError:
                pass
            process.communicate(timeout=40)
            until(lambda: not works(small), deadline=40, what="new sessions are refused")
    until(lambda: works(small), deadline=30, what="works again")
    rows = [json.loads(line) for line in replay(small, "verify", "--json", check=False).stdout.splitlines()]
    assert {row["verdict"] for row in rows} <= {"complete", "abandoned", "open"}, rows


def test_bastion(small):
    assert works(small)
    with Full(small.path("state")):
        until(lambda: not works(small), deadline=60, what="no login without an event")
    until(lambda: works(small), deadline=30, what="works again")
