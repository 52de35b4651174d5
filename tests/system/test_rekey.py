"""Transfers across several key exchanges, on either leg's request, are exact."""
import hashlib
import os

import pytest

from harness import Client, recording_of

SIZE = 4_000_000
# a second goes by in it several times
SLOWLY = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c 150000 /dev/zero | tr '\\0' x; sleep 0.4; done"


def exchanges(done):
    return done.stderr.count(b"SSH2_MSG_NEWKEYS sent")


def test_exec_both_directions(deploy, target):
    data = os.urandom(SIZE)
    done = deploy.run(target, "cat", stdin=data, options=("-v", "-o", "RekeyLimit=1M"), check=True, timeout=120)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert exchanges(done) > 3


def test_by_time(deploy, target):
    done = deploy.run(target, SLOWLY, options=("-v", "-o", "RekeyLimit=default 1"), check=True, timeout=120)
    assert done.stdout == b"x" * 1_800_000
    assert exchanges(done) > 2


def test_sftp(deploy, target, home, tmp_path):
    data = os.urandom(SIZE)
    (tmp_path / "data").write_bytes(data)
    deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, "-o", "RekeyLimit=1M", target, timeout=120,
                stdin=f"put {tmp_path}/data {home}/data\nget {home}/data {tmp_path}/back\n".encode())
    assert (tmp_path / "back").read_bytes() == data


@pytest.fixture(scope="module")
def eager(new_lab):
    """Its target asks for new keys after each MiB, and says so."""
    lab = new_lab()
    config = lab.target_config
    lab.target_config = lambda: "RekeyLimit 1M\nLogLevel DEBUG1\n" + config()
    lab.stop("target")
    lab.start("target")
    return lab


def test_the_target_asks(eager, way):
    def said():
        with open(eager.path("log", "target"), "rb") as f:
            return f.read().count(b"SSH2_MSG_NEWKEYS sent")
    data, before = os.urandom(SIZE), said()
    client = Client(eager, "deploy")
    done = client.run(f"web1.{way}", "cat", stdin=data, check=True, timeout=120)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert said() > before + 3
    recording_of(eager, "deploy")
