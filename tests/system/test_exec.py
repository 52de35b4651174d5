"""A command at the target without a terminal: streams apart, status, signal, exact bytes."""
import hashlib
import os

import paramiko
import pytest

from harness import recording_of, replay


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


def test_command_of_128_kilobytes(engineer):
    """What Linux takes as one argument passes; it is not cut, here or in the recording."""
    user, text = engineer(), "x" * 131_000
    assert len(user.run("web1.name", f"echo {text}", check=True).stdout) == 131_001
    assert f'"echo {text}"'.encode() in replay(user.lab, "export", "--json", recording_of(user.lab, user.user)).stdout


def test_longer_commands_are_refused_with_a_line(lab):
    with paramiko.Transport(("127.0.0.1", lab.port("bastiond"))) as transport:
        transport.start_client(timeout=10)
        transport.auth_publickey("deploy@dba@web1", paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key")))
        channel = transport.open_session(timeout=10)
        channel.exec_command("true #" + "x" * 131_072)
        assert b"131078 bytes is refused: 131072 at most; send it as input" in channel.makefile_stderr().read()
        assert channel.recv_exit_status() == 255


def test_other_subsystems_are_refused_with_a_line(deploy, target):
    done = deploy.run(target, "netconf", options=("-s",))
    assert done.returncode == 255 and b'the subsystem "netconf" is refused: sftp is the only one' in done.stderr, done.stderr
