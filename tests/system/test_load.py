"""Byte counts stay exact while every processor is busy: a known bastion truncates output when the process ends first."""
import pytest


pytestmark = pytest.mark.alone


def test_output_is_whole_under_load(deploy, target, busy):
    for i in range(12):
        size = 200_000 + 77_777 * i
        assert len(deploy.run(target, f"head -c {size} /dev/urandom", check=True, timeout=90).stdout) == size


def test_input_is_whole_under_load(deploy, target, busy):
    for i in range(6):
        size = 200_000 + 77_777 * i
        assert deploy.run(target, "wc -c", stdin=bytes(size), check=True, timeout=90).stdout.strip() == str(size).encode()
