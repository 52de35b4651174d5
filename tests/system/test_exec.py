"""A command at the target without a terminal: streams apart, status, signal, exact bytes."""
import hashlib
import os

import pytest


def test_streams_are_apart(deploy, target):
    done = deploy.run(target, "cat; echo wrong >&2", stdin=b"right\n", check=True)
    assert (done.stdout, done.stderr) == (b"right\n", b"wrong\n")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(deploy, target, status):
    assert deploy.run(target, f"exit {status}").returncode == status


def test_exit_signal(deploy, target):
    done = deploy.run(target, "kill -TERM $$", options=("-v",))
    assert done.returncode == 255
    assert b"exit-signal" in done.stderr


def test_command_arrives_as_typed(deploy, target):
    words = "printf '%s|' \"a  b\" '$HOME' \\\\ ü; echo"
    assert deploy.run(target, words, check=True).stdout.decode() == "a  b|$HOME|\\|ü|\n"


@pytest.mark.parametrize("size", [0, 1, 32768, 5_000_001])
def test_bytes_are_exact(deploy, target, size):
    data = os.urandom(size)
    done = deploy.run(target, "tee /dev/stderr | sha256sum >&1", stdin=data, check=True)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert done.stderr == data


def test_command_of_32_kilobytes(deploy, target):
    text = "x" * 32000
    assert deploy.run(target, f"printf %s {text} | wc -c", check=True).stdout.strip() == b"32000"
