"""What a stream does to its neighbours: two streams and a slow reader, an end of file long before the end, sizes that change meanwhile,
descriptors of ways that are over, a close that finds the socket full."""
import json
import os
import socket
import threading
import time

import paramiko
import pytest

from harness import labkit, recording_of, replay, sessions, until

BLOCKS = 20_000
TWO_STREAMS = ("perl -e '$|=1; select STDERR; $|=1; for (1..%d) { print STDOUT \"x\" x 1000; print STDERR \"e\\n\" }'" % BLOCKS)


def test_two_streams_and_a_slow_reader(deploy, target):
    """libssh reopens the window for any packet of the smaller stream: nothing of the greater one may be lost or cut off by that."""
    with deploy.start(target, TWO_STREAMS) as process:
        errors = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
        reader.start()
        process.stdin.close()
        time.sleep(2)   # that is how this client is: it reads nothing, while the target has 20 MB to say
        total = 0
        while block := process.stdout.read(1 << 16):
            total += len(block)
        reader.join()
        assert process.wait(20) == 0, errors
    assert total == 1000 * BLOCKS and errors[0] == b"e\n" * BLOCKS


@pytest.mark.parametrize("options", [(), ("-n",)], ids=["stdin", "-n"])
def test_an_end_from_outside_behind_the_eof(lab, engineer, target, options):
    """`make >log 2>&1`: the target's eof comes at once, its exit status much later, and the grant ends in between."""
    user = engineer()
    with user.start(target, "exec sleep 1000 >/dev/null 2>&1", options=options) as process:
        path = recording_of(lab, user.user, closed=False)

        def at_end():
            lines = replay(lab, "export", "--json", path, check=False).stdout.splitlines()
            return any((row["kind"], row.get("data")) == ("eof", "out") for row in map(json.loads, lines))
        until(at_end, deadline=20, pause=0.3, what="the target's end of file in the recording")
        assert process.poll() is None
        lab.ctl("revoke", user.grant, "--reason", "over", uid=lab.state["users"]["bob"])
        assert process.wait(10 * labkit.SLOW) == 255


def connected(lab, user="deploy"):
    transport = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    transport.start_client(timeout=15)
    transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
    return transport


def test_ways_that_are_over_keep_no_descriptor(new_lab):
    """One connection, hop after hop, as a kept master has them."""
    lab = new_lab()
    outer = connected(lab)

    def hop():
        inner = paramiko.Transport(outer.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1)))
        inner.start_client(timeout=15)
        inner.auth_none("dba")
        channel = inner.open_session()
        channel.exec_command("echo in")
        assert channel.makefile().read() == b"in\n" and channel.recv_exit_status() == 0
        inner.close()
    hop()
    pid, = sessions(lab)
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(12):
        hop()
    until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 1, what=f"no more than {before} descriptors")
    outer.close()


def test_a_size_that_changes_while_the_target_is_asked(lab):
    """ssh sends window-change whenever it likes: the last one counts, in which step of the opening it comes."""
    transport = connected(lab, "deploy@dba@web1")
    for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.05):
        channel = transport.open_session()
        channel.get_pty(term="xterm", width=80, height=24)
        ask = paramiko.Message()
        ask.add_byte(b"\x62")   # SSH_MSG_CHANNEL_REQUEST
        ask.add_int(channel.remote_chanid)
        ask.add_string("exec")
        ask.add_boolean(False)
        ask.add_string("sleep 0.5; stty size")
        transport._send_user_message(ask)
        time.sleep(delay)
        channel.resize_pty(width=101, height=37)
        assert channel.makefile().read().strip() == b"37 101", delay
    transport.close()


def test_a_close_that_finds_the_socket_full(new_lab):
    """The client closes a channel that pours while it reads nothing: when it reads on, the bastion's close comes, too (RFC 4254 5.3)."""
    lab = new_lab()
    transport = connected(lab, "deploy@dba@web1")
    transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    channel = transport.open_session(window_size=1 << 30)
    channel.exec_command("cat /dev/zero")
    got = channel.recv(1)
    assert got == b"\0"
    gate = threading.Event()
    gate.set()
    read = transport.packetizer.read_message

    def slowly():
        gate.wait()
        return read()
    transport.packetizer.read_message = slowly
    gate.clear()
    time.sleep(1)   # the socket fills
    close = paramiko.Message()
    close.add_byte(b"\x61")     # SSH_MSG_CHANNEL_CLOSE
    close.add_int(channel.remote_chanid)
    transport._send_user_message(close)
    time.sleep(0.5)
    gate.set()
    deadline = time.monotonic() + 20 * labkit.SLOW
    while not channel.closed and time.monotonic() < deadline:
        channel.recv(1 << 20)
    assert channel.closed, "no CHANNEL_CLOSE came"
    second = transport.open_session(timeout=10)
    second.exec_command("echo in")
    assert second.makefile().read() == b"in\n"
    transport.close()
