"""10,000 garbage connections, and clients that send a byte now and then: the bastion serves others meanwhile and afterwards."""
import concurrent.futures
import contextlib
import os
import random
import select
import socket
import time

import paramiko
import pytest

from harness import Client, labkit, until

pytestmark = pytest.mark.alone

COUNT = 10_000
THROWERS = 4
KINDS = [b"", b"\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n" + bytes(2000), b"SSH-1.5-old\r\n", b"SSH-2.0-" + b"x" * 5000 + b"\r\n",
         b"SSH-2.0-x\r\n\xff\xff\xff\xff" + bytes(100), b"SSH-2.0-x\r\n\x00\x00\x00\x0c\xff\x14" + bytes(10), b"\x16\x03\x01\x02\x00\x01", b"\x00" * 300]


@pytest.fixture(scope="module")
def own(new_lab):
    """login_grace is short, so that slow clients are seen to be dropped."""
    return new_lab(options=["login_grace = 5s"])


def throw(port, count, seed):
    """Their number, when all are gone."""
    rng = random.Random(seed)
    for _ in range(count):
        data = rng.choice(KINDS) or os.urandom(rng.randrange(200))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            try:
                sock.sendall(data)
            except ConnectionError:
                pass
    return count


def unreaped(parent):
    """How many of its processes, and theirs, have ended and are there still."""
    count = 0
    for pid in labkit.family(parent):
        with contextlib.suppress(OSError):
            count += labkit.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] == "Z"
    return count


def test_garbage(own):
    client, parent = Client(own, "deploy"), own.state["pids"]["bastiond"][0]
    with concurrent.futures.ThreadPoolExecutor(THROWERS) as pool:
        thrown = [pool.submit(throw, own.port("bastiond"), COUNT // THROWERS, seed) for seed in range(THROWERS)]
        served, start = 0, time.monotonic()
        while not all(one.done() for one in thrown):
            assert client.run("web1.name", "echo in").stdout == b"in\n", f"the login number {served + 1} beside them"
            served += 1
            assert unreaped(parent) < 200, "whoever comes, what has ended is seen"
            time.sleep(1)
        # on a machine that is done with all of it in a few seconds, so many logins
        assert sum(one.result() for one in thrown) == COUNT and served >= min(5, (time.monotonic() - start) / 2)
    until(lambda: client.run("web1.name", "echo in").stdout == b"in\n", deadline=20)
    # what came from nobody leaves no process behind
    until(lambda: len(labkit.family(parent)) < 15, deadline=15, what="the sessions of the garbage are gone")


@pytest.mark.patient
def test_slow_clients(own):
    """100 connections that send one byte a second are closed at the end of login_grace; others log in meanwhile."""
    socks = [socket.create_connection(("127.0.0.1", own.port("bastiond"))) for _ in range(100)]
    start, text, closed = time.monotonic(), b"SSH-2.0-slow" + b"w" * 60, 0
    client = Client(own, "deploy")
    at = 0
    while socks and time.monotonic() - start < 15:
        tick = time.monotonic() + 1
        for sock in list(socks):
            try:
                sock.sendall(text[at % len(text):at % len(text) + 1])
            except ConnectionError:
                socks.remove(sock)
                closed += 1
        if at == 2:
            assert client.run("web1.name", "echo in").stdout == b"in\n"
        at += 1
        while socks and (left := tick - time.monotonic()) > 0:
            for sock in select.select(socks, [], [], left)[0]:
                try:
                    gone = not sock.recv(4096)
                except ConnectionError:
                    gone = True
                if gone:
                    sock.close()
                    socks.remove(sock)
                    closed += 1
    assert not socks and closed == 100, f"{len(socks)} still open"
    assert 4 < time.monotonic() - start < 12


@pytest.mark.patient
def test_idle_after_key_exchange(own):
    transport = paramiko.Transport(("127.0.0.1", own.port("bastiond")))
    transport.start_client(timeout=10)
    start = time.monotonic()
    until(lambda: not transport.is_active(), deadline=10)
    assert time.monotonic() - start < 8
