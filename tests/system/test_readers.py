"""Who can read: auditors that change under a running session, and input that takes one auditor of each of two groups."""
import glob
import json
import os
import subprocess
import sys

import pytest

from harness import Client, Terminal, labkit, recording_of, until
from test_reload import reload

pytestmark = pytest.mark.chained

GROUPS = ("auditor", "first", "second", "late")
INDEPENDENT = os.path.join(labkit.REPO, "tests", "brec_independent.py")


@pytest.fixture(scope="module")
def own(new_lab):
    lab = new_lab()
    for name in GROUPS[1:]:
        labkit.run("age-keygen", "-o", lab.path(f"{name}.key"))
        labkit.write(lab.path(f"{name}.pub"), labkit.run("age-keygen", "-y", lab.path(f"{name}.key")))
    return lab


def readable(lab, path, *names):
    """Typed, and shown, as these auditors together read it with bastion-replay; the independent reader must say the same."""
    keys = [word for name in names for word in ("--key", lab.path(f"{name}.key"))]
    done = subprocess.run([lab.bin("bastion-replay"), "export", path, "--json", "--reveal", "--store", lab.path("store"), *keys, "--trust",
                           lab.path("auditor.trust")], capture_output=True, check=False)
    identities = [word for name in names for word in ("--identity", lab.path(f"{name}.key"))]
    theirs = subprocess.run([sys.executable, INDEPENDENT, "events", path, *identities], capture_output=True, check=True).stdout.decode()
    rows = [json.loads(line) for line in theirs.splitlines()]
    typed = "".join(row["data"] for row in rows if row.get("kind") == "i")
    out = "".join(row["data"] for row in rows if row.get("kind") == "o")
    # without the metadata of the first segment bastion-replay shows nothing
    assert done.returncode == 0 or not any(row.get("kind") == "m" for row in rows), done.stderr
    assert done.returncode != 0 or ("typed-secret" in typed) == (b"typed-secret" in done.stdout), "both readers say the same"
    return typed, out


def shell(lab):
    user = Client(lab, "deploy")
    terminal = Terminal(user.argv("web1.name", options=("-tt",)), user.env)
    terminal.line("stty -echo; echo $((6*7))")
    terminal.expect(rb"\n42\r\n")
    return terminal


def test_input_takes_two_groups(own):
    own.state["options"] = [f'input_recipients = "{own.path("first.pub")}"', f'input_recipients_second = "{own.path("second.pub")}"']
    own.write_configs()
    reload(own)
    terminal = shell(own)
    terminal.line(": typed-secret")
    terminal.line("exit")
    assert terminal.wait() == 0
    path = recording_of(own, "deploy")
    for names in (["auditor"], ["auditor", "first"], ["auditor", "second"]):
        typed, out = readable(own, path, *names)
        assert typed == "" and "42" in out
    typed, out = readable(own, path, "first", "second")
    assert ": typed-secret" in typed and out == ""
    typed, out = readable(own, path, "second", "auditor", "first")
    assert ": typed-secret" in typed and "42" in out


def test_auditors_change_under_a_session(own):
    own.state["options"] = []
    own.write_configs()
    reload(own)
    terminal = shell(own)
    terminal.line(": typed-secret; echo bef''ore")
    terminal.expect(b"before")
    path = recording_of(own, "deploy", closed=False)
    segments = len(glob.glob(f"{path}/*.brec"))
    labkit.write(own.path("recipients"), labkit.read(own.path("late.pub")))
    reload(own)
    # parent has told the others; the session seals for the new ones when policy has told it
    until(lambda: len(glob.glob(f"{path}/*.brec")) > segments, what="a segment for the new auditor")
    terminal.line("echo af''ter")
    terminal.expect(b"after")
    terminal.line("exit")
    assert terminal.wait() == 0
    recording_of(own, "deploy")
    typed, out = readable(own, path, "auditor")
    assert "typed-secret" in typed and "before" in out and "after" not in out
    typed, out = readable(own, path, "late")
    assert "typed-secret" not in typed and "before" not in out and "after" in out
    both = readable(own, path, "auditor", "late")
    assert "before" in both[1] and "after" in both[1]


def test_a_wrong_list_changes_nothing(own):
    labkit.write(own.path("recipients"), "age1nonsense\n")
    reload(own, "is not reloaded")
    assert Client(own, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"
    until(lambda: recording_of(own, "deploy"))
    assert "in" in readable(own, recording_of(own, "deploy"), "late")[1]
