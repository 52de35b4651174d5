#!/usr/bin/python3
"""A second verifier of stores and bundles, written from bastion-record(5) alone: it shares no code with bastion-replay.

    verify_independent.py STORE|BUNDLE --signer PEM... [--collector PEM...]

Prints one JSON object a verdict: for every recording, for each one that the log of recordings knows and that is missing, and, with the
id "log", for a log that is not to be believed. Exit status 0: all are complete, pruned or open. The frames are read by brec_independent.py.
"""
import argparse
import base64
import contextlib
import glob
import hashlib
import json
import os
import re
import struct
import sys
import tarfile
import tempfile
import time

from cryptography.hazmat.primitives import serialization

import brec_independent as brec
from brec_independent import CLOSE, SEAL, Verdict, must, sha256, signed

PRUNE, HOLD, RELEASE, LAPSE = 4, 5, 6, 7      # types of leaves that say what was done with a recording

def fold(nodes):
    """RFC 9162, 2.1.1: the root of neighbouring nodes."""
    while len(nodes) > 1:
        nodes = [sha256(b"\1", *nodes[i:i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
    return nodes[0] if nodes else sha256()


def unbase64(text):
    with contextlib.suppress(ValueError):
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        if base64.b64encode(data).rstrip(b"=") == text.rstrip(b"="):
            return data
    raise Verdict("forged", "base64 does not decode")


class Checkpoint:
    """c2sp.org/tlog-checkpoint"""
    def __init__(self, note):
        must(b"\n\n" in note and note.endswith(b"\n") and len(note) <= 16384 and not re.search(rb"[\0-\x09\x0b-\x1f]", note),
             "forged", "the checkpoint does not decode")
        cut = note.rindex(b"\n\n")
        self.text, lines = note[:cut + 1], note[cut + 2:].split(b"\n")[:-1]
        head = self.text.split(b"\n")
        must(len(head) >= 4 and 0 < len(head[0]) <= 255 and re.fullmatch(rb"0|[1-9]\d{0,18}", head[1]) and len(head[2]) == 44 and lines,
             "forged", "the checkpoint does not decode")
        self.origin, self.size, self.root = head[0], int(head[1]), unbase64(head[2])
        found = [re.fullmatch("\N{EM DASH} ".encode() + rb"([^ ]+) (.*)", line) for line in lines]
        must(all(found) and len(self.root) == 32, "forged", "the checkpoint does not decode")
        self.signatures = [m.groups() for m in found]

    def signed_by(self, keys):
        for name, text in self.signatures:
            for key in keys:
                with contextlib.suppress(Verdict):
                    raw = unbase64(text)
                    if name == self.origin and raw[:4] == sha256(name, b"\n\1", key)[:4] and len(raw) == 68:
                        signed(key, raw[4:], self.text, "a checkpoint")
                        return True
        return False


def slurp(*names):
    for name in filter(os.path.isfile, names):
        with open(name, "rb") as f:
            return f.read()
    raise Verdict("forged", f"{names[0]} is missing")


def strings(data, count):
    """So many u32 length + bytes, and nothing behind them; None: it is something else."""
    found = []
    while len(data) >= 4 and len(data) >= 4 + brec.u32(data):
        found.append(data[4:4 + brec.u32(data)])
        data = data[4 + len(found[-1]):]
    return found if data == b"" and len(found) == count else None


def check_prune(leaf, own, at, signers):
    """own[at] holds: its close frame is the one in the log, or none is and its last mark may be that, signed by the bastion, in its time."""
    (wall, days, segment), frame, lapse = struct.unpack(">QII", leaf[29:45]), brec.Frame(strings(leaf[77:], 3)[0]), leaf[12] == LAPSE
    must(frame.type in ((2, SEAL) if lapse else (CLOSE,)) and frame.epoch == segment and frame.raw == strings(leaf[77:], 3)[0], "forged", "no such frame")
    made = leaf[:12] + bytes([frame.type - 1]) + leaf[13:29] + struct.pack(">IQ", segment, frame.seq) + \
        sha256(b"\2", frame.body[:32], frame.raw) + leaf[45:77] + frame.body[104:]
    seals, closes = ([x for x in part if x[12] == kind] for part, kind in ((own, 2), (own if lapse else own[:at], 3)))
    last = seals[-1:] == [made] and len(seals) == segment + 1 if frame.type == SEAL else \
        len(seals) == segment and (not seals or frame.seq > int.from_bytes(seals[-1][33:41], "big"))
    must(not closes and 1 in [x[12] for x in own] and last if lapse else closes[:1] == [made], "forged", "not the close, or not the last mark")
    waited = (wall - int.from_bytes(frame.body[32:40], "big")) // 86400000000
    must(days >= 90 and waited >= days + 30 * lapse and wall <= (time.time() + 86400) * 1000000, "forged", "not in its time")
    for key in signers:
        with contextlib.suppress(Verdict):
            return signed(key, frame.body[40:104], frame.message(leaf[13:29]), "a close")
    raise Verdict("forged", "the close is not signed by a given key")


class Log:
    """A log of recordings: leaves, an id's to a list of (index, leaf), if its verdict is "good"; or "absent"."""
    def __init__(self):
        self.verdict, self.reason, self.leaves, self.part = "good", "", {}, False

    def add(self, index, leaf):
        kind = leaf[12] if leaf[:12] == b"brec/v1 leaf" and len(leaf) > 36 else 0
        if 1 <= kind <= 3 and 105 <= len(leaf) or 4 <= kind <= 7 and strings(leaf[77 if kind in (4, 7) else 37:], 3 if kind in (4, 7) else 2):
            self.leaves.setdefault(leaf[13:29], []).append((index, leaf))

    def pruned(self, rid, signers):
        """May the recording be missing, because a prune or lapse leaf holds?"""
        own, held = [leaf for _, leaf in self.leaves.get(rid, [])], False
        for at, leaf in enumerate(own):
            held = leaf[12] == HOLD if leaf[12] in (HOLD, RELEASE) else held
            if leaf[12] in (PRUNE, LAPSE) and not held and not self.part:
                with contextlib.suppress(Verdict):
                    check_prune(leaf, own, at, signers)
                    return True
        return False

    @classmethod
    def load(cls, read, place, keys):
        log = cls()
        try:
            read(log, place, keys)
        except Verdict as v:
            log.verdict, log.reason = v.args
        for own in log.leaves.values():
            own.sort()
        return log

    def read_directory(self, top, keys):
        must(keys and os.path.isdir(top), "absent", "no log, or nobody to believe it")
        kept = []
        for name in os.listdir(top):
            if re.fullmatch(r"checkpoint\.\d+(\.cosigned)?", name):
                with contextlib.suppress(Verdict):      # a power cut may leave a part of one
                    checkpoint = Checkpoint(slurp(os.path.join(top, name)))
                    kept += [checkpoint] if checkpoint.signed_by(keys) else []
        self.newest = Checkpoint(slurp(os.path.join(top, "checkpoint")))
        must(self.newest.signed_by(keys), "unverifiable", "no trusted collector signed the checkpoint")
        self.read_tiles(top, self.newest.size)
        for checkpoint in kept + [self.newest]:
            must(checkpoint.size <= self.newest.size, "forged", "an older checkpoint is of more leaves")
            must(fold(self.hashes[:checkpoint.size]) == checkpoint.root, "forged", f"another root at {checkpoint.size} leaves")

    def read_tiles(self, top, size):
        self.hashes = []

        def tile(kind, n, width):
            path = "/".join([f"x{n // 1000 ** i % 1000:03}" for i in range(5, 0, -1) if n >= 1000 ** i] + [f"{n % 1000:03}"])
            full = os.path.join(top, "tile", str(kind), path)
            return slurp(*([f"{full}.p/{width}"] if width < 256 else []), full)
        for start in range(0, size, 256):
            width = min(256, size - start)
            data = tile("entries", start // 256, width)
            for index in range(start, start + width):
                length = int.from_bytes(data[:2], "big")
                must(len(data) >= 2 + length and (index < start + width - 1 or len(data) == 2 + length), "forged", f"leaf {index}, or what follows it")
                leaf, data = data[2:2 + length], data[2 + length:]
                self.hashes.append(sha256(b"\0", leaf))
                self.add(index, leaf)
        level, nodes = 0, self.hashes
        while nodes:
            for start in range(0, len(nodes), 256):
                part = nodes[start:start + 256]
                must(tile(level, start // 256, len(part)) == b"".join(part), "forged", f"a tile of level {level}")
            level, nodes = level + 1, [fold(nodes[i:i + 256]) for i in range(0, len(nodes) - 255, 256)]

    def read_bundle(self, top, keys):
        self.part, names = True, glob.glob(os.path.join(glob.escape(top), "log", "*.leaf"))     # which leaves, its maker chose
        must(keys and names, "absent", "no leaves, or nobody to believe them")
        for name in names:
            leaf, proof = slurp(name), slurp(name[:-5] + ".tlog-proof")
            head, _, note = proof.partition(b"\n\n")
            lines = head.split(b"\n")
            must(lines[0] == b"c2sp.org/tlog-proof@v1" and len(lines) >= 2 and re.fullmatch(rb"index (0|[1-9]\d{0,17})", lines[1]), "forged", "proof")
            index, path = int(lines[1][6:]), [unbase64(line) for line in lines[2:]]
            checkpoint = Checkpoint(note)
            must(checkpoint.signed_by(keys), "unverifiable", "no trusted collector signed the checkpoint")
            must(index < checkpoint.size and all(len(node) == 32 for node in path), "forged", "proof")
            must(brec.merkle(sha256(b"\0", leaf), index, checkpoint.size - 1, path) == checkpoint.root, "forged", "the proof of a leaf")
            self.add(index, leaf)


class Verifier(brec.Verifier):
    def __init__(self, path, signers, collectors, log):
        super().__init__(path, signers, collectors)
        self.log, self.leaves, self.at, self.missing = log, [], 0, False

    def leaf(self, kind, file_hash, rest=b""):
        """The recording's next leaf must be the one that its bytes make."""
        made = b"brec/v1 leaf" + bytes([kind]) + self.id + struct.pack(">IQ", self.number, self.last) + self.chain + file_hash + rest
        if self.at == len(self.leaves):
            self.missing = True
            return
        self.at += 1
        must(self.leaves[self.at - 1][1] == made, "forged", "the log has another leaf")

    def header(self, h):
        super().header(h)
        self.hash = hashlib.sha256(h.raw)
        if self.number == 0:
            self.begun = self.alive = int.from_bytes(h.raw[80:88], "big")
            self.leaves = [own for own in self.log.leaves.get(self.id, []) if own[1][12] <= 3]
            self.leaf(1, self.hash.digest())

    def frame(self, f):
        super().frame(f)
        self.hash.update(f.raw)
        self.alive = int.from_bytes(f.body[32:40], "big") if f.type > 1 else self.alive
        if f.type in (SEAL, CLOSE):
            self.leaf(f.type - 1, self.hash.digest(), f.body[104:])

    def logged(self, verdict):
        if self.log.verdict != "good":
            return "none" if self.log.verdict == "absent" else "bad"
        return "missing" if self.missing or not self.leaves else "whole" if verdict == "complete" else "part"

    def judge(self):
        (verdict, reason), logged = (found := super().run()), self.logged(found[0])
        name, empty = os.path.basename(self.path), not brec.segments(self.path)
        rid = bytes.fromhex(name) if empty and re.fullmatch(r"[0-9a-f]{32}", name) else self.id
        if self.log.verdict == "good" and (empty or verdict in ("abandoned", "cut", "gap")) and self.log.pruned(rid, self.signers.values()):
            return {"id": rid.hex(), "verdict": "pruned", "last_seq": self.last, "signed_seq": self.signed, "reason": "", "log": "part" if empty else logged}
        if verdict in ("complete", "abandoned") and logged != "none":
            closed = verdict == "complete"
            if logged == "bad":
                verdict, reason = self.log.verdict, self.log.reason
            elif self.at < len(self.leaves) and not (closed and self.leaves[self.at][1][12] == 1):      # an open leaf after the close is another's
                verdict, reason = "forged" if closed else "cut", "the log has more leaves"
            elif closed and self.missing:
                verdict, reason = "unverifiable", "not all leaves are in the log"
            elif not closed and logged == "part" and not self.log.part and not {3, PRUNE, LAPSE} & {leaf[12] for _, leaf in self.log.leaves[self.id]}:
                if abs(time.time() * 1e6 - self.alive) <= 6e8 and self.begun >= (time.time() - 30 * 86400) * 1e6:
                    verdict, reason = "open", "it is being made"
        return {"id": (self.id or b"").hex(), "verdict": verdict, "last_seq": self.last, "signed_seq": self.signed, "reason": reason, "log": logged}


def verify_store(store, signers, collectors):
    """A row for each verdict; dir as it was found."""
    log, there = Log.load(Log.read_directory, os.path.join(store, "log"), collectors), set()
    for path in sorted(glob.glob(os.path.join(glob.escape(store), "recordings", "*", "*"))):
        if re.fullmatch(r"[0-9a-f]{32}", os.path.basename(path)):
            there.add(bytes.fromhex(os.path.basename(path)))
            yield {**Verifier(path, signers, collectors, log).judge(), "dir": path}
    if log.verdict in ("forged", "unverifiable") or collectors and log.verdict == "absent":
        verdict, logged = ("unverifiable", "none") if log.verdict == "absent" else (log.verdict, "bad")
        yield {"id": "log", "dir": None, "verdict": verdict, "reason": log.reason, "log": logged}
    elif log.verdict == "good":
        for gone in sorted(set(log.leaves) - there):
            yield {"id": gone.hex(), "dir": None, "verdict": "pruned" if log.pruned(gone, signers) else "cut", "reason": "all of it is missing", "log": "part"}


def verify_bundle(name, signers, collectors):
    unreadable = {"id": "", "dir": name, "verdict": "unverifiable", "reason": "no bundle", "log": "none"}
    with tempfile.TemporaryDirectory() as top:
        try:
            with tarfile.open(name, "r:") as tar:
                files = [m for m in tar.getmembers() if m.isreg()]
                names = [m.name.partition("/")[2] for m in files]
                end = max([0] + [m.offset_data + (m.size + 511) // 512 * 512 for m in tar.getmembers()])
                if len(set(names)) != len(names) or slurp(name)[end:end + 512] != bytes(512):
                    return unreadable
                for member, below in zip(files, names):
                    if re.fullmatch(r"(log/)?[0-9A-Za-z.-]+", below):
                        os.makedirs(os.path.dirname(os.path.join(top, below)), exist_ok=True)
                        with open(os.path.join(top, below), "wb") as f:
                            f.write(tar.extractfile(member).read())
        except (tarfile.TarError, OSError):
            return unreadable
        log = Log.load(Log.read_bundle, top, collectors)
        return {**Verifier(top, signers, collectors, log).judge(), "dir": name}


def load_keys(names):
    blocks = [b for n in names for b in re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", slurp(n), re.S)]
    return [brec.raw(serialization.load_pem_public_key(block)) for block in blocks]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", metavar="STORE|BUNDLE")
    for option in ("--signer", "--collector"):
        p.add_argument(option, action="append", default=[])
    a = p.parse_args()
    keys = load_keys(a.signer), load_keys(a.collector)
    rows = list(verify_store(a.what, *keys)) if os.path.isdir(a.what) else [verify_bundle(a.what, *keys)]
    for row in rows:
        print(json.dumps(row))
    return any(row["verdict"] not in ("complete", "pruned", "open") for row in rows)


if __name__ == "__main__":
    sys.exit(main())
