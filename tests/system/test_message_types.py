"""Every SSH message type in every state before authentication: nothing opens, and the bastion goes on."""
import contextlib
import os
import socket
import struct

import paramiko
import pytest
from paramiko.message import Message

from harness import labkit, until

UNIMPLEMENTED, USERAUTH_SUCCESS, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION = 3, 52, 90, 91
PROMPT = 60     # USERAUTH_PK_OK, USERAUTH_INFO_REQUEST
UNASSIGNED = 200        # is answered by UNIMPLEMENTED in every state
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
        if kind == 21:      # what follows is encrypted
            return
        at += 4 + length


def names(*lists):
    return b"".join(struct.pack(">I", len(text)) + text for text in lists)


KEXINIT = plain_packet(20, bytes(16) + names(b"curve25519-sha256", b"ssh-ed25519", b"aes128-gcm@openssh.com", b"aes128-gcm@openssh.com", b"hmac-sha2-256",
                                             b"hmac-sha2-256", b"none", b"none", b"", b"") + bytes(5))
ECDH_INIT = plain_packet(30, struct.pack(">I", 32) + b"\x09" + bytes(31))
VERSION = b"SSH-2.0-OpenSSH_9.2\r\n"
CLEAR = {"before version": b"", "before kexinit": VERSION, "before the exchange": VERSION + KEXINIT, "before newkeys": VERSION + KEXINIT + ECDH_INIT}


@pytest.mark.parametrize("state", CLEAR)
def test_in_the_clear(lab, state):
    for kind in range(256):
        with socket.create_connection(("127.0.0.1", lab.port("bastiond"))) as sock:
            try:
                sock.sendall(CLEAR[state] + plain_packet(kind, os.urandom(kind % 40)))
                sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                continue
            seen = set(packets(read_for(sock, 5)))
            assert not seen & FORBIDDEN, (kind, seen)


class Raw(paramiko.Transport):
    """Paramiko up to a state; then any message, and a record of the types that come back."""

    def __init__(self, sock):
        super().__init__(sock)
        self.types = set()
        self.unimplemented = set()      # numbers of such packets
        read = self.packetizer.read_message

        def watch():
            while True:
                kind, message = read()
                self.types.add(kind)
                if kind == UNIMPLEMENTED:
                    self.unimplemented.add(int.from_bytes(message.asbytes()[:4], "big"))
                    continue
                if kind != PROMPT:      # that one means two things, and paramiko was not asked for either
                    return kind, message
        self.packetizer.read_message = watch

    def poke(self, kind, body):
        message = Message()
        message.add_byte(bytes([kind]))
        message.add_bytes(body)
        self._send_message(message)

    def took(self, kind, body):
        """The peer has read it, and all before it. False: it ended the connection."""
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            self.poke(kind, body)
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException), self.packetizer._Packetizer__write_lock:
            number = self.packetizer._Packetizer__sequence_number_out
            self.poke(UNASSIGNED, b"")
        until(lambda: number in self.unimplemented or not self.is_active(), deadline=20, what=f"an answer behind {kind}")
        return self.is_active()

    def over(self):
        """All that the peer has to say to what was sent is said: it knows the end of the connection. Nothing of it opened anything."""
        with contextlib.suppress(OSError, EOFError):
            if hasattr(self.sock, "shutdown_write"):
                self.sock.shutdown_write()
            else:
                self.sock.shutdown(socket.SHUT_WR)
        self.join(20 * labkit.SLOW)
        ended = not self.is_alive()
        self.close()
        assert ended, "the bastion did not end the connection"
        assert not self.types & FORBIDDEN, self.types


def key_of(lab, user):
    return paramiko.Ed25519Key.from_private_key_file(lab.path("users", user, "key"))


def offered(lab, raw):
    with contextlib.suppress(paramiko.SSHException):
        raw.auth_publickey("alice", key_of(lab, "alice"))


def probed(lab, raw):
    key = key_of(lab, "alice")
    raw.poke(5, names(b"ssh-userauth"))
    raw.poke(50, names(b"alice", b"ssh-connection", b"publickey") + b"\0" + names(b"ssh-ed25519", key.asbytes()))
    until(lambda: PROMPT in raw.types, what="the key would do")


def asked(lab, raw):
    offered(lab, raw)
    raw.poke(50, names(b"alice", b"ssh-connection", b"keyboard-interactive", b"", b""))
    until(lambda: PROMPT in raw.types, what="a code is asked for")


def refused(lab, raw):
    with contextlib.suppress(paramiko.SSHException):
        raw.auth_none("alice")


def nothing(lab, raw):
    pass


STATES = {"after key exchange": nothing, "refused": refused, "key probed": probed, "key offered": offered, "code asked": asked}


@pytest.fixture
def connect(lab):
    """connect(state): a connection that is in it. "inside": to the second server, in a channel to a host."""
    made = []

    def make(state):
        if state == "inside":
            outer = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
            made.append(outer)
            outer.start_client(timeout=10)
            outer.auth_publickey("deploy", key_of(lab, "deploy"))
            raw = Raw(outer.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1), timeout=10))
        else:
            raw = Raw(socket.create_connection(("127.0.0.1", lab.port("bastiond"))))
        made.append(raw)
        raw.start_client(timeout=20)
        STATES.get(state, nothing)(lab, raw)
        assert not raw.is_authenticated()
        return raw
    yield make
    for it in reversed(made):
        it.close()


SKIP = {20, 30, 31, 21}      # a key exchange of its own: paramiko would take part; test_in_the_clear has them


@pytest.mark.parametrize("state", [*STATES, "inside"])
def test_encrypted(connect, state):
    """Each by a connection that is in that state still: no other one ended it."""
    raw, ended = connect(state), set()
    for kind in [k for k in range(256) if k not in SKIP]:
        # an empty one, too, of those that may come
        for body in (struct.pack(">II", 0, 7) + b"session" + bytes(12), b""):
            if raw.took(kind, body):
                continue
            ended.add(kind)
            raw.over()
            raw = connect(state)
            break
    raw.over()
    assert CHANNEL_OPEN in ended and UNASSIGNED not in ended, ended


def test_still_there(deploy):
    assert deploy.run("bastion", "hosts", check=True).returncode == 0
