"""What an sftp channel carried can be made again from its recording: bytes, the runs that were recorded by a word in advance, digests."""
import base64
import contextlib
import hashlib
import json
import os
import select
import signal
import struct
import subprocess
import time

import pytest

import labkit
from harness import Process, recording_of, replay, until

SIZE = 20_000_123


def raw(data):
    return data.encode() if isinstance(data, str) else base64.b64decode(data["base64"] + "===")


def following(packet):
    """The packet that continues this one, as bastion-record(5) has it."""
    ident = struct.pack(">I", (struct.unpack(">I", packet[5:9])[0] + 1) % 2**32)
    if packet[4] != 5:
        return packet[:5] + ident + packet[9:]
    offset, length = struct.unpack(">QI", packet[-12:])
    return packet[:5] + ident + packet[9:-12] + struct.pack(">QI", offset + length, length)


def packets(stream):
    at = 0
    while at < len(stream):
        length = 4 + struct.unpack(">I", stream[at:at + 4])[0]
        assert at + length <= len(stream)
        yield stream[at:at + length]
        at += length


class Direction:
    """One direction of the channel, as an auditor reads it."""

    def __init__(self):
        self.stream, self.packet, self.passed, self.runs, self.covered, self.gap = bytearray(), None, 0, 0, 0, None

    def run(self, passed, more):
        if self.packet is None:
            assert passed == 0 and more > 0
            self.packet, self.passed = list(packets(bytes(self.stream)))[-1], 0
            self.runs += 1
        while self.passed < passed:
            self.packet = following(self.packet)
            self.stream += self.packet
            self.passed += 1
            self.covered += 1
        if more == 0:
            self.packet = None


def read(lab, user):
    directions, rows = {"in": Direction(), "out": Direction()}, []
    for line in replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.splitlines():
        row = json.loads(line)
        rows.append(row)
        if row["kind"] in directions:
            each = directions[row["kind"]]
            assert each.packet is None, "bytes in the middle of a run"
            each.stream += raw(row["data"])
        elif row["kind"] == "run":
            directions[row["data"]["dir"]].run(row["data"]["passed"], row["data"]["more"])
        elif row["kind"] == "gap":
            directions[row["data"]["dir"]].gap = row["data"]["from"]
    digests = {row["data"]["dir"]: row["data"] for row in rows if row["kind"] == "digest" and row["data"]["final"]}
    return directions, digests, [row["data"] for row in rows if row["kind"] == "file"]


def sftp(user, target, words):
    user.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", user.config, target, stdin=words.encode())


@pytest.mark.parametrize("what", ["get", "put"])
def test_runs(lab, engineer, target, home, tmp_path, what):
    """Requests of a download, answers of an upload: most are not recorded one by one, and none is lost by that."""
    user = engineer()
    data = os.urandom(SIZE)
    here, there = tmp_path / "file", os.path.join(home, "file")
    if what == "get":
        with open(there, "wb") as f:
            f.write(data)
        sftp(user, target, f"get {there} {here}\n")
        assert here.read_bytes() == data
    else:
        here.write_bytes(data)
        sftp(user, target, f"put {here} {there}\n")
        with open(there, "rb") as f:
            assert f.read() == data
    directions, digests, files = read(lab, user)
    small, large = ("in", "out") if what == "get" else ("out", "in")
    run = directions[small]
    such = sum(packet[4] == (5 if what == "get" else 101) for packet in packets(bytes(run.stream)))
    assert run.runs >= 1 and such > 40 and run.covered > such * 0.7, (run.runs, run.covered, such)
    # this direction is whole, to the byte
    assert run.gap is None and run.packet is None
    assert digests[small] == {"dir": small, "bytes": len(run.stream), "sha256": hashlib.sha256(run.stream).hexdigest(), "final": True}
    # of the other one the start was kept; the file's content is in the file's digest and not in the direction's
    assert directions[large].gap == len(directions[large].stream) == 1 << 20
    assert digests[large]["apart"] == SIZE < digests[large]["bytes"] < SIZE * 1.01
    whole, = [row for row in files if row["op"] == what]
    assert (whole["size"], whole["sha256"], whole["in_order"]) == (SIZE, hashlib.sha256(data).hexdigest(), True)
    so_far = [row for row in files if row["op"] == "so-far"]
    assert so_far, "nothing would be known of it, had it been cut off"
    for row in so_far:
        assert row["dir"] == large and row["from"] == 0 and row["sha256"] == hashlib.sha256(data[:row["hashed"]]).hexdigest()


def test_resumed_and_copied(lab, engineer, home, tmp_path):
    """A transfer that is resumed has a digest of the bytes that passed, and says where they belong; what the server copies is said, too."""
    user = engineer()
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data[:100_000])
    with open(os.path.join(home, "file"), "wb") as f:
        f.write(data)
    sftp(user, "web1.name", f"reget {home}/file {tmp_path}/file\ncp {home}/file {home}/copy\n")
    assert (tmp_path / "file").read_bytes() == data
    assert {"op": "copy", "path": f"{home}/file", "to": f"{home}/copy"} in read(lab, user)[2]
    row, = [row for row in read(lab, user)[2] if row["op"] == "get"]
    assert (row["from"], row["size"], row["sha256"]) == (100_000, 200_000, hashlib.sha256(data[100_000:]).hexdigest())
    text = replay(lab, "export", "--text", recording_of(lab, user.user)).stdout.decode()
    assert "from byte 100000 of the file" in text


def test_a_file_asks_for_no_secret(lab, engineer, home, tmp_path):
    """What looks like a question in a file that is moved hides no request of the client."""
    user = engineer()
    with open(os.path.join(home, "file"), "wb") as f:
        f.write(b"Password: ")
    sftp(user, "web1.name", f"get {home}/file {tmp_path}/file\n")
    directions, digests, _ = read(lab, user)
    assert digests["in"]["sha256"] == hashlib.sha256(directions["in"].stream).hexdigest()


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


LARGE, STEPS, WINDOWS = 96 << 20, 8 << 20, 6 << 20      # two digests' bytes; what is on its way in windows, pipes and the client's requests


@contextlib.contextmanager
def standing(copy, collector, least, how=signal.SIGSTOP):
    """This file was more than `least` bytes long, then the collector was sent `how`, and the file grows no more: its length when that was sent."""
    def size():
        return os.path.getsize(copy) if os.path.exists(copy) else 0

    until(lambda: size() > least, deadline=60, pause=0.002, what="the transfer has begun")
    os.kill(collector, how)
    try:
        stopped = size()
        until(lambda: size() == (time.sleep(0.5), size())[1], deadline=20, what="it stands still")
        yield stopped
    finally:
        if how == signal.SIGSTOP:
            os.kill(collector, signal.SIGCONT)


@pytest.mark.parametrize("what", ["get", "put"])
def test_a_stalled_collector_stops_it(own, engineer, tmp_path, what):
    """The bytes that no durable digest speaks for are bounded, whatever was said in advance; then the transfer goes on as if nothing had been."""
    user = engineer(where=own)
    here, there = tmp_path / "large", own.path("target", "home", "dba", f"large-{what}")
    source, copy = (there, here) if what == "get" else (here, there)
    with open(source, "wb") as f:
        f.truncate(LARGE)

    words = f"get {there} {here}\n" if what == "get" else f"put {here} {there}\n"
    with Process(["sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", user.config, "web1.name"], env=user.env, stdin=subprocess.PIPE) as client:
        client.stdin.write(words.encode())
        client.stdin.close()
        with standing(copy, own.state["pids"]["collector"][0], 20 << 20) as stopped:
            assert stopped <= os.path.getsize(copy) <= stopped + STEPS + WINDOWS < LARGE
        assert client.wait(60) == 0
    assert os.path.getsize(copy) == LARGE
    _, digests, files = read(own, user)
    whole, = [row for row in files if row["op"] == what]
    assert (whole["size"], whole["in_order"]) == (LARGE, True) and digests["out" if what == "get" else "in"]["apart"] == LARGE
    os.unlink(there)


def request(kind, ident, body):
    return struct.pack(">IBI", 5 + len(body), kind, ident) + body


def string(data):
    return struct.pack(">I", len(data)) + data


def unread(port):
    """Bytes that the connections accepted at this port have not read yet, one number each."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in list(f)[1:]]
    return [int(row[4].split(":")[1], 16) for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "01"]


def owner(pid):
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"/proc/{pid}").st_uid
    return None


def test_a_files_end_waits_for_its_event(own, engineer):
    """The answer to an upload's close was announced like those before it: it waits all the same until the file's event is durable."""
    user = engineer(where=own)
    there = own.path("target", "home", "dba", "upload")
    collector, port = own.state["pids"]["collector"][0], own.port("target")

    def answer():
        head = client.stdout.read(4)
        return client.stdout.read(struct.unpack(">I", head)[0])

    with user.start("web1.name", "sftp", options=("-s",), bufsize=0) as client:
        client.stdin.write(struct.pack(">IBI", 5, 1, 3))
        assert answer()[0] == 2
        client.stdin.write(request(3, 1, string(there.encode()) + struct.pack(">II", 0x1A, 0)))
        handle = answer()[9:]
        for n in range(20):
            client.stdin.write(request(6, 2 + n, string(handle) + struct.pack(">Q", n * 100) + string(bytes(100))))
            assert answer()[:9] == struct.pack(">BII", 101, 2 + n, 0)
        people = [pid for pid in labkit.family(own.state["pids"]["target"][0]) if owner(pid) == labkit.DBA_UID]
        assert len(people) >= 1
        stopped = []
        try:
            for pid in people:
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            client.stdin.write(request(4, 22, string(handle)))
            until(lambda: any(unread(port)), what="the request is at the target")
            os.kill(collector, signal.SIGSTOP)
            stopped.append(collector)
            for pid in people:
                os.kill(pid, signal.SIGCONT)
            until(lambda: not any(unread(port)), what="the target took it")
            assert select.select([client.stdout], [], [], 1.0)[0] == [], "the answer came before the event was durable"
            os.kill(collector, signal.SIGCONT)
            assert answer()[:9] == struct.pack(">BII", 101, 22, 0)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        client.stdin.close()
        assert client.wait(20) == 0
    directions, _, files = read(own, user)
    whole, = [row for row in files if row["op"] == "put"]
    assert (whole["size"], whole["sha256"]) == (2000, hashlib.sha256(bytes(2000)).hexdigest())
    last = list(packets(bytes(directions["out"].stream)))[-1]
    assert last[4:13] == struct.pack(">BII", 101, 22, 0)
    assert directions["out"].covered >= 10, "the answer was not one that was announced"
    os.unlink(there)
