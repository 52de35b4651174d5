"""direct-tcpip to addresses, to what is not registered and to ports over 65535 is refused: the client never chooses an address."""
import paramiko
import pytest

from harness import events, until

PLACES = [("127.0.0.1", 22), ("169.254.169.254", 80), ("::1", 22), ("0", 22), ("", 22), ("web1 ", 22), ("web1", 0), ("web1", 0xffffffff),
          ("w" * 10_000, 22), ("../web1", 22), ("web1;id", 22), ("fe80::1%lo", 22), ("2130706433", 22)]
# names that could be a host's: policy looks them up before the channel is accepted
NAMES = [("localhost", 22), ("nosuch\x00", 22), ("nosuch", 22)]


@pytest.fixture
def transport(lab):
    it = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    it.start_client(timeout=10)
    it.auth_publickey("deploy", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
    assert it.is_authenticated()
    yield it
    it.close()


def hop(transport):
    return transport.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1), timeout=10)


@pytest.mark.parametrize("host,port", PLACES, ids=lambda v: ascii(v)[:24])
def test_refused(transport, host, port):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 1), timeout=10)
    assert transport.is_active(), "the connection itself goes on"


def inside(transport, host, port):
    """What a command prints that goes through the forward, or the refusal's bytes."""
    inner = paramiko.Transport(transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 1), timeout=10))
    try:
        inner.start_client(timeout=10)
        inner.auth_none("dba")
        session = inner.open_session(timeout=10)
        session.exec_command("echo $SSH_CONNECTION")
        return session.makefile().read().decode()
    finally:
        inner.close()


@pytest.mark.parametrize("host,port", NAMES, ids=lambda v: ascii(v)[:24])
def test_unregistered_names_lead_nowhere(transport, host, port):
    try:
        assert inside(transport, host, port) == ""
    except (paramiko.SSHException, EOFError):
        pass    # refused
    assert transport.is_active(), "the connection itself goes on"


def test_a_port_over_65535_leads_nowhere_else(lab, transport):
    """Cut to 16 bits 65558 is 22: whatever is made of it, the registered address is dialled or nothing."""
    try:
        assert inside(transport, "web1", 65558).split()[2:] == ["127.0.0.1", str(lab.port("target"))]
    except (paramiko.SSHException, EOFError):
        pass


def test_registered_name_is_taken(transport):
    assert hop(transport).recv(4) == b"SSH-"


def test_a_connection_for_nothing_else_ends_with_the_reason(deploy):
    """All that ssh -J asks for was refused: its user reads why in the disconnect."""
    for options in (("-p", "2222"), ("-o", "HostName=10.0.0.1")):
        done = deploy.run("web1.jump", "true", options=("-o", "LogLevel=INFO", *options))
        assert done.returncode == 255 and b"by its name here, no address, and by port 22" in done.stderr, done.stderr
        assert b"ssh deploy@127.0.0.1 hosts" in done.stderr


def test_a_host_that_is_none(deploy):
    done = deploy.run("web1.jump", "true", options=("-o", "LogLevel=INFO", "-o", "HostName=nosuch"))
    assert done.returncode == 255 and b"nosuch" in done.stderr and b"ssh deploy@127.0.0.1 hosts" in done.stderr, done.stderr


def test_a_login_that_is_none(deploy):
    done = deploy.run("web1.jump", "true", options=("-o", "LogLevel=INFO", "-l", "CORP$admin"))
    assert done.returncode == 255 and b'"CORP$admin" is no login at a host: ssh -J deploy@127.0.0.1 LOGIN@web1' in done.stderr, done.stderr


def test_event(lab, transport):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", ("192.0.2.77", 80), ("127.0.0.1", 1), timeout=10)
    until(lambda: [row for row in events(lab, "forward.refused") if "192.0.2.77" in str(row)], what="the event")


@pytest.mark.parametrize("kind", ["forwarded-tcpip", "x11", "auth-agent@openssh.com", "direct-streamlocal@openssh.com", "tun@openssh.com", "nonsense"])
def test_other_channel_types(transport, kind):
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel(kind, ("web1", 22), ("127.0.0.1", 1), timeout=10)
    assert transport.is_active()


@pytest.mark.parametrize("kind,said", [("tun@openssh.com", b"forwarding of sockets and tunnels"), ("x11", b"X11 forwarding")])
def test_the_line_and_the_event(lab, transport, kind, said):
    """What a client asks for beside its session, here the console: the session says that it is refused."""
    session = transport.open_session(timeout=10)
    session.get_pty()
    session.invoke_shell()
    seen = session.recv(4096)
    last = events(lab)[-1]["id"]
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel(kind, ("web1", 22), ("127.0.0.1", 1), timeout=10)
    session.settimeout(20)
    session.set_combine_stderr(True)
    while said + b" is refused: no grant allows it" not in seen:
        piece = session.recv(4096)
        assert piece, seen
        seen += piece
    until(lambda: [row for row in events(lab, after=last) if row["kind"] == ("x11.refused" if kind == "x11" else "streamlocal.refused")], what="the event")


def test_many_channels_meet_a_limit(transport):
    opened = []     # a channel that nobody holds closes
    with pytest.raises(paramiko.ChannelException):
        for _ in range(200):
            opened.append(transport.open_session(timeout=10))
    assert len(opened) == 64 and transport.is_active()
