"""Plain output of bastion-replay on a terminal: it fits the width, long output goes through the pager, and neither elsewhere."""
import glob
import os
import re
import shutil

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event, replay_made

TOOL = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")


@pytest.fixture
def store(tmp_path):
    made_recording(tmp_path, [meta_event(user="alice.with.a.long.name", host="a-host-with-a-rather-long-name.example", approvals=[]), open_event(),
                              {"t": 1, "ch": 1, "kind": "o", "text": "needle\r\n"}])
    made_recording(tmp_path, [meta_event(user="bob"), open_event(pty=False, capability="exec", command="id")], wall=1793600000)
    return tmp_path


def started(store, terminals, *words, columns=80, **env):
    env = {k: v for k, v in os.environ.items() if k not in ("PAGER", "LESS", "NO_COLOR")} | {
        "BASTION_STORE": str(store), "BASTION_IDENTITY": f"{store}/identity", "BASTION_TRUST": f"{store}/trust",
        "XDG_CACHE_HOME": f"{store}/cache", "XDG_STATE_HOME": f"{store}/state", "TERM": "xterm", "LC_ALL": "C.UTF-8", "PAGER": "cat"} | env
    return terminals(Terminal([TOOL, *words], env, 24, columns))


def seen(*words, **kw):
    run = started(*words, **kw)
    run.status_of = run.wait()
    return run


@pytest.mark.parametrize("columns", [40, 44, 60, 80, 120])
def test_list_fits(store, terminals, columns):
    # the longest verdict: of a signer who is not trusted, and of whom nothing can be read
    stranger = store / "stranger"
    made_recording(stranger, [meta_event(), open_event()], wall=1793700000)
    shutil.copytree(stranger / "recordings", store / "recordings", dirs_exist_ok=True)
    lines = seen(store, terminals, "list", columns=columns).seen.decode().splitlines()
    assert max(map(len, lines)) <= columns and len(lines) == (7 if columns < 80 else 4), lines
    text = "\n".join(lines)
    assert "complete" in text and "dba@" in text and "bob" in text and "unverifiable" in text and "(locked)" in text
    ident = re.search("^([0-9a-f]{12}) ", lines[1])[1]      # an ID that can be copied
    assert replay_made(store, "show", ident).stdout


def test_the_pager(store, terminals):
    run = seen(store, terminals, "list", PAGER="sed s/^/PAGED:/")
    assert run.status_of == 0 and all(line.startswith("PAGED:") for line in run.seen.decode().splitlines())
    ident = replay_made(store, "list").stdout.decode().splitlines()[1].split()[0]
    for words in (["show", ident], ["commands", ident], ["export", "--text", ident], ["search", "needle"], ["verify"], ["readings"], ["approvals", ident]):
        run = seen(store, terminals, *words, PAGER="sed s/^/PAGED:/")
        assert b"PAGED:" in run.seen and run.status_of == 0, words
    # sentences on standard error are in it, too, so that they do not disturb it
    assert b"PAGED:1 hit in 2 recordings" in seen(store, terminals, "search", "needle", PAGER="sed s/^/PAGED:/").seen
    # whoever leaves it early has made no mistake
    run = seen(store, terminals, "export", "--text", ident, PAGER="true")
    assert run.status_of == 0 and b"Broken pipe" not in run.seen


@pytest.fixture(scope="module")
def long_store(tmp_path_factory):
    """Two recordings of several segments, of which the first has two channels; and ids."""
    top = tmp_path_factory.mktemp("long")
    output = [{"t": 1 + i / 10, "ch": 1, "kind": "o", "text": f"{i:09} needle\r\n" * 500} for i in range(300)]
    ids = made_recording(top, [meta_event(approvals=[]), open_event(), *output, open_event(2, 60, pty=False, capability="exec", command="id"),
                               {"t": 61, "ch": 2, "kind": "o", "text": "second channel\n"}])
    ids += made_recording(top, [meta_event(user="bob"), open_event(), *output], wall=1793600000)
    return top, ids


HURRIED, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
BARS = {"list": "list", "verify": "verify", "search word": "search", "bundle -o OUT ID": "bundle", "show ID": "read", "show --json ID": "show", "play ID": "look for hidden keys",
        "commands ID": "look for hidden keys", "approvals ID": "read", "export --text ID": "look for hidden keys", "export --asciicast ID": "look for hidden keys"}


def hurried(long_store, terminals, words, tmp_path, **env):
    """With a clock that is so fast that all work is longer than the second after which there is a bar; in the player there must be time to see something."""
    store, ids = long_store
    speed = "+0 x100" if words.startswith("play") else "+0 x10000"
    words = [{"ID": ids[0], "OUT": str(tmp_path / "out")}.get(word, word) for word in words.split()]
    return started(store, terminals, *words, PAGER="sed s/^/PAGED:/", FAKETIME=speed, LD_PRELOAD=labkit.preload(HURRIED), **env)


@pytest.mark.parametrize("words", BARS)
def test_long_work_shows_how_far_it_is(long_store, terminals, tmp_path, words):
    bar = rb"\r\x1b\[K%s \[#* *\] \d+%% " % BARS[words].encode()
    run = hurried(long_store, terminals, words, tmp_path)
    if words.startswith("play"):
        run.expect(rb"\x1b\[\?1049h.*needle")
        run.send(b"q")
    assert run.wait() == 0 and re.search(bar, run.seen), run.seen[:300]
    # it is gone when there is something to be seen, and is not drawn into a pager, or the player's screen
    assert b"PAGED" not in run.seen[:run.seen.rindex(b"%")] and b"\x1b[?1049h" not in run.seen[:run.seen.rindex(b"\r\x1b[K")]


@pytest.mark.parametrize("words", BARS)
def test_no_bar_on_a_dumb_terminal(long_store, terminals, tmp_path, words):
    run = hurried(long_store, terminals, words if not words.startswith("play") else "play --channel 2 ID", tmp_path, TERM="dumb")
    assert run.wait() == 0 and not re.search(rb"\] \d+%", run.seen), run.seen[:300]
    assert not words.startswith("play") or b"second channel" in run.seen


@pytest.mark.parametrize("command", ["play", "follow"])
def test_lines_on_a_dumb_terminal(store, terminals, command):
    """Which could not show a screen; and the terminal is as it was."""
    ident = replay_made(store, "list").stdout.decode().splitlines()[1].split()[0]
    run = seen(store, terminals, command, ident, TERM="dumb")
    assert run.status_of == 0 and b"needle\r\n" in run.seen and b"\x1b" not in run.seen


def test_no_bar_in_the_player(long_store, terminals, tmp_path):
    """Another channel is loaded while the player has the screen."""
    play = hurried(long_store, terminals, "play ID", tmp_path)
    play.expect(rb"\x1b\[\?1049h.*needle")
    before = len(play.seen)
    play.send(b"\t")
    play.expect(b"second channel")
    play.send(b"q")
    assert play.wait() == 0 and not re.search(rb"\] \d+%", play.seen[before:])


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
