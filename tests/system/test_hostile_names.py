"""User names with control characters, quotes, slashes, dashes, 10 kB: a plain refusal, at once, and log lines that stay lines."""
import socket

import paramiko
import pytest

from harness import until

# deploy's key opens by itself: a name that is cut, trimmed or split wrongly would be let in
NAMES = ["", "-oProxyCommand=id", "../../etc/passwd", "a/b", "deploy' OR '1'='1", 'deploy"; DROP TABLE user; --', "deploy\nroot", "deploy\r\n\x1b[2J",
         "deploy\x00bob", "\x00deploy", "\u202edeploy", "deploy@", "deploy ", " deploy", "Deploy", "deploy\t", "@dba@web1", "@deploy", "deploy@dba@web1@x",
         "deploy@dba@-oProxyCommand=x", "deploy@@web1", "%s%n%h", "$(id)", "deploy" + "x" * 10_000, "deploy@" + "d" * 10_000 + "@web1", "dêploy"]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n[:24]))
def test_refused_like_any_stranger(lab, name):
    transport = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    try:
        transport.start_client(timeout=10)
        key = paramiko.Ed25519Key.from_private_key_file(lab.path("users", "deploy", "key"))
        with pytest.raises((paramiko.SSHException, EOFError, socket.error)) as refusal:
            transport.auth_publickey(name, key)
        assert "timeout" not in str(refusal.value), "no answer"
        assert not transport.is_authenticated()
    finally:
        transport.close()


def test_the_log_stays_clean(lab, deploy):
    def log():
        with open(lab.path("log", "bastiond"), "rb") as f:
            return f.read()
    deploy.run("bastion", "hosts", check=True)
    test_refused_like_any_stranger(lab, "oops\x1b[2J\u202edeploy\nroot: all is well")
    text = until(lambda: log() if b'"oops\\x1b[2J' in log() else b"", what="the name in the log, escaped")
    bad = [byte for byte in text if (byte < 32 and byte != 10) or byte == 127]
    assert not bad, bad[:10]
    assert "\u202e".encode() not in text
    assert not any(line.startswith(b"root") for line in text.splitlines())


