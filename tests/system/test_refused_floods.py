"""A user who asks without end for what is refused: bounded events, a line that says so, a count of what was left out."""
import json
import os
import struct
import threading
import time

import pytest

from harness import Client, events, labkit, until

BURST = 100         # REFUSALS_BURST of approvals/refusals.h
PACE = "too many requests at once"  # what is asked faster than BUCKET_BURST and BUCKET_RATE of policy_link.h is not looked at


def flood(lab, uid, word, count, **args):
    """Sends the same word so many times over one control connection; the last error of a word that was looked at, the codes by number, "pace" for the
    others, and the seconds it took."""
    control = labkit.Control(lab.state["run_dir"] + "/control.sock", uid)
    body = json.dumps({"word": word, "args": args}).encode()
    codes, error = {}, ""
    start = time.monotonic()
    for _ in range(count):
        control.sock.sendall(struct.pack("=HHI", control.request_type, 0, 1) + body)
        reply = json.loads(control.sock.recv(1 << 17)[9:])
        code = "pace" if PACE in reply.get("error", "") else reply.get("code", "ok")
        codes[code] = codes.get(code, 0) + 1
        error = error if code == "pace" else reply.get("error", "")
    control.close()
    return error, codes, time.monotonic() - start


@pytest.mark.parametrize("word,args,code", [("revoke", {"id": 999999}, "not_found"), ("user list", {}, "denied"), ("no such word", {}, "usage")])
def test_words_over_the_socket(lab, engineer, word, args, code):
    user = engineer(grant=False)
    size, before = os.path.getsize(lab.path("state", "db", "policy.db")), len(events(lab, user=user.user))
    error, codes, spent = flood(lab, lab.state["users"][user.user], word, 10_000, **args)
    # a token comes back every 5 s, so a slow machine sees a few more
    assert codes[code] <= BURST + spent / 5 + 1 and codes["refused"] >= 100 and codes["refused"] + codes["pace"] == 10_000 - codes[code]
    assert "Too many of your words" in error
    assert len(events(lab, user=user.user)) - before <= BURST + spent / 5 + 1
    assert os.path.getsize(lab.path("state", "db", "policy.db")) - size < 1 << 20
    # others notice nothing
    assert lab.ask("hosts", as_uid=lab.state["users"]["alice"])["rows"]


def test_what_was_left_out_is_an_event(new_lab):
    """At the latest when the daemon ends."""
    lab = new_lab()
    _, codes, _ = flood(lab, lab.state["users"]["alice"], "revoke", 1000, id=999999)
    lab.stop("bastiond")
    lab.start("bastiond")
    row, = until(lambda: events(lab, "refusals.left-out"), what="the event")
    kept = len(events(lab, "word.refused", user="alice"))
    assert row["actor"] == "alice" and json.loads(row["detail"])["left_out"] + kept == 1000 - codes.get("pace", 0)


def test_words_over_ssh(lab, engineer):
    """A script of refused words on one connection: told, and it ends."""
    user = engineer(grant=False)
    before = len(events(lab, user=user.user))
    done = user.run("bastion", stdin=b"revoke 999999\n" * 2000 + b"no-such-word\n" * 2000)
    assert done.returncode == 4
    assert b"Too many of your words were refused" in done.stderr or PACE.encode() in done.stderr
    assert len(events(lab, user=user.user)) - before < 2 * BURST


def test_ways(lab, engineer):
    """Refused ways to hosts are bounded, too: past the bound they keep their line, and are counted only."""
    user = engineer(grant=False)
    client = Client(lab, user.user, options=("ControlMaster=auto", f"ControlPath={user.folder}/mux-%C", "ControlPersist=60"))
    client.run("bastion", "hosts", check=True)
    for _ in range(5):
        assert b"request web1" in client.run("web1.jump", "true", options=("-o", "ControlPath=none")).stderr
    assert len(events(lab, "way.refused", user=user.user)) == 5
    uid = lab.state["users"][user.user]
    flood(lab, uid, "revoke", 2 * BURST, id=999999)
    # what comes back with time, the flood takes
    over = threading.Event()

    def go_on():
        while not over.wait(0.05):
            flood(lab, uid, "revoke", 20, id=999999)
    flooding = threading.Thread(target=go_on)
    flooding.start()
    try:
        assert b"request web1" in client.run("web1.jump", "true", options=("-o", "ControlPath=none")).stderr
    finally:
        over.set()
        flooding.join()
    assert len(events(lab, "way.refused", user=user.user)) == 5
    client.run("bastion", options=("-O", "exit"))
