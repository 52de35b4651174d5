"""Transfers across several key exchanges, on either leg's request, are exact."""
import hashlib
import os

import pytest

SIZE = 12_000_000


@pytest.mark.parametrize("limit", ["1M", "default 1"])
def test_exec_both_directions(deploy, target, limit):
    data = os.urandom(SIZE)
    done = deploy.run(target, "cat", stdin=data, options=("-o", f"RekeyLimit={limit}"), check=True, timeout=120)
    assert len(done.stdout) == SIZE
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_sftp(deploy, target, home, tmp_path):
    data = os.urandom(SIZE)
    (tmp_path / "data").write_bytes(data)
    deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, "-o", "RekeyLimit=1M", target, timeout=120,
                stdin=f"put {tmp_path}/data {home}/data\nget {home}/data {tmp_path}/back\n".encode())
    assert (tmp_path / "back").read_bytes() == data
