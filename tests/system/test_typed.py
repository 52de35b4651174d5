"""What was typed without an echo is in no view of a recording, but for --reveal; the mark is."""
import base64
import glob
import json
import os
import re

import pytest

from harness import labkit, made_recording, meta_event, open_event, recording_of, replay, replay_made

MARK = "[hidden: not echoed]"
SECRET = "hunter2-Xq"
FORMS = ("--json", "--asciicast", "--asciicast-v3", "--text", "--html")


def dialogue(name):
    """Events of a dialogue with a real program, as tests/unit/typed/ has them."""
    names = {"r": "\r", "n": "\n", "e": "\x1b", "\\": "\\"}
    events, t = [], 1.0
    for line in open(os.path.join(labkit.REPO, "tests", "unit", "typed", name + ".tty"), encoding="ascii"):
        kind, text = line.rstrip("\n").split(" ", 1)
        if kind in "io":
            raw = re.sub(r"\\(x..|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else names[m[1]], text).encode("latin-1")
            events.append({"t": round(t, 2), "ch": 1, "kind": kind, "hex": raw.hex()})
            t += 0.1
    return events


@pytest.fixture
def store(tmp_path):
    ident, = made_recording(tmp_path / "store", [meta_event(), open_event(cols=80, rows=24), *dialogue("sudo"), {"t": 99, "ch": 1, "kind": "c", "text": "{}"}])
    return tmp_path / "store", ident


def view(store, ident, *words):
    return replay_made(store, *words, ident).stdout.decode()


def test_no_view_has_it(store):
    store, ident = store
    for form in FORMS:
        text = view(store, ident, "export", form)
        assert SECRET not in text and "hunter" not in text and "wrong-gues" not in text, form
        assert MARK in text, form
    text = view(store, ident, "play")
    assert SECRET not in text and text.count(MARK) == 5
    assert SECRET in view(store, ident, "play", "--reveal")


def test_reveal_shows_it(store):
    store, ident = store
    for form in FORMS:
        text = view(store, ident, "export", form, "--reveal")
        assert MARK not in text, form
        # casts and JSON have a key an event
        keys = "".join(row[2] for row in map(json.loads, text.splitlines()[1:]) if row[1] == "i") if "cast" in form else \
            "".join(row["data"] for row in map(json.loads, text.splitlines()) if row["kind"] == "in") if form == "--json" else text
        assert SECRET in keys, form
    assert b"adds nothing" in replay_made(store, "export", "--svg", "--reveal", ident, check=2).stderr


def test_json_says_so(store):
    store, ident = store
    rows = [row for row in map(json.loads, view(store, ident, "export", "--json").splitlines()) if row["kind"] == "in"]
    marked = [row for row in rows if row.get("hidden")]
    assert len(marked) == 5 and all(MARK in row["data"] for row in marked) and not any("revealed" in row for row in rows)
    # one mark, whatever its length, and no event for the keys after the first
    assert "".join(row["data"] for row in rows).split("\r")[:4] == ["sudo -k id", MARK, MARK, "sudo -k id"]
    rows = [json.loads(line) for line in view(store, ident, "export", "--json", "--reveal").splitlines()]
    assert not any(row.get("hidden") for row in rows) and sum(1 for row in rows if row.get("revealed")) > 40


def test_search_and_index(store):
    store, ident = store
    assert replay_made(store, "search", "--json", SECRET).stdout == b""
    assert len(replay_made(store, "search", "--json", "--typed", MARK).stdout.splitlines()) == 5
    index = glob.glob(f"{store}/cache/bastion-replay/*/*")
    assert [os.path.basename(path) for path in index] == [ident + ".idx"]
    made = os.stat(index[0]).st_mtime_ns
    hits = [json.loads(line) for line in replay_made(store, "search", "--json", "--reveal", SECRET).stdout.splitlines()]
    assert len(hits) == 3 and {hit["line"] for hit in hits} == {SECRET} and {hit["kind"] for hit in hits} == {"typed"}
    # nothing of it was kept
    assert os.stat(index[0]).st_mtime_ns == made
    assert replay_made(store, "search", "--json", SECRET).stdout == b""
    assert SECRET.encode() not in replay_made(store, "commands", ident).stdout


def test_channel_without_a_terminal(tmp_path):
    def recording(asks):
        out = {"t": 3, "ch": 1, "kind": "e", "text": "[sudo] password for dba: " if asks else "done\n"}
        return made_recording(tmp_path / "store", [meta_event(), open_event(pty=False, capability="exec", command="sudo -S id"),
                                                   {"t": 2, "ch": 1, "kind": "i", "text": SECRET + "\n"}, out])[0]
    asked, silent = recording(True), recording(False)
    for words in (("export", "--json"), ("search", "--json", SECRET)):
        text = replay_made(tmp_path / "store", *words, *([asked] if words[0] == "export" else [])).stdout.decode()
        assert asked not in text and (words[0] == "search" or SECRET not in text)
    assert SECRET in view(tmp_path / "store", silent, "export", "--json")


def test_input_alone_is_hidden(tmp_path):
    """What came back is not there: nothing says that it was echoed."""
    ident, = made_recording(tmp_path / "store", [meta_event(), open_event(), {"t": 2, "ch": 1, "kind": "i", "text": "ls\r"}])
    assert '"data":"' + MARK + '\\r"' in view(tmp_path / "store", ident, "export", "--json")


def test_of_a_real_session(lab, engineer, target, terminals):
    user = engineer()
    word = base64.b32encode(os.urandom(10)).decode()
    shell = terminals(user.terminal(target))
    shell.expect(rb"\$ $")
    shell.line("read -rsp 'Code: ' x && echo got ${#x}")
    shell.expect(rb"Code: $")
    shell.line(word)
    shell.expect(rb"got 16\r\n.*\$ $")
    shell.line("exit")
    shell.wait()
    path = recording_of(lab, user.user)
    for form in FORMS:
        text = replay(lab, "export", form, path).stdout
        assert word.encode() not in text and MARK.encode() in text, form
    assert word.encode() in replay(lab, "export", "--json", "--reveal", path).stdout
    assert "got ${#x}" in replay(lab, "export", "--json", path).stdout.decode()
