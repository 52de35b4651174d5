"""A target that writes to both streams, and a client that takes its time: every byte of either, in bounded memory."""
import os
import socket
import threading
import time

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_EXTENDED_DATA, cMSG_CHANNEL_WINDOW_ADJUST
from paramiko.message import Message

from harness import MEMORY_MAX, labkit, memory, recording_of, replay, sessions, until
from rogue import Rogue, Server, delivered

BLOCK, BLOCKS = 4000, 5000      # on standard output, with a line on standard error behind each
POUR = f"""import os
for i in range({BLOCKS}):
    left = memoryview(bytes({BLOCK}))
    while left:
        left = left[os.write(1, left):]
    os.write(2, b"x\\n")
    if i % 50 == 0:
        open("{{mark}}", "w").write(str(i))
open("{{mark}}", "w").write("all")
"""


@pytest.mark.parametrize("reads", ["late", "at once"])
def test_every_byte_of_both(lab, deploy, target, home, reads):
    """Lines on standard error make libssh reopen the window, whatever of standard output is not read yet: the target must wait all the same."""
    before, mark = sessions(lab), f"{home}/mark"
    with open(f"{home}/pour.py", "w", encoding="ascii") as f:
        f.write(POUR.replace("{mark}", mark))
    with deploy.start(target, f"python3 {home}/pour.py") as process:
        pid, = until(lambda: sessions(lab) - before, what="the session")
        if reads == "late":
            stands(mark)
            used = cpu(pid)
            time.sleep(1)
            assert cpu(pid) - used < 0.5, "it turns in place while it waits for the client"
            assert memory(pid, "VmHWM") < MEMORY_MAX
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err[-500:]
    assert len(out) == BLOCK * BLOCKS and out.count(b"\0") == len(out)
    assert err == b"x\n" * BLOCKS
    replay(lab, "verify", recording_of(lab, "deploy"))


BYTES = 185_000     # each in a packet of its own: far within a window, and with what each costs beside it more than a hold


def moves(event, count):
    """Waits for the event for as long as count() goes up: these tests send and take a packet a byte, and that is their own time."""
    now = count()
    while not event.wait(20 * labkit.SLOW):
        before, now = now, count()
        assert now > before, f"nothing moves after {before}"


def one_by_one(lab, both, sent, count):
    """A target that sends single bytes, on both streams in turn or on one."""
    def behave(sock):
        server = Server(lab, sock)
        channel = server.channel()
        it = channel.remote_chanid.to_bytes(4, "big")
        pieces = [cMSG_CHANNEL_DATA + it + b"\0\0\0\1x", cMSG_CHANNEL_EXTENDED_DATA + it + b"\0\0\0\1\0\0\0\1y"]
        out, write = bytearray(), server.packetizer.write_all

        def together(data):
            """Nobody needs to wake up for each of them: on two streams in turn none joins the one before."""
            out.extend(data)
            if len(out) >= 1 << 16 or count[0] == BYTES - 1:
                write(bytes(out))
                out.clear()
        if both:
            server.packetizer.write_all = together
        for i in range(BYTES):
            count[0] = i
            server.packetizer.send_message(Message(pieces[i % 2 if both else 0]))
        server.packetizer.write_all = write
        delivered(sock)
        sent.set()
        channel.send_exit_status(5)
        channel.close()
        server.join()
    return behave


@pytest.mark.parametrize("both", [True, False], ids=["two streams", "a terminal"])
def test_bytes_that_come_one_by_one(lab, both):
    """A client that stands makes its target wait, and not the way end, however small the packets are that wait."""
    sent, count, before = threading.Event(), [0], sessions(lab)
    rogue = Rogue(lab, one_by_one(lab, both, sent, count))
    try:
        with socket.create_connection(("127.0.0.1", lab.port("bastiond"))) as sock, paramiko.Transport(sock) as transport:
            transport.start_client(timeout=15)
            transport.auth_publickey(f"deploy@dba@{rogue.name}", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
            transport._sanitize_window_size = lambda size: size
            channel = transport.open_session(window_size=1000)
            channel.settimeout(30)
            if not both:
                channel.get_pty()
            channel.exec_command("anything")
            moves(sent, lambda: count[0])
            pid, = sessions(lab) - before
            time.sleep(1)
            assert memory(pid, "VmHWM") < MEMORY_MAX
            transport._send_message(Message(cMSG_CHANNEL_WINDOW_ADJUST + channel.remote_chanid.to_bytes(4, "big") + (1 << 20).to_bytes(4, "big")))
            moves(channel.status_event, lambda: len(channel.in_buffer) + len(channel.in_stderr_buffer))
            out, err = channel.recv(BYTES), channel.recv_stderr(BYTES)
            assert (len(out), len(err)) == ((BYTES // 2, BYTES // 2) if both else (BYTES, 0))
            assert channel.exit_status == 5
    finally:
        rogue.close()


def cpu(pid):
    """Seconds that the process used."""
    words = labkit.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def stands(mark):
    """Waits until the target gets rid of nothing any more, long before it is done."""
    seen = [""]

    def same():
        seen.append(open(mark, encoding="ascii").read() if os.path.exists(mark) else "")
        return len(seen) > 15 and seen[-1] != "" and len(set(seen[-15:])) == 1
    until(same, deadline=30, pause=0.1, what="the target waits")
    assert seen[-1] != "all", "what the windows of client, bastion and target take is less than all"
