"""The archiver under kill -9 at random calls, calls that fail or do half, lost answers and a failing store, against a store in memory: no list
says more than the store has, no key gets other bytes, all of it arrives. `make torture-archive` runs it at every call and by the ten thousand."""
import os
import re
import subprocess

import pytest

import labkit
from harness import LONG

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_killed_anywhere():
    build = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    done = subprocess.run([os.path.join(build, "crash", "archive"), "-f", "8", "-k", "80", "-s", str(os.getpid()), "-d", labkit.memory()], capture_output=True, text=True,
                          timeout=LONG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none different, none lost" in done.stdout
    assert int(re.search(r"(\d+) calls failed", done.stdout)[1]) >= 40, done.stdout
