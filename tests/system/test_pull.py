"""A bucket that does what it likes, served by the test itself: who writes into it, and who answers for it, can spoil no copy of what is honest."""
import http.server
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import urllib.parse

import pytest

from harness import Terminal, labkit
from test_evidence import read, write

sys.path.insert(0, os.path.dirname(labkit.__file__))
import verify_independent as independent  # noqa: E402

BUCKET, RID = "evidence", "0123456789abcdef" * 2
PLACE = f"recordings/2026-11-28/{RID}"
HEAD = '<?xml version="1.0"?><ListVersionsResult xmlns="x"><IsTruncated>false</IsTruncated>'
KEYS = {"AWS_ACCESS_KEY_ID": "READER", "AWS_SECRET_ACCESS_KEY": "secret"}
VERSION = "<Version><Key>{}</Key><VersionId>{}</VersionId><LastModified>2026-11-28T08:00:00Z</LastModified><Size>{}</Size></Version>"


def receipt():
    """One that decodes, signed by nobody."""
    raw = struct.pack(">I32xQ16sQ32xIII64x", 176, 1, bytes.fromhex(RID), 0, 1, 0, 0)
    return raw + struct.pack(">I", independent.crc32c(raw))


def segment(number, size):
    """The beginning of one, whose header does not end in it."""
    return (b"BREC\r\n\x1a\n" + struct.pack(">HHI", 1, 1, 32768)).ljust(size, bytes([number]))


class Answers(http.server.BaseHTTPRequestHandler):
    """GET of the list of versions, and of objects; `busy`: so many answers that say 503 or 429 first."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        store, url = self.server.store, urllib.parse.urlsplit(self.path)
        key, query = urllib.parse.unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/"), urllib.parse.parse_qs(url.query, keep_blank_values=True)
        with store.lock:
            busy, store.busy[bool(key)] = store.busy[bool(key)], max(0, store.busy[bool(key)] - 1)
        if busy:
            self.answer(503 if busy % 2 else 429, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
        elif not key and "versions" in query:
            after = query.get("key-marker", [""])[0]
            rows = "".join(VERSION.format(name, store.version, len(data)) for name, data in sorted(store.objects.items())
                           if name > after and name.startswith(query["prefix"][0]))
            self.answer(200, (HEAD + rows + "</ListVersionsResult>").encode("latin-1"))
        else:
            self.answer(200, store.objects[key])


class Bucket:
    def __init__(self, lab, top):
        self.lab, self.top, self.copy = lab, top, os.path.join(top, "copy")
        self.lock, self.busy, self.version, self.objects = threading.Lock(), [0, 0], "v1", {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads, self.server.store = True, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def words(self):
        return [self.lab.bin("bastion-replay"), "pull", "--from", f"http://127.0.0.1:{self.server.server_port}/{BUCKET}", "--store", self.copy,
                "--trust", self.lab.path("auditor.trust")]

    def pull(self, *words):
        return subprocess.run([*self.words(), *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False, env=os.environ | KEYS)


@pytest.fixture
def bucket(lab, tmp_path):
    it = Bucket(lab, str(tmp_path))
    yield it
    it.server.shutdown()
    it.server.server_close()
    shutil.rmtree(it.copy, ignore_errors=True)


def test_names_that_stand_in_the_way(bucket):
    """Objects under names that a copy could use for what is on its way: of the same length as the true ones, so that no size gives them away."""
    true = {f"{PLACE}/{n:08}.brec": segment(n, 1000 + n) for n in range(20)} | {"log/checkpoint.7": b"true" * 30, f"{PLACE}/receipts.00000000": receipt()}
    false = {f"{name}.{end}-{k}": b"X" * len(data) for name, data in true.items() for end in ("part", "other") for k in (0, 1)}
    false |= {f".part/{k}-0": b"X" * 1000 for k in range(20)}
    bucket.objects = true | false
    done = bucket.pull()
    assert done.returncode == 0 and f"{len(false)} of other names passed over".encode() in done.stderr, done
    for name, data in true.items():
        assert read(bucket.copy, name) == data, name
    assert sorted(os.listdir(os.path.join(bucket.copy, PLACE))) == sorted([os.path.basename(n) for n in true if n.startswith(PLACE)] + ["receipts"])
    assert not os.path.exists(os.path.join(bucket.copy, ".part"))
    # what a pull left that was ended; and other bytes of the same length in a file's place: what is here is what was fetched, or is fetched again
    write(b"left", bucket.copy, ".part", "3-0")
    write(b"X" * 1003, bucket.copy, PLACE, "00000003.brec")
    done = bucket.pull()
    assert done.returncode == 0 and f"1 fetched, {len(true) - 1} were here".encode() in done.stderr, done
    assert read(bucket.copy, PLACE, "00000003.brec") == true[f"{PLACE}/00000003.brec"]
    assert not os.path.exists(os.path.join(bucket.copy, ".part"))


def test_some_days_at_a_time(bucket):
    """Of a bucket that is larger than a list may be: the log, and recordings of these days."""
    days = [PLACE.replace("11-28", f"11-{day}") for day in (26, 27, 28)]
    bucket.objects = {f"{place}/00000000.brec": segment(1, 100) for place in days} | {"log/checkpoint.7": b"true" * 30, "canary/1": b"x"}
    done = bucket.pull("--since", "2026-11-27", "--until", "2026-11-28")
    assert done.returncode == 0 and b"2 objects in 2 versions: 2 fetched, 0 were here\n" in done.stderr, done
    assert [os.path.exists(os.path.join(bucket.copy, place)) for place in days] == [False, True, False]
    done = bucket.pull("--until", "2026-11-27")
    assert done.returncode == 0 and b"1 fetched, 1 were here\n" in done.stderr, done
    done = bucket.pull("--since", "2026-11-28T12:00Z")
    assert done.returncode == 0 and b"1 fetched, 1 were here\n" in done.stderr, done
    done = bucket.pull()
    assert done.returncode == 0 and b"0 fetched, 4 were here; 1 of other names" in done.stderr, done


def test_a_busy_store(bucket):
    """It says "later" a few times, to the list and to each request at once: then it is asked again, later, and nothing is missing."""
    bucket.objects = {f"{PLACE}/{n:08}.brec": segment(n, 100) for n in range(20)}
    bucket.busy = [2, 24]
    done = bucket.pull()
    assert done.returncode == 0 and b"20 fetched" in done.stderr and bucket.busy == [0, 0], done


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_how_far_it_is(bucket, terminals, term):
    """What lasts longer than a second shows it, on a terminal that is not dumb."""
    bucket.objects = {f"{PLACE}/{n:08}.brec": segment(n, 100) for n in range(20)}
    bucket.busy = [3, 50]
    run = terminals(Terminal(bucket.words(), os.environ | KEYS | {"TERM": term}))
    assert run.wait() == 0 and run.seen.endswith(b"20 objects in 20 versions: 20 fetched, 0 were here\r\n"), run.seen
    if term == "dumb":
        assert run.seen.count(b"\r") == 1 and b"\x1b" not in run.seen, run.seen
    else:
        assert b"\r\x1b[Klist 20 objects\r\x1b[K" in run.seen and re.search(rb"\r\x1b\[Kpull \[#* *\] \d+% \d+ of 20", run.seen), run.seen


def test_an_id_that_moves_the_cursor(bucket):
    """The store chooses the ids of versions, and they are shown: one with a control character in it is none."""
    bucket.objects = {"log/checkpoint.7": b"x"}
    for version in ("\xc2\x9b31m", "\x9b31m", "\x7f", "two words"):
        bucket.version = version
        done = bucket.pull()
        assert done.returncode == 3 and b"its list of versions is none" in done.stderr and not {0x9b, 0x7f} & set(done.stderr), done
    bucket.version = "null"
    assert bucket.pull().returncode == 0
