"""What a second try finds (conftest.py): labs of its own, or in files whose tests build on each other the same; and no lab runs on behind the last test."""
import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("mark, said", [
    ("", ["begin 1", "try in 1", "leave 1", "end 1", "end beside", "begin 2", "try in 2", "third in 2", "leave 2", "end 2", "down"]),
    ("pytestmark = pytest.mark.chained", ["begin 1", "try in 1", "try in 1", "third in 1", "leave 1", "end 1", "down"])])
def test_what_a_second_try_finds(tmp_path, mark, said):
    (tmp_path / "test_it.py").write_text(TESTS.format(mark=mark))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", "--reruns", "1", "test_it.py"]
    done = subprocess.run(argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                          env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))})
    assert done.returncode == 0 and "3 passed, 1 rerun" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "said").read_text().splitlines() == said
