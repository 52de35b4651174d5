"""SIGUSR2: the installed program takes over. Nobody's session ends by it; what ends access ends it on both sides; a new program that
does not come up changes nothing."""
import fcntl
import os
import random
import shutil
import signal
import socket
import time

import pytest

from harness import Client, children, labkit, until
from test_reload import dns_answer


@pytest.fixture(scope="module")
def shared(new_lab):
    return new_lab()


@pytest.fixture
def own(shared):
    """Serving, and with its log's end remembered: the next line of a kind is this test's."""
    shared.mark = len(labkit.read(shared.path("log", "bastiond")))
    return shared


def said(lab):
    return labkit.read(lab.path("log", "bastiond"))[getattr(lab, "mark", 0):]


def pid_of(lab):
    """0 in the moment in which it is written."""
    return int(labkit.read(lab.state["run_dir"] + "/bastiond.pid") or 0)


def upgrade(lab):
    """The pid of the one before, and of the one that serves now."""
    before = pid_of(lab)
    os.kill(before, signal.SIGUSR2)
    now = until(lambda: (pid := pid_of(lab)) != before and pid, 40, pause=0.1, what="another process at the pid file")
    until(lambda: f"process {now} serves now" in said(lab), 40, pause=0.1, what="the old one's word")
    lab.state["pids"]["bastiond"] = [now, labkit.start_time(now)]
    lab.save()
    if lab.control:
        lab.control.close()
        lab.control = None
    return before, now


def gone(pid):
    return labkit.start_time(pid) is None


def echo(client, text):
    client.stdin.write(text)
    client.stdin.flush()
    return client.stdout.readline() == text


def test_a_reload_that_is_under_way(new_lab):
    """What its trial finds is for nobody: it would have the one that retired listen beside the one that serves."""
    own = new_lab(etc=True)
    path, name_server = own.path("bastiond.conf"), f"127.{random.randrange(2, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
    if os.path.lexists(own.path("etc", "resolv.conf")):
        os.unlink(own.path("etc", "resolv.conf"))
    labkit.write(own.path("etc", "resolv.conf"), f"nameserver {name_server}\noptions timeout:30 attempts:1\n")
    labkit.write(own.path("etc", "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
    conf = labkit.read(path)
    assert conf.count('address = "127.0.0.1"') == 1
    with Client(own, "deploy").start("web1.name", "cat") as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        assert echo(process, b"one\n")
        server.bind((name_server, 53))
        server.settimeout(30)
        labkit.write(path, conf.replace('address = "127.0.0.1"', 'address = "collector.example.org"'))
        roles = set(children(pid_of(own)))
        os.kill(pid_of(own), signal.SIGHUP)
        queries = [server.recvfrom(512)]
        trial = set(children(pid_of(own))) - roles
        assert trial
        labkit.write(path, conf)
        old, _ = upgrade(own)
        server.settimeout(0.1)
        while trial & set(children(old)):
            for query, asker in queries:
                server.sendto(dns_answer(query, "127.0.0.1"), asker)
            try:
                queries = [server.recvfrom(512)]
            except TimeoutError:
                queries = []
        assert echo(process, b"two\n")
        assert "cannot listen" not in said(own) and "configuration and keys reloaded" not in said(own)
        assert Client(own, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"


def test_sessions_live_on(own, engineer):
    first, second = engineer(own), engineer(own)
    with first.start("web1.jump", "cat") as a, second.start("web1.name", "cat") as b:
        assert echo(a, b"one\n") and echo(b, b"one\n")
        old, new = upgrade(own)
        assert echo(a, b"two\n") and echo(b, b"two\n")
        assert Client(own, "deploy").run("web1.jump", "echo in", check=True).stdout == b"in\n"     # the new one serves
        assert len([row for row in own.ask("sessions")["rows"] if row["user"] in (first.user, second.user)]) == 2
        # what the new one is told ends sessions that the old one carries, within a second
        since = time.monotonic()
        own.ask("revoke", as_uid=own.state["users"]["bob"], id=int(first.grant))
        assert a.stdout.read() == b"" and a.wait(20) != 0
        assert time.monotonic() - since < 5      # a second and what a loaded machine adds; test_ends measures it
        assert echo(b, b"three\n") and not gone(old)
        number = [row for row in own.ask("sessions")["rows"] if row["user"] == second.user][0]["id"]
        own.ask("kill", id=number)
        assert b.stdout.read() == b"" and b.wait(20) != 0
    until(lambda: gone(old), 30, pause=0.1, what="the end of the old one")
    assert not own.ask("sessions")["rows"]
    Client(own, "deploy").run("web1.jump", "true", check=True)
    assert "fit the chain" in own.ctl("events", "--verify")
    # and twice more, while one is still there: a chain of them, whose second one has no session; ended by the last one's end
    with Client(own, "deploy").start("web1.jump", "cat") as c:
        assert echo(c, b"x\n")
        oldest, older = upgrade(own)
        again, newer = upgrade(own)
        assert again == older and echo(c, b"y\n")
        for _ in range(3):
            Client(own, "deploy").run("web1.jump", "true", check=True)
        assert not gone(oldest) and not gone(older)
        own.stop("bastiond")
        assert c.stdout.read() == b"" and c.wait(20) != 0
    until(lambda: gone(oldest) and gone(older) and gone(newer), 30, pause=0.1, what="all three ended")
    own.start("bastiond")


def test_a_new_program_that_fails_changes_nothing(own, engineer):
    user = engineer(own)
    conf = labkit.read(own.path("bastiond.conf"))
    with user.start("web1.jump", "cat") as a:
        assert echo(a, b"one\n")
        labkit.write(own.path("bastiond.conf"), conf + "nonsense = 1\n")
        before = pid_of(own)
        os.kill(before, signal.SIGUSR2)
        until(lambda: "the new program did not come up" in said(own), 40, pause=0.1, what="the line about it")
        labkit.write(own.path("bastiond.conf"), conf)
        assert echo(a, b"two\n") and pid_of(own) == before
        Client(own, "deploy").run("web1.jump", "true", check=True)
        own.ctl("sessions")
        os.kill(before, signal.SIGHUP)
        until(lambda: "reloaded from" in said(own), 30, pause=0.1, what="a reload")
        a.stdin.close()
        assert a.wait(20) == 0


HALF = """#!/usr/bin/python3 -I
import fcntl, os, signal, socket
link = socket.socket(fileno=int(os.environ["BASTIOND_TAKE"].split()[0]))
link.setblocking(True)
os.chdir("RUN")
new = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
new.bind("control.new")
new.listen()
link.send(b"L")
assert link.recv(1) == b"G"
pid = open("bastiond.pid", "r+")
fcntl.lockf(pid, fcntl.LOCK_EX | fcntl.LOCK_NB)
pid.write(str(os.getpid()))
pid.flush()
os.rename("control.new", "control.sock")
link.close()
signal.pause()
"""


def test_a_hand_over_that_breaks_off_is_taken_back(own):
    """The new program took the lock and one of the names, and went no further."""
    own.stop("bastiond")
    there = own.path("programs")
    shutil.copytree(own.state["bin"], there, symlinks=True, ignore=lambda top, names: [n for n in names if os.path.isdir(os.path.join(top, n))])
    was, own.state["bin"] = own.state["bin"], there
    own.start("bastiond")
    program = own.bin("bastiond")
    before, run = pid_of(own), own.state["run_dir"]
    os.rename(program, program + ".good")
    labkit.write(program, HALF.replace("RUN", run))
    os.chmod(program, 0o755)
    names = sorted(set(os.listdir(run)))
    os.kill(before, signal.SIGUSR2)
    until(lambda: "the new program did not come up" in said(own), 40, pause=0.1, what="the line about it")
    until(lambda: pid_of(own) == before and sorted(set(os.listdir(run))) == names, 20, pause=0.1, what="its names again")
    own.ctl("sessions")
    with open(run + "/bastiond.pid", "r+", encoding="ascii") as lock, pytest.raises(OSError):
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    Client(own, "deploy").run("web1.jump", "true", check=True)
    # and the next one is no worse for it
    os.rename(program + ".good", program)
    _, now = upgrade(own)
    assert pid_of(own) == now and sorted(set(os.listdir(run))) == names
    own.ctl("sessions")
    own.stop("bastiond")
    own.state["bin"] = was
    own.start("bastiond")


def test_another_schema_does_not_come_up_beside(own):
    """The check that a new version's policy makes first, made by an old database here: the one that serves goes on."""
    import sqlite3
    before = pid_of(own)
    path = own.path("state", "db", "policy.db")
    with sqlite3.connect(path, timeout=20) as db:
        was = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {was - 1}")
    db.close()
    try:
        os.kill(before, signal.SIGUSR2)
        until(lambda: "the new program did not come up" in said(own), 40, pause=0.1, what="the line about it")
        assert "end that first" in said(own) and pid_of(own) == before
    finally:
        with sqlite3.connect(path, timeout=20) as db:
            db.execute(f"PRAGMA user_version = {was}")
        db.close()
    Client(own, "deploy").run("web1.jump", "true", check=True)
