"""Whatever is done to a store shows in both verifiers, bastion-replay and verify_independent.py, with one verdict, and never as complete."""
import base64
import functools
import hashlib
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from harness import labkit, until

sys.path.insert(0, os.path.dirname(labkit.__file__))
import brec_independent as brec          # noqa: E402
import verify_independent as independent  # noqa: E402


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def write(data, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    with open(os.path.join(*path), "wb") as f:
        f.write(data)


def replay(lab, *words):
    """bastion-replay WORDS, which name the store, with the lab's trust."""
    return subprocess.run([lab.bin("bastion-replay"), *words, "--trust", lab.path("auditor.trust")], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60 * labkit.SLOW, check=False)


class Store:
    """A store that rests, of a few short sessions, and copies of it to be damaged; in memory, as they are many."""

    def __init__(self, lab):
        self.lab = lab
        self.scratch = tempfile.mkdtemp(dir=labkit.memory())
        self.top = os.path.join(self.scratch, "good")
        shutil.copytree(lab.path("store"), self.top, ignore=shutil.ignore_patterns("journal", "*.key"))
        self.keys = independent.load_keys(lab.path("state", "recorder", "signer.pub")), independent.load_keys(lab.path("store", "collector.crt"))
        self.log_key = serialization.load_pem_private_key(read(lab.path("store", "receipt.key")), None)
        whole = [row["dir"] for row in self.ours(self.top) if row["verdict"] == "complete"]
        whole = [d for d in whole if os.listdir(d).count("00000001.brec") == 0]
        self.small, self.other = sorted(whole, key=lambda d: os.path.getsize(os.path.join(d, "00000000.brec")))[:2]
        self.id = os.path.basename(self.small)
        self.segment = read(self.small, "00000000.brec")

    def copy(self):
        return shutil.copytree(self.top, tempfile.mkdtemp(dir=self.scratch), dirs_exist_ok=True)

    def ours(self, store, *words):
        done = replay(self.lab, "verify", "--all", "--json", "--store", store, *words)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert (done.returncode == 0) == all(row["verdict"] in ("complete", "pruned") for row in rows), done.stderr
        return rows

    def both(self, store, log=()):
        """{directory or id: verdict} after both said the same. log: the name and the keys of the collector whose store it must be."""
        found = []
        for rows in self.ours(store, *(("--log", log[0]) if log else ())), independent.verify_store(store, *self.keys, *log[1:]):
            found.append({(row["dir"] if row["id"] != "log" else None) or row["id"]: (row["verdict"], row["log"]) for row in rows})
        differing = {k: (found[0].get(k), found[1].get(k)) for k in found[0].keys() | found[1].keys() if found[0].get(k) != found[1].get(k)}
        assert not differing, list(differing.items())[:5]
        return {key: verdict for key, (verdict, _) in found[0].items()}

    def variants(self, segments):
        """The verdicts on many versions of the small recording, beside the log as it was: so many at a time that little memory holds them."""
        segments, found = iter(segments), []
        while some := list(itertools.islice(segments, 2000)):
            found += self.some_variants(some)
        return found

    def some_variants(self, segments):
        top = tempfile.mkdtemp(dir=self.scratch)
        shutil.copytree(os.path.join(self.top, "log"), os.path.join(top, "log"))
        for count, data in enumerate(segments, 1):
            place = os.path.join(top, "recordings", f"{count:06}", self.id)
            os.makedirs(place)
            os.link(os.path.join(self.small, "receipts"), os.path.join(place, "receipts"))
            if data is not None:
                write(data, place, "00000000.brec")
        found = self.both(top)
        shutil.rmtree(top)
        found = {k: v for k, v in found.items() if "/" in k}    # the other sessions are missing here
        assert len(found) == len(segments)
        return list(found.values())

    def sign(self, text, key=None):
        """A checkpoint with that text."""
        key = key or self.log_key
        name, public = text.split(b"\n")[0], brec.raw(key.public_key())
        line = base64.b64encode(hashlib.sha256(name + b"\n\1" + public).digest()[:4] + key.sign(text))
        return text + b"\n" + "\N{EM DASH} ".encode() + name + b" " + line + b"\n"


def leaves_of(top, keys):
    """All leaves of its log, in order."""
    return [leaf for _, leaf in independent.Log(independent.Log.read_tiles, pathlib.Path(top, "log"), keys).entries]


def copied(lab):
    """Store, as long as a fixture lives."""
    it = Store(lab)
    yield it
    shutil.rmtree(it.scratch)


@pytest.fixture(scope="module")
def store(resting):
    yield from copied(resting)


@pytest.fixture(autouse=True)
def checked_once(monkeypatch):
    """Thousands of variants have their whole frames in common, with the same signatures: what such a check of the second verifier says of the same
    bytes is asked for once."""
    for name in "crc32c", "signed":
        monkeypatch.setattr(independent, name, functools.lru_cache(4096)(getattr(independent, name)))


def frames(data):
    head = len(independent.Header(data).raw)
    parts = [data[:head]]
    while head < len(data):
        parts.append(independent.Frame(data[head:head + 65536]).raw)
        head += len(parts[-1])
    return parts


def test_untouched(store):
    assert store.both(store.top)[store.small] == "complete"


@pytest.mark.parametrize("bit", range(8))
def test_every_bit(store, bit):
    """Of every byte, in parts of which none is long."""
    def flipped():
        for at in range(len(store.segment)):
            data = bytearray(store.segment)
            data[at] ^= 1 << bit
            yield bytes(data)
    verdicts = store.variants(flipped())
    assert len(verdicts) == len(store.segment) and "complete" not in verdicts


def test_every_cut_of_the_last_frame(store):
    last = len(frames(store.segment)[-1])
    verdicts = store.variants(store.segment[:len(store.segment) - n] for n in range(1, last + 1))
    assert set(verdicts) == {"cut"}     # the log has the close leaf: whole frames less are a cut, too
    # a file system that had made the file as long already, and lost what was in it
    verdicts = store.variants(store.segment[:len(store.segment) - n] + bytes(n) for n in range(1, last + 1) if any(store.segment[-n:]))
    assert len(verdicts) >= last - 3 and set(verdicts) == {"forged"}


def test_frames_and_segments_moved(store):
    parts, foreign = frames(store.segment), frames(read(store.other, "00000000.brec"))

    def moved():
        for i in range(len(parts)):
            yield b"".join(parts[:i] + parts[i + 1:])                               # removed
            yield b"".join(parts[:i] + parts[i:i + 1] + parts[i:])                  # doubled
            if i + 1 < len(parts):
                yield b"".join(parts[:i] + parts[i + 1:i + 2] + parts[i:i + 1] + parts[i + 2:])    # swapped
            for other in foreign:                                                   # from another session: in its place, and before it
                yield b"".join(parts[:i] + [other] + parts[i + 1:])
                yield b"".join(parts[:i] + [other] + parts[i:])
        yield b"".join(foreign)
        yield None                                                                  # the segment removed
    verdicts = store.variants(moved())
    assert len(verdicts) == 3 * len(parts) - 1 + 2 * len(parts) * len(foreign) + 2 and "complete" not in verdicts


def signed_again(data, key, change, wall=None):
    """The recording as who has a signing key can make it: change(frames) leaves others, or other bytes; all sequences, chain values and
    signatures are made anew. wall: that of its header, as bytes."""
    header, public = independent.Header(data), brec.raw(key.public_key())
    head = data[:80] + (wall or data[80:88]) + data[88:104] + hashlib.sha256(public).digest() + data[136:len(header.raw) - 64]
    head += key.sign(b"brec/v1 header" + head)
    made, chain = [head], hashlib.sha256(b"brec/v1" + head).digest()
    for seq, frame in enumerate(change([independent.Frame(part) for part in frames(data)[1:]]), 1):
        frame.seq, body = seq, frame.body
        if frame.type != independent.DATA:
            frame.body = chain + frame.body[32:]
            text = independent.MARKS[frame.type] + header.id + struct.pack(">Q", seq) + frame.body[:40] + frame.body[104:]
            body = frame.body[:40] + key.sign(text) + frame.body[104:]
        raw = struct.pack(">IB", 24 + len(body), frame.type) + frame.raw[5:12] + struct.pack(">Q", seq) + body
        made.append(raw + struct.pack(">I", independent.crc32c(raw)))
        chain = hashlib.sha256(b"\2" + chain + made[-1]).digest()
    return b"".join(made)


def test_a_key_that_signs_again(store):
    """The bastion's key, and one that it had before and that is trusted for what it signed then, in the wrong hands: what they make is whole in
    itself, and the log, the receipts, and the log by itself tell it from what was recorded."""
    current = serialization.load_pem_private_key(read(store.lab.path("state", "recorder", "signer.pem")), None)
    old = ed25519.Ed25519PrivateKey.generate()
    public, old_public = brec.raw(current.public_key()), brec.raw(old.public_key())
    trust = read(store.lab.path("auditor.trust"))
    changes = {"the same once more": lambda f: f, "a frame less": lambda f: f[:1] + f[2:], "two frames changed places": lambda f: [f[1], f[0], *f[2:]]}
    name = os.path.relpath(store.small, store.top)
    assert public in store.keys[0]
    store.keys = [*store.keys[0], old_public], store.keys[1]
    write(trust + f"signer before {base64.b64encode(old_public).decode()}\n".encode(), store.lab.path("auditor.trust"))
    try:
        for key in current, old:
            for what, change in changes.items():
                if key is current and what == "the same once more":
                    continue        # Ed25519 signs the same bytes the same way
                top = store.copy()
                write(signed_again(store.segment, key, change), top, name, "00000000.brec")
                where = os.path.join(top, name)
                assert store.both(top)[where] == "forged", what
                shutil.rmtree(os.path.join(top, "log"))
                assert store.both(top)[where] == "forged", f"{what}, by the receipts alone"
                os.unlink(os.path.join(where, "receipts"))
                assert store.both(top)[where] == "complete", f"{what}: it is made as a bastion makes it"
                shutil.rmtree(top)
    finally:
        store.keys = store.keys[0][:-1], store.keys[1]
        write(trust, store.lab.path("auditor.trust"))


def test_what_no_bastion_signs(store):
    """Values that are none, signed by the bastion's own key, where neither log nor receipts tell it."""
    key, top, far = serialization.load_pem_private_key(read(store.lab.path("state", "recorder", "signer.pem")), None), store.copy(), struct.pack(">Q", 1 << 63)
    for name in "log", "recordings":
        shutil.rmtree(os.path.join(top, name))

    def ended(end, reason, length=None):
        def change(made):
            made[-1].body = made[-1].body[:104] + bytes([end]) + struct.pack(">I", len(reason) if length is None else length) + reason
            return made
        return change

    def at(wall):
        def change(made):
            made[-1].body = made[-1].body[:32] + wall + made[-1].body[40:]
            return made
        return change
    cases = [(ended(5, b"w" * 256), None, "complete"), (ended(1, b""), None, "complete"), (ended(0, b""), None, "forged"), (ended(6, b""), None, "forged"),
             (ended(1, b"a\0b"), None, "forged"), (ended(1, b"abc", 4), None, "forged"), (ended(1, b"abc", 2), None, "forged"),
             (ended(1, b"w" * 257), None, "forged"), (at(struct.pack(">Q", (1 << 63) - 1)), None, "complete"), (at(far), None, "forged"), (list, far, "forged")]
    for number, (change, wall, _) in enumerate(cases):
        write(signed_again(store.segment, key, change, wall), top, "recordings", f"{number:06}", store.id, "00000000.brec")
    found = store.both(top)
    assert [found[os.path.join(top, "recordings", f"{number:06}", store.id)] for number in range(len(cases))] == [verdict for _, _, verdict in cases]


def test_which_verdict_comes_first(store):
    """As bastion-record(5) orders them; neither log nor receipts say anything more, but where they are named here."""
    key, stranger = (serialization.load_pem_private_key(read(store.lab.path("state", "recorder", "signer.pem")), None), ed25519.Ed25519PrivateKey.generate())

    def seal(made):
        made[-1].type, made[-1].body = independent.SEAL, made[-1].body[:104]
        return made
    whole, sealed, good = store.segment, signed_again(store.segment, key, seal), receipts_of(store)
    first, magic, suite = frames(whole)[0], whole[:8], whole[:11] + b"\x09" + whole[12:]
    # what the segments hold, the receipts, the verdict; a segment that is None is a link
    cases = [([], b"", "unverifiable"), ([b""], b"", "cut"), ([magic[:5]], b"", "cut"), ([magic[:5] + b"x"], b"", "unverifiable"),
             ([suite], b"", "unverifiable"), ([whole[:20]], b"", "cut"), ([whole[:20], whole], b"", "gap"), ([b"", whole], b"", "gap"),
             ([whole[:-3], whole], b"", "gap"), ([first, whole], b"", "gap"), ([first], b"", "abandoned"), ([whole, whole], b"", "forged"),
             ([whole + b"x"], b"", "forged"), ([sealed], b"", "cut"), ([sealed, magic], b"", "cut"), ([sealed, suite], b"", "unverifiable"),
             ([sealed, None], b"", "unverifiable"), ([sealed, b"x"], b"", "forged"),
             ([sealed, signed_again(whole, stranger, list)], b"", "forged"), ([whole], b"".join(good), "complete"), ([whole], receipt_for(store, 99), "forged"),
             ([first], receipt_for(store, 99), "cut"), ([whole[:-3], whole], receipt_for(store, 99), "gap"), ([sealed, None], receipt_for(store, 1), "forged"),
             ([whole[:-3], whole], receipt_for(store, 1), "forged"), ([None], receipt_for(store, 1), "unverifiable")]
    top = store.copy()
    for name in "log", "recordings":
        shutil.rmtree(os.path.join(top, name))
    for number, (segments, receipts, _) in enumerate(cases):
        place = os.path.join(top, "recordings", f"{number:06}", store.id)
        write(receipts, place, "receipts")
        for n, data in enumerate(segments):
            write(data or b"", place, f"{n:08}.brec")
            if data is None:
                os.unlink(os.path.join(place, f"{n:08}.brec"))
                os.symlink("receipts", os.path.join(place, f"{n:08}.brec"))
    found = store.both(top)
    assert [found[os.path.join(top, "recordings", f"{number:06}", store.id)] for number in range(len(cases))] == [verdict for *_, verdict in cases]


def test_an_old_key_signs_the_log_again(store):
    """A collector's key from before, trusted for its receipts, signs a log that knows the forged recording: the checkpoints that were kept do not."""
    old = ed25519.Ed25519PrivateKey.generate()
    public = brec.raw(old.public_key())
    current = serialization.load_pem_private_key(read(store.lab.path("state", "recorder", "signer.pem")), None)
    trust = read(store.lab.path("auditor.trust"))
    leaves = leaves_of(store.top, store.keys[1])
    top, rid = store.copy(), bytes.fromhex(store.id)
    data = signed_again(store.segment, current, lambda f: f[:1] + f[2:])
    write(data, top, os.path.relpath(store.small, store.top), "00000000.brec")
    os.unlink(os.path.join(top, os.path.relpath(store.small, store.top), "receipts"))
    close = independent.Frame(frames(data)[-1])
    (index, leaf), = [(index, leaf) for index, leaf in enumerate(leaves) if leaf[12:29] == b"\3" + rid]
    leaves[index] = leaf[:33] + struct.pack(">Q", close.seq) + hashlib.sha256(b"\2" + close.body[:32] + close.raw).digest() + \
        hashlib.sha256(data).digest() + leaf[105:]
    # as the collector keeps one an hour and at its start, and an auditor the one that he saw
    shutil.copy(os.path.join(top, "log", "checkpoint"), os.path.join(top, "log", f"checkpoint.{len(leaves)}"))
    write_log(store, top, leaves, text_of(top).split(b"\n")[0], old)
    where = os.path.join(top, os.path.relpath(store.small, store.top))
    keys = store.keys
    try:
        assert "complete" not in store.both(top).values()
        # also when it is trusted
        store.keys = keys[0], [*keys[1], public]
        write(trust + f"collector before {base64.b64encode(public).decode()}\n".encode(), store.lab.path("auditor.trust"))
        found = store.both(top)
        assert found[where] == "forged" and "complete" not in found.values()
        # what does it: one kept checkpoint
        for name in os.listdir(os.path.join(top, "log")):
            if name.startswith("checkpoint."):
                os.unlink(os.path.join(top, "log", name))
        assert store.both(top)[where] == "complete"
    finally:
        store.keys = keys
        write(trust, store.lab.path("auditor.trust"))


def write_log(store, top, leaves, origin, key=None):
    """A log of these leaves, signed by the collector, or another one."""
    hashes = [hashlib.sha256(b"\0" + one).digest() for one in leaves]
    assert len(leaves) < 256
    write(b"".join(struct.pack(">H", len(one)) + one for one in leaves), top, f"log/tile/entries/000.p/{len(leaves)}")
    write(b"".join(hashes), top, f"log/tile/0/000.p/{len(leaves)}")
    text = origin + b"\n%d\n" % len(leaves) + base64.b64encode(independent.fold(hashes)) + b"\n"
    write(store.sign(text, key), top, "log", "checkpoint")


def test_log_of_another_collector(store):
    """A session that this collector alone recorded is taken out of its store, and a true log in which it never was is put there: that of another
    collector, whom the auditor trusts too. Nobody misses it but who says whose store this is."""
    key, trust, keys = ed25519.Ed25519PrivateKey.generate(), read(store.lab.path("auditor.trust")), store.keys
    public, top = brec.raw(key.public_key()), store.copy()
    leaves = [leaf for leaf in leaves_of(top, keys[1]) if leaf[13:29] != bytes.fromhex(store.id)]
    damage_session(store, top)
    shutil.rmtree(os.path.join(top, "log"))
    write_log(store, top, leaves, b"another", key)
    assert set(store.both(top).values()) == {"unverifiable"}
    store.keys = keys[0], [*keys[1], public]
    write(trust + f"collector c2 {base64.b64encode(public).decode()}\n".encode(), store.lab.path("auditor.trust"))
    try:
        for words, status in ((), 0), (("--json",), 0), (("--log", "c2"), 0), (("--log", "collector"), 1):
            done = replay(store.lab, "verify", "--store", top, *words)
            assert done.returncode == status and (b"warning" in done.stderr) == ("--log" not in words), done
        assert set(store.both(top).values()) == set(store.both(top, ("c2", [public])).values()) == {"complete"}
        assert set(store.both(top, ("collector", keys[1])).values()) == {"unverifiable"}
        found = store.both(store.top, ("collector", keys[1]))
        assert set(found.values()) == {"complete"} and store.small in found
        done = replay(store.lab, "verify", "--store", top, "--log", "c3")
        assert done.returncode == 3 and b"no line of such a collector" in done.stderr
    finally:
        store.keys = keys
        write(trust, store.lab.path("auditor.trust"))


def grown(store, top, more):
    """The log with these leaves behind its own."""
    write_log(store, top, leaves_of(top, store.keys[1]) + more, read(top, "log", "checkpoint").split(b"\n")[0])
    return store.both(top)[store.small.replace(store.top, top)]


def test_an_id_that_was_taken_again(store):
    """The log has another recording under the id of one that is closed, which a collector of before took in: the first one is what it was."""
    own = [leaf for leaf in leaves_of(store.top, store.keys[1]) if leaf[13:29] == bytes.fromhex(store.id) and leaf[12] <= 3]
    other = [leaf[:41] + hashlib.sha256(leaf).digest() + leaf[73:] for leaf in own]
    assert grown(store, store.copy(), other) == "complete"
    assert grown(store, store.copy(), own) == "complete"
    # what ends elsewhere than its last field is of a type that nobody knows
    for other_type in own[0] + b"xx", own[0][:-1], own[-1] + b"x", own[-1][:12] + b"\7" + own[-1][13:], other[-1][:106] + struct.pack(">I", 257) + bytes(257):
        assert grown(store, store.copy(), [other_type]) == "complete"
    # what has no beginning is a contradiction
    assert grown(store, store.copy(), other[-1:]) == "forged"
    # and the other one is none that the log has first
    top = store.copy()
    first = os.path.join(top, os.path.relpath(store.small, store.top), "00000000.brec")
    current = serialization.load_pem_private_key(read(store.lab.path("state", "recorder", "signer.pem")), None)
    write(signed_again(store.segment, current, lambda f: f[:1] + f[2:]), first)
    os.unlink(os.path.join(os.path.dirname(first), "receipts"))
    assert grown(store, top, other) == "forged"


def damage_session(store, top):
    shutil.rmtree(os.path.join(top, os.path.relpath(store.small, store.top)))


def newest_bundle(top):
    size = int(read(top, "log", "checkpoint").split(b"\n")[1])
    return size, os.path.join("log", "tile", "entries", f"000.p/{size}")


def damage_entry(store, top):
    size, name = newest_bundle(top)
    data, at = read(top, name), 0
    for _ in range(size // 2):
        at += 2 + struct.unpack(">H", data[at:at + 2])[0]
    write(data[:at] + data[at + 2 + struct.unpack(">H", data[at:at + 2])[0]:], top, name)


def damage_leaf(store, top):
    _, name = newest_bundle(top)
    data = bytearray(read(top, name))
    data[80] ^= 1
    write(bytes(data), top, name)


def damage_tile(store, top):
    size, _ = newest_bundle(top)
    name = f"log/tile/0/000.p/{size}"
    write(read(top, name)[:-32] + bytes(32), top, name)


def damage_bundle_gone(store, top):
    os.unlink(os.path.join(top, newest_bundle(top)[1]))


def text_of(top):
    return read(top, "log", "checkpoint").split(b"\n\n")[0] + b"\n"


def damage_foreign_key(store, top):
    write(store.sign(text_of(top), ed25519.Ed25519PrivateKey.generate()), top, "log", "checkpoint")


def damage_other_root(store, top):
    lines = text_of(top).split(b"\n")
    write(store.sign(b"\n".join([lines[0], lines[1], base64.b64encode(bytes(32)), b""])), top, "log", "checkpoint")


def damage_second_checkpoint(store, top):
    lines = text_of(top).split(b"\n")
    text = b"\n".join([lines[0], lines[1], base64.b64encode(bytes(32)), b""])
    write(store.sign(text), top, "log", f"checkpoint.{lines[1].decode()}")


def damage_cosigned_fork(store, top):
    """What another one was shown, with lines of witnesses too long for some."""
    lines = text_of(top).split(b"\n")
    text = b"\n".join([lines[0], b"1", base64.b64encode(bytes(32)), b""])
    write(store.sign(text) + "\N{EM DASH} w.example/1 ".encode() + base64.b64encode(bytes(16000)) + b"\n", top, "log", "checkpoint.1.cosigned")


def damage_rolled_back(store, top):
    """An older checkpoint, true in itself, in place of the newest one."""
    leaf = leaves_of(top, store.keys[1])[0]
    root = hashlib.sha256(b"\0" + leaf).digest()
    write(store.sign(text_of(top).split(b"\n")[0] + b"\n1\n" + base64.b64encode(root) + b"\n"), top, "log", "checkpoint")
    write(struct.pack(">H", len(leaf)) + leaf, top, "log/tile/entries/000.p/1")
    write(root, top, "log/tile/0/000.p/1")


def damage_checkpoint_torn(store, top):
    write(read(top, "log", "checkpoint")[:50], top, "log", "checkpoint")


def damage_checkpoint_empty(store, top):
    write(b"", top, "log", "checkpoint")


def damage_checkpoint_gone(store, top):
    os.unlink(os.path.join(top, "log", "checkpoint"))


@pytest.mark.parametrize("damage, verdict", [
    (damage_entry, "forged"), (damage_leaf, "forged"), (damage_tile, "forged"), (damage_bundle_gone, "forged"), (damage_foreign_key, "unverifiable"),
    (damage_other_root, "forged"), (damage_second_checkpoint, "forged"), (damage_cosigned_fork, "forged"),
    (damage_rolled_back, "unverifiable"), (damage_checkpoint_gone, "forged"), (damage_checkpoint_torn, "unverifiable"),
    (damage_checkpoint_empty, "unverifiable")])
def test_log(store, damage, verdict):
    top = store.copy()
    damage(store, top)
    found = store.both(top)
    assert "complete" not in found.values()
    assert found[store.small.replace(store.top, top)] == verdict


def test_kept_checkpoints(store):
    """What counts is what stands in them."""
    top, leaves = store.copy(), leaves_of(store.top, store.keys[1])
    origin, where = text_of(top).split(b"\n")[0], store.small.replace(store.top, top)
    two, other = (base64.b64encode(root) for root in (independent.fold([hashlib.sha256(b"\0" + one).digest() for one in leaves[:2]]), bytes(32)))
    true, false = (store.sign(origin + b"\n2\n" + root + b"\n") for root in (two, other))
    cases = {"checkpoint.2": true, "checkpoint.99": true, "checkpoint.0002.cosigned": true, "checkpoint.3": store.sign(b"another\n2\n" + other + b"\n"),
             "checkpoint.4": false[:-9], "checkpoint.5": b"", "checkpoint.6.tsr": false, "checkpoint.6x": false,
             "checkpoint.7": store.sign(origin + b"\n2\n" + other + b"\n", ed25519.Ed25519PrivateKey.generate())}
    for name, data in cases.items():
        write(data, top, "log", name)
    assert store.both(top)[where] == "complete"
    for name in "checkpoint.99", "checkpoint.2.cosigned", "checkpoint.0":
        write(false, top, "log", name)
        assert store.both(top)[where] == "forged", name
        os.unlink(os.path.join(top, "log", name))


def test_lines_of_a_checkpoint(store):
    """Lines of others do no harm, also long ones, up to 64 and 128 KiB; a false line in the collector's own name does, as no public tool reads such
    a checkpoint."""
    top = store.copy()
    text, own = read(top, "log", "checkpoint").split(b"\n\n")
    name, first = text.split(b"\n")[0], own[:-1].split(b" ")[2]

    def line(number, length):
        return "\N{EM DASH} ".encode() + b"w.example/%d " % number + base64.b64encode(bytes([number]) * length) + b"\n"
    false = "\N{EM DASH} ".encode() + name + b" " + base64.b64encode(base64.b64decode(first)[:4] + bytes(64)) + b"\n"
    longer = false[:-2] + b"A=\n"      # of the collector's key id, and no Ed25519 signature
    variants = {"16 of 5 kB": ([line(n, 5000) for n in range(16)] + [own], "complete"), "64": ([own] + [line(n, 76) for n in range(63)], "complete"),
                "65": ([own] + [line(n, 76) for n in range(64)], "unverifiable"), "too long": ([own] + [line(n, 5000) for n in range(20)], "unverifiable"),
                "false before": ([false, own], "unverifiable"), "false behind": ([own, false], "unverifiable"),
                "another length": ([longer, own], "unverifiable"), "twice": ([own, own], "complete"),
                "of another name": ([false.replace(name, b"w"), own], "complete")}
    for what, (lines, verdict) in variants.items():
        write(text + b"\n\n" + b"".join(lines), top, "log", "checkpoint")
        assert store.both(top)[store.small.replace(store.top, top)] == verdict, what


def test_session_removed(store):
    top = store.copy()
    damage_session(store, top)
    found = store.both(top)
    assert found[store.id] == "cut" and found[store.other.replace(store.top, top)] == "complete"


def test_session_emptied(store):
    """Whoever takes all files out of a directory took the recording away."""
    top = store.copy()
    gone = store.small.replace(store.top, top)
    for name in "00000000.brec", "receipts":
        os.unlink(os.path.join(gone, name))
        found = store.both(top)
        assert found[gone] == "cut" and found[store.other.replace(store.top, top)] == "complete" and store.id not in found
    row, = [row for row in store.ours(top) if row["id"] == store.id]
    assert row["log"] == "part" and "the whole recording is missing" in row["reason"]


def test_session_replaced_by_another(store):
    """A whole and true recording under the name of another one that is gone."""
    for put in shutil.copytree, os.symlink:
        top = store.copy()
        damage_session(store, top)
        gone, other = (path.replace(store.top, top) for path in (store.small, store.other))
        put(other, gone)
        found = store.both(top)
        assert found[gone] == "forged" and found[other] == "complete"
        named = replay(store.lab, "verify", store.id, "--store", top)
        assert named.returncode == 1 and b"the name of another recording" in named.stdout
        for words in ("show", store.id), ("export", "--json", gone):
            shown = replay(store.lab, *words, "--store", top, "--key", store.lab.path("auditor.key"))
            assert shown.returncode == 3 and shown.stdout == b"" and b"the name of another recording" in shown.stderr
        shutil.rmtree(top)


def test_all_sessions_removed(store):
    """The log stays beside the place where the recordings were."""
    top = store.copy()
    shutil.rmtree(os.path.join(top, "recordings"))
    found = store.both(top)
    assert len(found) >= 3 and set(found.values()) == {"cut"}


def test_pipes_in_place_of_files(store):
    """Nobody who can write to a store keeps an auditor waiting."""
    for name in os.path.join(os.path.relpath(store.small, store.top), "00000000.brec"), "pulled", "log/checkpoint":
        top = store.copy()
        where = os.path.join(top, name)
        if os.path.exists(where):
            os.unlink(where)
        os.mkfifo(where)
        done = replay(store.lab, "verify", "--all", "--store", top)
        assert done.returncode in (1, 3) and b"unverifiable" in done.stdout or b"pulled" in done.stderr
        shutil.rmtree(top)


def receipt_for(store, seq, chain=bytes(32)):
    """What the collector can sign of the small recording."""
    public, wall, leaf = brec.raw(store.log_key.public_key()), struct.pack(">Q", 1700000000000000), bytes.fromhex(store.id) + struct.pack(">Q", seq) + chain
    text = b"brec/v1 receipt" + hashlib.sha256(public).digest() + wall + struct.pack(">I", 1) + independent.sha256(b"\0", leaf)
    one = struct.pack(">I", 176) + public + wall + leaf + struct.pack(">III", 1, 0, 0) + store.log_key.sign(text)
    return one + struct.pack(">I", independent.crc32c(one))


def receipts_of(store):
    """One for each frame of it."""
    chain, found = bytes(32), []
    for seq, part in enumerate(frames(store.segment)):
        chain = independent.sha256(b"\2" + chain if seq else b"brec/v1", part)
        found.append(receipt_for(store, seq, chain))
    return found


def test_damaged_receipts(store):
    """What a power cut left behind the last one is none; a damaged one before others is no such thing, however few they are. All of that only for
    who believes the collector."""
    top, good, keys, trust = store.copy(), receipts_of(store), store.keys, read(store.lab.path("auditor.trust"))
    where = store.small.replace(store.top, top)
    bad = good[2][:60] + bytes([good[2][60] ^ 1]) + good[2][61:]
    variants = {"all": (good, "complete"), "torn": ([*good[:2], good[2][:100]], "complete"), "damaged at the end": ([*good[:2], bad], "complete"),
                "lost bytes": ([*good[:2], bytes(500)], "complete"), "more than one of them": ([*good[:2], bytes(501)], "forged"),
                "two follow": ([*good[:2], bad, *good[3:5]], "forged"), "one follows": ([bad, good[3]], "forged"),
                "what is left of one, and one": ([good[2][:77], good[3]], "forged"), "many follow": ([bad, *good], "forged")}
    for what, (parts, verdict) in variants.items():
        write(b"".join(parts), where, "receipts")
        assert store.both(top)[where] == verdict, what
    store.keys = keys[0], []
    write(b"".join(line for line in trust.splitlines(True) if line.startswith(b"signer")), store.lab.path("auditor.trust"))
    try:
        assert store.both(top)[where] == "complete"
        os.unlink(os.path.join(where, "receipts"))
        os.symlink("/dev/null", os.path.join(where, "receipts"))
        assert store.both(top)[where] == "complete"
    finally:
        store.keys = keys
        write(trust, store.lab.path("auditor.trust"))


def test_links_to_nowhere(store):
    """They are no recordings, and hide none."""
    top = store.copy()
    os.symlink("nowhere", os.path.join(top, "recordings", "2026-01-01"))
    os.symlink("round", os.path.join(top, "recordings", "round"))
    found = store.both(top)
    assert len(found) >= 3 and found[store.small.replace(store.top, top)] == "complete"
    damage_session(store, top)
    assert store.both(top)[store.id] == "cut"


@pytest.mark.parametrize("name, verdict", [
    ("00000000.brec", "unverifiable"), ("receipts", "unverifiable"), ("log/checkpoint", "unverifiable"), ("log/tile/0/000.p/{}", "unverifiable"),
    ("log/tile/entries/000.p/{}", "unverifiable"), ("log/checkpoint.0", "complete")])
def test_links_in_place_of_files(store, name, verdict):
    """A link is no file, wherever it leads."""
    top = store.copy()
    where = os.path.join(top, name.format(newest_bundle(top)[0]) if "/" in name else os.path.join(os.path.relpath(store.small, store.top), name))
    os.rename(where, where + "-behind")
    os.symlink(where + "-behind", where)
    assert store.both(top)[store.small.replace(store.top, top)] == verdict


def test_names_of_recordings(store):
    """A recording is a directory with its ID, as the collector writes that, in the directory of a day or in none."""
    top = store.copy()
    where = store.small.replace(store.top, top)
    day, flat = os.path.dirname(where), os.path.join(top, "recordings", store.id)
    os.rename(where, flat)
    assert store.both(top)[flat] == "complete"
    os.rename(flat, os.path.join(day, store.id.upper()))
    assert store.both(top)[store.id] == "cut"
    assert replay(store.lab, "bundle", store.id, "-o", where, "--store", store.top).returncode == 0
    assert store.both(top)[store.id] == "cut"
    assert replay(store.lab, "verify", where, "--store", top).returncode == 0


def test_tiles_that_are_full_by_now(store):
    """A copy whose checkpoint was taken before its tiles, or an older checkpoint: of a tile that is full the first hashes count, and only of one that
    is full."""
    top = store.copy()
    leaves, where = leaves_of(top, store.keys[1]), store.small.replace(store.top, top)
    for name in ("entries", "0"):
        shutil.rmtree(os.path.join(top, "log", "tile", name))
    full = leaves + [b"brec/v1 leaf" + bytes([99, n]) + bytes(40) for n in range(256 - len(leaves))]

    def put(these):
        write(b"".join(struct.pack(">H", len(one)) + one for one in these), top, "log/tile/entries/000")
        write(b"".join(hashlib.sha256(b"\0" + one).digest() for one in these), top, "log/tile/0/000")
    for these, verdict in (full, "complete"), (full[:-1], "forged"), ([*full, b""], "forged"), (full[1:] + full[:1], "forged"):
        put(these)
        assert store.both(top)[where] == verdict, len(these)


def test_log_removed(store):
    """A store without a log is told as such, and that sessions could be missing is a failure: a collector that is believed keeps a log."""
    top = store.copy()
    shutil.rmtree(os.path.join(top, "log"))
    found = store.both(top)
    assert found[store.small.replace(store.top, top)] == "complete" and found["log"] == "unverifiable"
    assert {row["log"] for row in store.ours(top)} == {"none"}
    said = replay(store.lab, "verify", "--store", top)
    whole = list(found.values()).count("complete")
    assert said.returncode == 1 and said.stdout.endswith(b"%d recordings, %d complete; their log fails\n" % (len(found) - 1, whole))
    assert replay(store.lab, "verify", store.id, "--store", top).returncode == 0
    told = replay(store.lab, "verify", "--store", top).stdout
    assert b"missing as a whole would not show" in told


def test_bundle(store):
    name = os.path.join(store.scratch, "one.tar")
    assert replay(store.lab, "bundle", store.id, "-o", name, "--store", store.top).returncode == 0
    good = read(name)

    def verdict():
        row = json.loads(replay(store.lab, "verify", "--json", name).stdout)
        other, = independent.verify_bundle(name, *store.keys)
        assert (row["verdict"], row["log"]) == (other["verdict"], other["log"])
        return row["verdict"], row["log"]
    assert verdict() == ("complete", "whole")
    signature = good.rindex("\N{EM DASH} ".encode())
    places = {"segment": good.index(store.segment) + 300, "leaf": good.index(b"brec/v1 leaf") + 50, "proof": good.index(b"tlog-proof@v1\nindex") + 30,
              "index": good.index(b"tlog-proof@v1\nindex") + 20, "signature": signature + 70}
    for place, at in places.items():
        write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], name)
        assert verdict()[0] != "complete", place
    for cut in 600, len(good) // 2, len(good) - 1025:
        write(good[:cut], name)
        assert verdict()[0] == "unverifiable"


def repacked(name, change, form=tarfile.USTAR_FORMAT, edit=lambda data: data):
    """A bundle with what change() makes of each file's name in it and edit() of its bytes; `form`: as this kind of tar writes one."""
    with tarfile.open(name) as old:
        files = [(member, old.extractfile(member).read()) for member in old]
    with tarfile.open(name, "w", format=form) as new:
        for member, data in files:
            info = tarfile.TarInfo(change(member.name))
            info.size = len(edit(data))
            new.addfile(info, io.BytesIO(edit(data)))
    return read(name)


def test_names_in_a_bundle(store):
    """All of a bundle is below the directory of its recording, as who unpacks it sees it, and a leaf has its own number."""
    whole, name = os.path.join(store.scratch, "whole.tar"), os.path.join(store.scratch, "named.tar")
    assert replay(store.lab, "bundle", store.id, "-o", whole, "--store", store.top).returncode == 0
    other, leaf = "cd" * 16, re.search(rb"/log/(\d+)\.leaf", read(whole))[1].decode()
    link, directory = tarfile.TarInfo(f"{store.id}/link"), tarfile.TarInfo(f"{store.id}/log")
    link.type, link.linkname, directory.type = tarfile.SYMTYPE, "receipts", tarfile.DIRTYPE
    top, plain = tarfile.TarInfo(store.id), tarfile.TarInfo(f"{store.id}/.x/..x/{'a' * 60}")
    top.type = tarfile.DIRTYPE

    def header(info):
        return lambda data: info.tobuf(tarfile.USTAR_FORMAT) + data

    def named(name, kind=tarfile.REGTYPE):
        info = tarfile.TarInfo(name)
        info.type = kind
        return same, header(info), tarfile.USTAR_FORMAT, "unverifiable"

    def at(offset, value):      # a byte of the first header, whose sum is right again
        def change(data):
            block = data[:offset] + value + data[offset + len(value):512]
            total = sum(block[:148] + block[156:]) + 8 * 32
            return block[:148] + b"%06o\0 " % total + block[156:] + data[512:]
        return change
    same = lambda path: path    # noqa: E731
    cases = [(same, same, tarfile.USTAR_FORMAT, "complete"), (same, same, tarfile.GNU_FORMAT, "complete"),
             (same, header(directory), tarfile.GNU_FORMAT, "complete"), (same, header(link), tarfile.USTAR_FORMAT, "unverifiable"),
             (lambda path: path.replace(store.id, other), same, tarfile.USTAR_FORMAT, "forged"),
             (lambda path: path.replace(store.id, store.id.upper()), same, tarfile.USTAR_FORMAT, "unverifiable"),
             (lambda path: path.replace(store.id, "a"), same, tarfile.USTAR_FORMAT, "unverifiable"),
             (lambda path: path.replace(store.id, other) if path.endswith("receipts") else path, same, tarfile.USTAR_FORMAT, "unverifiable"),
             (lambda path: f"./{path}", same, tarfile.USTAR_FORMAT, "unverifiable"),
             (lambda path: path.replace(f"/log/{leaf}.", "/log/99."), same, tarfile.USTAR_FORMAT, "forged"),
             (same, at(257, b"\0" * 8), tarfile.USTAR_FORMAT, "unverifiable"), (same, at(345, b"a"), tarfile.USTAR_FORMAT, "unverifiable"),
             (same, at(156, b"1"), tarfile.USTAR_FORMAT, "unverifiable"), (same, at(124, b"+"), tarfile.USTAR_FORMAT, "unverifiable"),
             *(named(f) for f in ("/x", "/", store.id, f"{store.id}/", f"{store.id}//receipts", f"{store.id}/./receipts", f"{store.id}/../x",
                                  f"{store.id}/keys/..", f"{store.id}/log/", f"{store.id}/{'a' * 64}/..")),
             *(named(d, tarfile.DIRTYPE) for d in ("", "/", "..", f"{store.id}//", f"{store.id}/./", f"{store.id}/..")), named(f"{store.id}/log/", tarfile.AREGTYPE),
             (same, header(top), tarfile.USTAR_FORMAT, "complete"), (same, header(plain), tarfile.USTAR_FORMAT, "complete")]
    for number, (change, then, form, verdict) in enumerate(cases):
        shutil.copy(whole, name)
        write(then(repacked(name, change, form)), name)
        row, (mine, ) = json.loads(replay(store.lab, "verify", "--json", name).stdout), independent.verify_bundle(name, *store.keys)
        assert (row["verdict"], row["log"]) == (mine["verdict"], mine["log"]) and row["verdict"] == verdict, (number, row, mine)
        assert verdict != "unverifiable" or "(tar --format=ustar)" in row["reason"], row
    # a proof may have a line more
    shutil.copy(whole, name)
    repacked(name, same, edit=lambda data: data.replace(b"tlog-proof@v1\n", b"tlog-proof@v1\nextra AAAA\n"))
    row, (mine, ) = json.loads(replay(store.lab, "verify", "--json", name).stdout), independent.verify_bundle(name, *store.keys)
    assert row["verdict"] == mine["verdict"] == "complete" and row["log"] == mine["log"] == "whole"
    # of two that are wrong in different ways the first tells: one with another number, and one whose checkpoint does not decode
    for number, verdict in (leaf, "unverifiable"), ("0000", "forged"), ("99", "unverifiable"):
        shutil.copy(whole, name)
        repacked(name, lambda path, to=number: path.replace(f"/log/{leaf}.", f"/log/{to}."), edit=lambda data: data.rstrip(b"\n") if b"tlog-proof@v1" in data else data)
        row, (mine, ) = json.loads(replay(store.lab, "verify", "--json", name).stdout), independent.verify_bundle(name, *store.keys)
        assert (row["verdict"], row["log"]) == (mine["verdict"], mine["log"]) and row["verdict"] == verdict, (number, row, mine)
    # its own name is anybody's
    os.rename(whole, os.path.join(store.scratch, other))
    row = json.loads(replay(store.lab, "verify", "--json", os.path.join(store.scratch, other)).stdout)
    assert row["verdict"] == "complete" and row["id"] == store.id


def test_bundles_of_damage(store):
    """What is wrong with a recording is wrong with its bundle in the same way: nothing that is there is left out."""
    parts, where, top = frames(store.segment), os.path.relpath(store.small, store.top), store.copy()
    damages = {"a frame is gone": {0: b"".join(parts[:1] + parts[2:])}, "the end is gone": {0: store.segment[:-30]},
               "a segment is gone": {0: b"".join(parts[:2]), 2: read(store.other, "00000000.brec")}, "a segment more": {1: store.segment}}
    for what, segments in damages.items():
        damaged = shutil.copytree(os.path.join(top, where), os.path.join(top, "damaged", store.id))
        for number, data in segments.items():
            write(data, damaged, f"{number:08}.brec")
        os.rename(os.path.join(top, where), os.path.join(top, "whole"))
        os.rename(damaged, os.path.join(top, where))
        verdict, name = store.both(top)[os.path.join(top, where)], os.path.join(store.scratch, "damaged.tar")
        done = replay(store.lab, "bundle", store.id, "-o", name, "--store", top)
        other, = independent.verify_bundle(name, *store.keys)
        assert done.returncode == 0 and f"{store.id}: {verdict}, ".encode() in done.stderr and verdict == other["verdict"] != "complete", (what, done, other)
        os.unlink(name)
        shutil.rmtree(os.path.join(top, where))
        os.rename(os.path.join(top, "whole"), os.path.join(top, where))


TSA = """[tsa]
default_tsa = t
[t]
dir = {d}
serial = {d}/serial
signer_cert = {d}/tsa.crt
signer_key = {d}/tsa.key
certs = {d}/tsa.crt
default_policy = 1.2.3.4
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
"""


def authority(d, *by):
    """A timestamping authority in a directory: tsa.crt is certified by itself, for two days. by: what runs openssl."""
    write(TSA.format(d=d).encode(), d, "tsa.cnf")
    write(b"01\n", d, "serial")
    labkit.run(*by, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{d}/tsa.key", "-out", f"{d}/tsa.crt", "-subj", "/CN=tsa", "-days", "2",
               "-addext", "extendedKeyUsage=critical,timeStamping", "-addext", "keyUsage=critical,digitalSignature")


def test_witness_and_timestamp(store):
    """A kept checkpoint with the line of a witness, and one with a timestamp of openssl's authority, whose certificate was valid when it made that, and
    has ended since."""
    top, d, past = store.copy(), tempfile.mkdtemp(dir=store.scratch), ("faketime", "-f", "-30d")
    authority(d, *past)
    kept = [n for n in os.listdir(os.path.join(top, "log")) if n.startswith("checkpoint.")][0]
    path = os.path.join(top, "log", kept)
    witness, name, when = ed25519.Ed25519PrivateKey.generate(), b"example.com/w1", 1700000000
    public = brec.raw(witness.public_key())
    key_id = hashlib.sha256(name + b"\n\4" + public).digest()[:4]
    signature = witness.sign(b"cosignature/v1\ntime %d\n" % when + read(path).split(b"\n\n")[0] + b"\n")
    line = "\N{EM DASH} ".encode() + name + b" " + base64.b64encode(key_id + struct.pack(">Q", when) + signature) + b"\n"
    write(read(path) + line, path + ".cosigned")
    labkit.run("openssl", "ts", "-query", "-data", path, "-sha256", "-cert", "-out", f"{d}/q")

    def stamp(*by):
        labkit.run(*by, "openssl", "ts", "-reply", "-config", f"{d}/tsa.cnf", "-queryfile", f"{d}/q", "-out", path + ".tsr")
    stamp(*past)
    vkey = name.decode() + "+" + key_id.hex() + "+" + base64.b64encode(b"\4" + public).decode()
    trust = read(store.lab.path("auditor.trust")).decode()
    write(f"{trust}\nwitness w1 {vkey}\ntsa t {d}/tsa.crt\n".encode(), d, "trust")

    def verified():
        return subprocess.run([store.lab.bin("bastion-replay"), "verify", "--store", top, "--trust", f"{d}/trust"], capture_output=True, text=True,
                              timeout=60 * labkit.SLOW, check=False).stdout

    def told():
        out = verified()
        return [line for line in out.splitlines() if line.startswith("  ")] or out
    size = kept.split(".")[1]
    first, second = told()
    # beside the long lines of 16 others, as for quantum computers
    others = b"".join("\N{EM DASH} ".encode() + b"w.example/%d " % n + base64.b64encode(bytes([n]) * 3700) + b"\n" for n in range(16))
    write(read(path) + others + line, path + ".cosigned")
    assert told() == [first, second]
    # what cannot be read vouches for nothing, and that is said
    write(read(path) + others * 2 + line, path + ".cosigned")
    assert told()[0] == "  witness example.com/w1: nothing that holds" and "older checkpoints agree; 1 cannot be read\n" in verified()
    write(read(path) + line, path + ".cosigned")
    assert first == f"  witness example.com/w1: {size} leaves, 2023-11-14 22:13:20"
    assert second.startswith(f"  timestamps by {d}/tsa.crt: {size} leaves, 20") and "hold" not in second
    assert store.both(top)[store.small.replace(store.top, top)] == "complete"
    # another receipt key signs since: what was seen of the log before that was seen
    new = ed25519.Ed25519PrivateKey.generate()
    write(store.sign(text_of(top), new), top, "log", "checkpoint")
    with open(f"{d}/trust", "a", encoding="utf-8") as f:
        f.write(f"collector collector {base64.b64encode(brec.raw(new.public_key())).decode()}\n")
    assert told() == [first, second]
    # who has the authority's key when its certificate has ended stamps nothing more
    stamped = read(path + ".tsr")
    stamp()
    assert "nothing that holds; 1 in its name" in told()[1]
    write(stamped, path + ".tsr")
    assert told() == [first, second]
    for name in path + ".cosigned", path + ".tsr":      # a byte of each signature; base64 stays base64
        data = bytearray(read(name))
        data[-20] = ord("A") if data[-20] != ord("A") else ord("B")
        write(bytes(data), name)
    first, second = told()
    assert "nothing that holds; 1 in its name" in first and "nothing that holds; 1 in its name" in second


@pytest.fixture
def own_store(store, tmp_path):
    """A copy that its collector may work on, with its keys: its path, and the collector's command."""
    os.chmod(store.scratch, 0o711)
    top = tempfile.mkdtemp(dir=store.scratch)
    labkit.run("cp", "-a", store.lab.path("store") + "/.", top)
    conf = labkit.read(store.lab.path("collectord.conf"))
    labkit.write(str(tmp_path / "conf"), conf.replace(f'"{store.lab.path("store")}"', f'"{top}"'))
    return top, [store.lab.bin("bastion-collectord"), "-D", "-f", str(tmp_path / "conf")]


def test_old_store_is_taken_in(store, own_store, tmp_path):
    """A store from before there was a log: each recording gets its leaves at the collector's start, once."""
    top, command = own_store
    shutil.rmtree(os.path.join(top, "log"))
    for entry in os.listdir(os.path.join(top, "journal")):
        os.unlink(os.path.join(top, "journal", entry))
    sizes = []
    for _ in range(2):
        with open(tmp_path / "said", "wb") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as collector:
            try:
                labkit.wait_port(store.lab.port("collector"), collector, tmp_path / "said")
                rows = until(lambda: [row for row in store.ours(top) if row["log"] == "whole"], what="a log")
                sizes.append(read(top, "log", "checkpoint").split(b"\n")[1])
            finally:
                collector.terminate()
        assert collector.returncode == 0 and len(rows) >= 3 and {row["verdict"] for row in rows} == {"complete"}
    assert sizes[0] == sizes[1]


def test_changed_log_is_refused(store, own_store):
    """The collector signs no second tree of one size."""
    top, command = own_store
    lines = read(top, "log", "checkpoint").split(b"\n")
    write(store.sign(b"\n".join([*lines[:2], base64.b64encode(bytes(32)), b""])), top, "log", "checkpoint")
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 1 and b"ALARM: the log of recordings" in done.stderr
