"""Byte counts stay exact while every processor is busy: a known bastion truncates output when the process ends first."""
import os
import subprocess

import pytest


@pytest.fixture
def busy():
    """Two busy loops a processor, each told to end by the end of its standard input."""
    loops = [subprocess.Popen(["/usr/bin/python3", "-c", "import select,sys\nwhile not select.select([sys.stdin],[],[],0)[0]:\n  sum(range(20000))"],
                              stdin=subprocess.PIPE) for _ in range(2 * os.cpu_count())]
    yield
    for loop in loops:
        loop.stdin.close()
        loop.wait()


def test_output_is_whole_under_load(deploy, target, busy):
    for i in range(12):
        size = 200_000 + 77_777 * i
        assert len(deploy.run(target, f"head -c {size} /dev/urandom", check=True, timeout=90).stdout) == size


def test_input_is_whole_under_load(deploy, target, busy):
    for i in range(6):
        size = 200_000 + 77_777 * i
        assert deploy.run(target, "wc -c", stdin=bytes(size), check=True, timeout=90).stdout.strip() == str(size).encode()
