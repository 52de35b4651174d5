"""A store in a bucket of a real object store: pulled and verified with keys that can only read; the oldest version counts, and one with other
bytes is an alarm and no verdict to be happy with."""
import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness import labkit
from test_evidence import Store, read, write

sys.path.insert(0, os.path.dirname(labkit.__file__))
import verify_independent as independent  # noqa: E402

pytestmark = pytest.mark.chained

PREFIX = "site/one"


def receipts(data):
    """The file's receipts, one by one."""
    at = 0
    while at < len(data):
        length = 4 + int.from_bytes(data[at:at + 4], "big")
        yield data[at:at + length]
        at += length


def objects(top):
    """{name below the prefix: bytes} of a store, as the collector's archiver names them (bastion-collectord(8))."""
    found = {}
    for folder, _, files in os.walk(os.path.join(top, "recordings")):
        for file in files:
            name, data = os.path.relpath(os.path.join(folder, file), top), read(folder, file)
            if file == "receipts":
                found |= {f"{name}.{i:08}": one for i, one in enumerate(receipts(data))}
            elif file.endswith(".brec"):
                found[name] = data
    for folder, _, files in os.walk(os.path.join(top, "log")):
        found |= {os.path.relpath(os.path.join(folder, file), top): read(folder, file) for file in files if file != "checkpoint"}
    note = read(top, "log", "checkpoint")
    found[f"log/checkpoint.{int(note.splitlines()[1])}"] = note
    return found


def grew(name, before, data):
    """Is it an open segment with more behind it, and something signed in that?"""
    if not name.endswith(".brec") or len(data) <= len(before) or not data.startswith(before):
        return False
    at, signed = len(independent.Header(data).raw), False
    while at < len(data):
        try:
            frame = independent.Frame(data[at:])
        except independent.Verdict:
            break
        at += len(frame.raw)
        if at <= len(before) and frame.type in (independent.SEAL, independent.CLOSE):
            return False
        signed = signed or at > len(before) and frame.type != independent.DATA
    return signed


class Bucket:
    """A resting store of a few sessions, put into a bucket with a lock."""

    def __init__(self, store, ceph, top):
        self.lab, self.store, self.ceph, self.top = store.lab, store, ceph, top
        self.trust = shutil.copy(self.lab.path("auditor.trust"), top)
        self.name = ceph.make_bucket("pulled", days=1)
        self.writer, self.owner, self.reader = ceph.client("writer"), ceph.client("owner"), ceph.client("reader")
        self.objects = objects(store.top)
        # one that was taken for dead, put as it was, in the middle of a frame, and grew to its close
        self.grown = [name for name in self.objects if name.endswith("/00000000.brec") and store.id not in name][0]
        self.put(self.grown, self.objects[self.grown][:self.head() + 60])
        for name, data in self.objects.items():
            self.put(name, data)
        self.put("canary/0001", b"is no part of a store")
        self.keys = ceph.write_credentials(self.path("reader.keys"), "reader")
        self.url = f"http://127.0.0.1:{ceph.port()}/{self.name}/{PREFIX}"
        self.tls = f"https://127.0.0.1:{ceph.port('https')}/{self.name}/{PREFIX}/"

    def path(self, name):
        return os.path.join(self.top, name)

    def head(self):
        return len(independent.Header(self.objects[self.grown]).raw)

    def put(self, name, data, prefix=PREFIX):
        return self.writer.put(self.name, f"{prefix}/{name}", data)

    def replay(self, *words, keys=None, trust=None):
        return subprocess.run([self.lab.bin("bastion-replay"), *words, "--trust", trust or self.trust, "--credentials", keys or self.keys],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)

    def verify(self, store=None):
        """The verdicts by id."""
        words = ["--store", store] if store else ["--store", self.tls, "--ca", self.ceph.path("ca.pem")]
        done = subprocess.run([self.lab.bin("bastion-replay"), "verify", "--all", "--json", *words, "--trust", self.trust,
                               "--credentials", self.keys], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert rows, done
        return {row["id"]: row["verdict"] for row in rows}, done

    def independent(self):
        """The same by another way: the oldest version of each key, or what it grew to, by the test's own client, judged by verify_independent.py.
        What differs is said."""
        top, oldest, differing = self.path("mine"), {}, set()
        shutil.rmtree(top, ignore_errors=True)
        for one in self.reader.versions(self.name, PREFIX):
            name = one["key"].removeprefix(f"{PREFIX}/")
            if not one["marker"] and name.split("/")[0] in ("recordings", "log"):
                data = self.reader.get(self.name, one["key"], one["version"])
                before = oldest.setdefault(name, data)
                if grew(name, before, data):
                    oldest[name] = data
                elif before != data:
                    differing.add(name.split("/")[2] if name.startswith("recordings/") else "log")
        newest = max((int(name.split(".")[1]) for name in oldest if name.startswith("log/checkpoint.") and name.split(".")[1].isdigit()), default=None)
        for name, data in sorted(oldest.items()):
            file = name.rpartition("/")[2]
            if file.startswith("receipts."):
                path = os.path.join(top, name.rpartition(".")[0])
                data = (read(path) if os.path.exists(path) else b"") + data
                name = os.path.relpath(path, top)
            write(data, top, name)
        write(oldest[f"log/checkpoint.{newest}"], top, "log", "checkpoint")
        rows = {row["id"] or os.path.basename(row["dir"]): row["verdict"] for row in independent.verify_store(top, *self.store.keys)}
        return rows | {one: "forged" for one in differing}


@pytest.fixture(scope="module")
def bucket(resting, object_store, tmp_path_factory):
    store = Store(resting)
    yield Bucket(store, object_store, str(tmp_path_factory.mktemp("bucket")))
    shutil.rmtree(store.scratch)


def test_pull_and_verify(bucket):
    here, _ = bucket.verify(bucket.store.top)
    there, done = bucket.verify()
    assert there == here == bucket.independent() and "complete" in there.values()
    assert not [row for row in done.stdout.splitlines() if "/tmp" in json.loads(row)["dir"]]
    # a copy, by hand; the second time nothing is fetched
    copy = bucket.path("copy")
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy)
    assert done.returncode == 0 and f"{len(bucket.objects)} fetched, 0 were here; 1 of other names" in done.stderr, done
    assert read(copy, "log", "checkpoint") == read(bucket.store.top, "log", "checkpoint")
    assert bucket.verify(copy)[0] == here
    assert read(copy, bucket.grown) == bucket.objects[bucket.grown]
    assert not [file for file in os.listdir(os.path.dirname(f"{copy}/{bucket.grown}")) if ".part" in file or ".other" in file]
    rid = os.path.relpath(bucket.store.small, bucket.store.top)
    assert read(copy, rid, "receipts") == read(bucket.store.small, "receipts")
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy)
    assert done.returncode == 0 and f"0 fetched, {len(bucket.objects)} were here" in done.stderr, done
    # what was damaged here is fetched again; a line that was cut counts as not written
    write(b"", copy, rid, "00000000.brec")
    pulled = read(copy, "pulled")
    write(pulled[:-30], copy, "pulled")
    # objects come in any order: the line may be that of the file that was damaged
    lost = {f"{rid}/00000000.brec", pulled.strip().splitlines()[-1].split()[0].decode()}
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy)
    assert done.returncode == 0 and f" {len(lost)} fetched" in done.stderr, done
    assert bucket.verify(copy)[0] == here


def test_frames_that_nobody_signed(bucket):
    """Whoever may put can go on with the chain of a recording that has no end, but cannot sign."""
    whole, rid, prefix = bucket.objects[bucket.grown], bucket.grown.split("/")[2], "unsigned"
    first = bucket.head() + len(independent.Frame(whole[bucket.head():]).raw)
    second = first + len(independent.Frame(whole[first:]).raw)
    assert independent.Frame(whole[first:]).type == independent.DATA
    for name, data in bucket.objects.items():
        if not name.startswith("recordings/") or rid in name:
            bucket.put(name, whole[:first] if name == bucket.grown else data, prefix)
    url = bucket.url.replace(PREFIX, prefix)
    before, _ = bucket.verify(url)
    assert before[rid] == "cut"
    bucket.put(bucket.grown, whole[:second], prefix)
    after, done = bucket.verify(url)
    assert after[rid] == "forged" and "ALARM" in done.stderr, done
    # nor with a signature of his own: what is the recording's comes behind that, and is taken
    at, frame = second, independent.Frame(whole[second:])
    while frame.type == independent.DATA:
        at += len(frame.raw)
        frame = independent.Frame(whole[at:])
    made_up = whole[:at] + frame.raw[:-5] + bytes([frame.raw[-5] ^ 1])
    made_up += independent.crc32c(made_up[at:]).to_bytes(4, "big")
    for name, data in bucket.objects.items():
        if not name.startswith("recordings/") or rid in name:
            bucket.put(name, whole[:first] if name == bucket.grown else data, "grown")
        if not name.startswith("recordings/") or rid in name:
            bucket.put(name, whole[:first] if name == bucket.grown else data, "unknown")
    bucket.put(bucket.grown, made_up, "unknown")
    for data in (made_up, whole):
        bucket.put(bucket.grown, data, "grown")
    after, done = bucket.verify(bucket.url.replace(PREFIX, "grown"))
    assert after[rid] == bucket.verify(bucket.store.top)[0][rid] == "complete" and done.stderr.count("ALARM: its version") == 1, done
    # who pulls without keys cannot tell them apart, and loses nothing by that: with keys they are compared anew
    copy, none, url = bucket.path("copy.grown"), bucket.path("none.trust"), bucket.url.replace(PREFIX, "unknown")
    write(b"signer other 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo\n", none)
    for trust, status in (none, 0), (bucket.trust, 1):
        done = bucket.replay("pull", "--from", url, "--store", copy, trust=trust)
        assert done.returncode == status, done
    assert read(copy, bucket.grown) == whole[:first] and bucket.verify(copy)[0] == bucket.verify(url)[0]


def test_objects_that_were_added(bucket):
    """Whoever may only put adds names that nobody has put yet: said, with status 1, and the verdict on what is honest stays."""
    prefix = "added"
    for name, data in bucket.objects.items():
        bucket.put(name, data, prefix)
    url = bucket.url.replace(PREFIX, prefix)
    before, _ = bucket.verify(url)
    assert before == bucket.verify(bucket.store.top)[0]
    note = [name for name in bucket.objects if name.startswith("log/checkpoint.") and name[15:].isdigit()]
    newest = max(note, key=lambda name: int(name[15:]))
    small = os.path.relpath(bucket.store.small, bucket.store.top)
    added = {"log/checkpoint.9999999999999999999": b"of many leaves\n", f"log/checkpoint.{int(newest[15:]) + 5}": bucket.objects[newest],
             f"{small}/00000099.brec": bucket.objects[f"{small}/00000000.brec"], f"{small}/receipts.99999999": bytes(2000),
             "log/tile/entries/x001/000": bytes((64 << 20) + 1)}
    # what says nothing of the log is left, and no alarm
    left = {"log/checkpoint.1": b"of few\n", "log/checkpoint.1.tsr": b"no stamp", "log/tile/0/x001/000": bytes(8192)}
    for name, data in (added | left).items():
        bucket.put(name, data, prefix)
    after, done = bucket.verify(url)
    assert after == before and done.returncode == 1, done
    for name in added:
        assert f'"{name}": ALARM: ' in done.stderr, (name, done.stderr)
    copy = bucket.path("copy.added")
    done = bucket.replay("pull", "--from", url, "--store", copy)
    assert done.returncode == 1 and "5 ALARMS" in done.stderr, done
    assert {name: read(copy, name) for name in left} == left
    assert read(copy, f"{small}/00000099.brec.other-0") == added[f"{small}/00000099.brec"]
    assert bucket.verify(copy)[0] == before
    done = bucket.replay("pull", "--from", url, "--store", copy)
    assert done.returncode == 1 and "5 ALARMS" in done.stderr, "an alarm stays one"
    assert bucket.verify(copy)[0] == before


def test_checkpoints_of_another_log(bucket):
    """Signed by a collector that the auditor trusts, too: as the newest, and as one that was kept, it says nothing of this log."""
    key, origin, prefix = Ed25519PrivateKey.generate(), b"elsewhere.example/log", "another"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with open(bucket.trust, "a", encoding="ascii") as f:
        f.write(f"collector other {base64.b64encode(public).decode()}\n")

    def note(size):
        text = b"%s\n%d\n%s\n" % (origin, size, base64.b64encode(os.urandom(32)))
        ident = hashlib.sha256(origin + b"\n\x01" + public).digest()[:4]
        return text + "\n\u2014 ".encode() + origin + b" " + base64.b64encode(ident + key.sign(text)) + b"\n"
    for name, data in bucket.objects.items():
        bucket.put(name, data, prefix)
    url = bucket.url.replace(PREFIX, prefix)
    before, _ = bucket.verify(url)
    assert before == bucket.verify(bucket.store.top)[0]
    sizes = [int(name[15:]) for name in bucket.objects if name.startswith("log/checkpoint.") and name[15:].isdigit()]
    kept = next(size for size in range(1, max(sizes)) if size not in sizes)
    for size in kept, max(sizes) + 5:
        bucket.put(f"log/checkpoint.{size}", note(size), prefix)
    # with the lines of witnesses, too, which nobody sets aside
    for size in kept, max(sizes), max(sizes) + 5:
        bucket.put(f"log/checkpoint.{size}.cosigned", note(size), prefix)
    after, done = bucket.verify(url)
    assert after == before and done.returncode == 1, done
    for size in kept, max(sizes) + 5:
        assert f'"log/checkpoint.{size}": ALARM: ' in done.stderr, done.stderr
    copy = bucket.path("copy.another")
    assert bucket.replay("pull", "--from", url, "--store", copy).returncode == 1
    assert os.path.exists(f"{copy}/log/checkpoint.{kept}.cosigned") and bucket.verify(copy)[0] == before
    signers, collectors = bucket.store.keys
    rows = independent.verify_store(copy, signers, [*collectors, public])
    assert {row["id"] or os.path.basename(row["dir"]): row["verdict"] for row in rows} == before


def crafted(segment):
    """A segment with a changed byte in its first frame, whose crc is right again: it decodes, and its bastion did not make it."""
    at = len(independent.Header(segment).raw)
    end = at + len(independent.Frame(segment[at:]).raw)
    frame = bytearray(segment[at:end - 4])
    frame[-1] ^= 1
    return segment[:at] + bytes(frame) + independent.crc32c(bytes(frame)).to_bytes(4, "big") + segment[end:]


def test_names_that_were_taken(bucket):
    """Whoever may put is the first under names that are known before: each honest object becomes a second version. What was there before cannot be
    it, by its shape, a signature or the tree of the log: said, with status 1, and no verdict rests on it."""
    prefix, url = "taken", bucket.url.replace(PREFIX, "taken")
    here, _ = bucket.verify(bucket.store.top)
    small = os.path.relpath(bucket.store.small, bucket.store.top)
    notes = [name for name in bucket.objects if name.startswith("log/checkpoint.")]
    tiles = [name for name in bucket.objects if name.startswith("log/tile/")]
    segment, receipt = f"{small}/00000000.brec", f"{small}/receipts.00000000"
    other = next(name for name in bucket.objects if name.endswith("/receipts.00000000") and name != receipt)
    before = {name: [b"x"] for name in notes}
    before |= {name: [bytes(len(bucket.objects[name]))] for name in tiles}
    # leaves of another log, with the tile that they make
    leaf, bundles = b"another leaf", [name for name in tiles if "/entries/" in name]
    for bundle in bundles:
        size = len(list(leaves(bucket.objects[bundle])))
        before[bundle].append((len(leaf).to_bytes(2, "big") + leaf) * size)
        before[bundle.replace("entries", "0")].append(hashlib.sha256(b"\0" + leaf).digest() * size)
    before[segment] = [b"x", bucket.objects[next(n for n in bucket.objects if n.endswith(".brec") and small not in n)], crafted(bucket.objects[segment]),
                       bucket.objects[segment][:-40]]
    before[receipt] = [b"x", bucket.objects[other]]
    for name, versions in before.items():
        for data in versions:
            bucket.put(name, data, prefix)
    for name, data in bucket.objects.items():
        bucket.put(name, data, prefix)
    copy = bucket.path("copy.taken")
    done = bucket.replay("pull", "--from", url, "--store", copy)
    # the beginning of a segment, unsigned, is what that grew from
    assert done.returncode == 1 and f" {sum(map(len, before.values())) - 1} ALARMS" in done.stderr, done
    done = bucket.replay("pull", "--from", url, "--store", copy)
    assert done.returncode == 1 and f" 0 fetched, {len(bucket.objects)} were here, {len(before)} ALARMS" in done.stderr, done
    for name, data in bucket.objects.items():
        assert read(copy, name) == data, name
    assert bucket.verify(copy)[0] == here
    after, done = bucket.verify(url)
    assert after == here and done.returncode == 1 and "forged" not in done.stdout, done
    # with other bytes behind it, too, it is as before: nobody knows which is true
    bucket.put(segment, b"y", prefix)
    assert bucket.verify(url)[0] == here | {bucket.store.id: "forged"}


def test_many_versions(bucket):
    """A tile that was put again and again for longer locks is one version, and is fetched once. Of names under which more versions with other bytes
    were put than are looked at, before the honest object, that one is taken; and two of a tile that the log does not have say nothing of it."""
    prefix, copy = "many", bucket.path("copy.many")
    here, _ = bucket.verify(bucket.store.top)
    note = max((name for name in bucket.objects if name.startswith("log/checkpoint.") and name[15:].isdigit()), key=lambda name: int(name[15:]))
    again, tile = (next(name for name in bucket.objects if name.startswith(f"log/tile/{level}/")) for level in ("0", "entries"))

    def put(names_and_bytes):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: bucket.put(*one, prefix), names_and_bytes))
    size = len(bucket.objects[tile])
    put([(name, i.to_bytes(size, "big")) for i in range(64) for name in (tile, note)])
    put([*bucket.objects.items(), *[(again, bucket.objects[again])] * 66])
    put([("log/tile/0/x001/000", bytes([i]) * 8192) for i in range(2)])
    done = bucket.replay("pull", "--from", bucket.url.replace(PREFIX, prefix), "--store", copy)
    assert done.returncode == 1 and f'"{again}": ALARM' not in done.stderr, done
    for name, data in bucket.objects.items():
        assert read(copy, name) == data, name
    assert bucket.verify(copy)[0] == here
    bucket.put(again, bucket.objects[again], prefix)
    done = bucket.replay("pull", "--from", bucket.url.replace(PREFIX, prefix), "--store", copy)
    assert done.returncode == 1 and " 0 fetched" in done.stderr, done
    shutil.rmtree(copy)


def test_a_checkpoint_that_was_signed_once_more(bucket):
    """By the collector's next key, as archivers of before put one: what was stamped are the bytes of the first."""
    key, prefix, copy, trust = Ed25519PrivateKey.generate(), "resigned", bucket.path("copy.resigned"), bucket.path("both.trust")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    write(read(bucket.trust) + f"collector collector {base64.b64encode(public).decode()}\n".encode(), trust)
    notes = {name for name in bucket.objects if name.startswith("log/checkpoint.") and name[15:].isdigit()}
    note = max(notes, key=lambda name: int(name[15:]))
    for name, data in bucket.objects.items():
        if name.startswith("log/") and name not in notes - {note}:
            bucket.put(name, data, prefix)
    bucket.put(note, bucket.store.sign(bucket.objects[note].partition(b"\n\n")[0] + b"\n", key), prefix)
    done = bucket.replay("pull", "--from", bucket.url.replace(PREFIX, prefix), "--store", copy, trust=trust)
    assert done.returncode == 0 and read(copy, note) == bucket.objects[note] and not os.path.exists(os.path.join(copy, note + ".other-0")), done
    # who trusts the new key alone has the newer one, until the old key is trusted, too
    new, later = bucket.path("new.trust"), bucket.path("copy.new")
    write(b"".join(line for line in read(trust).splitlines(keepends=True) if not line.startswith(b"collector") or base64.b64encode(public) in line), new)
    for known, first in ((new, False), (trust, True)):
        done = bucket.replay("pull", "--from", bucket.url.replace(PREFIX, prefix), "--store", later, trust=known)
        assert done.returncode == 0 and (read(later, note) == bucket.objects[note]) == first, (known, done)


def leaves(bundle):
    while bundle:
        yield bundle[2:2 + int.from_bytes(bundle[:2], "big")]
        bundle = bundle[2 + int.from_bytes(bundle[:2], "big"):]


def test_a_trust_file_that_is_not_there(bucket):
    done = subprocess.run([bucket.lab.bin("bastion-replay"), "pull", "--from", bucket.url, "--store", bucket.path("no-copy"), "--credentials", bucket.keys,
                           "--trust", bucket.path("typo")], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 3 and "typo" in done.stderr and not os.path.exists(bucket.path("no-copy")), done


def test_what_is_refused(bucket):
    copy = bucket.path("no-copy")
    for words, says in ((("pull", "--store", copy), "needs --from"), (("pull", "--from", bucket.url, "--store", bucket.url), "needs --store"),
                        (("pull", "--from", "http://192.0.2.1/evidence", "--store", copy), "http is for this machine"),
                        (("pull", "--from", bucket.tls, "--store", copy), "certificate"),
                        (("pull", "--from", bucket.url, "--store", bucket.lab.path("store")), "store of a collector"),
                        (("pull", "--from", bucket.url.replace(bucket.name, "elsewhere" + bucket.name), "--store", copy), "NoSuchBucket")):
        done = bucket.replay(*words)
        assert done.returncode in (2, 3) and says in done.stderr, (words, done)
    # the collector's own keys can only put
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy, keys=bucket.ceph.write_credentials(bucket.path("writer.keys"), "writer"))
    assert done.returncode == 3 and "AccessDenied" in done.stderr, done


def test_second_versions(bucket):
    """The same bytes again are what a lost answer leaves; others are an alarm, wherever they are, also for who pulled before."""
    copy = bucket.path("copy")
    here, _ = bucket.verify(bucket.store.top)
    name = os.path.relpath(bucket.store.small, bucket.store.top) + "/00000000.brec"
    bucket.put(name, bucket.objects[name])
    there, done = bucket.verify()
    assert there == here == bucket.independent() and done.returncode == bucket.verify(bucket.store.top)[1].returncode
    # a delete marker hides the object, and is told
    bucket.owner.ask("DELETE", f"/{bucket.name}/{PREFIX}/{name}")
    there, done = bucket.verify()
    assert there == here and "delete marker hides it" in done.stderr, done
    # a session forged after the fact, with every other thing in its place
    forged = bytearray(bucket.objects[name])
    forged[-40] ^= 1
    bucket.put(name, bytes(forged))
    expected = here | {bucket.store.id: "forged"}
    there, done = bucket.verify()
    assert there == expected == bucket.independent() and done.returncode == 1
    assert "ALARM" in done.stderr and "of the oldest" not in done.stdout and "by the oldest: complete" in done.stdout
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy)
    assert done.returncode == 1 and "1 ALARMS" in done.stderr, done
    assert read(copy, name) == bucket.objects[name] and read(copy, name + ".other-2") == bytes(forged)
    assert bucket.verify(copy)[0] == expected
    done = bucket.replay("pull", "--from", bucket.url, "--store", copy)
    assert done.returncode == 1, "an alarm stays one"
    # the end taken away from what closed, and something put behind it, are none that grew
    closed = bucket.objects[bucket.grown]
    for data in (closed[:-40], closed + closed[-200:]):
        bucket.put(bucket.grown, data)
    there, _ = bucket.verify()
    expected |= {bucket.grown.split("/")[2]: "forged"}
    assert there == expected == bucket.independent()
    # and in the log: an older checkpoint is replaced by one of another root
    tile = [n for n in bucket.objects if n.startswith("log/tile/0/")][0]
    bucket.put(tile, bytes(len(bucket.objects[tile])))
    there, done = bucket.verify()
    assert there == expected | {"log": "forged"} == bucket.independent() and "ALARM" in done.stdout
