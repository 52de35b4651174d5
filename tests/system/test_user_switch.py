"""The user of a connection is the one of its first request: alice's key, then bob's name, opens nothing for either."""
import paramiko
import pytest

from harness import labkit


@pytest.fixture
def transport(lab):
    it = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    it.start_client(timeout=10)
    yield it
    it.close()


def test_key_of_one_and_code_of_another(lab, engineer, transport):
    one, other = engineer(), engineer()
    key = paramiko.Ed25519Key.from_private_key_file(one.key)
    assert transport.auth_publickey(one.user, key) == ["keyboard-interactive"]
    code = labkit.next_code(other.env["LAB_CODE"])
    with pytest.raises((paramiko.SSHException, EOFError)):
        transport.auth_interactive(other.user, lambda title, text, prompts: [code for _ in prompts])
    assert not transport.is_authenticated()


def test_code_before_the_key(engineer, transport):
    user = engineer()
    with pytest.raises((paramiko.SSHException, EOFError)):
        transport.auth_interactive(user.user, lambda *a: [labkit.next_code(user.env["LAB_CODE"]) for _ in a[2]])
    assert not transport.is_authenticated()


def test_key_alone_is_not_enough(engineer, transport):
    user = engineer()
    assert transport.auth_publickey(user.user, paramiko.Ed25519Key.from_private_key_file(user.key)) == ["keyboard-interactive"]
    assert not transport.is_authenticated()
    with pytest.raises((paramiko.SSHException, EOFError)):
        transport.open_session(timeout=5)


@pytest.mark.parametrize("method", ["auth_none", "auth_password"])
def test_other_methods(engineer, transport, method):
    user = engineer()
    with pytest.raises((paramiko.SSHException, EOFError)):
        getattr(transport, method)(user.user, *(["x"] if method == "auth_password" else []))
    assert not transport.is_authenticated()
