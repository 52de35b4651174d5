"""A witness cosigns the log of recordings, asked by etc/log/ask-witness as bastion-collectord(8) has it: only a log that grew from what it saw."""
import base64
import glob
import hashlib
import http.server
import importlib.machinery
import importlib.util
import os
import shutil
import struct
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from harness import labkit
from test_evidence import brec, copied, independent, read, write
from test_public_tools import page_commands, sh

PROGRAM = os.path.join(labkit.REPO, "etc", "log", "ask-witness")
ZERO = hashlib.sha256().digest()


@pytest.fixture(scope="module")
def store(resting):
    yield from copied(resting)


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def grew(old, old_root, size, root, path):
    """RFC 9162, 2.1.4.2: is the tree of `old` leaves the beginning of that of `size`?"""
    if old in (0, size):
        return not path and (old == 0 or old_root == root)
    path = ([old_root] if old & (old - 1) == 0 else []) + path
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not path:
        return False
    one = other = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            one, other = node(c, one), node(c, other)
            while fn & 1 == 0 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            other = node(other, c)
        fn, sn = fn >> 1, sn >> 1
    return (one, other, sn) == (old_root, root, 0)


class Witness(http.server.ThreadingHTTPServer):
    """c2sp.org/tlog-witness, add-checkpoint, for one log; `seen`: what it cosigned last. lie: lines that it says besides."""

    def __init__(self, log_key, name=b"witness.example/w1"):
        super().__init__(("127.0.0.1", 0), Answers)
        self.log_key, self.name, self.key, self.seen, self.lie, self.asked = log_key, name, ed25519.Ed25519PrivateKey.generate(), (0, ZERO), b"", []
        self.public = brec.raw(self.key.public_key())
        self.key_id = hashlib.sha256(name + b"\n\4" + self.public).digest()[:4]
        self.vkey = f"{name.decode()}+{self.key_id.hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}"
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def judge(self, body):
        head, _, note = body.partition(b"\n\n")
        lines, text = head.split(b"\n"), note.rpartition(b"\n\n")[0] + b"\n"
        old, path = int(lines[0].removeprefix(b"old ")), [base64.b64decode(line, validate=True) for line in lines[1:]]
        try:
            size, root = independent.checkpoint(note, [brec.raw(self.log_key.public_key())])
        except independent.Verdict:
            return 403, b""
        self.asked.append((old, size))
        if old > size:
            return 400, b""
        if old != self.seen[0]:
            return 409, b"%d\n" % self.seen[0]
        if old == size and root != self.seen[1]:
            return 409, b"another root\n"
        if not grew(old, self.seen[1], size, root, path):
            return 422, b""
        self.seen = size, root
        when = 1700000000 + len(self.asked)
        signature = self.key.sign(b"cosignature/v1\ntime %d\n" % when + text)
        return 200, self.lie + self.line(struct.pack(">Q", when) + signature)

    def line(self, signed):
        return "\N{EM DASH} ".encode() + self.name + b" " + base64.b64encode(self.key_id + signed) + b"\n"

    def close(self):
        self.shutdown()
        self.server_close()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/add-checkpoint"
        status, text = self.server.judge(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        self.send_header("Content-Type", "text/x.tlog.size" if status == 409 else "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


@pytest.fixture
def witness(store):
    it = [Witness(store.log_key), Witness(store.log_key, b"other.example/w2")]
    yield it
    for one in it:
        one.close()


def ask(witness, top):
    """As the page has it."""
    script = page_commands("bastion-collectord.8", "ask-witness").replace("https://witness.example/", witness.url)
    script = script.replace("witness.example/w1+KEYID+KEY", witness.vkey).replace("ask-witness ", PROGRAM + " ")
    assert witness.url in script and witness.vkey in script
    return sh(script, top)


def test_witnesses_by_the_page(store, witness):
    top, (first, second) = store.copy(), witness
    shutil.copy(os.path.join(top, "log", "checkpoint"), os.path.join(top, "kept"))
    size = int(read(top, "kept").split(b"\n")[1])
    for name in glob.glob(os.path.join(glob.escape(top), "log", "checkpoint.*")):
        os.unlink(name)
    assert ask(first, top).returncode == 1 and not first.asked     # nothing is kept
    # a beginning of it, as the collector signed it an hour ago; then what it is now; then that once more
    small = size - 2
    hashes = [read(top, "log", f"tile/0/000.p/{size}")[32 * i:][:32] for i in range(size)]
    text = read(top, "kept").split(b"\n")[0] + b"\n%d\n" % small + base64.b64encode(independent.fold(hashes[:small])) + b"\n"
    write(store.sign(text), top, f"log/checkpoint.{small}")
    done = ask(first, top)
    assert done.returncode == 0 and first.asked == [(0, small)] and first.seen[0] == small, done
    shutil.copy(os.path.join(top, "kept"), os.path.join(top, "log", f"checkpoint.{size}"))
    for asked in [(0, size), (small, size)], [(0, size), (size, size)]:
        first.asked.clear()
        done = ask(first, top)
        assert done.returncode == 0 and first.asked == asked, done
    # another one, who tells a line in the first one's name: that is not its to tell
    second.lie = first.line(bytes(72)) + b"no line\n"
    assert ask(second, top).returncode == 0
    cosigned = read(top, "log", f"checkpoint.{size}.cosigned")
    assert cosigned.startswith(read(top, "kept")) and cosigned.count(b"\n") == read(top, "kept").count(b"\n") + 2
    assert not [name for name in os.listdir(os.path.join(top, "log")) if name.startswith(".")]
    write(read(store.lab.path("auditor.trust")) + f"\nwitness w1 {first.vkey}\nwitness w2 {second.vkey}\n".encode(), top, "trust")
    done = subprocess.run([store.lab.bin("bastion-replay"), "verify", "--store", top, "--trust", f"{top}/trust"], capture_output=True, text=True,
                          timeout=60 * labkit.SLOW, check=False)
    assert done.returncode == 0
    for one in witness:
        assert f"  witness {one.name.decode()}: {size} leaves, 2023-11-14 22:13:2" in done.stdout and "hold" not in done.stdout, done.stdout


def test_what_a_witness_refuses(store, witness):
    """A log that was made anew, or is an older copy, or whose answer is another's: it is said, and nothing is written."""
    top, (first, second) = store.copy(), witness
    size = int(read(top, "log", "checkpoint").split(b"\n")[1])
    shutil.copy(os.path.join(top, "log", "checkpoint"), os.path.join(top, "log", f"checkpoint.{size}"))
    for seen, said in ((3, ZERO), "422"), ((size, ZERO), "409 'another root'"), ((size + 5, ZERO), f"{size + 5} leaves of this log, and here are {size}"):
        first.seen = seen
        done = ask(first, top)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done
    second.name, second.vkey = first.name, first.vkey      # a key of another
    done = ask(second, top)
    assert done.returncode == 1 and "no line of this key" in done.stderr, done
    first.close()
    assert ask(first, top).returncode == 1
    assert not glob.glob(os.path.join(glob.escape(top), "log", "*.cosigned"))
    assert sh(f"{PROGRAM} http://127.0.0.1/ no-key", top).returncode == 2


def test_proofs_of_larger_logs(tmp_path):
    """Trees of one, two and three levels of tiles, at the edges of tiles; also when the tiles have grown beyond the checkpoint."""
    loader = importlib.machinery.SourceFileLoader("ask_witness", PROGRAM)
    program = importlib.util.module_from_spec(importlib.util.spec_from_loader("ask_witness", loader))
    loader.exec_module(program)
    hashes = [hashlib.sha256(struct.pack(">I", i)).digest() for i in range(256 * 256 + 300)]
    for there in 5, 256, 700, len(hashes):
        top, nodes, level = str(tmp_path / str(there)), hashes[:there], 0
        while nodes:
            for start in range(0, len(nodes), 256):
                part, n = nodes[start:start + 256], start // 256
                name = "/".join([f"x{n // 1000 ** i % 1000:03}" for i in range(5, 0, -1) if n >= 1000 ** i] + [f"{n % 1000:03}"])
                write(b"".join(part), top, f"tile/{level}/{name}" + (f".p/{len(part)}" if len(part) < 256 else ""))
            level, nodes = level + 1, [independent.fold(nodes[i:i + 256]) for i in range(0, len(nodes) - 255, 256)]
        sizes = [size for size in (1, 2, 3, 5, 255, 256, 257, 511, 513, 700, 65535, 65536, 65537, len(hashes)) if size <= there]
        roots = {size: independent.fold(hashes[:size]) for size in sizes}
        tree = program.Tree(top)
        for size in sizes:
            for old in (old for old in sizes if old <= size):
                path = tree.proof(old, 0, size)
                assert grew(old, roots[old], size, roots[size], path) and len(path) <= 63, (there, old, size)
                assert old in (0, size) or not grew(old, ZERO, size, roots[size], path), (there, old, size)
