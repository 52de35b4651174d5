"""What recordings of sessions say of themselves is held against the events that name them."""
import json
import os
import shutil

import pytest

from harness import Client, copy_of_store, recordings, replay, until


@pytest.fixture(scope="module")
def own(new_lab):
    lab = new_lab()
    client = Client(lab, "deploy")
    for way in ("name", "jump"):
        assert client.run(f"web1.{way}", "echo in").stdout == b"in\n"

    def arrived():
        _, rows, _ = events(lab)
        return [row["kind"] for row in rows].count("way.down") == 2
    until(arrived, deadline=20, pause=0.3, what="the ends of both ways in a recording of events")
    return lab


def events(lab, store=None, *more):
    done = replay(lab, "events", "--json", *more, check=False, store=store)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_each_is_held_against_its_event(own):
    status, rows, said = events(own)
    ups = [row for row in rows if row["kind"] == "way.up"]
    assert status == 0, said
    assert "recordings of sessions: 2 held against the event that names them\n" in said
    sessions = {os.path.basename(path) for path in recordings(own, "deploy")}
    assert {row["detail"]["recording"] for row in ups} == sessions
    assert all(len(row["detail"]["metadata"]) == 64 for row in ups)


def test_one_that_was_taken_away_is_named(own, tmp_path):
    store = copy_of_store(own, tmp_path / "store")
    gone = recordings(own, "deploy")[0]
    shutil.rmtree(os.path.join(store, os.path.relpath(gone, own.path("store"))))
    status, _, said = events(own, store)
    assert status == 1 and f"recording {os.path.basename(gone)}: event " in said and "says that it was written, and it is neither here" in said
    # nor does it help to take the log away with it, or to make it anew: the events are the bastion's
    shutil.rmtree(os.path.join(store, "log"))
    assert events(own, store)[0] == 1
    status, _, said = events(own, store, "--also", own.path("store"))
    assert status == 0, said
