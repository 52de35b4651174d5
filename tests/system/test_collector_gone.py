"""The collector is gone: input is held, a banner after 2 s, resume without loss, end after the deadline, nothing new opens."""
import os
import signal
import time

import pytest

from harness import DEADLINE, WAYS, Client, events, labkit, recording_of, replay, until

pytestmark = [pytest.mark.alone, pytest.mark.patient]


@pytest.fixture(scope="module")
def short(new_lab):
    """A lab whose sessions wait 12 s for the collector: of the recorder's tries, with pauses of up to 3 s, some come when it is back on a full machine."""
    return new_lab(options=["hold_deadline = 12s"])


@pytest.fixture
def user(short):
    yield Client(short, "deploy")
    if "collector" not in short.state["pids"]:
        short.start("collector")
    until(lambda: Client(short, "deploy").run("web1.name", "true").returncode == 0, deadline=20, what="the lab works again")


def kill_collector(lab):
    pid, _ = lab.state["pids"]["collector"]
    os.kill(pid, signal.SIGKILL)
    lab.stop("collector")


@pytest.fixture
def shells(user, terminals):
    """{target: a shell there} by every way, the console's `connect` included."""
    made = {}
    for target in (*(f"web1.{way}" for way in WAYS), "bastion"):
        made[target] = terminal = terminals(user.terminal(target))
        if target == "bastion":
            terminal.expect(rb"> ?$")
            terminal.line("connect web1 as dba")
            terminal.expect(rb"\$ $")
        terminal.line("stty -echo; echo $((6*7))")
        terminal.expect(rb"\n42\r\n")
    return made


def leave(target, terminal):
    """The exit status of what it was given last; a console goes on, and ends by its own word."""
    if target == "bastion":
        terminal.expect(rb"bastion> ?$")
        terminal.line("exit")
    return terminal.wait()


def moments(shells, text, start):
    """{target: the second in which its terminal showed it}"""
    found = {}
    while len(found) < len(shells):
        for target, terminal in shells.items():
            if target not in found and text in terminal.seen[terminal.mark:]:
                found[target] = time.monotonic() - start
            terminal.read(0.02)
        assert time.monotonic() - start < DEADLINE, (text, found)
    return found


def test_banner_then_resume_without_loss(short, shells):
    home = short.path("target", "home", "dba")

    def typed(target):
        path = f"{home}/typed.{target}"
        return labkit.read(path) if os.path.exists(path) else ""
    for target, terminal in shells.items():
        terminal.line(f"cat > {home}/typed.{target}")
        terminal.line("before")
    until(lambda: all(typed(target) == "before\n" for target in shells), what="the first lines")
    kill_collector(short)
    start = time.monotonic()
    for terminal in shells.values():
        terminal.line("while it is away")
    shown = moments(shells, b"the recording store does not answer", start)
    assert all(1.5 < at < 5 for at in shown.values()), f"the banner comes after 2 s: {shown}"
    assert all(typed(target) == "before\n" for target in shells), "no byte reaches the target unrecorded"
    short.start("collector")
    for terminal in shells.values():
        terminal.line("after")
        terminal.send(b"\x04")
        terminal.line("exit 3")
    for target, terminal in shells.items():
        assert leave(target, terminal) == (0 if target == "bastion" else 3)
        assert typed(target) == "before\nwhile it is away\nafter\n"
    until(lambda: len(events(short, "recording.stall", "deploy")) >= len(shells), what="the stall of each is an event")


def test_end_after_the_deadline(short, shells):
    kill_collector(short)
    start = time.monotonic()
    for terminal in shells.values():
        terminal.line("echo never-$((1+1))")
    shown = moments(shells, b"could not be stored in time", start)
    assert all(11 < at < 17 for at in shown.values()), f"it waits 12 s: {shown}"
    for target, terminal in shells.items():
        assert (leave(target, terminal) == 0) == (target == "bastion")
        assert b"never-2" not in terminal.seen


def test_new_sessions_are_refused(short, user, target):
    kill_collector(short)
    start = time.monotonic()
    done = user.run(target, "echo let in")
    assert done.returncode != 0 and done.stdout == b""
    assert b"record" in done.stderr and time.monotonic() - start < 15


def test_words_work_without_it(short, user):
    kill_collector(short)
    assert b"web1" in user.run("bastion", "hosts", check=True).stdout


def test_a_command_across_a_restart_is_whole(short, user, target):
    """Output that flows while the collector is killed and comes back arrives complete, and is recorded so."""
    with user.start(target, "seq 300000; sleep 1; seq 300000") as process:
        assert process.stdout.read(1000)
        kill_collector(short)
        short.start("collector")
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(30) == 0
    whole = b"".join(b"%d\n" % n for n in range(1, 300001)) * 2
    assert len(rest) == len(whole) - 1000 and rest == whole[1000:]
    assert replay(short, "verify", recording_of(short, "deploy")).returncode == 0
