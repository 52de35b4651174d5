"""The collector is gone: input is held, a banner after 2 s, resume without loss, end after the deadline, nothing new opens."""
import os
import signal
import time

import pytest

from harness import Client, Terminal, recording_of, replay, until

pytestmark = [pytest.mark.alone, pytest.mark.patient]


@pytest.fixture(scope="module")
def short(new_lab):
    """A lab whose sessions wait 6 s for the collector."""
    return new_lab(options=["hold_deadline = 6s"])


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


def shell(user, target):
    terminal = Terminal(user.argv(target, options=("-tt",)), user.env)
    terminal.line("stty -echo; echo $((6*7))")
    terminal.expect(rb"\n42\r\n")
    return terminal


def test_banner_then_resume_without_loss(short, user, target):
    home = short.path("target", "home", "dba")
    terminal = shell(user, target)
    terminal.line(f"cat > {home}/typed.{target}")
    terminal.line("before")
    until(lambda: os.path.exists(f"{home}/typed.{target}") and "before" in open(f"{home}/typed.{target}").read())
    kill_collector(short)
    start = time.monotonic()
    terminal.line("while it is away")
    terminal.expect(rb"record")
    assert 1.5 < time.monotonic() - start < 5, "the banner comes after 2 s"
    assert "away" not in open(f"{home}/typed.{target}").read(), "no byte reaches the target unrecorded"
    short.start("collector")
    terminal.line("after")
    terminal.send(b"\x04")
    terminal.line("exit 3")
    assert terminal.wait() == 3
    assert open(f"{home}/typed.{target}").read() == "before\nwhile it is away\nafter\n"
    terminal.close()


def test_end_after_the_deadline(short, user, target):
    terminal = shell(user, target)
    kill_collector(short)
    start = time.monotonic()
    terminal.line("echo never-$((1+1))")
    assert terminal.wait() != 0
    assert 5 < time.monotonic() - start < 11, "it waits 6 s"
    assert b"never-2" not in terminal.seen
    terminal.close()


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
