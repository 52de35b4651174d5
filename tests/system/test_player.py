"""play on a terminal: small and without UTF-8, resized, stopped, hung up; it finds text, and leaves the terminal as it was."""
import os
import select
import signal
import subprocess
import termios

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event, until

TOOL = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")


def a_recording(store):
    out = [{"t": t, "ch": 1, "kind": "o", "text": text} for t, text in
           ((1, "\x1b]0;x\x07first caf\u00e9\r\n"), (5, "second\r\n"), (9, "\x1b[12;50Hneedle\x1b[12;1H"), (20, "\x1b[6n\x1b[2J\x1b[Hlast"))]
    ident, = made_recording(store, [meta_event(), open_event(), {"t": 2, "ch": 1, "kind": "i", "text": "x\r"}, *out])
    return ident


@pytest.fixture
def play(tmp_path, terminals):
    ident = a_recording(tmp_path)

    def start(rows=24, columns=80, **env):
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")} | {
            "BASTION_STORE": str(tmp_path), "BASTION_IDENTITY": f"{tmp_path}/identity", "TERM": "xterm", "LC_ALL": "C.UTF-8"} | env
        return terminals(Terminal([TOOL, "play", ident], env, rows, columns))
    return start


def modes(player):
    return termios.tcgetattr(player.fd)[:4]


def left_clean(player):
    assert player.seen.rstrip(b"\r\n").endswith(b"\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l") and b"\x1b]0;" not in player.seen and b"\x1b[6n" not in player.seen


def state(player):
    with open(f"/proc/{player.pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0]


def test_small_and_ascii(play):
    player = play(rows=12, columns=40, LC_ALL="C")
    player.expect(rb"0:0\d/0:20 1x.*dba@web1")
    player.send(b" /needle\r")
    player.expect(rb"needle.*1 of 1|1 of 1.*needle")
    player.send(b"q")
    assert player.wait() == 0 and all(c < 0x80 for c in player.seen)
    left_clean(player)


def test_through_ssh(lab, deploy, target, home, terminals):
    """`ssh -t HOST bastion-replay play`: another terminal at the other end; small at first, then larger; and the client goes away."""
    store = f"{home}/evidence"
    ident = a_recording(store)
    labkit.run("chown", "-R", "--reference", home, store)
    words = f"env LC_ALL=C.UTF-8 BASTION_STORE={store} BASTION_IDENTITY={store}/identity {lab.bin('bastion-replay')} play {ident}"

    def running():
        return subprocess.run(["pgrep", "-f", f"^[^ ]*bastion-replay play {ident}"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    player = terminals(deploy.terminal(target, words, rows=12, columns=40))
    player.expect(rb"0:0\d/0:20 1x.*dba@web1")
    player.resize(30, 100)
    player.expect(rb"\x1b\[30;\d+H.*alice as dba@web1")
    player.send(b" /needle\r")
    player.expect(rb"needle.*1 of 1|1 of 1.*needle")
    player.send(b"q")
    assert player.wait() == 0
    shown = player.seen.rpartition(b"\x1b[?1049l")
    assert shown[0].endswith(b"\x1b[m\x1b[?7h\x1b[?25h") and b"\x1b]0;" not in player.seen and b"\x1b[6n" not in player.seen
    again = terminals(deploy.terminal(target, words))
    again.expect(rb"0:0\d/0:20 1x.*dba@web1")
    assert running()
    os.kill(again.pid, signal.SIGKILL)
    until(lambda: not running(), what="the player ended with its connection")


def test_speed_and_pauses(tmp_path, terminals):
    """A pause is entered so long before its end as --idle-max says, and 0 is as long as it was; a status line from a key and a new size is whole."""
    ident, = made_recording(tmp_path, [meta_event(), open_event(), {"t": 600, "ch": 1, "kind": "o", "text": "last"}])
    env = os.environ | {"BASTION_STORE": str(tmp_path), "BASTION_IDENTITY": f"{tmp_path}/identity", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    for options, status in ((("--speed", "2", "--idle-max", "200"), rb"6:[4-5]\d/10:00 2x "), (("--idle-max", "0"), rb"0:\d\d/10:00 1x idle")):
        player = terminals(Terminal([TOOL, "play", *options, ident], env))
        player.expect(rb"dba@web1")
        player.send(b" ")
        player.resize(30, 100)
        player.expect(rb"\x1b\[30;\d+H[^\n]*" + status)
        player.send(b"q")
        assert player.wait() == 0


def test_resize(play):
    player = play(rows=12, columns=40)
    player.expect(rb"dba@web1")
    player.resize(30, 100)
    player.expect(rb"\x1b\[30;\d+H.*alice as dba@web1")
    player.send(b"q")
    assert player.wait() == 0


def test_stop_and_go_on(play):
    player = play()
    player.expect(rb"1x")
    raw = modes(player)
    player.send(b"\x1a")
    until(lambda: state(player) == "T", what="the player is stopped")
    player.read(0)
    cooked = modes(player)
    assert cooked[3] & termios.ECHO and not raw[3] & termios.ECHO
    os.kill(player.pid, signal.SIGCONT)
    player.expect(rb"\x1b\[\?1049h.*1x")
    assert modes(player) == raw
    player.send(b"q")
    assert player.wait() == 0 and modes(player) == cooked
    left_clean(player)


def test_hang_up(play):
    player = play()
    player.expect(rb"1x")
    os.close(player.fd)
    player.fd = os.open("/dev/null", os.O_RDONLY)
    player.status = os.waitstatus_to_exitcode(os.waitpid(player.pid, 0)[1])
    assert player.status == -signal.SIGHUP


def test_a_terminal_that_hangs(tmp_path, terminals):
    """Nobody reads what the player draws: a signal ends it all the same."""
    out = [{"t": t / 50, "ch": 1, "kind": "o", "text": "".join(f"\x1b[{row};1H" + chr(97 + (t + row) % 26) * 150 for row in range(1, 41))} for t in range(2000)]
    ident, = made_recording(tmp_path, [meta_event(), open_event(cols=150, rows=40), *out])
    env = os.environ | {"BASTION_STORE": str(tmp_path), "BASTION_IDENTITY": f"{tmp_path}/identity", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    player = terminals(Terminal([TOOL, "play", ident], env, 41, 150))
    player.expect(rb"1x")
    # it waits in poll for a terminal that takes nothing
    until(lambda: stuck(player), what="the terminal is full")
    os.kill(player.pid, signal.SIGTERM)
    player.status = os.waitstatus_to_exitcode(until(lambda: ended(player), what="the end"))
    assert player.status == -signal.SIGTERM


def ended(player):
    pid, status = os.waitpid(player.pid, os.WNOHANG)
    return status if pid else None


def stuck(player):
    """Twice the same CPU time and the same position of what was written: it draws no more."""
    def used():
        with open(f"/proc/{player.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[11:13]
    with open(f"/proc/{player.pid}/io", encoding="ascii") as f:
        before = f.read(), used()
    select.select([], [], [], 0.5)
    with open(f"/proc/{player.pid}/io", encoding="ascii") as f:
        return (f.read(), used()) == before
