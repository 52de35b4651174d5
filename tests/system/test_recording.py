"""What was typed and shown is what the auditor verifies, plays and exports; files by name, size and digest."""
import hashlib
import json
import os
import re
import subprocess

import pytest

from harness import Terminal, copy_of_store, labkit, recording_of, replay


def test_verify_all(lab, deploy):
    deploy.run("web1.name", "echo something", check=True)
    # the log has a close a moment before the file
    recording_of(lab, "deploy")
    rows = [json.loads(line) for line in replay(lab, "verify", "--json", check=False).stdout.splitlines()]
    assert rows and {row["verdict"] for row in rows} <= {"complete", "abandoned", "open"}


def test_terminal_session(lab, engineer, target, terminals):
    user = engineer()
    shell = terminals(user.terminal(target))
    shell.expect(rb"\$ $")      # before ssh has made it raw the terminal changes what is typed
    shell.line("echo secret-$((6*7))")
    shell.expect(rb"\nsecret-42\r\n")
    shell.line("exit 5")
    assert shell.wait() == 5
    path = recording_of(lab, user.user)
    text = replay(lab, "export", "--text", path).stdout.decode()
    assert "secret-42" in text
    cast = replay(lab, "export", "--asciicast", path).stdout.decode().splitlines()
    header, rows = json.loads(cast[0]), [json.loads(line) for line in cast[1:]]
    assert header["version"] == 2 and header["width"] == 80 and header["height"] == 24
    assert "secret-42" in "".join(data for _, kind, data in rows if kind == "o")
    events = [json.loads(line) for line in replay(lab, "export", "--json", path).stdout.splitlines()]
    assert "".join(event["data"] for event in events if event["kind"] == "in") == "echo secret-$((6*7))\rexit 5\r"
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_ciphertext_only(lab, engineer, target):
    user = engineer()
    word = f"needle{os.urandom(8).hex()}"
    user.run(target, f"echo {word}", check=True)
    path = recording_of(lab, user.user)
    for name in os.listdir(path):
        with open(os.path.join(path, name), "rb") as f:
            assert word.encode() not in f.read()
    assert word in replay(lab, "export", "--json", path).stdout.decode()


def test_exec_digest_and_gap(lab, engineer, target):
    """Content over the limit of 1 MiB a direction is a gap, and the digest is that of the whole."""
    user = engineer()
    data = os.urandom(3_000_000)
    user.run(target, "cat >/dev/null", stdin=data, check=True)
    text = replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.decode()
    assert hashlib.sha256(data).hexdigest() in text
    assert "gap" in text and "3000000" in text


@pytest.mark.parametrize("tool", ["sftp", "scp", "scp -O"])
def test_files_by_name_size_and_digest(lab, engineer, target, home, tmp_path, tool):
    user = engineer()
    data = os.urandom(2_000_123)
    (tmp_path / "payload.bin").write_bytes(data)
    if tool == "sftp":
        user.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", user.config, target, stdin=f"put {tmp_path}/payload.bin {home}/payload.bin\n".encode())
    else:
        user.tool("scp", "-q", *tool.split()[1:], "-F", user.config, str(tmp_path / "payload.bin"), f"{target}:{home}/payload.bin")
    text = replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.decode()
    assert "payload.bin" in text and "2000123" in text and hashlib.sha256(data).hexdigest() in text


def segments(path):
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".brec"))


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_changes_show_without_a_key(lab, engineer, harm, tmp_path):
    user = engineer()
    user.run("web1.name", "seq 2000", check=True)
    path = recording_of(lab, user.user)
    copy = copy_of_store(lab, tmp_path / "store")
    victim = segments(os.path.join(copy, os.path.relpath(path, lab.path("store"))))[0]
    size = os.path.getsize(victim)
    verify = [lab.bin("bastion-replay"), "verify", os.path.dirname(victim), "--trust", lab.path("auditor.trust")]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0, "the copy as it was"
    if harm == "flip":
        with open(victim, "r+b") as f:
            f.seek(size * 2 // 3)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
    elif harm == "cut":
        os.truncate(victim, size - 200)
    else:
        os.unlink(victim)
    done = subprocess.run(verify, capture_output=True, check=False)
    assert done.returncode == 1 and {"flip": b"forged", "cut": b"cut", "remove": b"cut"}[harm] in done.stdout, done.stdout + done.stderr
    # who reads it is told, too, also where a program does
    show = [lab.bin("bastion-replay"), "show", "--json", os.path.dirname(victim), "--key", lab.path("auditor.key")]
    done = subprocess.run(show, capture_output=True, check=False)
    if harm == "flip":
        broken = json.loads(done.stdout)["broken"]
        assert done.returncode == 3 and broken and broken in done.stderr.decode(), done
    elif harm == "remove":
        assert done.returncode == 3 and done.stderr, done


def test_wrong_key_opens_nothing(lab, engineer, tmp_path):
    user = engineer()
    user.run("web1.name", "echo hidden-word", check=True)
    path = recording_of(lab, user.user)
    labkit.run("age-keygen", "-o", str(tmp_path / "other"))
    export = [lab.bin("bastion-replay"), "export", "--text", path, "--key"]
    assert b"hidden-word" in subprocess.run([*export, lab.path("auditor.key")], capture_output=True, check=True).stdout
    done = subprocess.run([*export, str(tmp_path / "other")], capture_output=True, check=False)
    assert done.returncode != 0 and b"hidden-word" not in done.stdout


def test_play_never_passes_control_sequences_on(lab, engineer, terminals):
    user = engineer()
    shell = terminals(user.terminal("web1.name", r"printf '\033]52;c;aGk=\007\033]0;title\007\033[c\033[6nshown\n'"))
    shell.wait()
    path = recording_of(lab, user.user)
    play = terminals(Terminal([lab.bin("bastion-replay"), "play", "--key", lab.path("auditor.key"), path], user.env))
    play.expect(rb"shown")
    play.send(b"q")
    play.wait()
    assert not re.search(rb"\x1b\]52|\x1b\]0;title|\x1b\[c|\x1b\[6n", play.seen)
