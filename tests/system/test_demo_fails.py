"""`make demo` with a program that says it did what it did not: the story ends there, with a status that says so, and `down` cleans up."""
import os
import subprocess

import labkit
from harness import LONG


def test_a_step_that_is_not_done_ends_it(demo_place):
    built = os.path.abspath(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")))
    os.mkdir(f"{demo_place}/bin", 0o755)
    for name in labkit.PROGRAMS:
        os.symlink(os.path.join(built, name), f"{demo_place}/bin/{name}")
    os.remove(f"{demo_place}/bin/bastionctl")
    labkit.write(f"{demo_place}/bin/bastionctl", f'#!/bin/sh\ncase "$*" in *"approver add"*) exit 0 ;; esac\nexec {built}/bastionctl "$@"\n', 0o755)
    env = {"PATH": os.environ["PATH"], "HOME": demo_place, "TERM": "xterm", "DEMO_DIR": f"{demo_place}/demo", "LAB_BIN": f"{demo_place}/bin"}
    demo = [os.path.join(labkit.REPO, "tests", "demo")]
    told = subprocess.run(demo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONG, check=False)
    running = [pid for pid, _ in labkit.Lab(f"{demo_place}/demo").state["pids"].values()]
    down = subprocess.run([*demo, "down"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1 and "demo: said nothing like" in told.stdout and "role list" in told.stdout, told.stdout
    assert "the story took" not in told.stdout
    assert down.returncode == 0 and not os.path.exists(f"{demo_place}/demo"), down.stderr
    assert running and not any(labkit.start_time(pid) for pid in running)
