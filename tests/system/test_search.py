"""search finds what was shown and typed, says how to go there, keeps its index encrypted, and tells what does not verify."""
import glob
import json
import os

import pytest

from harness import made_recording, meta_event, open_event, recording_of, replay, replay_made


def event(t, kind, text, channel=1):
    return {"t": t, "ch": channel, "kind": kind, "text": text}


@pytest.fixture
def store(tmp_path):
    """Text drawn with cursor movement, and a typed line; then a recording of another user."""
    store = tmp_path / "store"
    first, = made_recording(store, [meta_event(), open_event(), event(1, "o", "\x1b[3;12HNeedle\x1b[3;1Hthe hidden\r\n"),
                                    event(65, "i", "sl\x7f\x7fls needle\r"),
                                    event(66, "o", "sl\b \b\b \bls needle\r\n"), event(70, "x", "\0\0\0\0")])
    second, = made_recording(store, [meta_event(user="bob", host="web2"), open_event(pty=False, capability="exec", command="id"),
                                     event(2, "o", "a needle\x1b[2J\n")], wall=1793600000)
    return store, first, second


def hits(store, *words, **kw):
    return [json.loads(line) for line in replay_made(store, "search", "--json", *words, **kw).stdout.splitlines()]


def test_hits_and_the_way_there(store):
    store, first, second = store
    rows = hits(store, "needle")
    assert [(r["id"], r["kind"], r["line"]) for r in rows] == [
        (first, "typed", "ls needle"), (first, "screen", "the hidden Needle"), (first, "screen", "ls needle"), (second, "screen", "a needle\\x1b[2J")]
    assert rows[0]["play"] == f"bastion-replay play --channel 1 --at 1:05 {first}" and rows[0]["verdict"] == "complete"
    assert hits(store, "NEEDLE") == [] and len(hits(store, "Needle")) == 1
    assert [r["id"] for r in hits(store, "--user", "bob", "needle")] == [second]
    assert [r["id"] for r in hits(store, "--host", "web2", "needle")] == [second] and hits(store, "--host", "web", "needle") == []
    for host, ident in ("web1", first), ("web2", second):
        assert [json.loads(row)["id"] for row in replay_made(store, "list", "--json", "--host", host).stdout.splitlines()] == [ident]
    assert [r["id"] for r in hits(store, "--until", "2026-11-02", "needle")] == [first] * 3
    assert [r["kind"] for r in hits(store, "--typed", "needle")] == ["typed"]
    assert {r["kind"] for r in hits(store, "--shown", "needle")} == {"screen"}
    done = replay_made(store, "search", "hidden needle")
    assert f"bastion-replay play --channel 1 --at 0:01 {first}" in done.stdout.decode() and b"1 hit in 2" in done.stderr


def test_index_is_private_and_rebuilt(store):
    store, first, second = store
    before = hits(store, "needle")
    files = glob.glob(f"{store}/cache/bastion-replay/*/*")
    assert sorted(os.path.basename(f) for f in files) == sorted(f"{i}.idx" for i in (first, second))
    for path in files:
        assert os.stat(path).st_mode & 0o777 == 0o600 and b"eedle" not in open(path, "rb").read()
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    made = {f: os.stat(f).st_mtime_ns for f in files}
    assert hits(store, "needle") == before and {f: os.stat(f).st_mtime_ns for f in files} == made
    for harm in (lambda d: d[:-1], lambda d: d[:40] + bytes([d[40] ^ 1]) + d[41:], lambda d: d[:-20] + bytes([d[-20] ^ 1]) + d[-19:]):
        for path in files:
            data = open(path, "rb").read()
            open(path, "wb").write(harm(data))
        assert hits(store, "needle") == before
    # an entry under another recording's name is none
    os.replace(files[0], files[1])
    assert hits(store, "needle") == before


def test_what_does_not_verify_is_told(store):
    store, first, second = store
    assert len(hits(store, "needle")) == 4      # all of them are in the index
    path = glob.glob(f"{store}/recordings/*/{first}/00000000.brec")[0]
    data = bytearray(open(path, "rb").read())
    data[-5] ^= 1
    open(path, "wb").write(data)
    done = replay_made(store, "search", "needle", check=3)
    assert f"{first} is forged".encode() in done.stderr and second.encode() in done.stdout
    other = store / "other"
    other.write_text((store / "identity").read_text())
    made_recording(store / "x", [meta_event()])
    done = replay_made(store, "search", "needle", check=3, env={"BASTION_IDENTITY": f"{store}/x/identity"})
    assert done.stderr.count(b"is not searched") == 2


def test_long_commands_lines_and_names(tmp_path):
    """What stands far behind in one is found, also where it is cut into pieces, and in the middle of a character."""
    store = tmp_path / "store"
    command = ": " + "x" * 40000 + "; cat /etc/shadow # é"
    # two bytes a character from an odd place on: the cut of the second line is in the middle of one; that of the first in the text
    line = "a" + "é" * 8188 + "across" + "é" * 12000 + "\na" + "é" * 12000 + "behind"
    ident, = made_recording(store, [meta_event(), open_event(pty=False, capability="exec", command=command), event(1, "o", line[:13000]), event(2, "o", line[13000:]),
                                    event(3, "f", json.dumps({"op": "put", "path": "/" + "p" * 5000 + "/file", "size": 1}))])
    for options in ([], [], ["--reveal"]):      # the index is made; it is read; there is none
        for text, kind in (("cat /etc/shadow # é", "typed"), ("éacrossé", "screen"), ("p/file", "event"), ("ébehind", "screen")):
            rows = hits(store, *options, text)
            assert rows and {r["kind"] for r in rows} == {kind} and all(text in r["line"] for r in rows), text
        assert len(hits(store, *options, "cat /etc/shadow")) == 1
    rows = [json.loads(row) for row in replay_made(store, "commands", "--json", ident).stdout.splitlines()]
    assert [row["command"] for row in rows] == [command]
    assert command in replay_made(store, "commands", ident).stdout.decode()


def test_what_is_not_for_this_auditor_or_just_began(tmp_path):
    """Recordings from before the auditor's key are no failure of a search for what came since; neither is one of which the header alone is there."""
    store = tmp_path / "store"
    made, begun = (made_recording(store, [meta_event(), open_event(), event(1, "o", "needle")], wall=wall)[0] for wall in (1793600000, 1793600100))
    old, = made_recording(tmp_path / "old", [meta_event(), open_event(), event(1, "o", "needle")])
    day = os.path.dirname(glob.glob(f"{tmp_path}/old/recordings/*/{old}")[0])
    os.rename(day, f"{store}/recordings/{os.path.basename(day)}")
    with open(store / "trust", "a", encoding="utf-8") as f:
        f.write((tmp_path / "old" / "trust").read_text())
    path = glob.glob(f"{store}/recordings/*/{begun}/00000000.brec")[0]
    with open(path, "rb") as f:
        length = int.from_bytes(f.read(16)[12:], "big")
    os.truncate(path, length)
    done = replay_made(store, "search", "--json", "--since", "2026-11-02", "needle")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [made] and done.stderr == b""
    done = replay_made(store, "search", "--json", "needle", check=3)
    assert done.stderr.count(b"is not searched") == 1 and old.encode() in done.stderr


def test_of_a_real_session(lab, engineer, target, terminals, tmp_path):
    user = engineer()
    word = f"word{os.urandom(6).hex()}"
    shell = terminals(user.terminal(target))
    shell.expect(rb"\$ $")
    shell.line(f"printf '\\033[5;10H{word[4:]}\\033[5;6H{word[:4]}\\n'")
    shell.expect(rb"\$ $")
    shell.line("exit")
    shell.wait()
    ident = os.path.basename(recording_of(lab, user.user))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path)
    try:
        done = replay(lab, "search", "--user", user.user, word)
    finally:
        del os.environ["XDG_CACHE_HOME"]
    assert f"{word}\n".encode() in done.stdout and f" {ident}\n".encode() in done.stdout
