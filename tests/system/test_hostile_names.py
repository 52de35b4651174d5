"""User names with control characters, quotes, slashes, dashes, 10 kB: a plain refusal, and log lines that stay lines."""
import socket

import paramiko
import pytest

NAMES = ["", "-oProxyCommand=id", "../../etc/passwd", "a/b", "alice' OR '1'='1", 'alice"; DROP TABLE user; --', "alice\nroot", "alice\r\n\x1b[2J",
         "alice\x00bob", "\u202ealice", "alice@", "@dba@web1", "alice@dba@web1@x", "alice@dba@127.0.0.1", "alice@@web1", "%s%n%h", "$(id)",
         "x" * 10_000, "alice@" + "d" * 10_000 + "@web1", "älice"]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n[:24]))
def test_refused_like_any_stranger(lab, name):
    transport = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    try:
        transport.start_client(timeout=10)
        key = paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key"))
        with pytest.raises((paramiko.SSHException, EOFError, socket.error)):
            transport.auth_publickey(name, key)
        assert not transport.is_authenticated()
    finally:
        transport.close()


def test_the_log_stays_clean(lab, deploy):
    deploy.run("bastion", "hosts", check=True)
    with open(lab.path("log", "bastiond"), "rb") as f:
        text = f.read()
    bad = [byte for byte in text if (byte < 32 and byte != 10) or byte == 127]
    assert not bad, bad[:10]
    assert "\u202e".encode() not in text
    assert not any(line.startswith(b"root") for line in text.splitlines())


