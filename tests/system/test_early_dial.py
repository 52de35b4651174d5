"""`ssh -J` names the host before the login: a user with a grant there is awaited with a connected socket, nobody else is, and no byte goes into it."""
import itertools
import os
import select
import socket
import threading
import time

import paramiko
import pytest

from harness import events, labkit, until

pytestmark = [pytest.mark.alone, pytest.mark.calm]

WAIT = 10   # seconds that an early socket is kept, EARLY_MS


class Target:
    """A registered host whose port the test itself serves, and the name of who goes there."""

    numbers = itertools.count(1)    # a port may be given twice

    def __init__(self, lab):
        self.listener = socket.create_server(("127.0.0.1", 0))
        number = f"{os.getpid()}x{next(Target.numbers)}"
        self.host, self.user = f"web-early{number}", f"early{number}"
        key = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
        lab.ask("host add", host=self.host, address="127.0.0.1", port=self.listener.getsockname()[1], key=[key], login=["dba", "app"],
                label=["tier=early"])

    def comes(self, seconds):
        return bool(select.select([self.listener], [], [], seconds)[0])


@pytest.fixture
def target(lab):
    it = Target(lab)
    yield it
    it.listener.close()


@pytest.fixture
def service(lab, target):
    lab.make_user(target.user, service=True, role="dba")
    it = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    it.start_client(timeout=10)
    it.auth_publickey(target.user, paramiko.Ed25519Key.from_private_key_file(lab.path("users", target.user, "key")))
    yield it
    it.close()


def asks(session):
    try:
        session.exec_command("true")
    except paramiko.SSHException:
        pass


@pytest.mark.patient
def test_without_a_grant_nothing_is_dialled(target, service):
    channel = service.open_channel("direct-tcpip", (target.host, 22), ("127.0.0.1", 1), timeout=10)
    assert channel.recv(4) == b"SSH-"
    assert not target.comes(1), "the host is reached before anybody approved"


@pytest.mark.patient
def test_with_a_grant_the_socket_waits_and_says_nothing(lab, target, service):
    lab.grant(target.user, target.host, "dba")
    channel = service.open_channel("direct-tcpip", (target.host, 22), ("127.0.0.1", 1), timeout=10)
    assert channel.recv(4) == b"SSH-"
    assert target.comes(20), "dialled before the login is named"
    early = target.listener.accept()[0]
    assert not select.select([early], [], [], 0.5)[0], "not a byte before the decision on the login"
    # nobody names a login: it is given up
    until(lambda: select.select([early], [], [], 0)[0], WAIT + 3, what="the early socket closed")
    assert early.recv(1) == b""


def test_another_login_does_not_get_it(lab, target, service):
    lab.grant(target.user, target.host, "dba")
    channel = service.open_channel("direct-tcpip", (target.host, 22), ("127.0.0.1", 1), timeout=10)
    inner = paramiko.Transport(channel)
    inner.start_client(timeout=10)
    assert target.comes(20)
    early = target.listener.accept()[0]
    inner.auth_none("app")
    session = inner.open_session(timeout=10)
    try:
        session.exec_command("true")
        assert session.recv_exit_status() != 0
    except paramiko.SSHException:
        pass
    assert any(e["subject"] == target.host for e in events(lab, "way.refused", user=target.user))
    assert not select.select([early], [], [], 0.2)[0] or early.recv(100) == b"", "the refused login spoke to the target"


def test_the_granted_login_goes_through_it(lab, target, service):
    lab.grant(target.user, target.host, "dba")
    inner = paramiko.Transport(service.open_channel("direct-tcpip", (target.host, 22), ("127.0.0.1", 1), timeout=10))
    inner.start_client(timeout=10)
    assert target.comes(20)
    early = target.listener.accept()[0]
    inner.auth_none("dba")
    session = inner.open_session(timeout=10)
    # it is answered when the host has spoken, which this one never does
    asking = threading.Thread(target=asks, args=(session,))
    asking.start()
    early.settimeout(20)
    assert early.recv(4) == b"SSH-", "the socket that was there is used"
    assert not target.comes(0.3), "and no second one"
    early.close()
    asking.join(20)
    assert not asking.is_alive() and not target.comes(0.3), "nor one after it"


def test_a_revoked_grant_closes_it(lab, target, service):
    number = lab.grant(target.user, target.host, "dba")
    channel = service.open_channel("direct-tcpip", (target.host, 22), ("127.0.0.1", 1), timeout=10)
    assert channel.recv(4) == b"SSH-" and target.comes(20)
    early = target.listener.accept()[0]
    start = time.monotonic()
    lab.ctl("revoke", number, "--reason", "test")
    until(lambda: select.select([early], [], [], 0)[0], 5, what="the early socket closed")
    assert early.recv(1) == b"" and time.monotonic() - start < 1
