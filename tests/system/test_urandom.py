"""Random bytes poured on a terminal, watched by an auditor: memory and disk keep to their bounds, and a second session's echo is hardly later.
`make torture-urandom` judges it at 5 ms for an hour, on a machine with nothing else to do."""
import os
import subprocess

import pytest

from harness import labkit
from harness import LONG

pytestmark = pytest.mark.alone


def test_a_flood_of_random_bytes():
    argv = [os.path.join(labkit.REPO, "tests", "crash", "urandom"), "--seconds", "13", "--best", "--delay", str(15 * (4 if labkit.sanitized() else 1)), "--watch"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("bastiond-view" in done.stdout or labkit.sanitized()) and "the flood went on" in done.stdout
    if "too busy to judge" in done.stdout:
        pytest.skip("the echo is slow without a flood, too")
    if not labkit.sanitized():
        for role in ("bastiond-sess", "bastiond-rec", "bastion-collec"):
            assert f"ok   {role}" in done.stdout, done.stdout
