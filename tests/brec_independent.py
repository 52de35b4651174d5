#!/usr/bin/python3
"""A second reader of recordings, written from bastion-record(5) alone: it shares no code with bastion-replay.

    brec_independent.py verify DIRECTORY --signer PEM... [--collector PEM...]
    brec_independent.py events DIRECTORY --identity FILE...

verify prints what verify_independent.py says of this one recording without a log: verdict, last, signed and received sequence and the reason;
events a JSON line an event, bytes as Latin-1, or "locked" without a key. What it decrypts it does not verify.
"""
import argparse
import contextlib
import hmac
import json
import pathlib
import re
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from verify_independent import DATA, Frame, Header, Log, Recording, load_keys, must

STREAMS = ["metadata", "input", "output"]

def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)

def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

def unwrap(stanzas, identities):
    for stanza in stanzas:
        for secret in identities:
            shared = secret.exchange(x25519.X25519PublicKey.from_public_bytes(stanza[:32]))
            key = hkdf(shared, stanza[:32] + raw(secret.public_key()), b"age-encryption.org/v1/X25519")
            with contextlib.suppress(InvalidTag):
                return ChaCha20Poly1305(key).decrypt(bytes(12), stanza[32:], None)

def stream_keys(header, identities):
    """{stream: its AEAD, or None where no identity fits}"""
    salt, keys = header.id + struct.pack(">I", header.epoch), {}
    file_keys = [unwrap(stanzas, identities) for _, stanzas in header.groups]
    for number, file_key in enumerate(file_keys[:2]):
        parts = [number]
        if number == 1 and len(file_keys) == 3:     # shared by two groups
            parts, other = [1, 2], file_keys[2]
            file_key = bytes(a ^ b for a, b in zip(file_key, other)) if file_key and other else None
        group = hkdf(file_key or b"", salt, b"brec/v1 group" + bytes([number]))
        for part in parts:
            commitment = hmac.digest(group, b"brec/v1 commit" + salt + bytes([part]), "sha256")
            must(file_key is None or commitment == header.groups[part][0], "key commitment")
        for stream in [0, 1, 2] if number == 0 else [1]:
            keys[stream] = ChaCha20Poly1305(hkdf(group, salt, b"brec/v1 stream" + bytes([stream]))) if file_key else None
    return keys

def varint(data, at):
    high, after = varint(data, at + 1) if data[at] > 127 else (0, at + 1)
    return high << 7 | data[at] & 127, after

def frames(directory):      # each with the header of its segment
    for number, path in enumerate(sorted(pathlib.Path(directory).glob("????????.brec"))):
        data = path.read_bytes()
        header = Header(data, number)
        at = len(header.raw)
        while at < len(data):
            frame = Frame(data[at:at + 65536])
            yield header, frame
            at += len(frame.raw)

def events(directory, identities):
    joined, current = {}, None      # of a stream: kind and channel of the event that is to be continued, and its bytes
    for header, frame in frames(directory):
        if header is not current:
            current, keys = header, stream_keys(header, identities)
        if frame.type == DATA and keys[frame.stream] is None:
            yield {"locked": STREAMS[frame.stream], "seq": frame.seq}
        elif frame.type == DATA:
            where = frame.raw[:20] + header.id + struct.pack(">I", header.epoch)
            plain, at = keys[frame.stream].decrypt(bytes(4) + frame.raw[12:20], frame.body, where), 0
            while at < len(plain) and plain[at] != 0:
                kind, (t, then) = plain[at], varint(plain, at + 1)
                channel, then = varint(plain, then)
                length, then = varint(plain, then)
                of, at = (chr(kind & 127), channel), then + length
                begun, data = joined.pop(frame.stream, (of, b""))
                data += plain[then:at]
                must(begun == of and kind != 128 and at <= len(plain) and len(data) <= 1 << 20, "an event does not decode, or is not continued")
                if kind < 128:
                    yield dict(t=t, stream=STREAMS[frame.stream], kind=of[0], channel=channel, seq=frame.seq, data=data.decode("latin-1"))
                else:
                    joined[frame.stream] = of, data
            must(len(plain) - at < 16 and not any(plain[at:]), "padding that is none")
    yield from ({"cut": STREAMS[at], "kind": of[0], "channel": of[1], "data": data.decode("latin-1")} for at, (of, data) in joined.items())

def load_identities(path):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    for line in open(path):
        if line.startswith("AGE-SECRET-KEY-1"):
            bits = "".join(format(charset.index(c), "05b") for c in line.strip().lower().split("1", 1)[1][:52])
            yield x25519.X25519PrivateKey.from_private_bytes(int(bits[:256], 2).to_bytes(32, "big"))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["verify", "events"])
    parser.add_argument("directory", type=pathlib.Path)
    for option, load in {"--signer": load_keys, "--collector": load_keys, "--identity": load_identities}.items():
        parser.add_argument(option, type=load, action="extend", default=[])
    words = parser.parse_args()
    if words.what == "events":
        for event in events(words.directory, words.identity):
            print(json.dumps(event))
    else:
        name = words.directory.name if re.fullmatch("[0-9a-f]{32}", words.directory.name) else ""
        files = {path.name: path.read_bytes() for path in words.directory.iterdir() if path.is_file()}
        row = Recording(name, files, words.signer, words.collector, Log(Log.read_proofs, {}, [])).row
        print(row["verdict"], row["last_seq"], row["signed_seq"], row["receipt_seq"], row["reason"])
        parser.exit(row["verdict"] != "complete")
