"""A collector that lies: acknowledges what it was not sent, signs falsely, forgets. No session goes on upon its word."""
import hashlib
import os
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization

from harness import Client, Terminal, until

HELLO, OPEN, FRAME, SEAL, END, RESUME, AT, COMMIT, RECEIPT = range(1, 10)
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class FalseCollector(threading.Thread):
    """Speaks PROTOCOL.collector with the lab's real keys, stores nothing, and lies as told."""
    acknowledged = {}   # by all of them: only who is told to forget does so. The recording of events is always open

    def __init__(self, lab, lie, name="collector", port=None):
        super().__init__(daemon=True)
        store = lab.store(name)
        with open(f"{store}/receipt.key", "rb") as f:
            self.key = serialization.load_pem_private_key(f.read(), None)
        self.public = self.key.public_key().public_bytes(*RAW)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{store}/collector.crt", f"{store}/collector.key")
        self.socket = socket.create_server(("127.0.0.1", lab.port(name) if port is None else port))
        self.lie, self.last, self.over = lie, FalseCollector.acknowledged, False
        self.start()

    def run(self):
        while not self.over:
            try:
                peer, _ = self.socket.accept()
                with self.tls.wrap_socket(peer, server_side=True) as link:
                    self.serve(link)
            except OSError:
                continue

    def close(self):
        if not self.over:
            self.over = True
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
            self.join(5)

    @staticmethod
    def send(link, kind, body):
        link.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

    def serve(self, link):
        data = b""
        link.settimeout(0.1)
        while not self.over:
            while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                length = struct.unpack(">I", data[:4])[0]
                self.handle(link, data[4], data[5:4 + length])
                data = data[4 + length:]
            try:
                more = link.recv(65536)
            except TimeoutError:
                continue
            if not more:
                return
            data += more

    def handle(self, link, kind, body):
        if kind == HELLO:
            name = b"false"
            self.send(link, HELLO, b"BRECship" + struct.pack(">H", 1) + self.public + struct.pack(">I", len(name)) + name)
        elif kind == RESUME:
            seq, h = self.last.get(body[:16], (0, b""))
            if self.lie == "forgets" or not h:
                self.send(link, AT, body[:16] + b"\0" + struct.pack(">Q", 0) + bytes(32))
            else:
                self.send(link, AT, body[:16] + b"\1" + struct.pack(">Q", seq) + h)
        else:
            frame = {OPEN: None, FRAME: body[48:], SEAL: body[52:], END: body[48:]}[kind]
            seq = 0 if frame is None else struct.unpack(">Q", frame[12:20])[0]
            self.acknowledge(link, body[:16], seq, body[16:48])

    def acknowledge(self, link, ident, seq, h):
        if self.lie == "other value" and seq == 2:
            h = bytes(32)
        if self.lie == "ahead" and seq == 2:
            seq = 20
        self.last[ident] = (seq, h)
        leaf = ident + struct.pack(">Q", seq) + h
        self.send(link, COMMIT, leaf)
        if self.lie == "no receipts":
            return
        wall = struct.pack(">Q", int(time.time() * 1e6))
        root = hashlib.sha256(b"\0" + leaf).digest()
        signature = self.key.sign(b"brec/v1 receipt" + hashlib.sha256(self.public).digest() + wall + struct.pack(">I", 1) + root)
        if self.lie == "false signature" and seq >= 2:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        self.send(link, RECEIPT, wall + signature + leaf)


@pytest.fixture(scope="module")
def alone(new_lab):
    it = new_lab(options=["hold_deadline = 8s"])
    it.stop("collector")
    # what the real one had acknowledged of the events no other knows: that alarm is not one of those below
    first = FalseCollector(it, "")
    until(lambda: "ALARM: collector c1" in log_of(it), what="the alarm about the recording of events")
    first.close()
    return it


def log_of(lab):
    with open(lab.path("log", "bastiond"), encoding="utf-8", errors="replace") as f:
        return f.read()


@pytest.fixture
def collector(alone):
    made = []

    def make(lie):
        ups = log_of(alone).count("collector c1: up")
        made.append(FalseCollector(alone, lie))
        # a collector that was barred gets another chance
        os.kill(alone.state["pids"]["bastiond"][0], signal.SIGHUP)
        until(lambda: log_of(alone).count("collector c1: up") > ups, what="the recorder is connected")
        return made[-1]
    yield make
    for it in made:
        it.close()


def test_this_collector_works_when_it_is_honest(alone, collector):
    collector("")
    out = Client(alone, "deploy").run("web1.name", "echo $((6*7))")
    assert (out.returncode, out.stdout) == (0, b"42\n"), out
    # its recording is closed, too: the next collector would be asked for it, know nothing, and be barred for that
    until(lambda: alone.ask("sessions")["rows"] == [], what="the session and its recording ended")


@pytest.mark.parametrize("lie", ["other value", "ahead", "false signature", "no receipts", "forgets"])
def test_a_lie_ends_the_session(alone, collector, lie):
    it = collector(lie)
    alarms = log_of(alone).count("ALARM: collector c1")
    user = Client(alone, "deploy")
    terminal = Terminal(user.argv("web1.name", options=("-tt",)), user.env)
    if lie in ("no receipts", "forgets"):
        terminal.line("stty -echo; echo $((6*7))")
        terminal.expect(rb"\n42\r\n")
    if lie == "forgets":
        # the connection breaks; at the next one it knows nothing of what it had acknowledged
        it.close()
        terminal.line("echo again")
        collector_again = FalseCollector(alone, lie)
        until(lambda: log_of(alone).count("ALARM: collector c1") > alarms, deadline=15, what="the alarm")
        collector_again.close()
    until(lambda: log_of(alone).count("ALARM: collector c1") > alarms, deadline=20, what="the alarm")
    assert terminal.wait() != 0
    terminal.close()
    # and nothing new begins upon its word
    assert user.run("web1.name", "true").returncode != 0
