"""`make demo`: the story that the README promises, each step checked by the script itself; then everything is gone again."""
import os
import re
import subprocess

import pytest

import labkit
from harness import LONG

pytestmark = [pytest.mark.alone, pytest.mark.patient]


def test_the_story_is_told(demo_place):
    env = {"PATH": os.environ["PATH"], "HOME": demo_place, "TERM": "xterm", "DEMO_DIR": f"{demo_place}/demo",
           "LAB_BIN": os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))}
    demo = [os.path.join(labkit.REPO, "tests", "demo")]
    told = subprocess.run(demo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONG, check=False)
    down = subprocess.run([*demo, "down"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stdout
    assert down.returncode == 0, down.stderr
    for words in ("make demo-down", "alice's one-time codes", "after bob's command", "recording.reveal"):
        assert words in told.stdout
    assert int(re.search(r"the story took (\d+) s", told.stdout)[1]) < 60 * labkit.SLOW
    assert not os.path.exists(f"{demo_place}/demo")
