#!/usr/bin/python3
"""A second reader of recordings, written from bastion-record(5) alone: it shares no code with bastion-replay.

    brec_independent.py verify DIRECTORY --signer PEM... [--collector PEM...]
    brec_independent.py events DIRECTORY --identity FILE...

verify prints the verdict, last, signed and received sequence and the reason; events a JSON line an event, bytes as Latin-1, or "locked" without a key.
"""
import argparse
import contextlib
import hashlib
import hmac
import json
import os
import re
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

(DATA, CHECKPOINT, SEAL, CLOSE), STREAMS = (1, 2, 3, 4), ["metadata", "input", "output"]
TORN = "torn", "the bytes end inside of it"
CRC = list(range(256))
for _ in range(8):
    CRC = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in CRC]
MARKS = {CHECKPOINT: b"brec/v1 checkpoint", SEAL: b"brec/v1 seal", CLOSE: b"brec/v1 close"}


class Verdict(Exception):
    """args: verdict, reason"""


def must(condition, verdict, reason):
    if not condition:
        raise Verdict(verdict, reason)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def u32(data):
    return int.from_bytes(data[:4], "big")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def signed(key, signature, message, what):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Verdict("forged", f"the signature of {what} does not hold") from None


class Header:
    def __init__(self, data, first=False):
        must(data[:8] == b"BREC\r\n\x1a\n"[:len(data)], "unverifiable" if first else "forged", "no header")
        must(len(data) >= 16, *TORN)
        length = u32(data[12:])
        must(data[8:12] in (bytes([0, 1, 0, 1]), bytes([0, 1, 0, 2])), "unverifiable", "unknown version")
        must(204 <= length <= 32768, "forged", "length of a header")
        must(len(data) >= length, *TORN)
        self.raw, self.part, self.signature = data[:length], data[140:length - 64], data[length - 64:length]
        self.id, self.prev, self.signer = data[16:32], data[48:80], data[104:136]
        self.segment, self.epoch, self.first = struct.unpack(">IIQ", data[32:48])
        must(length == 204 + u32(data[136:]) and self.epoch == self.segment, "forged", "fields of a header")
        must((data[11] == 2) == (self.part[0] == 3), "forged", "key groups of another suite")

    def groups(self):
        rest = self.part[1:]
        for number in range(self.part[0]):
            count = u32(rest[33:])
            must(rest[0] == number and 1 <= count <= 64, "forged", "key part")
            yield number, rest[1:33], [rest[37 + 64 * i:101 + 64 * i] for i in range(count)]
            rest = rest[37 + 64 * count:]
        must(rest == b"", "forged", "key part")

    def stream_keys(self, identities):
        """{stream: its AEAD, or None where no identity fits}"""
        salt, keys = self.id + struct.pack(">I", self.epoch), {}
        groups = {number: (commitment, unwrap(stanzas, identities)) for number, commitment, stanzas in self.groups()}
        for number in range(min(len(groups), 2)):
            file_key, parts = groups[number][1], [number]
            if number == 1 and 2 in groups:  # shared by two groups
                parts, other = [1, 2], groups[2][1]
                file_key = bytes(a ^ b for a, b in zip(file_key, other)) if file_key and other else None
            group = hkdf(file_key or b"", salt, b"brec/v1 group" + bytes([number]))
            for part in parts:
                must(file_key is None or hmac.digest(group, b"brec/v1 commit" + salt + bytes([part]), "sha256") == groups[part][0], "forged", "key commitment")
            for stream in [0, 1, 2] if number == 0 else [1]:
                keys[stream] = ChaCha20Poly1305(hkdf(group, salt, b"brec/v1 stream" + bytes([stream]))) if file_key else None
        return keys


def unwrap(stanzas, identities):
    for stanza in stanzas:
        for secret in identities:
            shared = secret.exchange(x25519.X25519PublicKey.from_public_bytes(stanza[:32]))
            key = hkdf(shared, stanza[:32] + raw(secret.public_key()), b"age-encryption.org/v1/X25519")
            with contextlib.suppress(InvalidTag):
                return ChaCha20Poly1305(key).decrypt(bytes(12), stanza[32:], None)
    return None


class Frame:
    def __init__(self, data):
        must(len(data) >= 4, *TORN)
        length = u32(data)
        must(24 <= length <= 65536, "forged", "length of a frame")
        must(len(data) >= length, *TORN)
        self.raw, self.body = data[:length], data[20:length - 4]
        self.type, self.stream, zero, self.epoch, self.seq = struct.unpack(">BBHIQ", data[4:20])
        must(crc32c(self.raw[:-4]) == u32(self.raw[-4:]), "forged", "crc of a frame")
        must(zero == 0 and DATA <= self.type <= CLOSE and self.stream <= (2 if self.type == DATA else 0), "forged", "frame's fields")
        must(self.type == DATA or len(self.body) == 104 or self.type == CLOSE and 109 <= len(self.body) <= 365, "forged", "length")

    def message(self, rid):
        """What a checkpoint, seal or close signs."""
        return MARKS[self.type] + rid + struct.pack(">Q", self.seq) + self.body[:40] + self.body[104:]


def segments(path):
    return {int(n[:-5]) for n in os.listdir(path) if re.fullmatch(r"\d{8}\.brec", n)}


def items(path):
    """Each header and frame in order; the checks of the order are the caller's."""
    numbers, number = segments(path), 0
    while number in numbers:
        data = open(os.path.join(path, f"{number:08}.brec"), "rb").read()
        yield (header := Header(data, number == 0))
        at, last = len(header.raw), None
        while at < len(data):
            must(last is None or last.type < SEAL, "forged", "bytes after the end of a segment")
            yield (last := Frame(data[at:at + 65536]))
            at += len(last.raw)
        if last is None or last.type != SEAL:
            must(number == max(numbers), "forged" if last and last.type == CLOSE else "gap", "segments after the last")
            return
        number += 1
    must(numbers, "unverifiable", "no segment")
    must(number > max(numbers), "gap", f"segment {number} is missing")
    raise Verdict(*TORN)


def merkle(value, fn, sn, path):
    """RFC 9162, 2.1.3.2: the root from a leaf, its index, the last index and the path."""
    for node in path:
        must(sn != 0, "forged", "path of a receipt")
        left = fn & 1 == 0 and fn != sn
        value = sha256(b"\1", value, node) if left else sha256(b"\1", node, value)
        while not left and fn & 1 == 0 and fn:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    must(sn == 0, "forged", "path of a receipt")
    return value


def decodes(r):
    """Are these the bytes of a receipt, its length included?"""
    count, index, n = struct.unpack(">III", r[100:112]) if len(r) >= 180 else (0, 0, 0)
    return index < count <= 1024 and n <= 10 and len(r) == 180 + 32 * n == 4 + u32(r) and crc32c(r[:-4]) == u32(r[-4:])


def receipts(path, trusted):
    """(id, sequence, h) of each receipt by a trusted key, its signature checked."""
    data, at = open(name, "rb").read() if os.path.exists(name := os.path.join(path, "receipts")) else b"", 0
    while at < len(data):
        r = data[at:at + 4 + u32(data[at:])]
        if not decodes(r):
            must(len(data) - at <= 644, "forged", "damaged receipt")
            return
        key, wall, rid, seq, h, count, index, n = struct.unpack(">32s8s16s8s32sIII", r[4:112])
        at += len(r)
        if key in trusted:
            root = merkle(sha256(b"\0", rid, seq, h), index, count - 1, [r[112 + 32 * i:144 + 32 * i] for i in range(n)])
            signed(key, r[112 + 32 * n:176 + 32 * n], b"brec/v1 receipt" + sha256(key) + wall + r[100:104] + root, "a receipt")
            yield rid, struct.unpack(">Q", seq)[0], h


class Verifier:
    def __init__(self, path, signers, collectors):
        self.path, self.signers, self.collectors = path, {sha256(k): k for k in signers}, collectors
        self.last = self.signed = self.received = 0
        self.chain, self.history, self.ended, self.number, self.id = bytes(32), {}, None, -1, None

    def header(self, h):
        self.number, self.ended = self.number + 1, None
        if self.number == 0:
            must(h.signer in self.signers, "unverifiable", "unknown signer")
            self.key, self.id, self.signer = self.signers[h.signer], h.id, h.signer
        signed(self.key, h.signature, b"brec/v1 header" + h.raw[:-64], "a header")
        must((h.id, h.signer, h.segment, h.first, h.prev) == (self.id, self.signer, self.number, self.last + 1, self.chain), "forged", "another place")
        must(not re.fullmatch(f"(?!{h.id.hex()})[0-9a-f]{{32}}", os.path.basename(self.path)), "forged", "the directory of another recording")
        list(h.groups())  # well-formed
        self.chain = sha256(b"brec/v1", h.raw)
        self.history.setdefault(self.last, self.chain)

    def frame(self, f):
        must(f.seq <= self.last + 1, "gap", f"frames from {self.last + 1} on are missing")
        must(f.seq == self.last + 1 and f.epoch == self.number, "forged", "a frame of another place")
        if f.type != DATA:
            must(f.body[:32] == self.chain, "forged", f"frame {f.seq} signs another chain")
            signed(self.key, f.body[40:104], f.message(self.id), f"frame {f.seq}")
            self.signed, self.ended = f.seq, f.type if f.type != CHECKPOINT else None
        self.chain, self.last = sha256(b"\2", self.chain, f.raw), f.seq
        self.history[f.seq] = self.chain

    def walk(self):
        try:
            for item in items(self.path):
                self.header(item) if isinstance(item, Header) else self.frame(item)
        except Verdict as v:
            if v.args != TORN:
                return v.args
            return ("gap" if max(segments(self.path)) > self.number + (self.ended == SEAL or self.number < 0) else "cut"), v.args[1]
        return ("complete" if self.ended == CLOSE else "abandoned"), "to the last frame"

    def run(self):
        (verdict, reason), beyond = self.walk(), 0
        try:
            for rid, seq, h in sorted(receipts(self.path, self.collectors), key=lambda receipt: receipt[1]):
                must((not self.history or rid == self.id) and self.history.get(seq, h) == h, "forged", "a receipt contradicts")
                self.received = seq if seq in self.history else self.received
                beyond = max(beyond, seq - self.last)
        except Verdict as v:
            return v.args if verdict in ("complete", "abandoned", "cut", "gap") or self.history else (verdict, reason)
        if beyond > 0 and verdict in ("complete", "abandoned"):
            return ("forged" if verdict == "complete" else "cut"), f"a receipt says {beyond} frames more"
        return verdict, reason


def varint(data, at):
    high, after = varint(data, at + 1) if data[at] > 127 else (0, at + 1)
    return high << 7 | data[at] & 127, after


def events(path, identities):
    joined = b""
    for item in items(path):
        if isinstance(item, Header):
            tail, keys = item.id + struct.pack(">I", item.segment), item.stream_keys(identities)
        elif item.type == DATA and keys[item.stream] is None:
            yield {"locked": STREAMS[item.stream], "seq": item.seq}
        elif item.type == DATA:
            plain, at = keys[item.stream].decrypt(bytes(4) + item.raw[12:20], item.body, item.raw[:20] + tail), 0
            while at < len(plain) and plain[at] != 0:
                kind, (t, then) = plain[at], varint(plain, at + 1)
                channel, then = varint(plain, then)
                length, then = varint(plain, then)
                joined, at = joined + plain[then:then + length], then + length
                if kind < 128:
                    yield {"t": t, "stream": STREAMS[item.stream], "kind": chr(kind), "channel": channel, "seq": item.seq, "data": joined.decode("latin-1")}
                    joined = b""


def load_identities(path):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    for line in open(path):
        if line.startswith("AGE-SECRET-KEY-1"):
            bits = "".join(format(charset.index(c), "05b") for c in line.strip().lower().split("1", 1)[1][:52])
            yield x25519.X25519PrivateKey.from_private_bytes(int(bits[:256], 2).to_bytes(32, "big"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["verify", "events"])
    p.add_argument("directory")
    for option in "--signer", "--collector", "--identity":
        p.add_argument(option, action="append", default=[])
    a = p.parse_args()
    if a.what == "events":
        for event in events(a.directory, [i for f in a.identity for i in load_identities(f)]):
            print(json.dumps(event))
        return 0
    v = Verifier(a.directory, *([raw(serialization.load_pem_public_key(open(f, "rb").read())) for f in names] for names in (a.signer, a.collector)))
    verdict, reason = v.run()
    print(verdict, v.last, v.signed, v.received, reason)
    return verdict != "complete"


if __name__ == "__main__":
    sys.exit(main())
