"""A client that sends and leaves before its target is reached: what came is recorded, with a word that it went nowhere."""
import json
import socket
import threading

import paramiko
import pytest
from paramiko.message import Message

from harness import complete, events, labkit, recordings, replay, until
from rogue import Rogue

DATA = b"rm -rf /srv/data; echo done\n" * 3000


def say(client, kind, *parts):
    m = Message()
    m.add_byte(bytes([kind]))
    for part in parts:
        (m.add_boolean if isinstance(part, bool) else m.add_int if isinstance(part, int) else m.add_string)(part)
    client._send_message(m)


def rows_of(lab, host):
    found = [row for row in lab.ask("sessions", all=True)["rows"] if row.get("host") == host and row.get("recording")]
    paths = [path for path in recordings(lab, "deploy") if found and path.endswith(found[0]["recording"])]
    if not paths or not complete(lab, paths[0]):
        return None
    return [json.loads(line) for line in replay(lab, "export", "--json", paths[0]).stdout.splitlines()]


@pytest.mark.parametrize("farewell", ["disconnect", "close"])
def test_client_that_leaves_before_the_target_answers(lab, farewell):
    reached, over = threading.Event(), threading.Event()

    def behave(sock):
        """Takes the connection, and says nothing: the login runs until dial_timeout."""
        if sock.recv(200):
            reached.set()
        over.wait(120)
    rogue = Rogue(lab, behave)
    try:
        client = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
        client.start_client(timeout=20)
        client.auth_publickey(f"deploy@dba@{rogue.name}", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
        channel = client.open_session(timeout=20)
        assert reached.wait(20)     # so policy has answered, and there is a recording
        say(client, 98, channel.remote_chanid, "exec", False, "cat >/tmp/x")
        channel.sendall(DATA)
        if farewell == "disconnect":
            say(client, 1, 11, "bye", "")
        client.sock.close()
        rows = until(lambda: rows_of(lab, rogue.name), deadline=30, what="the recording is complete")
    finally:
        over.set()
        rogue.close()
    kinds = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row.get("data"))
    assert kinds["open"][0]["command"] == "cat >/tmp/x", kinds
    assert "".join(kinds["in"]).encode() == DATA
    assert any("not started" in note for note in kinds["note"])
    end, = kinds["close"]
    assert end["in"] == len(DATA) and end["held_in"] == len(DATA) and end["out"] == 0


def test_client_that_leaves_before_there_is_a_recording(lab):
    """The host does not answer its port: what came until then is nowhere, and an event says how much that was."""
    listener, fillers = socket.socket(), []
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    name = f"web-full{listener.getsockname()[1]}"
    try:
        for _ in range(4):      # its queue is full: further connections wait
            fillers.append(socket.socket())
            fillers[-1].setblocking(False)
            fillers[-1].connect_ex(listener.getsockname())
        key = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
        lab.ask("host add", host=name, address="127.0.0.1", port=listener.getsockname()[1], key=[key], login=["dba"], label=["tier=rogue"])
        lab.grant("deploy", name, "dba")
        client = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
        client.start_client(timeout=20)
        client.auth_publickey(f"deploy@dba@{name}", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
        channel = client.open_session(timeout=20)
        say(client, 98, channel.remote_chanid, "exec", False, "cat >/tmp/x")
        channel.sendall(DATA)
        say(client, 1, 11, "bye", "")
        client.sock.close()
        row, = until(lambda: [row for row in events(lab, "input.discarded") if row["subject"] == name], deadline=30, what="the event")
    finally:
        for sock in (listener, *fillers):
            sock.close()
    assert f"{len(DATA)} bytes" in str(row["detail"])
