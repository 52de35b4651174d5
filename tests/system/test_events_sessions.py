"""What recordings of sessions say of themselves is held against the events that name them."""
import json
import os
import shutil

import pytest

from harness import Client, recordings, replay, until


@pytest.fixture(scope="module")
def own(new_lab):
    lab = new_lab()
    client = Client(lab, "deploy")
    for way in ("name", "jump"):
        assert client.run(f"web1.{way}", "echo in").stdout == b"in\n"
    return lab


def events(lab, store=None):
    done = replay(lab, "events", "--json", check=False, store=store)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_each_is_held_against_its_event(own):
    def all_named():
        status, rows, said = events(own)
        ups = [row for row in rows if row["kind"] == "way.up"]
        return (status, ups, said) if len(ups) == 2 else None
    status, ups, said = until(all_named, deadline=20, pause=0.3, what="both ways in a recording of events")
    assert status == 0, said
    assert "recordings of sessions: 2 held against the event that names them\n" in said
    sessions = {os.path.basename(path) for path in recordings(own, "deploy")}
    assert {row["detail"]["recording"] for row in ups} == sessions
    assert all(len(row["detail"]["metadata"]) == 64 for row in ups)


def test_one_that_was_taken_away_is_named(own, tmp_path):
    store = str(tmp_path / "store")
    shutil.copytree(own.path("store"), store, ignore=shutil.ignore_patterns("journal"))
    gone = recordings(own, "deploy")[0]
    shutil.rmtree(os.path.join(store, os.path.relpath(gone, own.path("store"))))
    status, _, said = events(own, store)
    assert f"names recording {os.path.basename(gone)}, which this store does not have" in said
    assert status == 0, "that it is missing is what verify --all says, by the log of this store"
