"""sftp: get, put, list, names with blanks, a directory with many files."""
import filecmp
import os


def test_put_get_list(deploy, target, home, tmp_path):
    data = tmp_path / "a file"
    data.write_bytes(os.urandom(3_000_000))
    batch = f'cd {home}\nput "{data}"\nrename "a file" b\nget b {tmp_path}/back\nls -l\nmkdir d\nrmdir d\nrm b\n'
    done = deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, target, stdin=batch.encode())
    assert filecmp.cmp(data, tmp_path / "back", shallow=False)
    assert b"3000000" in done.stdout
    assert os.listdir(home) == []


def test_many_small_files(deploy, target, home, tmp_path):
    source = tmp_path / "many"
    source.mkdir()
    for i in range(200):
        (source / f"{i:03d}").write_bytes(os.urandom(i))
    deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, target, stdin=f"put -r {source} {home}/\nget -r {home}/many {tmp_path}/back\n".encode())
    for i in range(200):
        assert (tmp_path / "back" / f"{i:03d}").read_bytes() == (source / f"{i:03d}").read_bytes()


def test_missing_file_is_an_error(deploy, target, tmp_path):
    done = deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, target, stdin=f"get /no/such {tmp_path}/x\n".encode(), check=False)
    assert done.returncode != 0 and b"not found" in done.stderr
