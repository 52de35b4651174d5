"""Processes that do not end, and do nothing any more: policy, and every session is over within the lease; a session, and it alone is killed."""
import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from harness import SLOW, Client, complete, events, recording_of, role, sessions, until

LEASE = 5       # seconds: promise P7
POUR = "while head -c 100000 /dev/zero; do sleep 0.05; done"


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def open_cat(client, target):
    process = client.start(target, "cat", bufsize=0)
    echo(process, b"up\n")
    return process


def echo(process, line):
    process.stdin.write(line)
    assert process.stdout.read(len(line)) == line


@pytest.fixture
def cleanup():
    with contextlib.ExitStack() as stack:
        yield stack


def test_policy_stops(own, cleanup):
    user = Client(own, "deploy")
    running = {}
    for way in ("name", "jump"):
        running[f"cat {way}"] = cleanup.enter_context(open_cat(user, f"web1.{way}"))
        running[f"pour {way}"] = cleanup.enter_context(user.start(f"web1.{way}", POUR, stdout=subprocess.DEVNULL))
    # no channel, and one that policy is asked about and says nothing: there is nowhere to write but in the connection's end
    running["no channel"] = cleanup.enter_context(user.start("bastion", options=("-N",)))
    until(lambda: len(own.ask("sessions")["rows"]) >= 5, what="all five are open")
    assert len(sessions(own)) == 5
    pid = role(own, "policy")
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    try:
        until(lambda: not sessions(own), deadline=LEASE + 5, what="no session is left")
        assert time.monotonic() - begin > LEASE - 2, "not before its last word is so old"
        for name, client in running.items():
            held, client.stdin = client.stdin, None     # communicate() would close it, and end `cat` by that
            _, err = client.communicate(timeout=20 * SLOW)
            held.close()
            assert client.returncode == 255, (name, client.returncode, err)
            assert b"the access service does not answer" in err, (name, err)
    finally:
        os.kill(pid, signal.SIGCONT)
    done = until(lambda: (it := user.run("web1.name", "echo in")).returncode == 0 and it, deadline=20, what="a login")
    assert done.stdout == b"in\n"


def test_a_session_stops(own):
    """Its watchdog is policy, which hears no PONG: an event, a sealed recording, and nobody else notices."""
    user = Client(own, "deploy")
    with open_cat(user, "web1.name") as other:
        before = sessions(own)
        with open_cat(user, "web1.jump") as victim:
            pid, = sessions(own) - before
            recording = recording_of(own, "deploy", closed=False)
            os.kill(pid, signal.SIGSTOP)

            def gone():
                echo(other, b"on\n")
                return not os.path.exists(f"/proc/{pid}")
            until(gone, deadline=30, pause=0.5, what="it is killed")
            assert victim.wait(20 * SLOW) == 255
        hung, = {json.loads(row["detail"])["connection"] for row in events(own, "session.hung", "deploy")}
        # master's word of it comes to policy by way of parent
        until(lambda: hung in {json.loads(row["detail"])["connection"] for row in events(own, "session.kill", "deploy")}, what="its end is an event")
        until(lambda: complete(own, recording), deadline=20, what="its recording is sealed")
        echo(other, b"to the end\n")
        other.stdin.close()
        assert other.wait(20 * SLOW) == 0
