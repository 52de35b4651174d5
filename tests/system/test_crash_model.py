"""The collector's store under kills, power cuts and failing disks at its system calls: nothing acknowledged is lost. `make torture-model` runs
the same by the ten thousand."""
import os
import subprocess

import pytest

import labkit

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_nothing_acknowledged_is_lost(tmp_path):
    build = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    top = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)
    done = subprocess.run([os.path.join(build, "crash", "model"), "-k", "60", "-x", "60", "-p", "20", "-f", "20", "-e", "40", "-d", top], capture_output=True, text=True,
                          timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("none lost") == 5
