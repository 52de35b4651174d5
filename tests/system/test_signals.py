"""What a client sends besides bytes, a signal, a window's size, the end of its input: it gets there, is recorded, and waits for its frame (P2)."""
import json
import os
import signal
import time

import paramiko
import pytest

from harness import recording_of, replay, until

SCRIPTS = {
    "signal": "trap 'touch {mark}' USR1; echo up; while :; do sleep 0.1; done",
    "resize": "trap 'touch {mark}' WINCH; echo up; while :; do sleep 0.1; done",
    "eof": "echo up; cat >/dev/null; touch {mark}",
}


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


@pytest.fixture
def connection(own):
    transport = paramiko.Transport(("127.0.0.1", own.port("bastiond")))
    transport.start_client(timeout=20)
    transport.auth_publickey("deploy@dba@web1", paramiko.Ed25519Key.from_private_key_file(own.path("users", "deploy", "key")))
    yield transport
    transport.close()


def send_signal(channel, name):
    message = paramiko.Message()
    message.add_byte(b"\x62")
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)
    message.add_string(name)
    channel.transport._send_user_message(message)


def test_all_of_it_waits_for_its_frame(own, connection):
    marks = {what: own.path("target", "home", "dba", f"mark-{what}") for what in SCRIPTS}
    channels = {}
    for what, script in SCRIPTS.items():
        channels[what] = channel = connection.open_session(timeout=20)
        channel.settimeout(20)
        if what == "resize":
            channel.get_pty("xterm", 80, 24)
        channel.exec_command(script.format(mark=marks[what]))
        assert channel.recv(2) == b"up"
    collector = own.state["pids"]["collector"][0]
    os.kill(collector, signal.SIGSTOP)
    try:
        send_signal(channels["signal"], "USR1")
        channels["resize"].resize_pty(101, 37)
        channels["eof"].shutdown_write()
        time.sleep(1.5)     # for what must not happen there is no event
        assert [what for what, path in marks.items() if os.path.exists(path)] == []
    finally:
        os.kill(collector, signal.SIGCONT)
    for what, path in marks.items():
        until(lambda path=path: os.path.exists(path), deadline=20, what=f"the {what} is there")
    # the mark is there before the target's end of output is
    assert channels["eof"].makefile("rb").read() == b"\n" and channels["eof"].recv_exit_status() == 0
    connection.close()
    rows = [json.loads(line) for line in replay(own, "export", "--json", recording_of(own, "deploy")).stdout.splitlines()]
    said = {kind: [row["data"] for row in rows if row.get("kind") == kind] for kind in SCRIPTS}
    assert said["signal"] == ["USR1"] and said["resize"] == [{"cols": 101, "rows": 37}] and said["eof"] == ["in", "out"], said
