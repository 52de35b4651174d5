"""kill -9 of the real collector and the real recorder at their system calls: nothing acknowledged is lost. `make torture-kills` runs the same
by the thousand."""
import os
import re
import subprocess
import sys

import pytest

import labkit
from harness import LONG

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_nothing_acknowledged_is_lost():
    build = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    done = subprocess.run([sys.executable, os.path.join(labkit.REPO, "tests", "crash", "kills"), "60", "--jobs", "1"], capture_output=True, text=True,
                          timeout=LONG, check=False, env=dict(os.environ, LAB_BIN=build))
    assert done.returncode == 0, done.stdout + done.stderr
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\n$", done.stdout).groups())
    assert passed >= 60 and failed == 0
    assert re.search(r"\n  \w+ +\d+ before +\d+ within +\d+ after\n", done.stdout), done.stdout
