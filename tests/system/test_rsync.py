"""rsync there, back, and again with nothing to do."""
import os
import subprocess


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
