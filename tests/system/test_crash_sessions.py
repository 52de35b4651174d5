"""kill -9 of sessions at their system calls while somebody types through them: what either end received is a prefix of what the auditor replays.
`make torture-kills` runs the same by the thousand."""
import os
import re
import subprocess
import sys

import pytest

import labkit
from harness import LONG

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_what_went_through_is_recorded():
    build = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    done = subprocess.run([sys.executable, os.path.join(labkit.REPO, "tests", "crash", "sessions"), "12"], capture_output=True, text=True,
                          timeout=LONG, check=False, env=dict(os.environ, LAB_BIN=build))
    assert done.returncode == 0, done.stdout + done.stderr
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\n$", done.stdout).groups())
    assert passed >= 12 and failed == 0
    assert sum(map(int, re.findall(r"(\d+) bytes at targets", done.stdout))) > 0, done.stdout
