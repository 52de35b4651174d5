"""A few seconds of tests/crash/grants.c: `make torture-grants` runs all of it."""
import os
import shutil
import subprocess
import tempfile

import pytest

import labkit
from harness import LONG

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_no_decision_is_made_twice():
    tool = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "crash", "grants")
    folder = tempfile.mkdtemp(prefix="grants-", dir=labkit.memory())
    try:
        done = subprocess.run([tool, "-n", "3000", "-p", "6", "-s", str(os.getpid()), folder], capture_output=True, timeout=LONG, check=False)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"; 0 wrong" in done.stdout
