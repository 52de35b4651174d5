"""Port, agent, X11, streamlocal and tun forwarding: refused, with a line that says so and an event."""
import socket
import subprocess

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_REQUEST
from paramiko.message import Message

from harness import events, labkit, until


def last_event(lab):
    rows = lab.ctl_json("events", "--limit", "1")["rows"]
    return rows[-1]["id"] if rows else 0


def expect_event(lab, after, *kinds):
    until(lambda: [row for row in events(lab, after=after) if row["kind"] in kinds], what=f"event {kinds}")


def test_local_forward(lab, deploy, target):
    mark, port = last_event(lab), labkit.free_port()
    with deploy.start(target, "cat", options=("-o", "LogLevel=INFO", "-o", "ExitOnForwardFailure=yes", "-L", f"{port}:127.0.0.1:22")) as process:
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.read(3) == b"up\n"
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(10)
            assert s.recv(100) == b""
        process.stdin.close()
        assert b"forward" in process.stderr.read().lower()
        assert process.wait(20) == 0
    expect_event(lab, mark, "forward.refused")


def test_forward_of_standard_input(lab, deploy, target):
    """As the next hop of a chain of -J: there is no channel to say it on, so the end of the connection says it."""
    mark = last_event(lab)
    done = deploy.run(target, options=("-o", "LogLevel=INFO", "-W", "10.0.0.1:22"))
    assert done.returncode == 255 and b"port forwarding to 10.0.0.1:22 is refused: no grant allows it" in done.stderr, done.stderr
    expect_event(lab, mark, "forward.refused")


def test_forward_of_standard_input_without_a_grant(engineer, way):
    done = engineer(grant=False).run(f"web1.{way}", options=("-o", "LogLevel=INFO", "-W", "10.0.0.1:22"))
    assert done.returncode == 255 and b"request web1 --login dba" in done.stderr, done.stderr


def test_remote_forward(lab, deploy, target):
    mark = last_event(lab)
    done = deploy.run(target, "echo in", options=("-o", "LogLevel=INFO", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"))
    assert done.returncode == 255 and b"forward" in done.stderr.lower()
    expect_event(lab, mark, "forward.refused")


def test_remote_forward_is_not_fatal(deploy, target):
    done = deploy.run(target, "echo in", options=("-o", "LogLevel=INFO", "-R", "0:127.0.0.1:22"), check=True)
    assert done.stdout == b"in\n" and b"remote port forwarding is refused: no grant allows it" in done.stderr, done.stderr


def test_streamlocal(lab, deploy, target):
    mark = last_event(lab)
    done = deploy.run(target, "echo in", options=("-o", "LogLevel=INFO", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/remote.sock:/tmp/local.sock"))
    assert done.returncode == 255 and done.stdout == b""
    expect_event(lab, mark, "streamlocal.refused")
    # where the session goes on without it, its user reads that it did not work
    done = deploy.run(target, "echo in", options=("-o", "LogLevel=INFO", "-R", "/tmp/remote.sock:/tmp/local.sock"), check=True)
    assert done.stdout == b"in\n" and b"remote forwarding of a socket is refused: no grant allows it" in done.stderr, done.stderr


def test_agent(lab, deploy, target, tmp_path):
    agent = subprocess.run(["ssh-agent", "-s", "-a", str(tmp_path / "agent")], capture_output=True, text=True, check=True).stdout
    pid = agent.split("SSH_AGENT_PID=")[1].split(";")[0]
    mark = last_event(lab)
    try:
        done = deploy.run(target, "echo sock=$SSH_AUTH_SOCK.", options=("-A",), env={"SSH_AUTH_SOCK": str(tmp_path / "agent")}, check=True)
        assert done.stdout == b"sock=.\n" and b"agent forwarding is refused: no grant allows it" in done.stderr, done.stderr
    finally:
        subprocess.run(["kill", pid], check=True)
    expect_event(lab, mark, "agent.refused")


def test_agent_before_anything_is_started(lab):
    """By a jump, by a client that waits for the answer before it starts its command: the line comes with the command, on the connection inside."""
    outer = paramiko.SSHClient()
    outer.load_host_keys(lab.path("known_hosts"))
    outer.connect("127.0.0.1", lab.port("bastiond"), "deploy", key_filename=lab.path("users", "deploy", "key"), allow_agent=False, look_for_keys=False)
    inner = paramiko.Transport(outer.get_transport().open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1)))
    try:
        inner.start_client(timeout=15)
        inner.auth_none("dba")
        session = inner.open_session(timeout=15)
        m = Message()
        m.add_byte(bytes([MSG_CHANNEL_REQUEST]))
        m.add_int(session.remote_chanid)
        m.add_string("auth-agent-req@openssh.com")
        m.add_boolean(True)
        session._event_pending()
        inner._send_message(m)
        with pytest.raises(paramiko.SSHException):
            session._wait_for_event()   # refused, and paramiko closes the channel: the next is not the one that asked
        session = inner.open_session(timeout=15)
        session.exec_command("echo in")
        assert session.makefile_stderr().read() == b"bastiond: agent forwarding is refused: no grant allows it\r\n"
        assert session.makefile().read() == b"in\n"
    finally:
        inner.close()
        outer.close()


def test_what_is_refused_for_want_of_room_hides_nothing(lab):
    """A client that asks for channels beyond its bound, again and again: what no grant allows is in the events all the same."""
    client = paramiko.SSHClient()
    client.load_host_keys(lab.path("known_hosts"))
    client.connect("127.0.0.1", lab.port("bastiond"), "deploy", key_filename=lab.path("users", "deploy", "key"), allow_agent=False, look_for_keys=False)
    transport, channels, refused = client.get_transport(), [], 0
    try:
        while refused < 501:
            try:
                channels.append(transport.open_session(timeout=15))
            except paramiko.ChannelException:
                refused += 1
        mark = last_event(lab)
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("10.0.0.1", 80), ("127.0.0.1", 1))
        expect_event(lab, mark, "forward.refused")
    finally:
        client.close()


def test_x11(lab, deploy, target, tmp_path):
    mark = last_event(lab)
    done = deploy.run(target, "echo display=$DISPLAY.", options=("-Y", "-o", "XAuthLocation=/bin/true"), env={"DISPLAY": "127.0.0.1:99"})
    assert done.stdout == b"display=.\n" and b"X11 forwarding is refused: no grant allows it" in done.stderr, done.stderr
    expect_event(lab, mark, "x11.refused")


def test_tun(lab, deploy, target):
    mark = last_event(lab)
    done = deploy.run(target, "echo in", options=("-o", "Tunnel=point-to-point", "-w", "any:any"), timeout=30)
    if b"open failed" not in done.stderr and b"tun" in done.stderr.lower() and b"in" not in done.stdout:
        pytest.skip("no tun device here: the client never asked; test_direct_tcpip.py asks without one")
    # libssh does not tell the types of channels that it does not know
    expect_event(lab, mark, "streamlocal.refused")
