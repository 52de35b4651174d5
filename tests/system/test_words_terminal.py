"""bastionctl on a terminal: what it draws there, and what it draws on one that has no colours, no UTF-8, or is dumb."""
import os
import re

import pytest

from harness import Terminal

PLAIN = {"█": (False, False), "▀": (False, True), "▄": (True, False), " ": (True, True)}


@pytest.fixture
def words(lab, terminals):
    """words(WORD ..., NO_COLOR="1"): bastionctl as root on a terminal with colours and UTF-8, but for what is said."""
    def started(*argv, **env):
        base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
        return terminals(Terminal([lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), *argv], base | env, 60, 132))
    return started


def modules(text):
    """Rows of what is dark in the QR code of one of its three forms."""
    rows = []
    for line in text.splitlines():
        if two := re.findall(r"\x1b\[(30|97);(40|107)m▀", line):
            rows += [[upper == "30" for upper, _ in two], [lower == "40" for _, lower in two]]
        elif one := re.findall(r"\x1b\[(40|107)m  ", line):
            rows.append([colour == "40" for colour in one])
        elif len(line) > 20 and set(line) <= set(PLAIN):
            rows += zip(*(PLAIN[c] for c in line))
    return rows


def is_code(rows):
    """White around it, and in three corners the squares by which readers find it."""
    size = len(rows[0]) - 4
    square = [[max(abs(x - 3), abs(y - 3)) != 2 for x in range(7)] for y in range(7)]
    corners = [[row[x:x + 7] for row in map(list, rows[y:y + 7])] for x, y in ((2, 2), (size - 5, 2), (2, size - 5))]
    return size % 4 == 1 and corners == [square] * 3 and not any(any(row) for row in [*rows[:2], *rows[size + 2:]]) and \
        not any(any((*row[:2], *row[-2:])) for row in rows)


@pytest.fixture(scope="module")
def newcomer(lab, fresh):
    name = fresh("new")
    lab.ctl("user", "add", name)
    return name


@pytest.mark.parametrize("env,colours", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"LC_ALL": "C"}, True)])
def test_the_qr_code_is_of_what_the_terminal_has(words, newcomer, env, colours):
    run = words("user", "totp", "enrol", newcomer, **env)
    run.expect(b"Code that the device shows: ")
    run.send(b"\x04")
    assert run.wait() == 5 and b"not confirmed" in run.seen
    assert is_code(modules(run.seen.decode())) and (b"\x1b" in run.seen) == colours, run.seen.decode()


def test_no_qr_code_where_nothing_can_show_it(words, newcomer):
    run = words("user", "totp", "enrol", newcomer, LC_ALL="C", NO_COLOR="1")
    run.expect(rb"otpauth://.*\(A QR code needs colours or UTF-8.*Code that the device shows: ")
    assert run.seen.isascii() and b"\x1b" not in run.seen


def test_a_dumb_terminal_watches_nothing(words):
    run = words("watch", "1", TERM="dumb")
    assert run.wait() == 2 and b"TERM is dumb" in run.seen
