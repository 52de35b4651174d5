"""What a second try finds (conftest.py): labs of its own, or in files whose tests build on each other the same; and no lab runs on behind the last test."""
import os
import subprocess
import sys

import pytest

from harness import SLOW

TESTS = """import itertools
import pytest
import conftest
numbers = itertools.count(1)
{mark}

def say(what):
    with open("said", "a") as f:
        f.write(what + "\\n")

class Lab:
    dir = "nowhere"
    def path(self, *_):
        return "."
    def down(self):
        say("down")

@pytest.fixture(scope="module")
def base():
    number = next(numbers)
    say(f"begin {{number}}")
    yield number
    say(f"end {{number}}")

@pytest.fixture(scope="module")
def own(base):
    yield base
    say(f"leave {{base}}")

@pytest.fixture(scope="module")
def beside():
    yield
    say("end beside")

def test_first(own, beside):
    conftest.labs.append(Lab())

def test_second(own):
    say(f"try in {{own}}")
    with open("said") as f:
        assert f.read().count("try") == 2

def test_third(own):
    say(f"third in {{own}}")
"""


BAD_ENDS = """import conftest

class Lab:
    def __init__(self, name, why=None):
        self.dir, self.why = name, why
    def path(self, _, *names):
        return "/".join((self.dir, *names))
    def down(self):
        with open("said", "a") as f:
            f.write(self.dir + "\\n")
        if self.why:
            raise conftest.labkit.LabError(self.why)

def test_it():
    conftest.labkit.sanitized = lambda: True
    conftest.labs += [Lab("stays", "will not end"), Lab("dirty"), Lab("clean")]
"""


TWO_TRIES = """import os

def test_it():
    print("said on" + " the way")
    second = os.path.exists("tried")
    os.makedirs("tried", exist_ok=True)
    assert second, "no" + " prompt"
"""


WORKERS = [], ["-n", "1"]


def run(tmp_path, *options):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", *options, "test_it.py"]
    return subprocess.run(argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW, check=False,
                          env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))})


@pytest.mark.parametrize("mark, said", [
    ("", ["begin 1", "try in 1", "leave 1", "end 1", "end beside", "begin 2", "try in 2", "third in 2", "leave 2", "end 2", "down"]),
    ("pytestmark = pytest.mark.chained", ["begin 1", "try in 1", "try in 1", "third in 1", "leave 1", "end 1", "down"])])
def test_what_a_second_try_finds(tmp_path, mark, said):
    (tmp_path / "test_it.py").write_text(TESTS.format(mark=mark))
    done = run(tmp_path, "--reruns", "1")
    assert done.returncode == 0 and "3 passed, 1 rerun" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "said").read_text().splitlines() == said


@pytest.mark.parametrize("options", WORKERS, ids=["alone", "of workers"])
def test_a_first_try_that_failed_is_told(tmp_path, options):
    (tmp_path / "test_it.py").write_text(TWO_TRIES)
    done = run(tmp_path, "--reruns", "1", *options)
    assert done.returncode == 0 and "1 passed, 1 rerun" in done.stdout, done.stdout + done.stderr
    for text in "first try of test_it.py::test_it", "AssertionError: no prompt", "said on the way":
        assert text in done.stdout, done.stdout


@pytest.mark.parametrize("options", WORKERS, ids=["alone", "of workers"])
def test_a_lab_that_ends_badly_behind_the_last_test_fails_the_run(tmp_path, options):
    (tmp_path / "test_it.py").write_text(BAD_ENDS)
    for name in "stays", "dirty", "clean":
        (tmp_path / name).mkdir()
    (tmp_path / "dirty" / "policy").write_text("==1==ERROR: AddressSanitizer: heap-use-after-free\n")
    done = run(tmp_path, *options)
    assert done.returncode == 1 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "said").read_text().split() == ["stays", "dirty", "clean"]
    ends = [line for line in done.stdout.splitlines() if line.startswith("ERROR at the end of the lab ")]
    assert len(ends) == 2 and "stays: " in ends[0] and "will not end" in ends[0] and "dirty: " in ends[1] and "AddressSanitizer" in ends[1], done.stdout
