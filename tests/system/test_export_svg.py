"""export --svg is valid XML with the screen of that moment, and nothing in it that runs or is fetched; asciicast v3."""
import json
import xml.etree.ElementTree as ET

from harness import chromium, made_recording, meta_event, open_event, png_rows, replay_made

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text></svg><script>alert(1)</script> & \"'\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\ \u202e\uffff\ufffe\x0b\x85 ]]> <!--"


def out(t, text, channel=1):
    return {"t": t, "ch": channel, "kind": "o", "text": text}


def picture(store, ident, *words):
    data = replay_made(store, "export", "--svg", *words, ident).stdout
    return ET.fromstring(data)


def words_of(svg):
    return [(e.get("fill"), e.text.replace("\u00a0", " ")) for e in svg.iter(f"{SVG}text")]


def test_moment_colours_and_wide_characters(tmp_path):
    ident, = made_recording(tmp_path, [meta_event(), open_event(), out(1, "\x1b[31mred\x1b[m plain  two\r\n漢字!\x1b[7mrev\x1b[m"),
                                       out(5, "\x1b[2J\x1b[Hlater \x1b[38;5;21;1mblue\x1b[m")])
    svg = picture(tmp_path, ident, "--at", "2")
    seen = words_of(svg)
    assert ("#cd3131", "red") in seen and ("#e4e4e4", "plain  two") in seen
    wide = [e for e in svg.iter(f"{SVG}text") if e.text in "漢字"]
    assert [(e.text, e.get("x"), e.get("textLength")) for e in wide] == [("漢", "10.0", "16.8"), ("字", "26.8", "16.8")]
    assert ("#121418", "rev") in seen       # reverse: the paper's colour on the ink's
    later = words_of(picture(tmp_path, ident))
    assert ("#0000ff", "blue") in later and not any("red" in text for _, text in later)


def test_hostile_output_is_text(tmp_path):
    ident, = made_recording(tmp_path, [meta_event(user="a</title><script>x</script>"), open_event(cols=200), out(1, HOSTILE)])
    svg = picture(tmp_path, ident)          # it parses
    assert {e.tag for e in svg.iter()} == {f"{SVG}svg", f"{SVG}title", f"{SVG}rect", f"{SVG}text"}
    assert {name for e in svg.iter() for name in e.attrib} <= {
        "width", "height", "viewBox", "font-size", "font-family", "rx", "fill", "x", "y", "textLength", "lengthAdjust", "fill-opacity"}
    text = "".join(e.text for e in svg.iter(f"{SVG}text"))
    assert "<script>alert(1)</script>" in text and "\u202e" not in text and "\x85" not in text


def test_chromium_draws_it(tmp_path):
    ident, = made_recording(tmp_path, [meta_event(), open_event(), out(1, "\x1b[41m" + " " * 60 + "\x1b[m\r\n" + HOSTILE)])
    (tmp_path / "a.svg").write_bytes(replay_made(tmp_path, "export", "--svg", ident).stdout)
    chromium(tmp_path / "a.svg", f"--screenshot={tmp_path}/a.png", "--window-size=524,224")
    rows = png_rows(tmp_path / "a.png")
    assert set(rows[18][20:500]) == {(0xcd, 0x31, 0x31)}        # the red line
    assert max(rows[200][20:500]) < (64, 64, 64)                # paper where nothing is
    assert any(max(pixel) > 200 for row in rows[27:60] for pixel in row)    # text below it


def test_asciicast_v3(tmp_path):
    ident, = made_recording(tmp_path, [meta_event(), open_event(cols=70, rows=20), out(1.5, "a"), out(2.25, "b\x1b]0;t\x07"),
                                       {"t": 3, "ch": 1, "kind": "r", "hex": "00500018"}, {"t": 4, "ch": 1, "kind": "x", "hex": "00000007"}])
    head, *rows = [json.loads(line) for line in replay_made(tmp_path, "export", "--asciicast-v3", ident).stdout.splitlines()]
    assert head["version"] == 3 and head["term"] == {"cols": 70, "rows": 20, "type": "xterm"}
    assert [row for row in rows if row[1] in "orx"] == [[1.5, "o", "a"], [0.75, "o", "b"], [0.75, "r", "80x24"], [0, "x", "7"]]
