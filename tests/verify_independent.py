#!/usr/bin/python3
"""A second verifier of stores and bundles, written from bastion-record(5) alone: it shares no code with bastion-replay.

Prints one JSON object a verdict: for every recording, for each one that the log of recordings knows and that is missing, and, with the
id "log", for a log that is not to be believed. Exit status 0: all are complete, pruned or open. A recording is read into memory as a whole."""
import argparse
import base64
import contextlib
import functools
import hashlib
import json
import pathlib
import re
import struct
import tarfile
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

HEADER, DATA, CHECKPOINT, SEAL, CLOSE = range(5)                        # a header, and the types of frames
OPENED, SEALED, CLOSED, PRUNED, HELD, RELEASED, LAPSED = range(1, 8)    # the types of leaves
STRS = {OPENED: (105,), SEALED: (105,), CLOSED: (106, 256), PRUNED: (77, 389, 64, 256), HELD: (37, 64, 256), RELEASED: (37, 64, 256), LAPSED: (77, 389, 64, 256)}
MARKS = {CHECKPOINT: b"brec/v1 checkpoint", SEAL: b"brec/v1 seal", CLOSE: b"brec/v1 close"}
DAY = 86400 * 1000000
HASH = rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="                         # 32 bytes in base64, which has one way to write them
NOTE = re.compile(rb"(([^ \n]{1,255})\n(0|[1-9]\d{0,18})\n(" + HASH + rb")\n(?:.*\n)*)\n((?:\xe2\x80\x94 [^ \n]+ .*\n){1,64})")
SIGNATURE = re.compile(rb"[A-Za-z0-9+/]{90}[AEIMQUYcgkosw048]=?")         # key id and Ed25519 signature
PROOF = re.compile(rb"c2sp\.org/tlog-proof@v1\n(?:extra .+\n)?index (0|[1-9]\d{0,17})\n((?:" + HASH + rb"\n)*)\n((?s:.*))")
PLACE = re.compile(r"(?:(?!\.|[0-9a-f]{32}/)[^/]+/)?[0-9a-f]{32}")       # of a recording: in the directory of a day, or in none
USTAR = re.compile(rb"(?s)(?=.{124}[0-7]{1,11}[ \0])(?=.{148}[0-7]{1,7}[ \0])(?=.{156}(.))(?=.{257}ustar(?:\x0000|  \0))(?=.{345}\0)(.{100})")
NAME = re.compile(rb"(?:(5)|[0\0])[0-9a-f]{32}(?(1)|(?=/))(?:/(?!\.{1,2}(?:[/\0]|\Z))[^/\0]+)*(?(1)/?)(?:\0|\Z)")    # behind its type
CRC = [functools.reduce(lambda value, _: value >> 1 ^ 0x82F63B78 * (value & 1), range(8), byte) for byte in range(256)]
uint = functools.partial(int.from_bytes, byteorder="big")

class Verdict(Exception):
    """args: verdict, reason"""

def must(condition, reason, verdict="forged"):
    if not condition:
        raise Verdict(verdict, reason)

def outcome(function, *words):      # what it returns, or the verdict and reason that it raises
    try:
        return function(*words)
    except Verdict as wrong:
        return wrong.args

def crc32c(data):
    return functools.reduce(lambda crc, byte: crc >> 8 ^ CRC[(crc ^ byte) & 255], data, 0xFFFFFFFF) ^ 0xFFFFFFFF

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def signed(key, signature, message):
    with contextlib.suppress(InvalidSignature):
        return ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message) is None

def slurp(path):    # a link is no file
    must(path.exists() or path.is_symlink(), f"{path.name} is missing")
    must(path.is_file() and not path.is_symlink(), f"{path.name} is no file", "unverifiable")
    return path.read_bytes()

def strings(data, limits, width=4):     # a piece for each limit, behind its length in `width` bytes, and nothing behind them; or None
    found, rest = [], data
    for limit in limits:
        found.append(rest[width:width + uint(rest[:width])][:limit])
        rest = rest[width + len(found[-1]):]
    return found if data == b"".join(len(piece).to_bytes(width, "big") + piece for piece in found) else None

def fold(nodes):    # RFC 9162, 2.1.1: the root of neighbouring nodes
    while len(nodes) > 1:
        nodes = [sha256(b"\1", *nodes[i:i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
    return nodes[0] if nodes else sha256()

def climb(node, index, count, path):    # RFC 9162, 2.1.3: the root of `count` nodes, from one of them and its path
    must((count == 1) == (path == []), "the length of a path")
    if count == 1:
        return node
    left = 1 << (count - 1).bit_length() - 1      # so many are below the left one of the last two
    below = climb(node, index % left, left if index < left else count - left, path[:-1])
    return sha256(b"\1", below, path[-1]) if index < left else sha256(b"\1", path[-1], below)

class Header:       # that the data begin with; torn: the verdict if they end inside of it
    def __init__(self, data, number=0, torn="cut"):
        must(data[:8] == b"BREC\r\n\x1a\n"[:len(data)], "no header", "forged" if number else "unverifiable")
        version, suite, length = struct.unpack(">HHI", data[8:16]) if len(data) >= 16 else (1, 1, 32768)
        must(version == 1 and suite in (1, 2), "an unknown version", "unverifiable")
        must(204 < length <= 32768, "the length of a header")
        must(len(data) >= length, "a header is there in part", torn)
        self.type, self.raw, self.signature, self.end, self.groups = HEADER, data[:length], data[length - 64:length], b"", []
        self.id, segment, self.epoch, first, self.h, self.wall, self.signer, size = struct.unpack(">16sIIQ32sQ16x32sI", data[16:140])
        self.seq, groups, rest = first - 1, data[140], data[141:length - 64]
        while rest:
            count = uint(rest[33:37])
            must(rest[0] == len(self.groups) and 1 <= count <= 64 and len(rest) >= 37 + 64 * count, "the key part of a header")
            self.groups.append((rest[1:33], [rest[at:at + 64] for at in range(37, 37 + 64 * count, 64)]))   # commitment and stanzas
            rest = rest[37 + 64 * count:]
        must((segment, size, groups, 0) == (self.epoch, length - 204, len(self.groups), self.wall >> 63) and groups in {1: (1, 2), 2: (3,)}[suite], "its fields")

class Frame:        # that the data begin with
    def __init__(self, data, torn="cut"):
        length = uint(data[:4]) if len(data) >= 4 else 65536
        must(24 <= length <= 65536, "the length of a frame")
        must(len(data) >= length, "a frame is there in part", torn)
        self.raw, self.body = data[:length], data[20:length - 4]
        must(crc32c(self.raw[:-4]) == uint(self.raw[-4:]), "the crc of a frame")
        self.type, self.stream, zero, self.epoch, self.seq = struct.unpack(">BBHIQ", data[4:20])
        self.h, self.wall, self.signature, self.end = self.body[:32], uint(self.body[32:40]), self.body[40:104], self.body[104:]
        sizes = {DATA: range(32, 65536, 16), CHECKPOINT: [104], SEAL: [104], CLOSE: range(109, 366)}
        must(zero == 0 and self.stream <= (2 if self.type == DATA else 0) and len(self.body) in sizes.get(self.type, []), "the fields of a frame")

    def message(self, rid):     # what it signs
        ended = self.type != CLOSE or 1 <= self.end[0] <= 5 and (reason := strings(self.end[1:], [256])) and b"\0" not in reason[0]
        must(ended and self.wall < 1 << 63, "the fields of what is signed")
        return MARKS[self.type] + rid + struct.pack(">Q", self.seq) + self.body[:40] + self.end

def checkpoint(data, keys):     # size and root of a c2sp.org/tlog-checkpoint that one of the keys signed, which has no false line
    must(len(data) <= 131072 and (note := NOTE.fullmatch(data)) and not re.search(rb"[\0-\x09\x0b-\x1f]", data), "the checkpoint does not decode", "unverifiable")
    text, origin, size, root, lines = note.groups()
    found = re.findall(rb"(?m)^\xe2\x80\x94 " + re.escape(origin) + rb" ([A-Za-z0-9+/]{8}.*)$", lines)
    def is_by(key):
        own = [line for line in found if base64.b64decode(line[:8])[:4] == sha256(origin, b"\n\1", key)[:4]]
        return own and all(SIGNATURE.fullmatch(line) and signed(key, base64.b64decode(line[:91] + b"=")[4:], text) for line in own)
    must(any(map(is_by, keys)), "no trusted collector signed the checkpoint", "unverifiable")
    return int(size), base64.b64decode(root)

class Log:      # of recordings, in a directory or the files of a bundle; leaves: an id's to a list of them; verdict: good, absent, or what is wrong
    def __init__(self, read, place, keys):
        self.entries, self.leaves, self.part = [], {}, read is Log.read_proofs
        self.verdict, self.reason = outcome(read, self, place, keys) or ("good", "")
        for _, leaf in sorted(self.entries):
            start, *limits = STRS.get(leaf[12] if leaf[:12] == b"brec/v1 leaf" and leaf[12:] else 0, (65536,))     # where its strs begin, and their limits
            if len(leaf) >= start and strings(leaf[start:], limits) is not None:
                self.leaves.setdefault(leaf[13:29], []).append(leaf)

    def read_tiles(self, top, keys):
        def tile(level, n, width):      # so many hashes or leaves; where it is full by now, the first of 256
            path = "/".join([f"x{n // 1000 ** i % 1000:03}" for i in range(5, 0, -1) if n >= 1000 ** i] + [f"{n % 1000:03}"])
            part, full = top / "tile" / level / f"{path}.p/{width}", top / "tile" / level / path
            data, there = (slurp(part), width) if width < 256 and (part.exists() or part.is_symlink()) else (slurp(full), 256)
            found = strings(data, [65535] * there, 2) if level == "entries" else [data[at:at + 32] for at in range(0, len(data), 32)]
            must(found and len(found) == there, f"the length of a tile, {level}/{path}")
            return found[:width]
        must(keys and top.is_dir(), "no log, or nobody to believe it", "absent")
        newest, _ = checkpoint(note := slurp(top / "checkpoint"), keys)
        for start in range(0, newest, 256):
            self.entries += enumerate(tile("entries", start // 256, min(256, newest - start)), start)
        hashes = nodes = [sha256(b"\0", leaf) for _, leaf in self.entries]
        for level in range(8):
            parts = [nodes[start:start + 256] for start in range(0, len(nodes), 256)]
            must(all(tile(str(level), n, len(part)) == part for n, part in enumerate(parts)), f"a tile of level {level}")
            nodes = [fold(part) for part in parts if len(part) == 256]
        kept = [raw for path in top.iterdir() if re.fullmatch(r"checkpoint(\.\d+(\.cosigned)?)?", path.name) and isinstance(raw := outcome(slurp, path), bytes)]
        for size, root in (outcome(checkpoint, data, keys) for data in kept if data.split(b"\n")[0] == note.split(b"\n")[0]):
            must(isinstance(size, str) or size <= newest and fold(hashes[:size]) == root, f"the root of {size} leaves")    # torn by a power cut: no size

    def read_proofs(self, files, keys):
        def read(name):
            proof = PROOF.fullmatch(files.get(name[:-5] + ".tlog-proof", b""))
            must(proof and name == f"log/{int(proof[1])}.leaf", "a proof does not decode, or is of another leaf")
            index, path, (size, root) = int(proof[1]), [base64.b64decode(line) for line in proof[2].split()], checkpoint(proof[3], keys)
            must(index < size and climb(sha256(b"\0", files[name]), index, size, path) == root, "the proof of a leaf")
            self.entries.append((index, files[name]))
        names = [name for name in files if re.fullmatch(r"(?s)log/.+\.leaf", name)]
        must(keys and names, "no leaves, or nobody to believe them", "absent")
        for wrong in filter(None, [outcome(read, name) for name in sorted(names)]):     # all are read, and the first that is wrong tells
            raise Verdict(*wrong)

def holds(leaf, before, own, signers):
    """Has a prune leaf the close that is in the log before it, or a lapse leaf the last mark of what never closed; and was its time over?"""
    (wall, days, segment), (data, _, _), rid = struct.unpack(">QII", leaf[29:45]), strings(leaf[77:], STRS[PRUNED][1:]), leaf[13:29]
    frame, lapse = Frame(data), leaf[12] == LAPSED
    made = leaf[:12] + bytes([frame.type - 1]) + rid + struct.pack(">IQ", segment, frame.seq) + sha256(b"\2", frame.h, data) + leaf[45:77] + frame.end
    opened, seals, closes = ([other for other in own if other[12] == kind] for kind in (OPENED, SEALED, CLOSED))
    last = len(seals[:segment]) == segment and seals[segment:] == ([made] if frame.type == SEAL else []) and \
        all(uint(seal[33:41]) < frame.seq for seal in seals[:segment])
    must(frame.type in ((CHECKPOINT, SEAL) if lapse else (CLOSE,)) and frame.raw == data and frame.epoch == segment, "no such frame")
    must(opened and last and not closes if lapse else closes[:1] == [made] and made in before, "not the last mark, or not the close")
    must([other[12] for other in before if other[12] in (HELD, RELEASED)][-1:] != [HELD], "a hold was in force")
    must(days >= 90 and frame.wall + (days + 30 * lapse) * DAY <= wall <= time.time() * 1000000 + DAY, "not in its time")
    return any(signed(key, frame.signature, frame.message(rid)) for key in signers)

def receipt(data):      # the whole one that the data begin with, or nothing
    one = bytes(data[:4 + uint(data[:4])])
    count, index, n = struct.unpack(">III", one[100:112].ljust(12, b"\0"))
    return one if index < count <= 1024 and n <= 10 and len(one) == 180 + 32 * n == 4 + uint(one[:4]) and crc32c(one[:-4]) == uint(one[-4:]) else b""

class Recording:        # files, and the row of their verdict; name: the id that it must have, or nothing
    def __init__(self, name, files, signers, collectors, log):
        self.files, self.signers, self.collectors, self.log, self.last = files, {sha256(key): key for key in signers}, collectors, log, 0
        self.segments = [int(file[:8]) for file in files if re.fullmatch(r"\d{8}\.brec", file)]
        self.id, self.first, self.mark, self.chain, self.chains, self.leaves, self.made = bytes.fromhex(name), None, None, bytes(32), {}, [], []
        verdict, reason = outcome(self.walk)
        verdict, reason = outcome(self.weigh_receipts, verdict) or (verdict, reason)
        in_log = "missing" if not self.leaves or len(self.made) > len(self.leaves) else "whole" if verdict == "complete" else "part"
        logged = {"absent": "none", "good": in_log}.get(log.verdict, "bad")
        verdict, reason = outcome(self.weigh_log, verdict, logged) or (verdict, reason)
        self.row = {"id": self.id.hex(), "verdict": verdict, "last_seq": self.last, "signed_seq": self.mark.seq if self.mark else 0,
                    "receipt_seq": self.received, "reason": reason, "log": "part" if verdict in ("pruned", "cut") and not self.segments else logged}

    def walk(self):
        """Steps 1, 2, 3 and 5 of VERIFICATION, until something does not hold. What cannot be read is no bytes."""
        must(not self.collectors or isinstance(self.files.get("receipts", b""), bytes), "the receipts cannot be read", "unverifiable")
        for number in range(max(self.segments, default=0) + 1):
            must(number in self.segments, f"segment {number} is missing", "gap" if self.segments else "unverifiable")
            data, at, torn = self.files[f"{number:08}.brec"], 0, "gap" if number < max(self.segments) else "cut"
            must(isinstance(data, bytes), f"segment {number} cannot be read", "unverifiable")
            while at == 0 or at < len(data):
                if at == 0:
                    item = Header(data, number, torn)
                    must(item.signer in self.signers, "an unknown signer", "forged" if number else "unverifiable")
                    self.first, self.id, key, file_hash = self.first or item, self.id or item.id, self.signers[item.signer], hashlib.sha256()
                    must((item.id, item.signer) == (self.id, self.first.signer), "a header of another recording, or in the directory of one")
                else:
                    must(item.type not in (SEAL, CLOSE), "bytes behind the end of a segment")
                    item = Frame(data[at:at + 65536], torn)
                    must(item.seq <= self.last + 1, f"frames from {self.last + 1} on are missing", "gap")
                must((item.seq, item.epoch) == (self.last + 1 if at else self.last, number), "a header or frame of another place")
                if item.type != DATA:
                    message = item.message(self.id) if at else b"brec/v1 header" + item.raw[:-64]
                    must(item.h == self.chain and signed(key, item.signature, message), f"what is signed behind frame {self.last}")
                self.last, self.chain = item.seq, sha256(b"\2" + self.chain if at else b"brec/v1", item.raw)
                self.chains.setdefault(self.last, self.chain)
                file_hash.update(item.raw)
                self.mark = item if item is self.first or item.type in MARKS else self.mark     # the last sign of life
                if item is self.first or item.type in (SEAL, CLOSE):
                    self.leaves = [leaf for leaf in self.log.leaves.get(self.id, []) if leaf[12] <= CLOSED]
                    place = bytes([max(OPENED, item.type - 1)]) + self.id + struct.pack(">IQ", number, self.last)
                    self.made.append(b"brec/v1 leaf" + place + self.chain + file_hash.digest() + item.end)
                    must(self.leaves[len(self.made) - 1:len(self.made)] in ([], self.made[-1:]), "the log has another leaf")
                at += len(item.raw)
            must(torn == "cut" or item.type == SEAL, "segments behind the last one", "forged" if item.type == CLOSE else "gap")
        return {CLOSE: "complete", SEAL: "cut"}.get(item.type, "abandoned"), f"to frame {self.last}"

    def weigh_receipts(self, verdict):
        """Step 4, also of what has a gap or is cut; but not where no header holds: nobody knows whose they are."""
        data, highest, self.received = self.files.get("receipts", b"") if self.collectors and (self.chains or verdict != "unverifiable") else b"", 0, 0
        while r := receipt(data):
            key, wall, rid, seq, h, count, index = struct.unpack(">4x32s8s16sQ32sII", r[:108])
            if key in self.collectors:      # r[44:100] is rid, seq and h
                root = climb(sha256(b"\0", r[44:100]), index, count, [r[at:at + 32] for at in range(112, len(r) - 68, 32)])
                must(signed(key, r[-68:-4], b"brec/v1 receipt" + sha256(key) + wall + r[100:104] + root), "the signature of a receipt")
                must(not self.chains or rid == self.id and self.chains.get(seq, h) == h, "a receipt says something else")
                self.received, highest = max(self.received, seq if seq in self.chains else 0), max(highest, seq)
            data = data[len(r):]
        must(len(data) <= 500 and not any(receipt(data[at:]) for at in range(len(data))), "a receipt is damaged, and more than it follows")
        must(highest <= self.last, f"a receipt is for frame {highest}", {"complete": "forged", "abandoned": "cut"}.get(verdict, verdict))

    def weigh_log(self, verdict, logged):
        """What the log knows more (an open leaf behind the close is another's), or does not know; and of what is missing, that it was removed."""
        log, whole, ended, more, now = self.log, verdict == "complete", verdict == "abandoned", self.leaves[len(self.made):], time.time() * 1000000
        must(log.verdict in ("good", "absent") or not (whole or ended), log.reason, log.verdict)
        if log.verdict == "good":
            own, may = log.leaves.get(self.id, []), not log.part and (not self.segments or self.chains and verdict in ("abandoned", "cut", "gap"))
            gone = may and any(leaf[12] in (PRUNED, LAPSED) and outcome(holds, leaf, own[:at], own, self.signers.values()) is True for at, leaf in enumerate(own))
            must(not gone, "it was removed in its time", "pruned")      # in a bundle none of these leaves holds: its maker chose them
            must(self.segments or log.part or not own, "all of it is missing", "cut")
            must(not more or not (ended or whole and more[0][12] != OPENED), "the log has more leaves", "cut" if ended else "forged")
            must(not whole or logged == "whole", "not all of its leaves are in the log", "unverifiable")
            alive = ended and logged == "part" and abs(now - self.mark.wall) <= 600 * 1000000 and self.first.wall >= now - 30 * DAY
            must(not alive or log.part or {leaf[12] for leaf in own} & {CLOSED, PRUNED, LAPSED}, "it is being made", "open")

def verify_store(store, signers, collectors, own=()):   # a row for each verdict; own: the keys of the collector whose store it is
    log, top = Log(Log.read_tiles, pathlib.Path(store) / "log", own or collectors), pathlib.Path(store) / "recordings"
    here = [path for path in sorted([*top.glob("*"), *top.glob("*/*")]) if path.is_dir() and PLACE.fullmatch(path.relative_to(top).as_posix())]
    for path in here:
        yield {**Recording(path.name, {file.name: outcome(slurp, file) for file in path.iterdir()}, signers, collectors, log).row, "dir": str(path)}
    if log.verdict == "good":
        for rid in sorted({rid.hex() for rid in log.leaves} - {path.name for path in here}):
            yield {**Recording(rid, {}, signers, collectors, log).row, "dir": None}
    elif collectors or log.verdict != "absent":
        fault = {"verdict": "unverifiable", "log": "none"} if log.verdict == "absent" else {"verdict": log.verdict, "log": "bad"}
        yield {"id": "log", "dir": None, "reason": log.reason, **fault}

def verify_bundle(bundle, signers, collectors, own=()):     # one row; of one that cannot be read there are no files
    files, top = {}, ""
    with contextlib.suppress(tarfile.TarError, OSError, Verdict), tarfile.open(bundle, "r:") as tar:
        data, members, tops = slurp(pathlib.Path(bundle)), tar.getmembers(), {member.name[:32] for member in tar}
        found = {member.name[33:]: tar.extractfile(member).read() for member in members if member.isreg()}
        must(all((head := USTAR.match(data, one.offset)) and NAME.match(head[1] + head[2]) and (one.size == 0 or one.isreg()) for one in members), "headers")
        must(data[tar.offset:][:512] == bytes(512) and len(tops) == 1 and len(found) == sum(member.isreg() for member in members) and not tar.pax_headers, "names")
        top, files = *tops, found
    yield {**Recording(top, files, signers, collectors, Log(Log.read_proofs, files, own or collectors)).row, "dir": bundle}

def load_keys(name):
    blocks = re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", pathlib.Path(name).read_bytes(), re.S)
    return [serialization.load_pem_public_key(block).public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw) for block in blocks]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", metavar="STORE|BUNDLE")
    for option in ("--signer", "--collector", "--log"):
        parser.add_argument(option, metavar="PEM", type=load_keys, action="extend", default=[])
    words = parser.parse_args()
    rows = [*(verify_store if pathlib.Path(words.what).is_dir() else verify_bundle)(words.what, words.signer, words.collector, words.log)]
    print("".join(json.dumps(row) + "\n" for row in rows), end="")
    warning = "warning: more than one collector is trusted: --log says whose store it is\n" if len(words.collector) > 1 and not words.log else None
    parser.exit(any(row["verdict"] not in ("complete", "pruned", "open") for row in rows), warning)
