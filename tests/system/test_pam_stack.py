"""A site's own PAM modules: a password prompt, and a password that must be changed, over ssh."""
import os

import pytest

from harness import Client, labkit

# answers by what it is asked: the prompt is its first argument
ANSWER = """#!/bin/sh
echo "$1" >>{folder}/prompts
case "$1" in
*[Cc]urrent*|*[Oo]ld*) echo {old} ;;
*[Nn]ew*|*[Rr]etype*) echo {new} ;;
*[Pp]assword*) echo {password} ;;
*) exec {askpass} ;;
esac
"""


@pytest.fixture(scope="module")
def site(new_lab):
    """The system's pam_unix before the code. bastiond runs with an /etc of its own, where alice and bob have passwords and
    bob's must be changed."""
    lab = new_lab(etc=True)
    for name, password, changed in (("alice", "secret-word", 19000), ("bob", "old-word-4711", 0)):
        crypted = labkit.run("openssl", "passwd", "-6", password).strip()
        with open(lab.path("etc", "passwd"), "a", encoding="ascii") as f:
            f.write(f"{name}:x:{lab.state['users'][name]}:65534::/nonexistent:/bin/false\n")
        with open(lab.path("etc", "shadow"), "a", encoding="ascii") as f:
            f.write(f"{name}:{crypted}:{changed}:0:99999:7:::\n")
    labkit.write(lab.path("pam.d", "bastiond"), f"""auth required pam_unix.so
auth required {lab.bin('pam_bastion.so')} socket={lab.state['run_dir']}/pam.sock
account required pam_unix.so
password required pam_unix.so yescrypt
session required pam_permit.so
""")
    return lab


def login(lab, user, password, **words):
    client = Client(lab, user)
    answer = labkit.write(f"{client.folder}/answer", ANSWER.format(folder=client.folder, password=password, askpass=client.env["SSH_ASKPASS"],
                                                                 old=words.get("old", ""), new=words.get("new", "")), 0o755)
    if os.path.exists(f"{client.folder}/prompts"):
        os.unlink(f"{client.folder}/prompts")
    return client.run("bastion", "hosts", env={"SSH_ASKPASS": answer})


def test_password_and_code(site):
    assert login(site, "alice", "secret-word").returncode == 0
    prompts = labkit.read(site.path("users", "alice", "prompts"))
    assert "assword" in prompts and len(prompts.splitlines()) >= 2


def test_wrong_password(site):
    assert login(site, "alice", "wrong-word").returncode == 255


def test_forced_password_change(site):
    new = "quite-Another-4712"
    assert login(site, "bob", "old-word-4711", old="old-word-4711", new=new).returncode == 0
    asked = labkit.read(site.path("users", "bob", "prompts"))
    assert "ew password" in asked
    assert login(site, "bob", new).returncode == 0
    assert "ew password" not in labkit.read(site.path("users", "bob", "prompts"))


def test_stack_that_fails_closed(site):
    """A stack that names a module which is not there lets nobody in."""
    stack = labkit.read(site.path("pam.d", "bastiond"))
    try:
        labkit.write(site.path("pam.d", "bastiond"), "auth required pam_nowhere.so\n" + stack)
        assert login(site, "alice", "secret-word").returncode == 255
    finally:
        labkit.write(site.path("pam.d", "bastiond"), stack)
    assert login(site, "alice", "secret-word").returncode == 0
