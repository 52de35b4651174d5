"""kill -9 of the archiver, or of the whole collector, at every step of an upload: nothing is lost, and whatever was put twice is the
same twice."""
import collections
import os
import signal
import threading

import pytest

from harness import Client, labkit, until
from objectstore import Between
from test_archive import closed, confirmed, log_size

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)

ROUNDS = int(os.environ.get("ARCHIVE_ROUNDS", "1"))      # times that each step is hit


def archiver(collector):
    """Pid of the archiver below the collector, as the kernel has it now; None."""
    def children(pid):
        try:
            return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]
        except OSError:
            return []
    for supervisor in children(collector):
        if b"-R\0archive" in open(f"/proc/{supervisor}/cmdline", "rb").read():
            return next(iter(children(supervisor)), None)
    return None


class Killer:
    """Kills at the next step of its plan that a put of evidence reaches."""

    def __init__(self, lab, whole):
        self.lab, self.whole = lab, whole
        self.plan = collections.deque(Between.STEPS * ROUNDS)
        self.lock = threading.Lock()
        self.down = threading.Event()
        self.kills = 0

    def step(self, line, step):
        with self.lock:
            if not self.plan or self.down.is_set() or step != self.plan[0] or "/canary/" in line or "collector" not in self.lab.state["pids"]:
                return False
            collector = self.lab.state["pids"]["collector"][0]
            victim = collector if self.whole else archiver(collector)
            if victim is None:
                return False
            os.kill(victim, signal.SIGKILL)
            self.plan.popleft()
            self.kills += 1
            if self.whole:
                self.down.set()
            return True


@pytest.mark.parametrize("whole", [False, True], ids=["archiver", "collector"])
def test_killed_at_every_step(new_lab, object_store, whole):
    bucket = object_store.make_bucket(f"kill-{int(whole)}")
    lab = new_lab()
    client = Client(lab, "deploy")
    for n in range(2):
        client.run("web1.name", f"echo session {n}; head -c 1500000 /dev/urandom | base64", check=True)
    until(lambda: len(closed(lab)) >= 2, what="recordings closed")
    killer = Killer(lab, whole)
    between = Between(object_store.port(), killer.step)
    lab.stop("collector")
    lab.state["collector_options"] = object_store.archive_section(bucket, port=between.port)
    lab.write_configs()
    lab.start("collector")

    def on():
        if killer.down.is_set():
            lab.stop("collector")
            lab.start("collector")
            killer.down.clear()
        return not killer.plan and all(confirmed(path) for path in closed(lab))
    # where everything is put before the plan is done there is more
    end = 0
    while not until(lambda: on() or all(confirmed(path) for path in closed(lab)), deadline=60, what="all is put", paced=False) or killer.plan:
        end += 1
        assert end < 20
        client.run("web1.name", f"echo more {end}")
        until(lambda: on() or any(not confirmed(path) for path in closed(lab)), deadline=30, what="something new", paced=False)
    until(on, deadline=60, what="all is put", paced=False)
    until(lambda: on() and f"c1/log/checkpoint.{log_size(lab)}" in object_store.client("reader").keys(bucket), deadline=60, what="the log is put", paced=False)
    between.close()
    assert killer.kills == len(Between.STEPS) * ROUNDS
    check(lab, object_store, bucket)


def check(lab, object_store, bucket):
    reader = object_store.client("reader")
    versions = collections.defaultdict(list)
    for one in reader.versions(bucket):
        if "/canary/" not in one["key"]:
            versions[one["key"]].append(reader.get(bucket, one["key"], one["version"]))
    assert any(len(found) > 1 for found in versions.values())
    for key, found in versions.items():
        assert len(set(found)) == 1, f"{key} was put with different bytes"
    for path in closed(lab):
        top = "c1/recordings/" + "/".join(path.split("/")[-2:])
        for name in os.listdir(path):
            if name.endswith(".brec"):
                assert versions[f"{top}/{name}"][0] == open(os.path.join(path, name), "rb").read()
        receipts = b"".join(versions[key][0] for key in sorted(versions) if key.startswith(f"{top}/receipts."))
        assert receipts == open(os.path.join(path, "receipts"), "rb").read()
    assert labkit.read(lab.path("store", "log", "checkpoint")).encode() == versions[f"c1/log/checkpoint.{log_size(lab)}"][0]
