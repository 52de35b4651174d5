"""Grants for a number of logins: `request --logins 1` lets one connection in with all its channels, and no second one."""
import itertools
import os
import subprocess

import pytest

from harness import Client

counter = itertools.count(1)


@pytest.fixture
def one_login(lab):
    """A service account, which has no codes to wait for, with a grant for one login; its client and the grant's number."""
    name = f"once{os.getpid()}x{next(counter)}"
    lab.make_user(name, service=True, role="dba")
    uid = lab.state["users"][name]
    number = lab.ask("request", as_uid=uid, host="web1", login="dba", reason="once", logins=1, **{"for": 3600})["id"]
    lab.ask("approve", as_uid=lab.state["users"]["bob"], id=number)
    return Client(lab, name), number


def test_one_login_works_and_the_second_is_refused(one_login):
    user, number = one_login
    user.run("web1.name", "true", check=True)
    again = user.run("web1.name", "true")
    assert again.returncode != 0 and f"Grant {number} for dba@web1 was for 1 login, which it had".encode() in again.stderr, again


def test_of_two_at_once_one_is_let_in(one_login):
    user, _ = one_login
    both = [subprocess.Popen(user.argv("web1.jump" if i else "web1.name", "echo in"), env=user.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(2)]
    said = [p.communicate(timeout=60) for p in both]
    assert sorted(out for out, _ in said) == [b"", b"in\n"], said
    loser = next(err for out, err in said if not out)
    assert b"was for 1 login, which it had" in loser, said
