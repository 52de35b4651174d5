"""A recording without its end, or with one that cannot be read, is never shown as a whole one: whatever shows it says so, and shows what there is."""
import json
import os
import re
import xml.etree.ElementTree as ET

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event, replay_made

TOOL = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")
NO_END, BROKEN = b"the recording has no end: it goes on, was abandoned, or its last part is missing; verify says which", b"checksum does not match"


def out(t, text):
    return {"t": t, "ch": 1, "kind": "o", "text": text}


def store_with(top, harm):
    """Of three minutes and more than one segment: the last one is gone, or was changed."""
    ident, = made_recording(top, [meta_event(), open_event(), out(1, "$ "), {"t": 2, "ch": 1, "kind": "i", "text": "id\r"}, out(3, "id\r\nseen\r\n$ "),
                                  out(90, "minute two"), out(180, "the end, long " * 1000)])
    where, = (top / "recordings").glob(f"*/{ident}")
    last = max(where.glob("*.brec"))
    assert last.name != "00000000.brec"
    data = bytearray(last.read_bytes())
    if harm == "gone":
        last.unlink()
    else:
        data[len(data) // 2] ^= 1
        last.write_bytes(data)
    return top, ident


@pytest.fixture(scope="module", params=["gone", "changed"])
def short(request, tmp_path_factory):
    store, ident = store_with(tmp_path_factory.mktemp(request.param), request.param)
    return store, ident, *((0, NO_END) if request.param == "gone" else (3, BROKEN))


@pytest.mark.parametrize("words", ["commands", "commands --json", "export --text", "export --json", "export --asciicast", "export --asciicast-v3", "export --html",
                                   "export --svg", "play"])
def test_it_is_said(short, words):
    store, ident, status, sentence = short
    done = replay_made(store, *words.split(), ident, check=status)
    assert done.stderr.count(sentence) == 1 and done.stderr.count(b"\n") == 1, done.stderr
    text = done.stdout.decode()
    assert "seen" in text or "commands" in words
    if words in ("export --text", "play"):      # without a terminal that is the same
        assert text.splitlines()[-1].startswith("[not closed] the" if status == 0 else "[not read further] ") and sentence.decode() in text
    elif words == "export --html":
        assert re.search(f"<tr><th>end<td>[^<\n]*{sentence.decode()}\n", text)
        assert 'id="cast"' in text and text.endswith("</html>\n") and "<h2>Events</h2>" in text and "<h2>Typed without an echo</h2>" in text
    elif words == "export --svg":
        ET.fromstring(text)
    elif "json" in words or "cast" in words:
        assert all(json.loads(line) for line in text.splitlines()) and '"end"' not in text


def test_show(short):
    store, ident, status, sentence = short
    done = replay_made(store, "show", ident, check=status)
    assert sentence in (done.stdout if status == 0 else done.stderr)


def test_the_player(short, terminals):
    """While it plays, and again when the terminal is back; test_player has what it says at the end."""
    store, ident, status, sentence = short
    env = os.environ | {"BASTION_STORE": str(store), "BASTION_IDENTITY": f"{store}/identity", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    player = terminals(Terminal([TOOL, "play", ident], env, 24, 160))
    player.expect(sentence)
    player.send(b"q")
    assert player.wait() == status
    assert player.seen.rpartition(b"\x1b[?1049l")[2].count(sentence) == 1
