"""Clients that keep to no rule of RFC 4254: each may end its own connection, none costs the bastion more than that."""
import contextlib
import os
import re
import signal
import socket
import threading
import time

import paramiko
import pytest
from paramiko.message import Message

from harness import MEMORY_MAX, Echo, events, labkit, memory, sessions, until

SERVICE_REQUEST, USERAUTH_REQUEST, GLOBAL_REQUEST, CHANNEL_OPEN, CHANNEL_DATA, CHANNEL_CLOSE, CHANNEL_REQUEST = 5, 50, 80, 90, 94, 97, 98
SERVICE_ACCEPT, USERAUTH_FAILURE = 6, 51


class Raw:
    """Packets of one's own over paramiko's key exchange and login; its channels are not used."""

    def __init__(self, lab, name="deploy@dba@web1", login=True):
        self.sock = socket.create_connection(("127.0.0.1", lab.port("bastiond")))
        self.transport = paramiko.Transport(self.sock)
        self.transport.start_client(timeout=15)
        if login:
            self.transport.auth_publickey(name, paramiko.Ed25519Key.from_private_key_file(lab.path("users", name.partition("@")[0], "key")))

    def send(self, kind, *parts):
        m = Message()
        m.add_byte(bytes([kind]))
        for part in parts:
            if isinstance(part, bool):
                m.add_boolean(part)
            elif isinstance(part, int):
                m.add_int(part)
            else:
                m.add_string(part)
        self.transport._send_message(m)

    def close(self):
        self.transport.close()


@pytest.fixture
def raw(lab):
    """raw(name): a connection and the session process that serves it."""
    made = []

    def connect(name="deploy@dba@web1", login=True):
        before = sessions(lab)
        made.append(Raw(lab, name, login))
        made[-1].pid = until(lambda: sessions(lab) - before, what="a session process").pop()
        return made[-1]
    yield connect
    for each in made:
        each.close()


def cpu(pid):
    """Seconds used so far; None: the process is gone."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            words = f.read().rsplit(")", 1)[1].split()
        if words[0] != "Z":
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return None


def stop_reading(connection):
    """From here on the client takes nothing off its socket: what it is told stays with the bastion."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.transport.packetizer.read_message = lambda: time.sleep(600)


def flood(connection, what, seconds=4):
    """Sends until the bastion takes no more or ends the connection; the most memory that its session ever had, in KiB."""
    over, most = threading.Event(), 0

    def send():
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while not over.is_set():
                what()
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and cpu(connection.pid) is not None:
        most = max(most, memory(connection.pid, "VmHWM"))
        time.sleep(0.05)
    over.set()
    return most


def pause(connection):
    """As above, until the event that is returned is set. Its buffer is the usual one: a small one would be emptied at 60 KB/s afterwards."""
    go_on, read = threading.Event(), connection.transport.packetizer.read_message

    def read_message():
        go_on.wait(120 * labkit.SLOW)
        return read()
    connection.transport.packetizer.read_message = read_message
    return go_on


def channel_by(transport, **kw):
    return transport.open_session(timeout=15, **kw)


def test_what_one_session_may_take(raw):
    """The kernel's own bounds, whatever libssh makes of a client: of its memory for a peer that never ends a key exchange there is no other."""
    limits = labkit.read(f"/proc/{raw('deploy').pid}/limits")
    bounds = {"Max open files": 256, "Max core file size": 0} | ({} if labkit.sanitized() else {"Max address space": 1 << 30})
    for name, most in bounds.items():
        assert re.search(rf"^{name} +{most} +{most} ", limits, re.M), limits


def test_requests_whose_answers_are_not_read(raw):
    """Each is worth an answer; the bastion keeps few of them and reads no more."""
    it = raw()
    channel_by(it.transport)
    stop_reading(it)
    assert flood(it, lambda: it.send(GLOBAL_REQUEST, "no-such@request", True)) < MEMORY_MAX


def test_none_requests_before_the_login(raw):
    it = raw(login=False)
    it.send(SERVICE_REQUEST, "ssh-userauth")
    stop_reading(it)
    assert flood(it, lambda: it.send(USERAUTH_REQUEST, "nobody", "ssh-connection", "none")) < MEMORY_MAX
    until(lambda: cpu(it.pid) is None, what="the session is over")


def test_subsystems_that_do_not_exist(raw):
    """Each names 30 KB; none of them stays."""
    it = raw()
    channel = channel_by(it.transport)
    name = "x" * 30000
    assert flood(it, lambda: it.send(CHANNEL_REQUEST, channel.remote_chanid, "subsystem", False, name)) < MEMORY_MAX


def test_a_window_that_is_ignored(raw, deploy):
    """A channel that waits for its start takes one window, not what the client likes to send."""
    it = raw()
    channel = channel_by(it.transport)
    data = bytes(30000)
    assert flood(it, lambda: it.send(CHANNEL_DATA, channel.remote_chanid, data)) < MEMORY_MAX
    until(lambda: cpu(it.pid) is None, what="the session is over")
    assert deploy.run("web1.name", "true").returncode == 0


def test_channels_that_the_client_never_closes(raw):
    """They count on: libssh keeps a channel until both sides closed it."""
    it = raw("deploy")
    kept = []       # paramiko closes a channel that nobody holds
    with contextlib.suppress(paramiko.SSHException, EOFError):
        # what paramiko would say when the bastion closes the channel is not said
        it.transport._channel_handler_table = {**it.transport._channel_handler_table, CHANNEL_CLOSE: lambda channel, m: None}
        for _ in range(200):
            kept.append(it.transport.open_session(timeout=5))
            kept[-1].exec_command("help")
    assert 0 < len(kept) < 200


KRB5 = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
OTHER = b"\x06\x03\x2a\x03\x04"
ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20\x58" + b"\x66" * 31      # the base point: a key like any other
NO_SIGNATURE = b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + bytes(64)
ED448 = b"\0\0\0\x09ssh-ed448\0\0\0\x39" + bytes(57)
DROPPED = {
    "a key type that nobody knows": (("publickey", False, "ssh-ed448", ED448), "key of a type that is not known"),
    "a signature that does not hold": (("publickey", True, "ssh-ed25519", ED25519, NO_SIGNATURE), "signature does not hold"),
    "no signature": (("publickey", True, "ssh-ed25519", ED25519, b""), "signature does not hold"),
    "Kerberos": (("gssapi-with-mic", 1, KRB5), "GSSAPI is no way to log in"),
    "another mechanism": (("gssapi-with-mic", 1, OTHER), "GSSAPI is no way to log in"),
}


@pytest.mark.parametrize("kind", DROPPED)
def test_requests_that_the_library_keeps_to_itself(raw, caplog, kind):
    """No answer would ever come: the connection ends, with a line, and does not wait for login_grace."""
    parts, line = DROPPED[kind]
    caplog.set_level("INFO", "paramiko")
    it = raw(login=False)
    # what paramiko would send about these answers may come when the bastion has closed: what it said last would be lost in a reset
    it.transport._handler_table = {**it.transport._handler_table, SERVICE_ACCEPT: lambda *_: None, USERAUTH_FAILURE: lambda *_: None}
    it.send(SERVICE_REQUEST, "ssh-userauth")
    it.send(USERAUTH_REQUEST, "deploy", "ssh-connection", *parts)
    until(lambda: cpu(it.pid) is None, deadline=15, what="the session is over")
    until(lambda: line in caplog.text, what=f"the client is told: {line}")


def test_an_rsa_key_that_signs_with_sha1(lab, caplog, tmp_path, fresh):
    caplog.set_level("INFO", "paramiko")
    path, device = str(tmp_path / "rsa"), fresh("old")
    labkit.keygen(path, "rsa")
    lab.ask("user key add", user="deploy", device=device, key=labkit.read(path + ".pub").strip())
    for disabled in ([], ["rsa-sha2-512", "rsa-sha2-256"]):
        with socket.create_connection(("127.0.0.1", lab.port("bastiond"))) as sock:
            transport = paramiko.Transport(sock, disabled_algorithms={"pubkeys": disabled})
            transport.start_client(timeout=15)
            begin = time.monotonic()
            if disabled:
                until(lambda: transport.server_extensions, what="what the bastion takes")
                transport.server_extensions = {}    # an old client does not ask
                with pytest.raises((paramiko.SSHException, EOFError)):
                    transport.auth_publickey("deploy", paramiko.RSAKey.from_private_key_file(path))
                assert time.monotonic() - begin < 20, "not only at the end of login_grace"
                assert "an RSA key needs rsa-sha2-256" in caplog.text
            else:
                transport.auth_publickey("deploy", paramiko.RSAKey.from_private_key_file(path))
            transport.close()


def test_a_channel_that_is_closed_while_nothing_is_read(raw, home):
    """RFC 4254 5.3: who closes a channel is owed a close, also when the socket took nothing at that moment."""
    it, closed = raw(), threading.Event()
    channel = channel_by(it.transport, window_size=1 << 30)
    it.transport._channel_handler_table = {**it.transport._channel_handler_table, CHANNEL_CLOSE: lambda *_: closed.set()}
    channel.exec_command(f"""cd {home}; while head -c 100000 /dev/zero; do date +%s%N >mark; done; echo >over""")
    go_on = pause(it)

    def stands(seen=[]):
        seen.append(labkit.read(f"{home}/mark") if os.path.exists(f"{home}/mark") else "")
        return len(seen) > 15 and seen[-1] != "" and len(set(seen[-15:])) == 1
    until(stands, deadline=30, pause=0.1, what="nothing moves any more")
    it.send(CHANNEL_CLOSE, channel.remote_chanid)
    until(lambda: os.path.exists(f"{home}/over"), deadline=30, what="the target's end of the channel is closed")
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(30 * labkit.SLOW)


def test_packets_of_ten_bytes(raw, deploy, lab):
    """libssh writes to such a channel for ever; the session ends itself long before policy notices, which is an event like any crash."""
    before = len(events(lab, "session.crash", "deploy"))
    it = raw()
    channel = channel_by(it.transport)
    it.transport.channels_seen[77] = True     # paramiko ends a connection for words about a channel that it does not know
    it.send(CHANNEL_OPEN, "session", 77, 1 << 20, 10)
    time.sleep(0.3)
    number = channel.remote_chanid + 1
    it.send(CHANNEL_REQUEST, number, "exec", False, "echo much")
    start = time.monotonic()
    until(lambda: (used := cpu(it.pid)) is None or used > 4, deadline=40, what="the session is over")
    assert cpu(it.pid) is None, f"spins for {time.monotonic() - start} s"
    until(lambda: len(events(lab, "session.crash", "deploy")) > before, what="the event")
    assert deploy.run("web1.name", "true").returncode == 0


def test_console_closed_while_it_writes(raw, lab):
    """The terminal's worker still writes when its channel is gone; another channel goes on."""
    it = raw("deploy")
    for _ in range(3):
        channel = channel_by(it.transport)
        channel.get_pty("xterm")
        channel.invoke_shell()
        with contextlib.suppress(OSError):
            channel.sendall(b"help\rhosts\r" * 20)
        channel.close()
    again = channel_by(it.transport)
    again.exec_command("help")
    assert again.makefile().read() and again.recv_exit_status() == 0


def test_a_second_console_is_refused(raw):
    it = raw("deploy")
    consoles = []
    for _ in range(2):
        channel = channel_by(it.transport)
        channel.get_pty("xterm")
        channel.invoke_shell()
        channel.settimeout(10)
        consoles.append(channel)
        if len(consoles) == 1:
            assert channel.recv(1)
    text = b""
    while piece := consoles[1].recv_stderr(4096):
        text += piece
    assert b"console" in text and consoles[1].recv_exit_status() != 0, text
    consoles[0].sendall(b"help\r")
    assert consoles[0].recv(1)


def test_words_and_end_of_file_at_once(raw):
    """The answer comes back although the channel's input is over, and to its own channel."""
    it = raw("deploy")
    for _ in range(5):
        channel = channel_by(it.transport)
        channel.exec_command("hosts")
        channel.shutdown_write()
        gone = channel_by(it.transport)
        gone.exec_command("hosts")
        gone.close()
        assert b"web1" in channel.makefile().read()


def test_console_that_is_not_read(raw):
    """Nobody reads the answers: the session waits, and does not spin."""
    it = raw("deploy")
    channel = channel_by(it.transport, window_size=0x8000)
    channel.get_pty("xterm")
    channel.invoke_shell()
    for _ in range(3000):
        if not channel.send_ready():
            break
        channel.send(b"help\r" * 40)
    time.sleep(2)
    before = cpu(it.pid)
    time.sleep(2)
    assert cpu(it.pid) - before < 0.5


def test_tunnel_that_is_not_read(raw, lab):
    """The inner server's connection is over, its last words are not taken: no spin."""
    it = raw("deploy")
    outer = it.transport.open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1), window_size=0x8000)
    stop = b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a" + bytes(200)
    outer.settimeout(3)
    with contextlib.suppress(OSError):
        for _ in range(200):
            outer.sendall(stop)
    time.sleep(1)
    before = cpu(it.pid)
    time.sleep(2)
    after = cpu(it.pid)
    assert after is None or after - before < 0.5


@pytest.mark.parametrize("kind", ["window-change", "signal"])
def test_floods_towards_a_stopped_target(raw, target_stopped, kind):
    it = raw()
    channel = channel_by(it.transport)
    channel.get_pty("xterm")
    channel.exec_command("sleep 600")
    with target_stopped():
        parts = (80, 24, 0, 0) if kind == "window-change" else ("WINCH",)
        assert flood(it, lambda: it.send(CHANNEL_REQUEST, channel.remote_chanid, kind, False, *parts)) < MEMORY_MAX


@pytest.fixture
def target_stopped(lab):
    @contextlib.contextmanager
    def stopped():
        pid, _ = lab.state["pids"]["target"]
        # the connection's own processes are the listener's children
        pids = labkit.family(pid)[1:]
        for each in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)

        def state(each):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return labkit.read(f"/proc/{each}/stat").rsplit(")", 1)[1].split()[0]
            return "Z"
        try:
            # one of a connection that is over answers nobody either, gone or not reaped yet
            until(lambda: len(pids) > 2 and all(state(each) in "TZ" for each in pids), what="it stands")
            yield
        finally:
            for each in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGCONT)
    return stopped


def test_a_command_waits_for_its_frame(new_lab, allowed):
    """The way is open, the collector stands still: what a second channel asks for does not start, and where a third one goes nobody connects."""
    lab, server = new_lab(options=["hold_deadline = 10s"]), Echo()
    it = Raw(lab, f"{allowed('exec', f'forward 127.0.0.1:{server.port}', where=lab).user}@dba@web1")
    it.transport.channels_seen[78] = True     # paramiko knows nothing of it, and would end the connection
    first = channel_by(it.transport)
    first.exec_command("true")
    assert first.recv_exit_status() == 0
    mark = lab.path("target", "home", "dba", "started")
    pid, _ = lab.state["pids"]["collector"]
    os.kill(pid, signal.SIGSTOP)
    try:
        second = channel_by(it.transport)
        with contextlib.suppress(paramiko.SSHException):
            second.settimeout(3)
            it.send(CHANNEL_REQUEST, second.remote_chanid, "exec", False, f"touch {mark}")
        it.send(CHANNEL_OPEN, "direct-tcpip", 78, 1 << 20, 32768, "127.0.0.1", server.port, "127.0.0.1", 1)
        time.sleep(1.5)
        assert not os.path.exists(mark), "a command reached the target before its frame was durable"
        assert server.seen == 0, "a forward was opened before the frame that names its destination was durable"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: os.path.exists(mark), what="the command runs when the collector is back")
    until(lambda: server.seen == 1, what="the forward, too")
    it.close()


def used(pid, seconds):
    """CPU seconds in so many."""
    before = cpu(pid)
    time.sleep(seconds)
    return cpu(pid) - before


@pytest.mark.parametrize("command", ("true", "kill -9 $PPID"))
def test_a_close_without_an_answer(raw, command):
    """The command, or the target's whole connection, has ended and the bastion closed the channel; for a client that does not answer it waits without
    a step."""
    it, closed = raw(), threading.Event()
    it.transport._channel_handler_table = {**it.transport._channel_handler_table, CHANNEL_CLOSE: lambda channel, m: closed.set()}
    channel_by(it.transport).exec_command(command)
    assert closed.wait(20)
    # a step or two of what the end of the recording takes
    until(lambda: used(it.pid, 0.5) == 0, what="a session that waits")
    assert used(it.pid, 1) <= 0.02
