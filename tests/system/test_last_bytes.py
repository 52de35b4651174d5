"""Who sends and hangs up at once is heard to the end: what a peer sent before it closed its socket arrives, and is recorded."""
import hashlib
import json
import os
import socket
import struct
import threading

import paramiko
import pytest
from paramiko.message import Message

from harness import complete, recordings, replay, until
from rogue import Rogue, Server, delivered

SIZE, REST = 5 << 20, 1200 << 10


@pytest.fixture
def rogue(lab):
    made = []

    def make(behave):
        made.append(Rogue(lab, behave))
        return made[-1]
    yield make
    for each in made:
        each.close()


def recorded(lab, host):
    """Directory of the complete recording of this host's only session; None: not there yet."""
    rows = [row for row in lab.ask("sessions", all=True)["rows"] if row.get("host") == host and row.get("recording")]
    found = [path for path in recordings(lab, "deploy") if rows and path.endswith(rows[0]["recording"])]
    return found[0] if found and complete(lab, found[0]) else None


def digests(lab, path):
    """{"in"|"out": (bytes, sha256)} of the last channel that ended, as the auditor reads it."""
    found = {}
    for line in replay(lab, "export", "--json", path).stdout.splitlines():
        row = json.loads(line)
        if row.get("kind") == "digest" and row["data"]["final"]:
            found[row["data"]["dir"]] = (row["data"]["bytes"], row["data"]["sha256"])
    return found


def talks_and_leaves(lab, data, left, how):
    """The behaviour of a target that sends `data` to the first channel and closes its socket, without a word of SSH but, perhaps,
    a disconnect."""
    def behave(sock):
        it = Server(lab, sock)
        it.channel().sendall(data)
        # what is not read of what came (a window) would make a close a reset, which takes what is not sent yet with it
        delivered(sock)
        if how == "disconnect":
            it.send(1, 11, "bye", "")
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left.set()
        sock.close()
    return behave


def heard(deploy, rogue, way, left):
    """What the client printed. It reads up to where the rest fits into windows and buffers, and on when the target has left."""
    host, options = rogue.to(way)
    with deploy.start(host, "anything", options=options) as process:
        process.stdin.close()
        got = process.stdout.read(SIZE - REST)
        assert left.wait(20)
        got += process.stdout.read()
    return got


@pytest.mark.parametrize("how", ["fin", "reset", "disconnect"])
def test_target_that_sends_and_hangs_up(lab, deploy, rogue, way, how):
    data, left = os.urandom(SIZE), threading.Event()
    it = rogue(talks_and_leaves(lab, data, left, how))
    got = heard(deploy, it, way, left)
    assert len(got) == SIZE and got == data
    recording = until(lambda: recorded(lab, it.name), what="the recording is complete")
    assert digests(lab, recording)["out"] == (SIZE, hashlib.sha256(data).hexdigest())


@pytest.mark.alone
@pytest.mark.parametrize("how", ["fin", "disconnect"])
def test_target_that_hangs_up_under_load(lab, deploy, rogue, way, busy, how):
    data, left = os.urandom(SIZE), threading.Event()
    got = heard(deploy, rogue(talks_and_leaves(lab, data, left, how)), way, left)
    assert len(got) == SIZE and got == data


def leaves_behind(lab, rogue, data, farewell):
    """A client that sends `data` to a host, says no more than `farewell` does, and closes: what the host got, and the recording."""
    got = []

    def behave(sock):
        channel = Server(lab, sock).channel()
        while piece := channel.recv(65536):
            got.append(piece)
        got.append(None)
    it = rogue(behave)
    client = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    client.start_client(timeout=10)
    client.auth_publickey(f"deploy@dba@{it.name}", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
    channel = client.open_session(timeout=10)
    channel.exec_command("anything")
    channel.sendall(data)
    farewell(client, channel)
    client.sock.close()
    recording = until(lambda: recorded(lab, it.name), deadline=20, what="the recording is complete")
    until(lambda: got and got[-1] is None, deadline=20, what="the host's end")
    return b"".join(got[:-1]), recording


def says_disconnect(client, channel):
    m = Message()
    m.add_byte(b"\x01")
    m.add_int(11)
    m.add_string("bye")
    m.add_string("")
    client._send_message(m)


FAREWELLS = {"eof": lambda client, channel: channel.shutdown_write(), "nothing": lambda client, channel: None, "disconnect": says_disconnect}


@pytest.mark.parametrize("load", ["quiet", pytest.param("busy", marks=pytest.mark.alone)])
@pytest.mark.parametrize("farewell", FAREWELLS)
def test_client_that_sends_and_hangs_up(lab, rogue, request, farewell, load):
    """Everything that was sent is recorded, and the target got it."""
    if load == "busy":
        request.getfixturevalue("busy")
    data = os.urandom(SIZE)
    arrived, recording = leaves_behind(lab, rogue, data, FAREWELLS[farewell])
    assert digests(lab, recording)["in"] == (SIZE, hashlib.sha256(data).hexdigest())
    assert len(arrived) == SIZE and arrived == data
