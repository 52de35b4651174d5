"""ControlMaster: one login, many channels at once, each with its own bytes and status, each checked by itself."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest
from paramiko.common import (MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_WINDOW_ADJUST, cMSG_CHANNEL_DATA)

from harness import Client, events, labkit, sessions, until
from rogue import Rogue, Server
from test_two_streams import BLOCK, BLOCKS, POUR, stands


class Master:
    """One connection of a client that others share."""

    def __init__(self, client, target):
        self.client, self.target = client, target
        self.folder = tempfile.mkdtemp(prefix="mux-", dir="/tmp")
        self.options = ("-o", "ControlMaster=auto", "-o", f"ControlPath={self.folder}/%C", "-o", "ControlPersist=60")

    def run(self, *words, **kw):
        return self.client.run(self.target, *words, options=self.options, **kw)

    def start(self, *words):
        return self.client.start(self.target, *words, options=self.options)

    def sftp(self, batch):
        return self.client.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", self.client.config, *self.options, self.target, stdin=batch)

    def close(self):
        self.client.run(self.target, options=("-O", "exit", *self.options))
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def master(deploy, target):
    it = Master(deploy, target)
    it.run("true", check=True)
    yield it
    it.close()


def test_many_channels_at_once(master):
    def one(i):
        data = os.urandom(300_000 + i)
        done = master.run(f"cat; exit {i}", stdin=data)
        assert done.returncode == i
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))


def test_each_channel_is_checked(lab, engineer, target):
    """A grant for sftp alone does not open an exec on the connection that they share."""
    user = engineer(caps=("sftp",))
    shared = Master(user, target)
    try:
        shared.sftp(b"ls\n")
        refused = shared.run("echo let in")
        assert refused.returncode != 0 and refused.stdout == b""
        assert b"for sftp-read, sftp-write only" in refused.stderr
        shared.sftp(b"ls\n")
        assert events(lab, "channel.refused", user.user)
    finally:
        shared.close()


def test_a_channel_that_nobody_reads_does_not_stop_the_others(master):
    with master.start("cat /dev/zero") as slow:     # its pipe fills, its window closes
        assert slow.stdout.read(1) == b"\0"
        start = time.monotonic()
        assert master.run("echo quick", check=True).stdout == b"quick\n"
        assert time.monotonic() - start < 5
        slow.kill()


@pytest.fixture
def impatient(new_lab):
    """A lab whose target asks every 2 s whether its client is there, and leaves when two such questions were in vain."""
    own = new_lab(options=['channel_timeout = "8s"'])
    config = own.target_config
    own.target_config = lambda: config() + "ClientAliveInterval 2\nClientAliveCountMax 2\n"
    own.write_configs()
    own.stop("target")
    own.start("target")
    return own


def test_one_whose_two_streams_nobody_reads(impatient):
    """Of its target nothing is read then: that goes for no longer than the reader stands, ends nothing, and is said, with no word against the target."""
    home = impatient.path("target", "home", "dba")
    mark = f"{home}/mark"
    labkit.write(f"{home}/pour.py", POUR.replace("{mark}", mark))
    os.chown(home, labkit.DBA_UID, labkit.DBA_UID)
    shared = Master(Client(impatient, "deploy"), "web1.name")
    try:
        shared.run("true", check=True)
        with shared.start("cat") as other, shared.start(f"python3 {home}/pour.py") as slow:
            stands(mark)
            stood = time.monotonic()
            other.stdin.write(b"typed meanwhile\n")
            other.stdin.close()
            refused = shared.run("echo new")
            assert refused.returncode == 255 and b"this one did not start in time" in refused.stderr, refused
            time.sleep(max(0, stood + 18 - time.monotonic()))
            out, err = slow.communicate(timeout=60)
            assert slow.returncode == 0, err[-500:]
            assert len(out) == BLOCK * BLOCKS and err == b"x\n" * BLOCKS
            assert other.stdout.read() == b"typed meanwhile\n" and other.wait(20) == 0
            assert b"another channel of this connection waits until its output is read" in other.stderr.read()
        assert shared.run("echo new", check=True).stdout == b"new\n"
        assert events(impatient, "channel.silent") == []
    finally:
        shared.close()


class Stuck(Server):
    """A target that reads nothing more once bytes came for its second channel, until `go_on`; `closed`: the channels whose close came."""

    def __init__(self, lab, sock):
        self.stuck, self.go_on, self.closed = threading.Event(), threading.Event(), []
        super().__init__(lab, sock)
        self.default_window_size = 1 << 30

    def data(self, m):
        self.stuck.set()
        assert self.go_on.wait(120)

    _channel_handler_table = {**paramiko.Transport._channel_handler_table,
                              MSG_CHANNEL_DATA: lambda channel, m: channel.transport.data(m),
                              MSG_CHANNEL_CLOSE: lambda channel, m: channel.transport.closed.append(channel.chanid)}


def test_the_close_for_one_that_closed_first(lab, deploy):
    """RFC 4254 5.3: a target is owed a close, or it keeps the session, also when its socket took nothing at the moment when its command ended."""
    servers = []

    def behave(sock):
        servers.append(Stuck(lab, sock))
        servers[0].join()
    rogue = Rogue(lab, behave)
    host, way = rogue.to("name")
    shared = Master(deploy, host)
    shared.options = (*shared.options, *way)
    try:
        with shared.start("short") as short:
            server = until(lambda: servers, deadline=20, what="the target")[0]
            first = server.channel()
            with shared.start("takes all") as long:
                server.channel()
                feeder = threading.Thread(target=feed, args=(long.stdin,), daemon=True)
                feeder.start()
                assert server.stuck.wait(20)
                until(lambda: unread_for(server.sock, 1.0), deadline=30, pause=0, what="nothing more fits into its socket")
                first.send_exit_status(7)
                server.send(MSG_CHANNEL_EOF, first.remote_chanid)
                server.send(MSG_CHANNEL_CLOSE, first.remote_chanid)
                assert short.wait(20) == 7
                assert server.closed == []
                server.go_on.set()
                until(lambda: first.chanid in server.closed, deadline=20, what="the close")
                long.kill()
    finally:
        for server in servers:
            server.go_on.set()
        shared.close()
        rogue.close()


def feed(pipe):
    with contextlib.suppress(OSError, ValueError):
        while True:
            pipe.write(bytes(1 << 20))


def unread_for(sock, seconds):
    """Did nothing come into the socket for so long?"""
    def waits():
        return fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4)
    before = waits()
    time.sleep(seconds)
    return before == waits()


class Late(paramiko.Transport):
    """A client whose own close, and whose first bytes, are on their way when a channel is closed: `said` is what came of channels."""

    def __init__(self, lab):
        super().__init__(("127.0.0.1", lab.port("bastiond")))
        self.said, self.closed = [], threading.Event()

    def close_came(self):
        self.said.append("close")
        self.closed.set()

    def window_came(self, channel, m):
        self.said.append("window")
        paramiko.Channel._window_adjust(channel, m)     # pylint: disable=protected-access

    _channel_handler_table = {**paramiko.Transport._channel_handler_table,
                              MSG_CHANNEL_CLOSE: lambda channel, m: channel.transport.close_came(),
                              MSG_CHANNEL_WINDOW_ADJUST: lambda channel, m: channel.transport.window_came(channel, m)}


@pytest.mark.parametrize("name", ["deploy@dba@web1", "deploy"])
def test_nothing_comes_behind_a_close(lab, name):
    """RFC 4254 5.3: Go's and Java's libraries end the connection for a window that opens on a channel that they forgot."""
    client = Late(lab)
    try:
        client.start_client(timeout=20)
        client.auth_publickey(name, paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
        channel = client.open_session(timeout=20)
        channel.exec_command("help")
        assert client.closed.wait(20)
        client._send_user_message(paramiko.Message(cMSG_CHANNEL_DATA + channel.remote_chanid.to_bytes(4, "big") + (100).to_bytes(4, "big") + b"x" * 100))
        client.global_request("keepalive@openssh.com")  # is answered, behind whatever the bytes brought
        assert client.said[-1] == "close", client.said
    finally:
        client.close()


class Inner(paramiko.Transport):
    """Inside a hop of `ssh -J`: `goodbye` is why it was ended."""
    goodbye = ""

    def _parse_disconnect(self, m):
        m.get_int()
        self.goodbye = m.get_text()


def test_what_is_no_sftp_ends_its_own_channel(master):
    """The target's server ends that one; what runs beside it in the same connection goes on."""
    with master.start("echo up; cat") as shell:
        assert shell.stdout.readline() == b"up\n"
        done = master.client.run(master.target, "sftp", options=(*master.options, "-s"), stdin=b"quit\nand more\n")
        assert done.returncode != 0 and b"bastiond" not in done.stderr, done
        shell.stdin.write(b"still here\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"still here\n"
        shell.stdin.close()
        assert shell.wait(20) == 0


def test_more_hops_than_destinations(lab):
    """Who is one too many is told so itself; no grant is missing, so nothing is noted as refused."""
    mark = max((row["id"] for row in events(lab)), default=0)
    outer = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    inner = []

    def hop():
        return outer.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 65535), timeout=20)
    try:
        outer.start_client(timeout=20)
        outer.auth_publickey("deploy", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
        for _ in range(17):
            inner.append(Inner(hop()))
            inner[-1].start_client(timeout=20)
            if len(inner) <= 16:
                inner[-1].auth_none("dba")
        with pytest.raises((paramiko.SSHException, EOFError)):
            inner[-1].auth_none("dba")
        until(lambda: "16 destinations are open on this connection" in inner[-1].goodbye and "-S none" in inner[-1].goodbye, what="the reason")
        with outer.open_session(timeout=20) as console:
            console.get_pty()
            console.invoke_shell()
            console.sendall(b"connect web1 as dba\n")
            said = b""
            while b"16 destinations are open on this connection" not in said:
                part = console.recv(4096)
                assert part, said
                said += part
        session = inner[0].open_session(timeout=20)
        session.exec_command("echo here; cat")
        assert session.recv(100) == b"here\n"
        until(lambda: not inner[-1].is_active(), what="the end of the one that was refused")
        kept = [hop() for _ in range(15)]
        with pytest.raises(paramiko.ChannelException):
            kept.append(hop())
            kept.append(hop())
        with pytest.raises(paramiko.ChannelException):
            hop()
        # said once, whoever else is refused
        session.shutdown_write()
        assert session.makefile_stderr().read().count(b"32 hops go through this connection") == 1
        assert events(lab, "forward.refused", after=mark) == []
    finally:
        outer.close()


def test_hops_leave_no_descriptor(lab, deploy):
    """Each `ssh -J` through one connection is a way that opens and ends: nothing of it stays with the session that goes on."""
    before, folder = sessions(lab), tempfile.mkdtemp(prefix="mux-", dir="/tmp")
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/m", "-o", "ControlPersist=60")
    hop = ("-o", f"ProxyCommand=ssh -F {deploy.config} -S {folder}/m -W %h:%p bastion")
    try:
        deploy.run("bastion", "help", options=shared, check=True)
        pid, = until(lambda: sessions(lab) - before, what="the session of the connection that is shared")

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))
        deploy.run("web1.jump", "true", options=hop, check=True)
        first = descriptors()
        for _ in range(6):
            deploy.run("web1.jump", "true", options=hop, check=True)
        until(lambda: descriptors() <= first, what=f"no more descriptors than the {first} after the first hop")
    finally:
        deploy.run("bastion", options=("-O", "exit", *shared))
        shutil.rmtree(folder, ignore_errors=True)


def test_the_status_of_short_commands(master):
    for i in range(60):
        assert master.run(f"exit {i % 3}").returncode == i % 3, f"command number {i}"
