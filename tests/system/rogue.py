"""Targets that do what they like: an SSH server of the test's own behind a registered host, at a port that the test serves."""
import contextlib
import fcntl
import hmac
import itertools
import socket
import struct
import termios
import threading

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import AUTH_SUCCESSFUL
from paramiko.message import Message

from harness import labkit, until

# the same in one call of OpenSSL: some tests send and take packets by the hundred thousand
paramiko.packet.compute_hmac = hmac.digest


class LetsIn(AuthHandler):
    """Whoever comes is let in; paramiko's own server knows no certificates."""

    def _parse_userauth_request(self, m):
        self.auth_username = m.get_text()
        self._send_auth_result(self.auth_username, "publickey", AUTH_SUCCESSFUL)

    _server_handler_table = {**AuthHandler._server_handler_table, 50: _parse_userauth_request}


class Accepts(paramiko.ServerInterface):
    """Every channel and every request is fine."""

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        channel.started.set()
        return True

    def check_channel_shell_request(self, channel):
        channel.started.set()
        return True

    def check_channel_pty_request(self, channel, *_):
        return True


class Server(paramiko.Transport):
    """An SSH server on one accepted socket. channel() is the next session whose command was started."""
    logins = LetsIn

    def __init__(self, lab, sock, server=None):
        super().__init__(sock)
        self.lab = lab
        self.add_server_key(paramiko.Ed25519Key.from_private_key_file(lab.path("target", "ssh_host_ed25519_key")))
        self.start_server(event=threading.Event(), server=server or Accepts())

    _handler_table = {**paramiko.Transport._handler_table, 5: lambda self, m: self.service(m)}

    def service(self, m):
        answer = Message()
        answer.add_byte(bytes([6]))
        answer.add_string(m.get_string())
        self.auth_handler = self.logins(self)
        self._send_message(answer)

    def send(self, kind, *parts):
        m = Message()
        m.add_byte(bytes([kind]))
        for part in parts:
            (m.add_boolean if isinstance(part, bool) else m.add_int if isinstance(part, int) else m.add_string)(part)
        self._send_message(m)

    def _queue_incoming_channel(self, channel):
        channel.started = threading.Event()
        super()._queue_incoming_channel(channel)

    def channel(self):
        channel = self.accept(20)
        assert channel is not None and channel.started.wait(20)
        return channel


def delivered(sock):
    """Waits until the peer's kernel has everything that was sent."""
    until(lambda: struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0] == 0, deadline=20, what="sent bytes are acknowledged")


class Rogue:
    """A registered host whose connections are given, one by one, to behave(socket), each in a thread."""

    numbers = itertools.count(1)

    def __init__(self, lab, behave):
        self.lab, self.behave = lab, behave
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.name = f"web-rogue{next(Rogue.numbers)}"    # a port may be given twice
        self.socks = []
        key = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
        lab.ask("host add", host=self.name, address="127.0.0.1", port=self.listener.getsockname()[1], key=[key], login=["dba"], label=["tier=rogue"])
        lab.grant("deploy", self.name, "dba")
        self.server = threading.Thread(target=self.serve, daemon=True)
        self.server.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                self.socks.append(self.listener.accept()[0])
                threading.Thread(target=self.run, args=(self.socks[-1],), daemon=True).start()

    def run(self, sock):
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.behave(sock)

    def to(self, way):
        """Host and options for Client.start and run."""
        if way == "jump":
            return self.name, ("-J", "bastion", "-l", "dba")
        return "bastion", ("-o", f"User=deploy@dba@{self.name}")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)    # close() alone leaves a thread in accept()
        self.server.join()
        self.listener.close()
        for sock in self.socks:
            sock.close()
