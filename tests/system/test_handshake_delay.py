"""No step of a handshake waits for a delayed acknowledgement: a client that leaves Nagle's algorithm on is not held up."""
import os
import socket
import struct
import time
import pytest


pytestmark = pytest.mark.alone

DELAYED_ACK = 0.040     # of Linux, at least
TRIES = 12              # one of them is not disturbed by whatever else the machine does


def unacked(client):
    """tcpi_unacked of struct tcp_info, linux/tcp.h."""
    return struct.unpack_from("I", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def kexinit():
    names = [b"curve25519-sha256", b"ssh-ed25519", b"aes128-gcm@openssh.com", b"aes128-gcm@openssh.com", b"hmac-sha2-256", b"hmac-sha2-256",
             b"none", b"none", b"", b""]
    payload = b"\x14" + os.urandom(16) + b"".join(struct.pack(">I", len(n)) + n for n in names) + b"\0" * 5
    pad = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + pad + 1, pad) + payload + b"\0" * pad


def acknowledged_after(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        while b"curve25519-sha256" not in client.recv(4096):
            pass
        client.sendall(kexinit())   # nothing of the server's is due: its acknowledgement travels alone
        start = time.monotonic()
        while unacked(client):
            assert time.monotonic() < start + 1
        return time.monotonic() - start


def test_key_exchange_is_acknowledged_at_once(lab):
    times = sorted(acknowledged_after(lab.port("bastiond")) for _ in range(TRIES))
    assert times[0] < DELAYED_ACK / 2 and times[TRIES // 2] < DELAYED_ACK, times
