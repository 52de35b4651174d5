"""scp over sftp and over its own protocol (-O), both directions, with modes and directories."""
import os

import pytest


@pytest.fixture(params=["new", "old"])
def scp(request, deploy):
    return lambda *args: deploy.tool("scp", "-q", "-F", deploy.config, *(["-O"] if request.param == "old" else []), *args)


def test_there_and_back(scp, target, home, tmp_path):
    data = os.urandom(2_500_000)
    source = tmp_path / "data"
    source.write_bytes(data)
    scp(str(source), f"{target}:{home}/copy")
    with open(f"{home}/copy", "rb") as f:
        assert f.read() == data
    scp(f"{target}:{home}/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data


def test_directories_times_and_modes(scp, target, home, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "run").write_text("#!/bin/sh\n")
    os.chmod(tree / "sub" / "run", 0o750)
    os.utime(tree / "sub" / "run", (1_000_000_000, 1_000_000_000))
    (tree / "empty").write_bytes(b"")
    scp("-rp", str(tree), f"{target}:{home}/")
    status = os.stat(f"{home}/tree/sub/run")
    assert (status.st_mode & 0o777, int(status.st_mtime)) == (0o750, 1_000_000_000)
    scp("-rp", f"{target}:{home}/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "sub" / "run").read_text() == "#!/bin/sh\n"
    assert (tmp_path / "back" / "empty").read_bytes() == b""
