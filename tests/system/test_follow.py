"""follow shows a recording as it is written, verified frame by frame, and says how it ended, or what is wrong."""
import glob
import os
import re
import subprocess

import pytest

from harness import DEADLINE, Terminal, labkit, made_recording, meta_event, open_event, recording_of, until

TOOL = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")


class Growing:
    """A recording that appears piece by piece in a store of its own."""

    def __init__(self, tmp_path, events):
        self.ident, = made_recording(tmp_path / "whole", events)
        source, = glob.glob(f"{tmp_path}/whole/recordings/*/{self.ident}/00000000.brec")
        self.data = open(source, "rb").read()
        self.dir = tmp_path / "store" / "recordings" / "2026-11-01" / self.ident
        self.dir.mkdir(parents=True)
        self.path, self.at = self.dir / "00000000.brec", 0
        self.env = os.environ | {"BASTION_STORE": str(tmp_path / "store"), "BASTION_IDENTITY": f"{tmp_path}/whole/identity",
                                 "BASTION_TRUST": f"{tmp_path}/whole/trust", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.grow(0.5)

    def grow(self, part):
        """Up to this part of its bytes: frames are torn anywhere."""
        to = int(len(self.data) * part)
        with open(self.path, "ab") as f:
            f.write(self.data[self.at:to])
        self.at = to

    def follow(self, *words):
        return subprocess.Popen([TOOL, "follow", *words, self.ident], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def terminal(self, rows=24, columns=80):
        return Terminal([TOOL, "follow", self.ident], self.env, rows, columns)


def shows(player, pattern):
    """Is it on the screen? Only what changes is drawn, so it is asked to draw all of it."""
    def drawn():
        start = len(player.seen)
        player.send(b"\x0c")
        while player.read(0.3):
            pass
        return re.search(pattern, player.seen[start:])
    until(drawn, deadline=DEADLINE, what=pattern)


@pytest.fixture
def growing(tmp_path):
    lines = [{"t": i, "ch": 1, "kind": "o", "text": f"\x1b]0;x\x07line {i}\r\n"} for i in range(1, 40)]
    return Growing(tmp_path, [meta_event(), open_event(), *lines, {"t": 41, "ch": 1, "kind": "x", "text": "\0\0\0\0"}])


def test_lines_as_they_come(growing):
    with growing.follow() as done:
        seen = b""
        while b"line 10\n" not in seen:
            seen += done.stdout.read1()
        assert b"line 39" not in seen
        growing.grow(0.75)
        while b"line 25\n" not in seen:
            seen += done.stdout.read1()
        for i in range(80, 101):
            growing.grow(i / 100)
        rest, err = done.communicate(timeout=DEADLINE)
    seen += rest
    assert [line for line in seen.decode().splitlines() if line.startswith("line")] == [f"line {i}" for i in range(1, 40)]
    assert seen.decode().endswith("[exit status 0]\n[closed] normal: made\n") and b"\x1b" not in seen
    assert done.returncode == 0 and b"signed up to frame" in err


def test_a_stall_is_told(growing, terminals):
    """Nothing has come for long: the last change of the files says since when."""
    long_ago = os.stat(growing.path).st_mtime - 1000
    os.utime(growing.path, (long_ago, long_ago))
    play = terminals(growing.terminal())
    shows(play, rb"STALLED 1[67]:\d\d")
    with growing.follow() as done:
        os.set_blocking(done.stderr.fileno(), False)
        said = until(done.stderr.read, what="the sentence")
        assert b"nothing has come for 10" in said
        growing.grow(0.75)
        until(lambda: b"it goes on" in (done.stderr.read() or b""), what="the other sentence")
        growing.grow(1)
        out = done.communicate(timeout=DEADLINE)[0]
    assert b"line 39\n" in out
    play.expect(rb"the session ended")
    play.send(b"q")
    assert play.wait() == 0


@pytest.mark.parametrize("harm", ["change", "cut", "remove"])
def test_what_is_wrong_is_told(growing, harm):
    with growing.follow() as done:
        seen = b""
        while b"line 10\n" not in seen:
            seen += done.stdout.read1()
        if harm == "change":
            growing.data = growing.data[:growing.at + 40] + bytes([growing.data[growing.at + 40] ^ 1]) + growing.data[growing.at + 41:]
            growing.grow(1)
        elif harm == "cut":
            os.truncate(growing.path, 1000)
        else:
            os.unlink(growing.path)
        out, err = done.communicate(timeout=DEADLINE)
    assert done.returncode == 1 and b"00000000.brec" in err and b"line 39" not in out


def test_on_a_terminal(growing, terminals):
    play = terminals(growing.terminal())
    play.expect(rb"LIVE")
    shows(play, rb"signed \d\d:\d\d:\d\d|begun \d\d:\d\d:\d\d")
    growing.grow(0.9)
    shows(play, rb"line 30")
    play.send(b"0")
    shows(play, rb"0:0\d/0:\d\d 1x")
    play.send(b"G")
    shows(play, rb"LIVE")
    growing.grow(1)
    play.expect(rb"the session ended: normal: made")
    play.send(b"q")
    assert play.wait() == 0
    assert b"\x1b]0;" not in play.seen and b"the session ended" in play.seen


def test_a_real_session(lab, engineer, target, terminals):
    user = engineer()
    shell = terminals(user.terminal(target))
    shell.expect(rb"\$ $")
    ident = os.path.basename(recording_of(lab, user.user, closed=False))
    argv = [TOOL, "follow", ident, "--store", lab.path("store"), "--key", lab.path("auditor.key"), "--trust", lab.path("auditor.trust")]
    watch = terminals(Terminal(argv, user.env))
    watch.expect(rb"LIVE")
    shell.line("echo seen-$((6*7))")
    watch.expect(rb"seen-42")
    shell.line("exit")
    watch.expect(rb"the session ended")
    watch.send(b"q")
    assert watch.wait() == 0


def test_what_is_typed_only_with_reveal(tmp_path):
    """All lines, as nobody knows yet which were echoed; and it is in the log of readings as what it is."""
    typed = [{"t": 1, "ch": 1, "kind": "o", "text": "Password: "}, *({"t": 2 + i, "ch": 1, "kind": "i", "text": c} for i, c in enumerate("pw\x1b[31m\r")),
             {"t": 12, "ch": 1, "kind": "o", "text": "\r\nin\r\n"}]
    it = Growing(tmp_path, [meta_event(), open_event(), *typed, {"t": 13, "ch": 1, "kind": "x", "text": "\0\0\0\0"}])
    it.grow(1)
    it.env |= {"BASTION_NOTE": "true", "XDG_STATE_HOME": str(tmp_path / "state")}
    plain, revealed = (it.follow(*words).communicate(timeout=DEADLINE)[0] for words in ((), ("--reveal",)))
    assert b"Password:" in plain and b"pw" not in plain and b"[typed]" not in plain
    assert rb"[typed] pw\x1b[31m" in revealed and b"\x1b" not in revealed
    log = (tmp_path / "state" / "bastion-replay" / "readings").read_text().splitlines()
    assert ['"reveal":true' in line and '"command":"follow"' in line for line in log if '"delivered"' not in line] == [False, True]
