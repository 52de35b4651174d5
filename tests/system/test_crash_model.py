"""The collector's store under kills, power cuts and failing disks at its system calls: nothing acknowledged is lost. `make torture-model` runs
the same by the ten thousand."""
import os
import subprocess

import pytest

import labkit
from harness import LONG

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_nothing_acknowledged_is_lost():
    build = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    done = subprocess.run([os.path.join(build, "crash", "model"), "-k", "60", "-x", "60", "-p", "20", "-f", "20", "-e", "40", "-d", labkit.memory()], capture_output=True, text=True,
                          timeout=LONG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("none lost") == 5
