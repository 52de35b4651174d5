"""Byte counts stay exact while every processor is busy: a known bastion truncates output when the process ends first."""
import concurrent.futures

import pytest


pytestmark = pytest.mark.alone


def side_by_side(sizes, each):
    """Four at a time: as much load again."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(each, sizes)) == sizes


def test_output_is_whole_under_load(deploy, target, busy):
    side_by_side([200_000 + 77_777 * i for i in range(12)],
                 lambda size: len(deploy.run(target, f"head -c {size} /dev/urandom", check=True, timeout=90).stdout))


def test_input_is_whole_under_load(deploy, target, busy):
    side_by_side([200_000 + 77_777 * i for i in range(6)],
                 lambda size: int(deploy.run(target, "wc -c", stdin=bytes(size), check=True, timeout=90).stdout))
