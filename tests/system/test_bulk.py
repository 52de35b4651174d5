"""Transfers by exec while the collector does not answer: what was kept whole never goes on before its frame is durable, and past content_limit
no more goes on than the digests allow."""
import hashlib
import json
import os
import signal
import subprocess

import pytest

from harness import recording_of, replay, until
from test_reload import reload, set_option
from test_sftp_recorded import STEPS, WINDOWS, raw, standing

LARGE = 48 << 20


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=["content_limit = 1MiB"])


def rows(lab, recording, whole=True):
    return [json.loads(line) for line in replay(lab, "export", "--json", recording, check=whole).stdout.splitlines()]


@pytest.fixture
def large(own):
    path = own.path("target", "home", "dba", "large")
    with open(path, "wb") as f:
        f.truncate(LARGE)
    yield path
    os.unlink(path)


@pytest.mark.parametrize("what", ["in", "out"])
def test_past_the_limit_a_stalled_collector_stops_it(own, engineer, tmp_path, large, what):
    user = engineer(where=own)
    copy = own.path("target", "home", "dba", "copy") if what == "in" else str(tmp_path / "copy")
    command = f"cat >{copy}" if what == "in" else f"cat {large}"
    collector = own.state["pids"]["collector"][0]
    with open(large if what == "in" else os.devnull, "rb") as source, open(os.devnull if what == "in" else copy, "wb") as sink, \
            user.start("web1.name", command, stdin=source, stdout=sink) as client:
        with standing(copy, collector, 12 << 20) as stopped:
            assert stopped <= os.path.getsize(copy) <= stopped + STEPS + WINDOWS < LARGE
        assert client.wait(60) == 0
    assert os.path.getsize(copy) == LARGE
    digest, = [row["data"] for row in rows(own, recording_of(own, user.user))
              if row["kind"] == "digest" and row["data"]["final"] and row["data"]["dir"] == what]
    with open(large, "rb") as f:
        assert (digest["bytes"], digest["sha256"]) == (LARGE, hashlib.sha256(f.read()).hexdigest())
    os.unlink(copy)


def test_what_is_kept_whole_is_recorded_before_it_moves(own, engineer, large):
    """To the byte: the collector is killed in the middle, and what the target has by then is in what the collector had on its disk."""
    set_option(own, "content_limit = 1MiB", "content_limit = 1024GiB")
    reload(own)
    user = engineer(where=own)
    copy = own.path("target", "home", "dba", "copy")
    with open(large, "rb") as source, user.start("web1.name", f"cat >{copy}", stdin=source, stdout=subprocess.DEVNULL) as client:
        with standing(copy, own.state["pids"]["collector"][0], 8 << 20, signal.SIGKILL):
            own.stop("collector")
        recording = recording_of(own, user.user, closed=False)
        own.stop("bastiond", deadline=None)
        client.wait(60)
    own.start("collector")
    moved = os.path.getsize(copy)
    recorded = sum(len(raw(row["data"])) for row in rows(own, recording, whole=False) if row["kind"] == "in")
    assert 8 << 20 <= moved <= recorded < LARGE, (moved, recorded)
