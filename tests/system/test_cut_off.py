"""A transfer that is ended from outside, whatever ends it: its recording closes with the sizes and digests of what had moved."""
import hashlib
import json
import os
import signal

import pytest

from harness import Client, recording_of, replay
from test_ends import lasting

SIZE = 2 << 20


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=["hold_deadline = 10s"])


def session_of(lab, user):
    return str([row["id"] for row in lab.ask("sessions")["rows"] if row["user"] == user.user][0])


def stop_collector(lab, user, process):
    """It hangs until the session is over; then it takes what the bastion kept for it."""
    pid = lab.state["pids"]["collector"][0]
    os.kill(pid, signal.SIGSTOP)
    try:
        process.stdout.read()
    finally:
        os.kill(pid, signal.SIGCONT)


CAUSES = {
    "revoke": lambda lab, user, process: lab.ctl("revoke", user.grant, uid=lab.state["users"]["bob"]),
    "lock": lambda lab, user, process: lab.ctl("user", "lock", user.user, "--reason", "stolen"),
    "kill": lambda lab, user, process: lab.ctl("kill", session_of(lab, user), "--reason", "enough"),
    "expiry": lambda lab, user, process: None,
    "the client is gone": lambda lab, user, process: process.kill(),
    "the collector does not answer": stop_collector,
}


def pour(client):
    """What comes after SIZE waits in windows and holds for a client that reads no more; a pace that leaves the processor to others."""
    process = client.start("web1.name", "while head -c 100000 /dev/zero; do sleep 0.02; done")
    assert len(process.stdout.read(SIZE)) == SIZE
    return process


def poured_once(lab):
    with pour(Client(lab, "deploy")) as process:
        process.kill()


@pytest.mark.parametrize("cause", CAUSES)
def test_final_digests(own, engineer, cause):
    user = engineer(where=own, span=lasting(6, lambda: poured_once(own)) if cause == "expiry" else 3600)
    with pour(user) as process:
        CAUSES[cause](own, user, process)
        process.stdout.read()
        assert process.wait(30) != 0
    rows = [json.loads(line) for line in replay(own, "export", "--json", recording_of(own, user.user)).stdout.splitlines()]
    close, = [row["data"] for row in rows if row.get("kind") == "close"]
    final = {row["data"]["dir"]: row["data"] for row in rows if row.get("kind") == "digest" and row["data"]["final"]}
    assert final["in"]["bytes"] == close["in"] == 0
    assert final["out"]["bytes"] == close["out"] >= SIZE + close["held_out"]
    assert final["out"]["sha256"] == hashlib.sha256(bytes(final["out"]["bytes"])).hexdigest()
