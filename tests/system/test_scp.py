"""scp over sftp and over its own protocol (-O), both directions, with modes and directories."""
import hashlib
import json
import os

import pytest

from harness import recording_of, replay


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


@pytest.mark.parametrize("what", ["put", "get"])
def test_what_is_refused_is_recorded_so(lab, engineer, home, tmp_path, what):
    """Its side of scp goes on with the next file: neither that one nor its line is taken for the content of the one that was refused."""
    user = engineer()
    ends = {"put": (str(tmp_path / "from"), f"{home}/to"), "get": (f"{home}/from", str(tmp_path / "to"))}
    here, there = ends[what]
    os.mkdir(here)
    os.makedirs(f"{there}/a")    # what is a directory there is no file that could be written
    os.chmod(there, 0o777)
    content = {name: os.urandom(size) for name, size in (("a", 100_000), ("b", 70_000), ("c", 3))}
    for name, data in content.items():
        with open(f"{here}/{name}", "wb") as f:
            f.write(data)
    names = [f"{here}/{name}" if what == "put" else f"web1.name:{here}/{name}" for name in sorted(content)]
    if what == "get":
        names = [f"web1.name:{here}/[abc]"]
    done = user.tool("scp", "-O", "-F", user.config, *names, there if what == "get" else f"web1.name:{there}", check=False)
    assert done.returncode == 1 and b"irectory" in done.stderr, done
    rows = [json.loads(line) for line in replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.splitlines()]
    files = [row["data"] for row in rows if row["kind"] == "file"]
    assert [(row["op"], row["path"]) for row in files] == [(f"{what}-failed", "a"), (what, "b"), (what, "c")], files
    assert "directory" in files[0]["why"].lower()
    for row in files[1:]:
        assert (row["size"], row["whole"], row["sha256"]) == (len(content[row["path"]]), True, hashlib.sha256(content[row["path"]]).hexdigest())
        assert os.path.getsize(f"{there}/{row['path']}") == row["size"]
