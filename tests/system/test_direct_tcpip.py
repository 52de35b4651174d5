"""direct-tcpip to addresses, to what is not registered and to ports over 65535 is refused: the client never chooses an address."""
import paramiko
import pytest

from harness import events

PLACES = [("127.0.0.1", 22), ("169.254.169.254", 80), ("::1", 22), ("localhost", 22), ("0", 22), ("", 22), ("web1 ", 22), ("WEB1\x00", 22),
          ("web1", 65558), ("web1", 0), ("web1", 22 + (1 << 16)), ("web1", 0xffffffff), ("w" * 10_000, 22), ("../web1", 22), ("web1;id", 22)]


@pytest.fixture
def transport(lab):
    it = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    it.start_client(timeout=10)
    it.auth_publickey("deploy", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
    assert it.is_authenticated()
    yield it
    it.close()


@pytest.mark.parametrize("host,port", PLACES, ids=lambda v: ascii(v)[:24])
def test_refused(transport, host, port):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 1), timeout=10)
    assert transport.is_active(), "the connection itself goes on"


def test_registered_name_is_taken(transport):
    channel = transport.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1), timeout=10)
    assert channel.recv(4) == b"SSH-"


def test_event(lab, transport):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", ("169.254.169.254", 80), ("127.0.0.1", 1), timeout=10)
    assert "169.254.169.254" in str(events(lab, "forward.refused")[-1])


@pytest.mark.parametrize("kind", ["forwarded-tcpip", "x11", "auth-agent@openssh.com", "direct-streamlocal@openssh.com", "tun@openssh.com", "nonsense"])
def test_other_channel_types(transport, kind):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel(kind, ("web1", 22), ("127.0.0.1", 1), timeout=10)
    assert transport.is_active()


def test_many_channels_meet_a_limit(transport):
    opened = 0
    with pytest.raises(paramiko.ChannelException):
        for _ in range(1100):
            transport.open_session(timeout=10)
            opened += 1
    assert opened <= 1000 and transport.is_active()
