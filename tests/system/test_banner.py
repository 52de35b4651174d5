"""The site's notice is shown before the login, whole, once, and to strangers as well."""
import pytest

from harness import Client

NOTICE = "Authorised use only.\nEverything is recorded."


@pytest.fixture(scope="module")
def noticed(new_lab):
    return new_lab(options=['banner = "Authorised use only.\\nEverything is recorded."'])


def test_shown_before_the_login(noticed):
    client = Client(noticed, "deploy")
    done = client.run("web1.name", "echo in", options=("-o", "LogLevel=INFO"), check=True)
    assert done.stdout == b"in\n" and done.stderr.decode().count(NOTICE) == 1


def test_shown_to_a_stranger(noticed):
    done = Client(noticed, "deploy").run("web1.name", "echo in", options=("-o", "LogLevel=INFO", "-l", "nobody"))
    assert done.returncode == 255 and NOTICE in done.stderr.decode()


def test_nothing_is_said_without_one(deploy):
    done = deploy.run("web1.name", "echo in", options=("-o", "LogLevel=INFO"), check=True)
    assert b"recorded" not in done.stderr
