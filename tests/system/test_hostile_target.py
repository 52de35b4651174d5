"""Targets that keep to no rule: each ends its own session at most, with a line, a sealed recording and an event; nobody else notices."""
import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time

import paramiko
import pytest
from paramiko.message import Message

from harness import MEMORY_MAX, Client, complete, events, memory, recordings, replay, sessions, until
from rogue import Accepts, Rogue, Server

DIAL = 4                    # seconds, dial_timeout of this file's lab
ANSWER = 4                  # channel_timeout
DISCONNECT, IGNORE, DEBUG, SERVICE_ACCEPT, BANNER = 1, 2, 4, 6, 53
GLOBAL_REQUEST, OPEN, OPEN_OK, WINDOW, DATA, EXTENDED, EOF, CLOSE, REQUEST, SUCCESS, FAILURE = 80, 90, 91, 93, 94, 95, 96, 97, 98, 99, 100


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=[f'dial_timeout = "{DIAL}s"', f'channel_timeout = "{ANSWER}s"'])


@pytest.fixture(scope="module")
def other(own):
    """Somebody's session at an honest target, open all the time."""
    with Client(own, "deploy").start("web1.name", "cat", bufsize=0) as process:
        yield process
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.fixture
def bystander(other):
    for word in (b"before\n", b"after\n"):
        other.stdin.write(word)
        assert other.stdout.read(len(word)) == word
        if word == b"before\n":
            yield


class Watch:
    """The most memory that the session process which comes next ever had."""

    def __init__(self, lab):
        self.lab, self.before, self.most, self.over = lab, sessions(lab), 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        pids = set()
        while not self.over.wait(0.02):
            pids = pids or sessions(self.lab) - self.before
            for pid in pids:
                self.most = max(self.most, memory(pid, "VmHWM"))

    def end(self):
        self.over.set()
        self.thread.join()
        return self.most


def visit(lab, behave, way="name", stdin=b"", limit=40):
    """A client at a target that behaves so: its status and words, and the rogue's name. It must end by itself."""
    rogue, watch, client = Rogue(lab, behave), Watch(lab), Client(lab, "deploy")
    try:
        host, options = rogue.to(way)
        done = client.run(host, "anything", options=options, stdin=stdin, timeout=limit)
    finally:
        rogue.close()
        most = watch.end()
    assert most < MEMORY_MAX, f"{most} KiB"
    return done, rogue.name


def way_of(lab, host):
    return [row for row in lab.ask("sessions", all=True)["rows"] if row.get("host") == host and row.get("recording")]


def sealed(lab, host):
    """There is a recording of the way, and it is complete."""
    row, = until(lambda: way_of(lab, host), what="the way's row")
    path = until(lambda: [path for path in recordings(lab, "deploy") if path.endswith(row["recording"])], what="the recording")[0]
    until(lambda: complete(lab, path), what="the recording is complete")
    return path


# --- before there is an SSH connection -------------------------------------------------------------------------------------------

VERSION = b"SSH-2.0-OpenSSH_9.2\r\n"


def for_ever(*pieces, pause=0.0):
    def behave(sock):
        for piece in pieces[:-1]:
            sock.sendall(piece)
        while True:
            sock.sendall(pieces[-1])
            time.sleep(pause)
    return behave


def once(*pieces, close=False):
    def behave(sock):
        for piece in pieces:
            sock.sendall(piece)
        if close:
            sock.close()
        else:
            while sock.recv(65536):
                pass
    return behave


def packet(payload):
    pad = 8 - (len(payload) + 5) % 8 + 8
    return struct.pack(">IB", len(payload) + pad + 1, pad) + payload + bytes(pad)


def kexinit(lists):
    return packet(b"\x14" + os.urandom(16) + b"".join(struct.pack(">I", len(x)) + x for x in lists) + bytes(5))


NAMES = [b"curve25519-sha256", b"ssh-ed25519", b"aes128-gcm@openssh.com", b"aes128-gcm@openssh.com", b"hmac-sha2-256", b"hmac-sha2-256", b"none", b"none", b"", b""]
BEFORE = {
    "garbage": once(os.urandom(200_000)),
    "one long line": for_ever(b"A" * 65536),
    "banner without end": for_ever(b"welcome\r\n" * 1000),
    "escapes for a banner": once(b"\x1b]0;owned\x07\x1b[2J\r\n" * 50, VERSION, close=True),
    "another version": once(b"SSH-1.5-old\r\n"),
    "nothing but a close": once(close=True),
    "silence": once(),
    "one byte at a time": for_ever(b"S", pause=0.1),
    "version, then silence": once(VERSION),
    "version, then garbage": once(VERSION, os.urandom(100_000)),
    "a packet of 4 GiB": once(VERSION, b"\xff\xff\xff\xff" + bytes(1000)),
    "a packet of no byte": once(VERSION, bytes(1000)),
    "nothing in common": once(VERSION, kexinit([b"none"] * 10)),
    "lists that are longer than the packet": once(VERSION, packet(b"\x14" + os.urandom(16) + b"\xff\xff\xff\xff" + bytes(200))),
    "a megabyte of names": once(VERSION, kexinit([b"a," * 30_000] + NAMES[1:])),
    "key exchange cut off": once(VERSION, kexinit(NAMES), close=True),
    "a share of zeroes": once(VERSION, kexinit(NAMES), packet(b"\x1f" + struct.pack(">I", 51) + b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32) + struct.pack(">I", 32) + bytes(32) + bytes(87))),
    "ignored packets without end": for_ever(VERSION, kexinit(NAMES), packet(b"\x02" + struct.pack(">I", 1000) + bytes(1000))),
    "a disconnect with escapes": once(VERSION, packet(b"\x01\0\0\0\x02" + struct.pack(">I", 40) + b"\x1b]52;c;AAAA\x07" + b"x" * 29 + bytes(4))),
}


@pytest.mark.parametrize("name", BEFORE)
def test_before_the_login(own, bystander, name):
    start = time.monotonic()
    done, host = visit(own, BEFORE[name])
    assert done.returncode == 255 and b"bastiond" in done.stderr and b"\x1b" not in done.stderr, done
    assert time.monotonic() - start < DIAL + 25
    sealed(own, host)
    until(lambda: [row for row in events(own, "way.down") if row["subject"] == host], what="the event")


# --- in the login -----------------------------------------------------------------------------------------------------------------

class OtherKey(Server):
    def add_server_key(self, key):
        """One of the same type, but not the registered one."""
        super().add_server_key(paramiko.Ed25519Key.from_private_key_file(self.lab.path("users", "bob", "key")))


class Hangs(Server):
    def service(self, m):
        """Takes the login's first word and never answers."""


class Leaves(Server):
    def service(self, m):
        self.sock.close()


class Chatters(Server):
    """Messages for the user without end, and no verdict."""
    _handler_table = {**Server._handler_table, 5: lambda self, m: self.chatter(m)}

    def chatter(self, m):
        self.send(SERVICE_ACCEPT, m.get_string())
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                self.send(BANNER, b"\x1b[2Jlisten to me\r\n" * 1000, b"")
                self.send(DEBUG, True, b"\x1b[31mdebug", b"")


IN_LOGIN = {"another host key": OtherKey, "no answer": Hangs, "a close": Leaves, "chatter": Chatters}


@pytest.mark.parametrize("name", IN_LOGIN)
def test_in_the_login(own, bystander, name):
    def behave(sock):
        server = IN_LOGIN[name](own, sock)
        while server.is_alive():
            time.sleep(0.05)
    done, host = visit(own, behave)
    assert done.returncode == 255 and b"bastiond" in done.stderr and b"\x1b" not in done.stderr, done
    sealed(own, host)
    if name == "another host key":
        until(lambda: [row for row in events(own, "hostkey.mismatch") if row["subject"] == host], what="the event")


# --- behind the login ---------------------------------------------------------------------------------------------------------------

def opens(kind, *rest):
    def act(server, channel):
        for number in range(5000):
            server.send(OPEN, kind, number + 100, 1 << 21, 32768, *rest)
    return act


def requests(kind):
    def act(server, channel):
        for _ in range(5000):
            server.send(GLOBAL_REQUEST, kind, True, "0.0.0.0", 0)
    return act


def chan_requests(kind, *rest):
    def act(server, channel):
        for _ in range(2000):
            server.send(REQUEST, channel.remote_chanid, kind, True, *rest)
    return act


def no_window(server, channel):
    for _ in range(2000):
        server.send(DATA, channel.remote_chanid, b"x" * 32000)


def every_window(server, channel):
    for _ in range(200):
        server.send(WINDOW, channel.remote_chanid, 0xffffffff)


def ends_in_disorder(server, channel):
    it = channel.remote_chanid
    server.send(DATA, it, b"before")
    server.send(EOF, it)
    server.send(DATA, it, b"after the end of file")
    server.send(EXTENDED, it, 1, b"and on the other stream")
    server.send(EOF, it)
    server.send(CLOSE, it)
    server.send(REQUEST, it, "exit-status", False, 0)
    server.send(DATA, it, b"after the close")
    server.send(CLOSE, it)


def unknown_channels(server, channel):
    for kind in (DATA, EOF, CLOSE, WINDOW, SUCCESS, FAILURE):
        server.send(kind, 0x7fffffff, *((b"x",) if kind == DATA else (5,) if kind == WINDOW else ()))


def confirmations(server, channel):
    for number in range(200):
        server.send(OPEN_OK, number, number, 1 << 20, 32768)
        server.send(SUCCESS, channel.remote_chanid)
        server.send(FAILURE, channel.remote_chanid)


def longer_than_the_packet(server, channel):
    m = Message()
    m.add_byte(bytes([DATA]))
    m.add_int(channel.remote_chanid)
    m.add_int(0xfffffff0)
    m.add_bytes(b"short")
    server._send_message(m)


def long_strings(server, channel):
    it = channel.remote_chanid
    server.send(REQUEST, it, "exit-signal", False, "A" * 30_000, False, "\x1b[2J" * 1000, "x" * 1000)
    server.send(REQUEST, it, "exit-signal", False, "\x1b]0;x\x07", True, "", "")
    server.send(REQUEST, it, "k" * 30_000, True)
    server.send(REQUEST, it, "exit-status", False)


def rekeys(server, channel):
    for _ in range(15):
        channel.sendall(b"y" * 50_000)
        server.renegotiate_keys()


def no_such_messages(server, channel):
    for kind in (*range(7, 20), *range(51, 80), *range(101, 256)):
        server.send(kind, 0, "x")


def chatter(server, channel):
    for _ in range(2000):
        server.send(IGNORE, b"i" * 1000)
        server.send(DEBUG, True, b"\x1b[2J" * 200, b"")


BEHIND = {
    "opens of sessions": opens("session"),
    "opens of forwarded-tcpip": opens("forwarded-tcpip", "127.0.0.1", 22, "127.0.0.1", 4000),
    "opens of x11": opens("x11", "127.0.0.1", 4000),
    "opens of agents": opens("auth-agent@openssh.com"),
    "opens of direct-tcpip": opens("direct-tcpip", "169.254.169.254", 80, "127.0.0.1", 4000),
    "opens of nothing known": opens("\x1b[2J" * 100),
    "global requests": requests("tcpip-forward"),
    "host keys": requests("hostkeys-00@openssh.com"),
    "shells": chan_requests("shell"),
    "commands": chan_requests("exec", "id"),
    "terminals": chan_requests("pty-req", "xterm", 80, 24, 0, 0, ""),
    "data without a window": no_window,
    "windows of 4 GiB": every_window,
    "ends in disorder": ends_in_disorder,
    "unknown channels": unknown_channels,
    "confirmations of nothing": confirmations,
    "a string longer than its packet": longer_than_the_packet,
    "long strings": long_strings,
    "key exchanges": rekeys,
    "unknown messages": no_such_messages,
    "chatter": chatter,
}


def attack(lab, act):
    """The act, then the connection's end. Whatever the bastion does about it meanwhile, the target goes away."""
    def behave(sock):
        server = Server(lab, sock)
        channel = server.channel()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            act(server, channel)
            channel.send_exit_status(3)
            channel.close()
        time.sleep(0.3)     # what was sent is taken, or not
        server.close()
    return behave


@pytest.mark.parametrize("name", BEHIND)
def test_behind_the_login(own, bystander, name):
    done, host = visit(own, attack(own, BEHIND[name]), stdin=b"some input\n")
    assert done.returncode in (3, 255, -1) or done.returncode > 0, done
    assert b"\x1b" not in done.stderr, done.stderr
    sealed(own, host)


def asks_as_a_client_would(server, channel):
    for _ in range(20):
        server.send(REQUEST, channel.remote_chanid, "auth-agent-req@openssh.com", True)
        server.send(GLOBAL_REQUEST, "streamlocal-forward@openssh.com", True, "/tmp/socket")
    channel.sendall(b"done\n")


@pytest.mark.parametrize("way", ["name", "jump"])
def test_what_a_target_asks_for_is_not_its_users_wish(own, way):
    """libssh says the same of both, and of a client's wishes there are events and lines."""
    kinds = ("agent.refused", "streamlocal.refused")
    before = [len(events(own, kind)) for kind in kinds]
    done, host = visit(own, attack(own, asks_as_a_client_would), way)
    assert done.returncode == 3 and done.stdout == b"done\n" and b"refused" not in done.stderr, done
    sealed(own, host)
    assert [len(events(own, kind)) for kind in kinds] == before


def small_packets(lab, size):
    """A target that takes packets of so many bytes."""
    def behave(sock):
        server = Server(lab, sock)
        server.default_max_packet_size = size
        channel = server.accept(5)
        channel.settimeout(5)   # where there is no room for a byte nothing ever comes
        with contextlib.suppress(OSError, EOFError):
            while channel.recv(65536):
                pass
        server.close()
    return behave


@pytest.mark.parametrize("size", [0, 1, 10])
def test_packets_that_are_too_small(own, bystander, size):
    """libssh may write into such a channel for ever: that session is ended then, and no other."""
    start = time.monotonic()
    done, host = visit(own, small_packets(own, size), stdin=b"x" * 100_000)
    assert time.monotonic() - start < 25
    assert done.returncode != 0
    sealed(own, host)


def test_no_target_keeps_its_users_out(new_lab):
    """What a target does to a session is no offence of the place that its user comes from; what a stranger does to one is."""
    strict = new_lab(options=['penalty_exempt = { "192.0.2.1" }'])
    client, before = Client(strict, "deploy"), events(strict, "session.crash")
    assert visit(strict, small_packets(strict, 10), stdin=b"x" * 100_000)[0].returncode != 0
    until(lambda: len(events(strict, "session.crash")) > len(before), what="the session ended itself")
    assert strict.ctl_json("blocks")["rows"] == []
    client.run("web1.name", "true", check=True)
    ours = sessions(strict)
    with socket.create_connection(("127.0.0.1", strict.port("bastiond")), source_address=("127.0.0.66", 0)):     # from where nobody logged in
        pid, = until(lambda: sessions(strict) - ours, what="a session that nobody logged in to")
        os.kill(pid, signal.SIGABRT)
        until(lambda: [row["network"] for row in strict.ctl_json("blocks")["rows"]] == ["127.0.0.66/32"], what="the penalty")


def test_data_that_the_client_does_not_read(own, bystander):
    """A target that ignores its window while the client reads nothing is cut off, not kept in memory."""
    rogue, watch, client = Rogue(own, attack(own, no_window)), Watch(own), Client(own, "deploy")
    try:
        host, options = rogue.to("name")
        with client.start(host, "anything", options=options) as process:
            until(lambda: process.poll() is not None or not [r for r in way_of(own, rogue.name) if not r.get("ended")] and way_of(own, rogue.name),
                  deadline=40, what="the way is over")
            process.stdout.read()
    finally:
        rogue.close()
        most = watch.end()
    assert most < MEMORY_MAX
    sealed(own, rogue.name)


def silent_to(what):
    """A target that answers all but `what`: an open, or requests of this type."""
    class Silent(Server):
        _handler_table = {**Server._handler_table, **({OPEN: lambda self, m: None} if what == "open" else {})}
        _channel_handler_table = {**paramiko.Transport._channel_handler_table,
                                  REQUEST: lambda channel, m: None if what.encode() in m.asbytes() else channel._handle_request(m)}
    return Silent


SILENCES = [("open", (), "the channel's open"), ("pty-req", ("-tt",), "the request for a terminal"), ("exec", (), "the start")]


def silent_rogue(lab, what):
    def behave(sock):
        server = silent_to(what)(lab, sock)
        while server.is_alive():
            time.sleep(0.05)
    return Rogue(lab, behave)


def silence(client, rogue, options):
    host, way_options = rogue.to("name")
    start = time.monotonic()
    done = client.run(host, "anything", options=(*way_options, *options))
    assert ANSWER - 0.5 < time.monotonic() - start < ANSWER + 25
    assert done.returncode == 255 and b"the target does not answer" in done.stderr + done.stdout, done


def silence_is_known(lab, rogue, said):
    row, = until(lambda: [row for row in events(lab, "channel.silent") if row["subject"] == rogue.name], what="the event")
    assert said in str(row["detail"])
    assert f"no answer to {said}".encode() in replay(lab, "export", "--json", sealed(lab, rogue.name)).stdout


class Notices(Server):
    def service(self, m):
        super().service(m)
        self.send(53, "Authorised use only.\r\n\x1b[31mLogged.\n", "")


def test_notice_before_the_login(lab):
    """A terminal shows it, like ssh, but none of its control bytes; programs do not get it. It is recorded."""
    def behave(sock):
        server = Notices(lab, sock)
        channel = server.channel()
        channel.sendall(b"in")
        channel.send_exit_status(0)
        channel.close()
        server.join(20)
    rogue, notice = Rogue(lab, behave), b"Authorised use only.\r\n\\x1b[31mLogged.\r\n"
    try:
        host, options = rogue.to("name")
        assert Client(lab, "deploy").run(host, "anything", options=(*options, "-tt")).stdout == notice + b"in"
        assert b"Authorised use only." in replay(lab, "export", "--text", sealed(lab, rogue.name)).stdout
        assert Client(lab, "deploy").run(host, "anything", options=options).stdout == b"in"
    finally:
        rogue.close()


def test_target_that_never_answers(own, bystander):
    """It takes the login, and then is silent about a channel: that has a deadline, a line, an event, and a note in the recording."""
    rogues, client = [silent_rogue(own, what) for what, _, _ in SILENCES], Client(own, "deploy")
    try:
        with concurrent.futures.ThreadPoolExecutor(len(SILENCES)) as pool:
            for done in [pool.submit(silence, client, rogue, options) for rogue, (_, options, _) in zip(rogues, SILENCES)]:
                done.result()
    finally:
        for rogue in rogues:
            rogue.close()
    for rogue, (_, _, said) in zip(rogues, SILENCES):
        silence_is_known(own, rogue, said)


def test_silence_about_one_channel(own, bystander):
    """The others of the same connection go on."""
    opens = []

    class Second(Server):
        _handler_table = {**Server._handler_table, OPEN: lambda self, m: self.maybe(m)}

        def maybe(self, m):
            opens.append(m)
            if len(opens) == 1:
                self._parse_channel_open(m)

    def behave(sock):
        channel = Second(own, sock).channel()
        while piece := channel.recv(1000):
            channel.sendall(piece)
        channel.send_exit_status(0)
        channel.close()
    rogue, folder = Rogue(own, behave), own.path(f"mux-{os.getpid()}")
    host, options = rogue.to("name")
    options += ("-o", "ControlMaster=auto", "-o", f"ControlPath={folder}")
    client = Client(own, "deploy")
    try:
        with client.start(host, "echoes", options=options, bufsize=0) as first:
            first.stdin.write(b"one\n")
            assert first.stdout.read(4) == b"one\n"
            second = client.run(host, "silence", options=options)
            assert second.returncode == 255 and b"the target does not answer" in second.stderr, second
            first.stdin.write(b"two\n")
            assert first.stdout.read(4) == b"two\n"
            first.stdin.close()
            assert first.wait(20) == 0
    finally:
        rogue.close()
    sealed(own, rogue.name)


def test_a_window_that_changes_while_the_target_starts(lab, terminals):
    """The new size comes between the request for a terminal and its start: the target hears of it, and the recording has it."""
    asked, go_on, sizes = threading.Event(), threading.Event(), []

    class Ponders(Accepts):
        def check_channel_pty_request(self, channel, term, width, height, *_):
            sizes.append((width, height))
            return True

        def check_channel_shell_request(self, channel):
            asked.set()
            go_on.wait(30)
            return super().check_channel_shell_request(channel)

        def check_channel_window_change_request(self, channel, width, height, *_):
            sizes.append((width, height))
            return True

    def behave(sock):
        channel = Server(lab, sock, Ponders()).channel()
        until(lambda: len(sizes) > 1, deadline=20, what="the new size")
        channel.sendall(b"that is all")
        channel.send_exit_status(0)
        channel.close()
    rogue = Rogue(lab, behave)
    try:
        host, options = rogue.to("name")
        terminal = terminals(Client(lab, "deploy").terminal(host, options=(*options, "-o", "LogLevel=DEBUG2"), rows=24, columns=80))
        assert asked.wait(20)
        terminal.resize(40, 100)
        terminal.expect(rb"request window-change")
        go_on.set()
        terminal.expect(rb"that is all")
        assert terminal.wait(20) == 0
    finally:
        go_on.set()
        rogue.close()
    assert sizes == [(80, 24), (100, 40)]
    rows = [json.loads(line) for line in replay(lab, "export", "--json", sealed(lab, rogue.name)).stdout.splitlines()]
    assert [row["data"] for row in rows if row.get("kind") == "resize"] == [{"cols": 100, "rows": 40}]
    assert [(row["data"]["cols"], row["data"]["rows"]) for row in rows if row.get("kind") == "open"] == [(80, 24)]


def test_crash_is_an_event(own):
    """Were there a fault in the library all the same: the session's end is an event, and its recording is sealed."""
    client, crashes = Client(own, "deploy"), len(events(own, "session.crash"))
    before = sessions(own)
    with client.start("web1.name", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        pid, = sessions(own) - before
        os.kill(pid, signal.SIGABRT)    # what a fault under ASan ends in is a status
        assert process.wait(20) != 0
    until(lambda: len(events(own, "session.crash")) > crashes, what="the event")
    row = [row for row in own.ctl_json("sessions", "--all")["rows"] if row.get("host") == "web1"][-1]
    path = [path for path in recordings(own, "deploy") if path.endswith(row["recording"])][0]
    until(lambda: complete(own, path), deadline=20, what="the recording is sealed")
