"""The collector signs for the end of a recording, not only for what came before it, also where the disk is slow."""
import concurrent.futures
import json
import subprocess

import pytest

from harness import Client, labkit, replay, until

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)

SESSIONS = 24
SLOW_DISK = """
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int fd) { usleep(40000); return (int)syscall(SYS_fdatasync, fd); }
"""


@pytest.fixture
def slow(new_lab, tmp_path, monkeypatch):
    """A lab whose collector takes 40 ms for a flush: while it waits, both the end of a recording and a batch to sign become due."""
    lab = new_lab()
    shim = str(tmp_path / "slow.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, "-xc", "-"], input=SLOW_DISK, text=True, check=True)
    lab.stop("collector")
    monkeypatch.setenv("LD_PRELOAD", labkit.preload(shim))
    lab.start("collector")
    monkeypatch.delenv("LD_PRELOAD")
    return lab


def test_every_close_has_a_receipt(slow):
    client = Client(slow, "deploy")
    until(lambda: client.run("web1.name", "true").returncode == 0, pause=0.2, what="recorder back at its collector")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.run("web1.name", "sleep 0.1", check=True), range(SESSIONS)))

    def closed():
        rows = [json.loads(line) for line in replay(slow, "verify", "--all", "--json", check=False).stdout.splitlines()]
        return [row for row in rows if row.get("closed")]
    until(lambda: len(closed()) >= SESSIONS, what="the recordings closed")
    until(lambda: all(row["receipt_seq"] == row["last_seq"] for row in closed()), what="a receipt for the end of each")
