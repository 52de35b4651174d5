"""export --html is one page that plays offline; a hostile recording is text in it and runs nothing."""
import json
import re

from harness import chromium, made_recording, meta_event, open_event, png_rows, replay_made

# each of these would leave a mark in the document or ask for an address
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> --> ]]> \u202e\u2066"


def out(t, text, channel=1):
    return {"t": t, "ch": channel, "kind": "o", "text": text}


def page(tmp_path, events):
    ident, = made_recording(tmp_path, events)
    (tmp_path / "page.html").write_bytes(replay_made(tmp_path, "export", "--html", ident).stdout)
    return (tmp_path / "page.html").read_text()


def test_the_recording_is_seen(tmp_path):
    file = {"op": "put", "path": "/tmp/report.pdf", "size": 20123, "sha256": "ab" * 32}
    page(tmp_path, [meta_event(), open_event(cols=40, rows=8), out(1, "$ "), {"t": 2, "ch": 1, "kind": "i", "text": "ls\r"},
                    out(3, "ls\r\n\x1b[41m" + " " * 40 + "\x1b[m\r\n"), {"t": 4, "ch": 2, "kind": "f", "text": json.dumps(file)},
                    {"t": 5, "ch": 0, "kind": "n", "text": "a note"}, out(6, "end"),
                    {"t": 7, "ch": 1, "kind": "i", "text": "hunter2\r"}])
    assert "hunter2" not in (tmp_path / "page.html").read_text()
    dom = chromium(f"{tmp_path}/page.html#t=4", "--enable-logging=stderr", "--virtual-time-budget=1000", "--dump-dom",
                   f"--screenshot={tmp_path}/a.png", "--window-size=500,500")
    assert "CONSOLE" not in dom, dom
    seen = [pixel for row in png_rows(tmp_path / "a.png") for pixel in row]
    red = sum(1 for r, g, b in seen if r > 150 and g < 110 and b < 130)
    assert red > 3000, red      # the red line is drawn by the player
    assert re.search(r'data-t="2\.000">0:02</button></td><td>1</td><td class="text">ls', dom)
    assert "/tmp/report.pdf, 20123 bytes, sha256 " + "ab" * 32 in dom and "[bastion] a note" in dom and "no boundary" in dom
    assert "ap-player" in dom


def colours(seen):
    return {name: sum(1 for pixel in seen if test(*pixel)) > 3000 for name, test in (
        ("red", lambda r, g, b: r > 150 and g < 110 and b < 130), ("green", lambda r, g, b: g > 130 and r < 120 and b < 120),
        ("blue", lambda r, g, b: b > 150 and r < 110))}


MOMENTS, SIDE = ((50, "red"), (101, "green"), (250, "green"), (301, "blue")), 400     # of a square in pixels, in which a moment is shown


def test_a_moment_behind_long_pauses(tmp_path):
    """The player cuts pauses; a time still leads to its moment."""
    fill = "\x1b[H\x1b[{}m" + " " * 320 + "\x1b[m"
    page(tmp_path, [meta_event(), open_event(cols=40, rows=8), out(1, fill.format(41)), out(100, fill.format(42)),
                    {"t": 101, "ch": 1, "kind": "n", "text": "a note"}, out(300, fill.format(44))])
    frames = "".join(f'<iframe src="page.html#t={moment}" style="border: 0; float: left" width="{SIDE}" height="{SIDE}"></iframe>' for moment, _ in MOMENTS)
    (tmp_path / "all.html").write_text(f'<!DOCTYPE html><body style="margin: 0">{frames}')
    chromium(f"{tmp_path}/all.html", "--virtual-time-budget=1000", f"--screenshot={tmp_path}/a.png", f"--window-size={SIDE},{SIDE * len(MOMENTS)}")
    rows = png_rows(tmp_path / "a.png")
    for i, (moment, colour) in enumerate(MOMENTS):
        seen = [pixel for row in rows[i * SIDE:(i + 1) * SIDE] for pixel in row]
        assert [name for name, there in colours(seen).items() if there] == [colour], moment


def test_hostile_recording_runs_nothing(tmp_path):
    file = {"op": "put", "path": "data:text/html,<script>alert(1)</script>" + HOSTILE, "size": 1}
    text = page(tmp_path, [
        meta_event(user=HOSTILE, reason=HOSTILE), open_event(cols=80, command=HOSTILE, capability="shell"), out(1, HOSTILE + "$ "),
        {"t": 2, "ch": 1, "kind": "i", "text": "x\r"}, out(3, HOSTILE + "\x1b]8;;javascript:document.title='owned'\x07link\x1b]8;;\x07\x1b]0;owned\x07\r\n"),
        {"t": 4, "ch": 1, "kind": "f", "text": json.dumps(file)}, {"t": 5, "ch": 1, "kind": "n", "text": HOSTILE}])
    assert len(re.findall(r"<script", text)) == 3 and text.count("</script") == 3
    ours = text[text.index("<body>"):text.index("</script>")]       # without the player's own code
    assert "\u202e" not in ours and "\u2066" not in ours and "\x1b" not in ours and not re.search("<(img|script(?! type))", ours)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none';") and "unsafe-inline" not in policy and "http" not in policy
    dom = chromium(tmp_path / "page.html", "--enable-logging=stderr", "--virtual-time-budget=1000", "--dump-dom")
    assert re.search("<title>recording [0-9a-f]{32}</title>", dom) and "<img" not in dom and "CONSOLE" not in dom
    assert not re.search(r'(src|href)="?(data|javascript|http)', dom)


def test_policy_refuses_what_is_not_the_programs(tmp_path):
    """Were escaping to fail, the policy stands behind it."""
    text = page(tmp_path, [meta_event(), open_event(), out(1, "x")])
    (tmp_path / "page.html").write_text(text.replace("<h1>", "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><h1>"))
    dom = chromium(tmp_path / "page.html", "--virtual-time-budget=1000", "--dump-dom")
    assert "<title>owned" not in dom and "<title>recording" in dom
