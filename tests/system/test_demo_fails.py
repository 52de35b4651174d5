"""`make demo` with a program that says it did what it did not: the story ends there, with a status that says so, and `down` cleans up."""
import os
import shutil
import subprocess
import tempfile

import pytest

import labkit


@pytest.fixture
def place():
    path = tempfile.mkdtemp(prefix="bastion-demo-", dir="/tmp")
    os.chmod(path, 0o711)
    yield path
    shutil.rmtree(path)


def test_a_step_that_is_not_done_ends_it(place):
    built = os.path.abspath(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")))
    os.mkdir(f"{place}/bin", 0o755)
    for name in labkit.PROGRAMS:
        os.symlink(os.path.join(built, name), f"{place}/bin/{name}")
    os.remove(f"{place}/bin/bastionctl")
    labkit.write(f"{place}/bin/bastionctl", f'#!/bin/sh\ncase "$*" in *"approver add"*) exit 0 ;; esac\nexec {built}/bastionctl "$@"\n', 0o755)
    env = {"PATH": os.environ["PATH"], "HOME": place, "TERM": "xterm", "DEMO_DIR": f"{place}/demo", "LAB_BIN": f"{place}/bin"}
    demo = [os.path.join(labkit.REPO, "tests", "demo")]
    told = subprocess.run(demo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=110, check=False)
    running = [pid for pid, _ in labkit.Lab(f"{place}/demo").state["pids"].values()]
    down = subprocess.run([*demo, "down"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1 and "demo: said nothing like" in told.stdout and "role list" in told.stdout, told.stdout
    assert "the story took" not in told.stdout
    assert down.returncode == 0 and not os.path.exists(f"{place}/demo"), down.stderr
    assert running and not any(labkit.start_time(pid) for pid in running)
