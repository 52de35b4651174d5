"""The access decision against an independent model (tests/model/model.py): no difference. `make model` does all of it."""
import os
import re
import subprocess

import pytest

from harness import LONG, labkit

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


def test_model_and_program_agree():
    bin_dir = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
    done = subprocess.run([os.path.join(labkit.REPO, "tests", "model", "model.py"), os.path.join(bin_dir, "model", "decide"), "3000", "499", str(os.getpid())],
                          capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(", 0 differences") == 2 and all(int(n) > 0 for n in re.findall(r"(\d+) of them yes", done.stdout)), done.stdout
