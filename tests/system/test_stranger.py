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


def test_an_agent_full_of_other_keys(cast, tmp_path):
    """More than max_auth_tries: the end says what it is, and what to do."""
    others = []
    for i in range(6):
        labkit.keygen(f"{tmp_path}/{i}")
        others += ["-i", f"{tmp_path}/{i}"]
    done = cast["unknown user"].run("bastion", "help", options=others)
    assert done.returncode == 255 and b"too many keys or answers were refused" in done.stderr and b"IdentitiesOnly=yes" in done.stderr, done


def test_same_time(cast):
    for _ in range(3):      # what tells them apart does so in each round; other work of the machine comes and goes
        times = {name: [] for name in ("unknown user", "wrong key")}
        for _ in range(7):
            for name, spent in times.items():
                spent.append(attempt(cast[name])[1])
        medians = {name: statistics.median(spent) for name, spent in times.items()}
        if max(medians.values()) - min(medians.values()) < 0.05:
            break
    assert max(medians.values()) - min(medians.values()) < 0.05, medians
    assert min(medians.values()) > 0.3, "a refusal takes the floor of time"


def test_wrong_codes_take_the_floor_and_name_nothing(lab, tmp_path):
    """Six digits that were never right, those that opened the enrolment, those that will be right in ten minutes, and no digits at all."""
    least = {}
    for _ in range(3):      # the quickest of each: other work of the machine comes and goes
        seen = wrong_codes(lab, tmp_path)
        assert len({text for text, _ in seen.values()}) == 1, seen
        assert not any(word in text.lower() for text, _ in seen.values() for word in ("wrong", "expired", "used", "code "))
        least = {kind: min(spent, least.get(kind, spent)) for kind, (_, spent) in seen.items()}
        if max(least.values()) - min(least.values()) < 0.15:
            break
    assert max(least.values()) - min(least.values()) < 0.15, least


def wrong_codes(lab, tmp_path):
    """What each kind saw, and how long it took."""
    seen = {}
    for kind in ("never right", "used", "not yet", "no digits"):
        name = f"guess{kind.replace(' ', '')}"
        if name not in lab.state["users"]:
            lab.make_user(name, role="dba")
        secret, step = labkit.read(lab.path("users", name, "totp")).strip(), int(labkit.read(lab.path("users", name, "totp.step")))
        near = {labkit.totp(secret, step + i) for i in range(-40, 41)}
        code = {"never right": next(f"{n:06d}" for n in range(1000) if f"{n:06d}" not in near), "used": labkit.totp(secret, step),
                "not yet": labkit.totp(secret, step + 20), "no digits": "abcdef"}[kind]
        client = Client(lab, name)
        ask = labkit.write(str(tmp_path / "ask"), f"#!/bin/sh\necho {code}\n", 0o755)
        start = time.monotonic()
        done = subprocess.run(client.argv("bastion", "help", options=("-o", "NumberOfPasswordPrompts=1")), env=client.env | {"SSH_ASKPASS": ask},
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        spent = time.monotonic() - start
        assert done.returncode == 255 and spent > 0.3, kind
        seen[kind] = done.stderr.decode().replace(name, "USER").replace(client.folder, "FOLDER"), spent
    return seen
