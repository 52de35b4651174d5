"""Secrets of one-time codes are sealed under a key outside of the database, which changes while people log in; recovery codes."""
import base64
import glob
import json
import subprocess

import pytest

from harness import Client, events, labkit
from test_reload import reload


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def files_of(lab):
    return b"".join(open(name, "rb").read() for name in glob.glob(lab.path("state", "db", "*")))


def opens(lab, code=None, user="alice"):
    client = Client(lab, user)
    answer = labkit.write(f"{client.folder}/answer", f"#!/bin/sh\necho {code}\n", 0o755)
    return client.run("bastion", "hosts", env={"SSH_ASKPASS": answer} if code else {}).returncode == 0


def test_no_secret_is_in_the_database(own):
    secret = base64.b32decode(labkit.read(own.path("users", "alice", "totp")).strip())
    assert secret not in files_of(own)
    assert opens(own)


def test_the_key_changes_while_it_is_used(own):
    key = own.path("state", "keys", "totp.key")
    first = labkit.read(key)
    own.ctl("rotate", "begin", "totp")
    reload(own)
    assert opens(own), "sealed with the next key"
    assert json.loads(events(own, "totp.seal")[-1]["detail"]) == {"plain": 0, "again": 3, "lost": 0}
    own.ctl("rotate", "end", "totp")
    assert labkit.read(key) != first and labkit.read(key + ".old") == first
    with pytest.raises(labkit.LabError, match="remove it first"):
        own.ctl("rotate", "begin", "totp")
    labkit.os.unlink(key + ".old")
    reload(own)
    own.stop("bastiond")
    own.start("bastiond")
    assert opens(own), "the new key alone opens"


def test_without_its_key_bastiond_does_not_start(own):
    key = own.path("state", "keys", "totp.key")
    own.stop("bastiond")
    labkit.os.rename(key, key + ".away")
    try:
        done = subprocess.run(own.command("bastiond"), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode != 0 and "totp.key: no such file; 'bastionctl init' makes the keys" in done.stderr
    finally:
        labkit.os.rename(key + ".away", key)
    own.start("bastiond")
    assert opens(own)


def test_a_recovery_code_opens_one_login(lab, engineer):
    user = engineer(grant=False)
    assert user.run("bastion", "user", "totp", "recovery", user.user).returncode == 1, "an open session alone is not enough"
    code = labkit.next_code(user.env["LAB_CODE"])
    # at the bastion: over ssh the login would take a later code first, after which this one is spent
    rows = lab.ctl_json("user", "totp", "recovery", user.user, "--code", code, uid=lab.state["users"][user.user])["rows"]
    codes = [row["code"] for row in rows]
    assert len(codes) == 10
    assert opens(lab, codes[0].upper(), user.user)
    assert not opens(lab, codes[0], user.user)
    assert opens(lab, codes[1].replace("-", ""), user.user)
    use = json.loads(events(lab, "recovery.use", user.user)[-1]["detail"])
    assert use["left"] == 8 and use["source"] == "127.0.0.1"
    assert lab.ctl_json("user", "show", user.user)["row"]["recovery"] == 8


def test_a_credential_of_the_service_manager(own):
    own.stop("bastiond")
    labkit.os.mkdir(own.path("credentials"), 0o700)
    labkit.os.rename(own.path("state", "keys", "totp.key"), own.path("credentials", "sealing"))
    own.state["options"].append('totp_key = "credential:sealing"')
    own.write_configs()
    done = subprocess.run(own.command("bastiond"), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode != 0 and "LoadCredential=sealing:FILE" in done.stderr
    labkit.os.environ["CREDENTIALS_DIRECTORY"] = own.path("credentials")
    try:
        own.start("bastiond")
        assert opens(own)
        reload(own)
        assert opens(own)
    finally:
        del labkit.os.environ["CREDENTIALS_DIRECTORY"]
