"""How channels end, and connections whose target is gone: what other clients than OpenSSH rely on (RFC 4254 5.3, 6.9, 6.10)."""
import json
import time

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_REQUEST
from paramiko.message import Message

from harness import Client, Echo, events, recording_of, replay, until
from rogue import Rogue, Server
from test_multiplexing import Master
from test_reload import log_of

NAME = "deploy@dba@web1"


def connected(lab, kind=paramiko.Transport, name=NAME):
    transport = kind(("127.0.0.1", lab.port("bastiond")))
    transport.start_client(timeout=20)
    transport.auth_publickey(name, paramiko.Ed25519Key.from_private_key_file(lab.path("users", name.partition("@")[0], "key")))
    return transport


def request(channel, kind, want_reply, *numbers):
    m = Message()
    m.add_byte(bytes([MSG_CHANNEL_REQUEST]))
    m.add_int(channel.remote_chanid)
    m.add_string(kind)
    m.add_boolean(want_reply)
    for number in numbers:
        m.add_int(number)
    channel.transport._send_user_message(m)


def test_the_status_does_not_wait_for_the_last_writer(lab):
    """A command that leaves a process behind which keeps its output open: the status comes when the command ends."""
    transport = connected(lab)
    channel = transport.open_session(timeout=20)
    channel.exec_command("sleep 300 & echo $!; exit 3")
    left = int(channel.makefile().readline())
    try:
        until(channel.exit_status_ready, deadline=20, what="the status")
        assert channel.recv_exit_status() == 3 and not channel.eof_received
    finally:
        killer = transport.open_session(timeout=20)
        killer.exec_command(f"kill {left}")
        assert killer.recv_exit_status() == 0
    until(lambda: channel.eof_received and channel.closed, deadline=20, what="the end of what it left")
    transport.close()


def test_break_ends_nothing(lab):
    """RFC 4335, as PuTTY and asyncssh send it, without asking for an answer: no terminal, nothing to break, and all goes on."""
    transport = connected(lab)
    channel = transport.open_session(timeout=20)
    channel.settimeout(20)
    channel.exec_command("cat")
    for text in b"before", b"behind":
        channel.sendall(text)
        assert channel.recv(100) == text
        request(channel, "break", False, 500)
    channel.shutdown_write()
    assert channel.recv_exit_status() == 0
    transport.close()


def exit_signal(channel, m):
    kind, _ = m.get_text(), m.get_boolean()
    if kind == "exit-signal":
        channel.ended_by = m.get_text(), m.get_boolean()


class Hears(paramiko.Transport):
    """Keeps what an exit-signal says, which paramiko does not."""
    _channel_handler_table = {**paramiko.Transport._channel_handler_table, MSG_CHANNEL_REQUEST: exit_signal}


def test_exit_signal(lab):
    """RFC 4254 6.10: name and core dump are the target's, for the client and in the recording."""
    ends = [("TERM", False), ("SEGV", True)]

    def behave(sock):
        server = Server(lab, sock)
        for signal, core in ends:
            channel = server.channel()
            server.send(MSG_CHANNEL_REQUEST, channel.remote_chanid, "exit-signal", False, signal, core, "", "")
            channel.close()
        server.join()
    rogue = Rogue(lab, behave)
    try:
        transport = connected(lab, Hears, f"deploy@dba@{rogue.name}")
        for end in ends:
            channel = transport.open_session(timeout=20)
            channel.exec_command("x")
            until(lambda: channel.closed, deadline=20, what="the channel's end")
            assert channel.ended_by == end
        transport.close()
        rows = [json.loads(line) for line in replay(lab, "export", "--json", recording_of(lab, "deploy")).stdout.splitlines()]
    finally:
        rogue.close()
    assert [row["data"] for row in rows if row["kind"] == "exit-signal"] == [{"signal": signal, "core": core} for signal, core in ends]


class ByHand(paramiko.Transport):
    """Notes what comes for its channels, and closes none by itself."""

    def __init__(self, *args):
        super().__init__(*args)
        self.came = []

    def note(self, number, channel, m):
        self.came.append(number)
        if number != MSG_CHANNEL_CLOSE:
            paramiko.Transport._channel_handler_table[number](channel, m)

    _channel_handler_table = {number: (lambda channel, m, number=number: channel.transport.note(number, channel, m))
                              for number in paramiko.Transport._channel_handler_table}


def test_nothing_comes_behind_a_close(lab):
    """PuTTY's winadj, and data that was on its way: to answer would end a connection of PuTTY's that others share."""
    transport = connected(lab, ByHand)
    channel = transport.open_session(timeout=20)
    channel.exec_command("head -c 1")
    channel.sendall(b"x" * 100)
    until(lambda: MSG_CHANNEL_CLOSE in transport.came, deadline=20, what="the close")
    for _ in range(3):
        request(channel, "winadj@putty.projects.tartarus.org", True)
        data = Message()
        data.add_byte(bytes([MSG_CHANNEL_DATA]))
        data.add_int(channel.remote_chanid)
        data.add_string(bytes(30000))
        transport._send_user_message(data)
    # answered when all before it was read
    transport.global_request("keepalive@openssh.com", wait=True)
    behind = transport.came[transport.came.index(MSG_CHANNEL_CLOSE) + 1:]
    assert not behind
    transport.close()


class ClosesAtOnce(Server):
    _channel_handler_table = {**paramiko.Transport._channel_handler_table, MSG_CHANNEL_REQUEST: lambda channel, m: channel.close()}


def test_a_target_that_closes_instead_of_an_answer(lab, deploy):
    """It did answer: nobody waits for channel_timeout, and it is not called silent."""
    rogue = Rogue(lab, lambda sock: ClosesAtOnce(lab, sock).join())
    try:
        host, way = rogue.to("name")
        for options, says in ((), b"refused to start it"), (("-tt",), b"gives no terminal"):
            start = time.monotonic()
            done = deploy.run(host, "anything", options=(*way, *options))
            assert done.returncode == 255 and says in done.stderr + done.stdout, done
            assert time.monotonic() - start < 30
        assert not [row for row in events(lab, "channel.silent") if row["subject"] == rogue.name]
    finally:
        rogue.close()


class Answers(Server):
    """Each command is over at once, behind the answer to its start."""

    def request(channel, m):
        channel._handle_request(m)
        if channel.started.is_set():
            channel.sendall(b"served\n")
            channel.send_exit_status(0)
            channel.close()

    _channel_handler_table = {**paramiko.Transport._channel_handler_table, MSG_CHANNEL_REQUEST: request}


@pytest.fixture
def losing(lab):
    """Servers of the target so far; a host and options that lead there."""
    servers = []

    def behave(sock):
        servers.append(Answers(lab, sock))
        servers[-1].join()
    rogue = Rogue(lab, behave)
    yield servers, *rogue.to("name")
    rogue.close()


def test_a_master_whose_target_is_lost_ends(losing, deploy):
    """It would say the old reason to whatever is asked of it: it ends instead, and the next command makes a connection of its own."""
    servers, host, way = losing
    shared = Master(deploy, host)
    shared.options = (*shared.options, *way)
    try:
        assert shared.run("first").stdout == b"served\n"
        assert deploy.run(host, options=("-O", "check", *shared.options)).returncode == 0
        servers[0].close()
        until(lambda: deploy.run(host, options=("-O", "check", *shared.options)).returncode != 0, deadline=20, what="the master is gone")
        done = shared.run("second")
        assert (done.stdout, done.returncode, len(servers)) == (b"served\n", 0, 2), done
    finally:
        shared.close()


def test_a_connection_without_channels_whose_target_is_lost_ends(lab, losing, deploy):
    """`ssh -N -L`, autossh: who has forwards alone learns that they are dead by the end of the connection, with the reason."""
    servers, host, way = losing
    name = way[1].rpartition("@")[2]
    with deploy.start(host, options=(*way, "-N")) as client:
        # not the login alone: paramiko calls it done before it has told the bastion
        until(lambda: f"to dba@{name} is up" in log_of(lab), what="the way is up")
        servers[0].close()
        assert client.wait(30) == 255 and b"the target closed the connection" in client.stderr.read()


@pytest.fixture(scope="module")
def hasty(new_lab):
    return new_lab(options=['channel_timeout = "4s"'])


def test_connect_again_after_a_while(hasty, terminals):
    """The time that a target has for its answers is of each connect, not of the first."""
    console = terminals(Client(hasty, "deploy").terminal("bastion"))
    console.expect(rb"> ?$")
    for _ in range(2):
        console.line("connect web1 as dba")
        console.expect(rb"\$ $")
        console.line("sleep 4.2; exit")
        console.expect(rb"> ?$")
    console.line("exit")
    assert console.wait() == 0 and not events(hasty, "channel.silent")


@pytest.mark.parametrize("jump", [False, True])
def test_a_client_that_breaks_the_protocol(lab, jump):
    """Data behind its own KEXINIT (RFC 4253 7.1), as asyncssh 2.10 sends them: the recording's end is no normal one, and the log says why."""
    transport = connected(lab, name="deploy" if jump else NAME)
    inner, channel = transport, None
    if jump:
        channel = transport.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 65535), timeout=20)
        inner = paramiko.Transport(channel)
        inner.start_client(timeout=20)
        inner.auth_none("dba")
    session = inner.open_session(timeout=20)
    session.exec_command("echo up; exec sleep 60")
    assert session.recv(3) == b"up\n"
    channel = channel or session
    before = len(log_of(lab))
    write, out = transport.packetizer.write_all, bytearray()
    transport.packetizer.write_all = out.extend     # both in one piece, or the exchange is over in between
    transport._send_kex_init()      # pylint: disable=protected-access
    m = Message()
    m.add_byte(bytes([MSG_CHANNEL_DATA]))
    m.add_int(channel.remote_chanid)
    m.add_string(b"x")
    transport._send_message(m)      # pylint: disable=protected-access
    transport.packetizer.write_all = write
    write(bytes(out))
    until(lambda: not transport.is_active(), deadline=20, what="the end of the connection")
    inner.close()
    transport.close()
    rows = [json.loads(line) for line in replay(lab, "export", "--json", recording_of(lab, "deploy")).stdout.splitlines()]
    assert "the client broke the protocol" in json.dumps(rows[-1]), rows[-1]
    assert log_of(lab)[before:].count("the client broke the protocol: ") == 1


def test_one_channel_too_many(lab, allowed):
    """It is refused, and who has a channel reads why, once until there was room again; of a forward it is not said that no grant allows it."""
    server = Echo()
    user = allowed("exec", f"forward 127.0.0.1:{server.port}").user
    transport = connected(lab, name=f"{user}@dba@web1")
    first = transport.open_session(timeout=20)
    first.exec_command("echo up; cat")
    assert first.recv(3) == b"up\n"
    others = [transport.open_session(timeout=20) for _ in range(63)]
    for _ in range(2):
        with pytest.raises(paramiko.ChannelException):
            transport.open_session(timeout=20)
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", ("127.0.0.1", server.port), ("127.0.0.1", 1), timeout=20)
    assert events(lab, "forward.refused", user) == [] and server.seen == 0
    others[0].close()

    def again():
        try:
            return transport.open_session(timeout=20)
        except paramiko.ChannelException:
            return None
    others[0] = until(again, what="room for one more")
    with pytest.raises(paramiko.ChannelException):
        transport.open_session(timeout=20)
    first.shutdown_write()
    assert first.makefile_stderr().read().count(b"64 channels are open on this connection") == 2
    transport.close()
