"""P7 on a machine that has no CPU to spare: what ends access ends open sessions within a second, transfers among them.

ENDS_RUNS=20 gives figures that say more."""
import os
import subprocess
import threading
import time

import pytest

from harness import Client, Process
from test_ends import lasting

pytestmark = pytest.mark.alone

LIMIT, RUNS = 1.0, int(os.environ.get("ENDS_RUNS", "4"))


def loop_of(process):
    """Its end, on the clock of its own thread: nothing else of this test is waited for."""
    ended = []

    def wait():
        process.wait()
        ended.append(time.monotonic())
    thread = threading.Thread(target=wait)
    thread.start()
    return thread, ended


@pytest.fixture
def transfers(deploy):
    """Two downloads that go on for as long as the test, beside the busy loops."""
    running = [Process(deploy.argv("web1.name", "cat /dev/zero"), env=deploy.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL) for _ in range(2)]
    yield
    assert all(process.poll() is None for process in running)
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def user(lab):
    """A service account of this file's own: it may be locked."""
    lab.make_user("hasty", service=True, role="dba")
    return Client(lab, "hasty")


ACTS = {
    "revoke": lambda lab, row: lab.ask("revoke", id=row["grant"]),
    "kill": lambda lab, row: lab.ask("kill", id=row["id"]),
    "lock": lambda lab, row: lab.ask("user lock", user="hasty"),
}


def open_one(lab, user, command, span=8 * 3600):
    """A session at web2 whose command runs, not one that is granted and no more: the client, its row, the wall time at which its grant ends."""
    grant = int(lab.grant("hasty", "web2", span=span))
    process = user.start("web2.name", f"echo up >&2; exec {command}", stdout=subprocess.DEVNULL)
    assert process.stderr.read(3) == b"up\n"
    row, = [row for row in lab.ask("sessions")["rows"] if row.get("grant") == grant]
    return process, row, [g["until"] for g in lab.ask("grants")["rows"] if g["id"] == grant][0]


@pytest.mark.parametrize("command", ["cat", "cat /dev/zero"], ids=["idle", "transfer"])
@pytest.mark.parametrize("act", ACTS)
def test_within_a_second(lab, user, busy, transfers, act, command):
    """The slowest of all runs: from the word to the client's end."""
    spent = []
    for _ in range(RUNS):
        process, row, _ = open_one(lab, user, command)
        with process:
            thread, ended = loop_of(process)
            start = time.monotonic()
            ACTS[act](lab, row)
            thread.join(20)
            spent.append(ended[0] - start)
        if act == "lock":
            lab.ask("user unlock", user="hasty")
        if act != "revoke":
            lab.ask("revoke", id=row["grant"])
    print(f"{act}, {command}: " + " ".join(f"{s:.3f}" for s in sorted(spent)))
    assert max(spent) < LIMIT


@pytest.mark.parametrize("command", ["cat", "cat /dev/zero"], ids=["idle", "transfer"])
def test_expiry(lab, user, deploy, busy, transfers, command):
    span = lasting(5, lambda: deploy.run("web1.name", "true", check=True))
    process, _, end = open_one(lab, user, command, span)
    with process:
        process.wait(span + 15)
        late = time.time() - end
    print(f"expiry, {command}: {late:.3f}")
    assert -0.1 < late < LIMIT
