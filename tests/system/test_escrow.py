"""The escrow of bastion-replay(1), as it stands there: an identity is split, two of three put it together, it opens a recording."""
import subprocess

import pytest

from harness import Client, labkit, recording_of
from test_reload import reload


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def sh(folder, script, stdin=""):
    done = subprocess.run(["sh", "-ec", script], cwd=folder, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_escrow(own, tmp_path):
    page = labkit.run("mandoc", "-Tascii", "-O", "width=200", f"{labkit.REPO}/man/bastion-replay.1")
    page = "".join(c for i, c in enumerate(page) if c != "\b" and page[i + 1:i + 2] != "\b")
    lines = [line.strip().removeprefix("$ ") for line in page.split("\n") if line.strip().startswith("$ ")]
    make = lines[lines.index("age-keygen -o escrow.key"):][:4]
    join = next(line for line in lines if line.startswith("ssss-combine"))
    shares = sh(tmp_path, "\n".join(make)).split()
    assert len(shares) == 3
    with open(own.path("recipients"), "a", encoding="ascii") as f:
        f.write(labkit.read(tmp_path / "auditors"))
    reload(own)
    Client(own, "deploy").run("web1.name", "echo kept", check=True)
    path = recording_of(own, "deploy")
    for two in ((0, 1), (2, 0)):
        sh(tmp_path, join, "".join(shares[i] + "\n" for i in two))
        assert sh(tmp_path, "age-keygen -y escrow.key") == labkit.read(tmp_path / "auditors")
        shown = labkit.run(own.bin("bastion-replay"), "show", path, "--key", str(tmp_path / "escrow.key"), "--trust", own.path("auditor.trust"),
                           "--store", own.path("store"))
        assert "deploy" in shown
