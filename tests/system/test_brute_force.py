"""Who guesses is kept out, and listed, and released; whom a stranger guesses at logs in all the while."""
import json
import os

import pytest

from harness import Client, events, labkit, until

GUESSER = ("-o", "BindAddress=127.0.0.66")


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=['penalty_exempt = { "127.0.0.1" }', 'penalty_auth = "0s"', 'penalty_noauth = "0s"', "block_names = 5"])


def stranger(lab, name):
    folder = lab.path("users", name)
    os.makedirs(folder, exist_ok=True)
    labkit.keygen(f"{folder}/key")
    labkit.write(f"{folder}/totp", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
    return Client(lab, name, key=f"{folder}/key")


def test_many_names_block_a_source_and_nobody_else(own):
    alice = Client(own, "alice", options=())
    for i in range(5):
        stranger(own, f"guess{i}").run("bastion", "hosts", options=GUESSER)
    block = until(lambda: events(own, "source.block"), 20, what="the event of the block")
    assert json.loads(block[0]["detail"])["network"] == "127.0.0.66/32"
    done = alice.run("bastion", "hosts", options=GUESSER)
    assert done.returncode == 255, done
    assert alice.run("bastion", "hosts").returncode == 0, "from elsewhere"
    assert "127.0.0.66/32" in own.ctl("blocks") and "tried many names" in own.ctl("blocks")
    own.ctl("unblock", "127.0.0.66", "--reason", "a test")
    assert own.ctl_json("blocks")["rows"] == []
    assert alice.run("bastion", "hosts", options=GUESSER).returncode == 0


def test_a_stranger_beside_a_user_does_not_lock_her_out(own):
    neighbour = ("-o", "BindAddress=127.0.0.67")
    alice = Client(own, "alice", options=())
    guesser = Client(own, "alice", key=stranger(own, "other0").key)
    for _ in range(4):
        assert guesser.run("bastion", "hosts", options=neighbour).returncode == 255
    assert alice.run("bastion", "hosts", options=neighbour).returncode == 0, "from the same place, with the right key"
    before = len(events(own, "source.block"))
    for i in range(1, 13):
        stranger(own, f"other{i}").run("bastion", "hosts", options=neighbour)
    block = until(lambda: events(own, "source.block")[before:], 20, what="the event")
    assert json.loads(block[0]["detail"])["network"] == "127.0.0.67/32" and json.loads(block[0]["detail"])["rationed"] is True
    assert "rationed" in own.ctl("blocks")
    until(lambda: alice.run("bastion", "hosts", options=neighbour).returncode == 0, 20, what="a login within the ration")
    assert len(events(own, "source.block")) == before + 1
    own.ctl("unblock", "127.0.0.67", "--reason", "a test")


def test_penalties_are_listed_too(own):
    own.state["options"] = ['penalty_exempt = { "127.0.0.1" }', 'penalty_auth = "1m"', "block_names = 0"]
    own.write_configs()
    own.stop("bastiond")
    own.start("bastiond")
    client = Client(own, "alice")
    answer = labkit.write(f"{client.folder}/answer", "#!/bin/sh\necho 000000\n", 0o755)
    assert client.run("bastion", "hosts", options=GUESSER, env={"SSH_ASKPASS": answer}).returncode == 255
    until(lambda: [row["network"] for row in own.ctl_json("blocks")["rows"]] == ["127.0.0.66/32"], 20, what="the penalty is listed")
    own.ctl("unblock", "127.0.0.0/8")
    assert client.run("bastion", "hosts", options=GUESSER).returncode == 0
