"""rsync there, back, and again with nothing to do; what its recording has: the command, and size and digest of each direction."""
import base64
import hashlib
import json
import os
import subprocess

from harness import recording_of, replay


def test_recorded(lab, engineer, target, home, tmp_path):
    user = engineer()
    (tmp_path / "file").write_bytes(os.urandom(30000))
    user.tool("rsync", "-a", str(tmp_path / "file"), f"{target}:{home}/")
    rows = [json.loads(line) for line in replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.splitlines()]
    opened, = (row["data"] for row in rows if row["kind"] == "open")
    assert opened["command"].startswith("rsync --server") and home in opened["command"]
    digests = {row["data"]["dir"]: row["data"] for row in rows if row["kind"] == "digest" and row["data"]["final"]}
    for way in ("in", "out"):
        data = b"".join(raw(row["data"]) for row in rows if row["kind"] == way)
        assert digests[way]["bytes"] == len(data) and digests[way]["sha256"] == hashlib.sha256(data).hexdigest()
    assert digests["in"]["bytes"] > 30000
    assert not [row for row in rows if row["kind"] == "file"]       # no list of files: bastion-record(5) says so


def raw(data):
    return data.encode() if isinstance(data, str) else base64.b64decode(data["base64"] + "===")


def test_rsync(deploy, target, home, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for i in range(50):
        (tree / f"f{i}").write_bytes(os.urandom(20000 + i))
    deploy.tool("rsync", "-a", f"{tree}/", f"{target}:{home}/tree/")
    with open(tree / "f7", "r+b") as f:
        f.write(b"changed")
    deploy.tool("rsync", "-ac", f"{tree}/", f"{target}:{home}/tree/")
    deploy.tool("rsync", "-a", f"{target}:{home}/tree/", f"{tmp_path}/back/")
    assert subprocess.run(["diff", "-r", tree, tmp_path / "back"], check=False).returncode == 0
    again = deploy.tool("rsync", "-aci", f"{tree}/", f"{target}:{home}/tree/")
    assert b"<f" not in again.stdout
