"""Plain output of bastion-replay on a terminal: it fits the width, long output goes through the pager, and neither elsewhere."""
import os
import re

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event, replay_made

TOOL = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")


@pytest.fixture
def store(tmp_path):
    made_recording(tmp_path, [meta_event(user="alice.with.a.long.name", host="a-host-with-a-rather-long-name.example"), open_event(),
                              {"t": 1, "ch": 1, "kind": "o", "text": "needle\r\n"}])
    made_recording(tmp_path, [meta_event(user="bob"), open_event(pty=False, capability="exec", command="id")], wall=1793600000)
    return tmp_path


def seen(store, terminals, *words, columns=80, **env):
    env = {k: v for k, v in os.environ.items() if k not in ("PAGER", "LESS", "NO_COLOR")} | {
        "BASTION_STORE": str(store), "BASTION_IDENTITY": f"{store}/identity", "BASTION_TRUST": f"{store}/trust",
        "XDG_CACHE_HOME": f"{store}/cache", "TERM": "xterm", "LC_ALL": "C.UTF-8", "PAGER": "cat"} | env
    run = terminals(Terminal([TOOL, *words], env, 24, columns))
    run.status_of = run.wait()
    return run


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_list_fits(store, terminals, columns):
    lines = seen(store, terminals, "list", columns=columns).seen.decode().splitlines()
    assert max(map(len, lines)) <= columns if columns > 40 else len(lines) == 5
    text = "\n".join(lines)
    assert "complete" in text and "dba@" in text and "bob" in text
    ident = re.search("^([0-9a-f]{12}) ", lines[1])[1]      # an ID that can be copied
    assert replay_made(store, "show", ident).stdout


def test_the_pager(store, terminals):
    run = seen(store, terminals, "list", PAGER="sed s/^/PAGED:/")
    assert run.status_of == 0 and all(line.startswith("PAGED:") for line in run.seen.decode().splitlines())
    ident = replay_made(store, "list").stdout.decode().splitlines()[1].split()[0]
    for words in (["show", ident], ["commands", ident], ["export", "--text", ident], ["search", "needle"]):
        assert b"PAGED:" in seen(store, terminals, *words, PAGER="sed s/^/PAGED:/").seen, words
    # sentences on standard error are in it, too, so that they do not disturb it
    assert b"PAGED:1 hit in 2 recordings" in seen(store, terminals, "search", "needle", PAGER="sed s/^/PAGED:/").seen
    # whoever leaves it early has made no mistake
    run = seen(store, terminals, "export", "--text", ident, PAGER="true")
    assert run.status_of == 0 and b"Broken pipe" not in run.seen


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"PAGER": ""}, {"PAGER": "cat"}])
def test_no_pager(store, terminals, env):
    run = seen(store, terminals, "list", **({"PAGER": "sed s/^/PAGED:/"} | env))
    assert b"PAGED" not in run.seen and b"complete" in run.seen


def test_colours(store, terminals):
    assert b"\x1b[1;31mneedle\x1b[m" in seen(store, terminals, "search", "needle").seen
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert b"\x1b" not in seen(store, terminals, "search", "needle", **env).seen
    assert b"\x1b" not in replay_made(store, "search", "needle").stdout


@pytest.mark.parametrize("options", [False, True])
def test_the_hit_plays(store, terminals, options):
    """The line that search prints is a command: it shows the hit, also where store and identity came from options."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("BASTION_")} | {"TERM": "xterm", "PATH": f"{os.path.dirname(TOOL)}:{os.environ['PATH']}"}
    words = []
    if options:
        os.symlink(store, f"{store}/it's a $(store)")
        words = ["--store", f"{store}/it's a $(store)", "--key", f"{store}/identity"]
    else:
        env |= {"BASTION_STORE": str(store), "BASTION_IDENTITY": f"{store}/identity"}
    line = [row for row in replay_made(store, "search", *words, "needle").stdout.decode().splitlines() if "bastion-replay play" in row][0]
    play = terminals(Terminal(["/bin/sh", "-c", line], env))
    play.expect(rb"needle")
    play.send(b"q")
    assert play.wait() == 0
