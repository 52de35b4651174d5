"""Before authentication a stranger, who cannot prove a registered key, learns nothing: unknown user, wrong key, wrong code look and last
the same; with the public half of a registered key, a locked user is like any other."""
import os
import re
import shutil
import statistics
import subprocess
import time

import pytest

from harness import Client, labkit

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def cast(lab):
    """name: (client, code file) for each kind of failure; the wrong keys are registered nowhere."""
    def person(name):
        if name not in lab.state["users"]:
            lab.make_user(name, role="dba")
            lab.grant(name)
        return Client(lab, name)
    known, locked = person("stranger1"), person("stranger2")
    lab.ctl("user", "lock", "stranger2")
    folder = lab.path("users", "nobody-knows")
    os.makedirs(folder, exist_ok=True)
    labkit.keygen(f"{folder}/key")
    labkit.write(f"{folder}/totp", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
    unknown = Client(lab, "nobody-knows")
    wrong_key = Client(lab, "stranger1", key=f"{folder}/key")
    return {"unknown user": unknown, "wrong key": wrong_key, "known": known,
            "known, public half": public_half(known), "locked, public half": public_half(locked)}


def public_half(client):
    """Somebody who found the user's public key: ssh asks whether it would do, and can sign nothing."""
    os.makedirs(f"{client.folder}/public", exist_ok=True)
    shutil.copy(f"{client.folder}/key.pub", f"{client.folder}/public/key.pub")
    return Client(client.lab, client.user, key=f"{client.folder}/public/key")


def attempt(client, log="ERROR"):
    """What the client saw, without what it chose itself, and how long it took."""
    start = time.monotonic()
    done = client.run("bastion", "help", options=("-v",) if log == "DEBUG" else ())
    spent = time.monotonic() - start
    assert done.returncode == 255
    text = done.stderr.decode().replace(client.user, "USER").replace(client.folder, "FOLDER")
    return re.sub(r"SHA256:\S+|/tmp/\S+|\d+", "#", text), spent


def debug_lines(text):
    return [line for line in text.splitlines() if re.search(r"Authentications|Next auth|Server accepts|denied|Connection closed|Received disconnect", line)]


def test_same_look(cast):
    looks = {name: debug_lines(attempt(cast[name], "DEBUG")[0]) for name in ("unknown user", "wrong key")}
    assert looks["unknown user"] == looks["wrong key"], looks
    looks = {name: debug_lines(attempt(cast[name], "DEBUG")[0]) for name in ("known, public half", "locked, public half")}
    assert looks["known, public half"] == looks["locked, public half"] and "Server accepts key" in str(looks), looks


def test_same_time(cast):
    times = {name: [] for name in ("unknown user", "wrong key")}
    for _ in range(7):
        for name, spent in times.items():
            spent.append(attempt(cast[name])[1])
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    assert max(medians.values()) - min(medians.values()) < 0.05, medians
    assert min(medians.values()) > 0.3, "a refusal takes the floor of time"


def test_wrong_code_takes_the_floor_and_names_nothing(cast):
    client = cast["known"]
    start = time.monotonic()
    done = subprocess.run(client.argv("bastion", "help"), env=client.env | {"SSH_ASKPASS": "/bin/echo"}, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=30, check=False)
    assert done.returncode == 255 and time.monotonic() - start > 0.3
    assert b"wrong" not in done.stderr.lower() and b"expired" not in done.stderr.lower()
