"""Revoke, lock, kill, removal, a key's revocation and expiry end what is open within a second, and say why."""
import hashlib
import json
import math
import os
import socket
import time

import pytest

from harness import CLIENT, DEADLINE, WAYS, Echo, labkit, recording_of, replay, until

LIMIT = 1.0     # promise P7, the start of the command and the end of the client included
BOB = "bob"


def timed(test):
    """Nothing else runs beside it, but for others that hardly compute."""
    return pytest.mark.alone(pytest.mark.calm(test))


def ended(process, since):
    """Waits for the client's end; how long it took from `since`, and what it printed."""
    # communicate() would close its standard input, and `cat` end by that
    held, process.stdin = process.stdin, None
    out, err = process.communicate(timeout=60)
    held.close()
    return time.monotonic() - since, (out + err).decode(errors="replace")


def open_cat(client, target):
    process = client.start(target, "cat", bufsize=0)
    process.stdin.write(b"up\n")
    assert process.stdout.read(3) == b"up\n"
    return process


def lasting(least, login):
    """Seconds for a grant that ends while its session is open: login() takes its time here and now, and another one may take four times as long."""
    start = time.monotonic()
    login()
    return max(least, math.ceil(4 * (time.monotonic() - start)) + 2)


def bob(lab, *words):
    lab.ctl(*words, uid=lab.state["users"][BOB])


CAUSES = {
    "revoke": (lambda lab, user: bob(lab, "revoke", user.grant, "--reason", "done early"), "done early"),
    "lock": (lambda lab, user: lab.ctl("user", "lock", user.user, "--reason", "laptop stolen"), "lock"),
    "key": (lambda lab, user: lab.ctl("user", "key", "revoke", user.user, "laptop"), "key"),
    "remove": (lambda lab, user: lab.ctl("user", "remove", user.user), "remove"),
    "kill": (lambda lab, user: lab.ctl("kill", session_of(lab, user), "--reason", "enough"), "enough"),
}


def session_of(lab, user):
    return str([row["id"] for row in lab.ask("sessions")["rows"] if row["user"] == user.user][0])


@timed
@pytest.mark.parametrize("cause", CAUSES)
def test_open_session_ends(lab, engineer, target, cause):
    act, word = CAUSES[cause]
    user = engineer()
    process = open_cat(user, target)
    start = time.monotonic()
    act(lab, user)
    spent, said = ended(process, start)
    assert process.returncode != 0
    assert spent < LIMIT, f"{spent:.2f} s"
    assert word in said.lower(), said


@timed
def test_terminal_is_told(lab, engineer, target, terminals):
    user = engineer()
    shell = terminals(user.terminal(target))
    shell.line("echo $((6*7))")
    shell.expect(rb"\n42\r\n")
    start = time.monotonic()
    bob(lab, "revoke", user.grant, "--reason", "done early")
    shell.expect(rb"done early", timeout=LIMIT)
    assert shell.wait(5) != 0
    assert time.monotonic() - start < LIMIT


@timed
def test_console_is_told(lab, engineer, terminals):
    """A terminal that `connect` gave: the reason, and the console's own prompt again."""
    user = engineer()
    console = terminals(user.terminal("bastion"))
    console.expect(rb"> ?$", timeout=CLIENT)
    console.line("connect web1 as dba")
    console.expect(rb"\$ $")
    start = time.monotonic()
    bob(lab, "revoke", user.grant, "--reason", "done early")
    console.expect(rb"done early.*> ?$", timeout=LIMIT)
    assert time.monotonic() - start < LIMIT
    console.line("exit")
    assert console.wait() == 0


@timed
def test_forward_ends(lab, allowed, target):
    """Both sides of a forwarded connection, and the client with the reason, which had nothing else open."""
    server, port = Echo(at_once=True), labkit.free_port()
    user = allowed(f"forward 127.0.0.1:{server.port}")
    with user.start(target, options=("-N", "-L", f"{port}:127.0.0.1:{server.port}")) as process, socket.socket() as connection:
        until(lambda: connection.connect_ex(("127.0.0.1", port)) == 0, deadline=CLIENT, what="ssh listens")
        connection.settimeout(DEADLINE)
        connection.sendall(b"up\n")
        assert connection.recv(3) == b"up\n"
        start = time.monotonic()
        lab.ctl("revoke", user.grant, "--reason", "done early")
        assert connection.recv(1) == b"" and time.monotonic() - start < LIMIT
        until(lambda: server.over == 1, deadline=LIMIT, what="the target's side is closed")
        spent, said = ended(process, start)
        assert process.returncode != 0 and spent < LIMIT and "done early" in said, (process.returncode, spent, said)


@timed
def test_expiry(engineer, deploy):
    """A session each way, which end one behind the other."""
    span = max(lasting(4, lambda: deploy.run(f"web1.{way}", "true", check=True)) for way in WAYS)
    opened = []
    for way in WAYS:
        user = engineer(span=span)
        begin = time.monotonic()
        opened.append((user, begin, open_cat(user, f"web1.{way}")))
    for user, begin, process in opened:
        spent, said = ended(process, begin)
        assert span - 2.0 < spent < span + LIMIT
        assert f"Grant {user.grant} has ended" in said, said


@pytest.mark.alone
def test_transfer_ends(lab, engineer, target):
    user = engineer()
    process = user.start(target, "cat /dev/zero", bufsize=0)
    got = len(process.stdout.read(100_000))
    assert got > 0
    start = time.monotonic()
    bob(lab, "revoke", user.grant)
    spent, _ = ended(process, start)
    assert spent < LIMIT


@timed
def test_target_side_ends_too(lab, engineer, target, home):
    user = engineer()
    process = user.start(target, f"touch {home}/up; cat; touch {home}/down")
    until(lambda: os.path.exists(f"{home}/up"))
    start = time.monotonic()
    bob(lab, "revoke", user.grant)
    until(lambda: os.path.exists(f"{home}/down"), deadline=LIMIT)
    ended(process, start)


def test_other_sessions_stay(lab, engineer, deploy, target):
    with deploy.start(target, "cat", bufsize=0) as other:
        other.stdin.write(b"up\n")
        assert other.stdout.read(3) == b"up\n"
        user = engineer()
        process = open_cat(user, target)
        start = time.monotonic()
        bob(lab, "revoke", user.grant)
        ended(process, start)
        other.stdin.write(b"on\n")
        assert other.stdout.read(3) == b"on\n"
        other.stdin.close()
        assert other.wait(10) == 0


def test_recording_says_what_had_moved(lab, engineer, target):
    """Sizes and digests of a transfer that is cut off are in its recording; what was held back is said apart."""
    user = engineer()
    process = user.start(target, "cat /dev/zero")
    assert len(process.stdout.read(3 << 20)) == 3 << 20
    bob(lab, "revoke", user.grant)
    ended(process, time.monotonic())
    rows = [json.loads(line) for line in replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.splitlines()]
    close, = [row["data"] for row in rows if row.get("kind") == "close"]
    out, = [row["data"] for row in rows if row.get("kind") == "digest" and row["data"]["final"] and row["data"]["dir"] == "out"]
    assert out["bytes"] == close["out"] >= (3 << 20) + close["held_out"]
    assert out["sha256"] == hashlib.sha256(bytes(out["bytes"])).hexdigest()
