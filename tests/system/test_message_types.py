"""Every SSH message type in every state before authentication: nothing opens, and the bastion goes on."""
import os
import socket
import struct

import paramiko
import pytest
from paramiko.message import Message

USERAUTH_SUCCESS, CHANNEL_OPEN_CONFIRMATION = 52, 91
FORBIDDEN = {USERAUTH_SUCCESS, CHANNEL_OPEN_CONFIRMATION, 99, 81}


def read_for(sock, seconds):
    """Everything the peer sends until it closes or is silent for so long."""
    sock.settimeout(seconds)
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except (socket.timeout, ConnectionError):
        pass
    return data


def plain_packet(kind, body):
    payload = bytes([kind]) + body
    pad = 8 - (len(payload) + 5) % 8
    pad += 8 if pad < 4 else 0
    return struct.pack(">IB", len(payload) + pad + 1, pad) + payload + bytes(pad)


def packets(data):
    """Types of the plain packets after the version line."""
    at = data.find(b"\n") + 1
    while at + 6 <= len(data):
        length, _, kind = struct.unpack_from(">IBB", data, at)
        yield kind
        at += 4 + length


@pytest.mark.parametrize("state", ["before version", "before kexinit"])
def test_in_the_clear(lab, state):
    for kind in range(256):
        with socket.create_connection(("127.0.0.1", lab.port("bastiond"))) as sock:
            try:
                if state != "before version":
                    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                sock.sendall(plain_packet(kind, os.urandom(kind % 40)))
                sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                continue
            seen = set(packets(read_for(sock, 5)))
            assert not seen & FORBIDDEN, (kind, seen)


class Raw(paramiko.Transport):
    """Paramiko up to a state; then any message, and a record of the types that come back."""

    def __init__(self, port):
        super().__init__(socket.create_connection(("127.0.0.1", port)))
        self.types = set()
        read = self.packetizer.read_message

        def watch():
            kind, message = read()
            self.types.add(kind)
            return kind, message
        self.packetizer.read_message = watch

    def poke(self, kind, body):
        message = Message()
        message.add_byte(bytes([kind]))
        message.add_bytes(body)
        self._send_message(message)


def to_state(lab, state):
    raw = Raw(lab.port("bastiond"))
    raw.start_client(timeout=10)
    if state == "key offered":
        key = paramiko.Ed25519Key.from_private_key_file(lab.path("users", "alice", "key"))
        try:
            raw.auth_publickey("alice", key)
        except paramiko.SSHException:
            pass
    elif state == "refused":
        try:
            raw.auth_none("alice")
        except paramiko.SSHException:
            pass
    assert not raw.is_authenticated()
    return raw


SKIP = {20, 30, 31, 21}      # a key exchange of its own: paramiko would take part


@pytest.mark.parametrize("state", ["after key exchange", "refused", "key offered"])
def test_encrypted(lab, state):
    raw = None
    for kind in [k for k in range(256) if k not in SKIP]:
        for body in (b"", struct.pack(">II", 0, 7) + b"session" + bytes(12)):
            if raw is None or not raw.is_active():
                if raw:
                    raw.close()
                raw = to_state(lab, state)
            try:
                raw.poke(kind, body)
            except (EOFError, OSError, paramiko.SSHException):
                pass
            assert not raw.types & FORBIDDEN, (kind, body, raw.types)
    raw.close()


def test_still_there(deploy):
    assert deploy.run("bastion", "hosts", check=True).returncode == 0
