"""A real recording, read and judged by the program that was written from bastion-record(5) alone."""
import json
import os
import re
import shutil
import subprocess

from harness import labkit, replay
from test_recording import recording_of

SCRIPT = os.path.join(os.path.dirname(labkit.__file__), "brec_independent.py")


def independent(*words):
    return subprocess.run(["/usr/bin/python3", SCRIPT, *words], capture_output=True, text=True, timeout=60)


def verify(lab, tmp_path, path):
    """Verdict, last, signed and received sequence."""
    block = re.search("-----BEGIN PUBLIC KEY.*", labkit.read(lab.path("store", "collector.crt")), re.S)
    (tmp_path / "collector.pub").write_text(block.group(0))
    r = independent("verify", path, "--signer", lab.path("state", "recorder", "signer.pub"), "--collector", str(tmp_path / "collector.pub"))
    assert r.stderr == ""
    verdict, *numbers = r.stdout.split()[:4]
    return verdict, *map(int, numbers)


def test_agrees(lab, engineer, target, tmp_path):
    user = engineer()
    word = f"word{os.urandom(4).hex()}"
    user.run(target, f"cat; echo {word}; echo {word} >&2; exit 3", stdin=b"typed by hand\n")
    path = recording_of(lab, user.user)
    verdict, last, signed, received = verify(lab, tmp_path, path)
    ours = json.loads(replay(lab, "verify", "--json", path).stdout.splitlines()[0])
    assert (verdict, last, signed, received) == (ours["verdict"], ours["last_seq"], ours["signed_seq"], ours["receipt_seq"])
    assert verdict == "complete" and last == signed and received > 0

    r = independent("events", path, "--identity", lab.path("auditor.key"))
    events = [json.loads(line) for line in r.stdout.splitlines()]
    assert r.stderr == "" and not [e for e in events if "locked" in e]
    meta = json.loads(events[0]["data"])
    assert events[0]["kind"] == "m" and meta["user"] == user.user
    members = re.search(r"\nThe members of\n\.Sq m\nare: (.*?)\n\.S[hs] ", labkit.read(f"{labkit.REPO}/man/bastion-record.5"), re.S)[1]
    assert set(meta) <= set(re.findall(r"\w+", members)), meta

    def text(kind):
        return "".join(e["data"] for e in events if e["kind"] == kind)
    assert text("i") == "typed by hand\n"
    assert text("o") == f"typed by hand\n{word}\n"
    assert text("e") == f"{word}\n"
    assert [e["data"] for e in events if e["kind"] == "x"] == ["\0\0\0\3"]
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)


def test_agrees_on_a_cut(lab, engineer, target, tmp_path):
    user = engineer()
    user.run(target, "echo one; echo two", check=True)
    copy = str(tmp_path / "copy")
    shutil.copytree(recording_of(lab, user.user), copy)
    segment = os.path.join(copy, "00000000.brec")
    os.truncate(segment, os.path.getsize(segment) - 200)
    ours = json.loads(replay(lab, "verify", "--json", copy, check=False).stdout.splitlines()[0])
    assert ours["verdict"] == "cut"
    assert verify(lab, tmp_path, copy)[0] == "cut"
