"""The object store is away: the collector goes on, nothing leaves its disk, and it catches up. What waits has a bound, at which no new
recordings are taken, and an alarm."""
import json
import os

import pytest

from harness import Client, labkit, replay, until
from objectstore import Between
from test_archive import closed, confirmed, log_size

pytestmark = pytest.mark.chained

MIB = 1 << 20


@pytest.fixture(scope="module")
def away(new_lab, object_store):
    """A lab, its bucket, and what stands between: .close() and the store is away."""
    bucket = object_store.make_bucket("away")
    between = Between(object_store.port(), lambda line, step: False)
    lab = new_lab(options=["content_limit = 64MiB"], collector_options=object_store.archive_section(bucket, port=between.port, spool_max="4MiB"))
    until(lambda: object_store.client("reader").keys(bucket), deadline=30, what="a proof")
    return lab, bucket, between


def said(lab):
    return open(lab.path("log", "collector"), errors="replace").read()


def test_away_and_back(away, object_store):
    lab, bucket, between = away
    client = Client(lab, "deploy")
    assert client.run("web1.name", "echo before").stdout == b"before\n"
    until(lambda: any(confirmed(path) for path in closed(lab)), deadline=30, what="the first recording is put")
    port = between.port
    between.refuse()
    for n in range(3):
        assert client.run("web1.name", f"echo while away {n}").stdout == f"while away {n}\n".encode()
    until(lambda: "What it has not confirmed stays here" in said(lab), deadline=30, what="it says so")
    waiting = [path for path in closed(lab) if not confirmed(path)]
    until(lambda: len(closed(lab)) >= 4, what="recordings closed")
    assert waiting and all(os.listdir(path) for path in waiting)
    # up to the bound, and an alarm there
    assert client.run("web1.name", f"head -c {6 * MIB} /dev/urandom").returncode == 0
    until(lambda: "ALARM: the object store has not confirmed" in said(lab), deadline=30, what="an alarm")
    assert "half of spool_max" in said(lab)
    refused = until(lambda: (lambda done: done if done.returncode != 0 else None)(client.run("web1.name", "echo in")), deadline=60, pause=0.5, what="refused")
    assert b"in\n" not in refused.stdout
    # a collector that starts anew knows what it has to do
    lab.stop("collector")
    lab.start("collector")
    until(lambda: said(lab).count("ALARM: the object store has not confirmed") == 2, deadline=30, what="the same alarm")
    between.accept_again()
    assert between.port == port
    until(lambda: client.run("web1.name", "echo in").stdout == b"in\n", deadline=90, pause=0.5, what="new recordings again")
    until(lambda: all(confirmed(path) for path in closed(lab)), deadline=90, what="all is put")
    for text in ("the object store takes objects again", "the object store has confirmed enough: new recordings are taken"):
        until(lambda: text in said(lab), deadline=15, what=text)
    until(lambda: f"c1/log/checkpoint.{log_size(lab)}" in object_store.client("reader").keys(bucket), deadline=60, what="the log is put")
    rows = [json.loads(line) for line in replay(lab, "verify", "--all", "--json", check=False).stdout.splitlines()]
    assert {row["verdict"] for row in rows if row.get("closed")} == {"complete"}


def test_a_hold_goes_with_all_objects(away, object_store):
    """Of what is put later, and of what was put before it was set."""
    lab, bucket, between = away
    client = Client(lab, "deploy")
    with client.start("web1.name", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        running = [path for path in recordings_of(lab) if path not in closed(lab)]
        before = until(lambda: [path for path in closed(lab) if confirmed(path)], deadline=30, what="one that is put")[0]
        for path in [before, *running]:
            said_by = labkit.run(lab.bin("bastion-collectord"), "-f", lab.path("collectord.conf"), "-H", os.path.basename(path), "-m", "a case")
            assert "on hold" in said_by
        process.stdin.close()
        process.wait()
    path = until(lambda: [p for p in running if p in closed(lab) and confirmed(p)], deadline=60, what="it is put")[0]
    writer, reader = object_store.client("writer"), object_store.client("reader")

    def key(of, name="00000000.brec"):
        return "c1/recordings/" + "/".join(of.split("/")[-2:]) + "/" + name
    assert writer.hold(bucket, key(path)) == "ON"
    until(lambda: writer.hold(bucket, key(before)) == "ON" and writer.hold(bucket, key(before, "receipts.00000000")) == "ON", deadline=30,
          what="the second version is held")
    versions = reader.versions(bucket, key(before))
    assert len(versions) == 2 and len({reader.get(bucket, one["key"], one["version"]) for one in versions}) == 1
    others = [p for p in closed(lab) if p not in (before, *running) and confirmed(p)]
    assert writer.hold(bucket, key(others[0])) != "ON"


def recordings_of(lab):
    top = lab.path("store", "recordings")
    return [os.path.join(top, day, name) for day in os.listdir(top) for name in os.listdir(os.path.join(top, day))]


def test_credentials_change_without_a_restart(away, object_store, tmp_path):
    lab, bucket, between = away
    path = object_store.credentials(bucket)
    before, mark = labkit.read(path), len(said(lab))
    try:
        labkit.write(path, before.replace("WRITER", "NOBODY"), 0o600)
        hup(lab)
        # the archiver may be faster than the collector's own word of the reload
        until(lambda: any(word in said(lab)[mark:] for word in ("InvalidAccessKeyId", "403")), deadline=30, what="the wrong ones are tried")
    finally:
        labkit.write(path, before, 0o600)
    hup(lab)
    client = Client(lab, "deploy")
    until(lambda: client.run("web1.name", "echo in").stdout == b"in\n", deadline=60, pause=0.5, what="a session")
    until(lambda: all(confirmed(path) for path in closed(lab)), deadline=90, what="all is put")


THERE = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n"     # the store of the other tests does not look at If-None-Match


def test_somebody_else_was_first(away, object_store):
    """No answer was lost, and an object is there already: an alarm, and ours is put beside it."""
    lab, bucket, between = away
    client, seen, mark = Client(lab, "deploy"), set(), len(said(lab))

    def step(line, step):
        first = step == "come" and "/recordings/" in line and line.split()[1] not in seen
        seen.add(line.split()[1])
        return THERE if first else False
    assert "somebody else has put it" not in said(lab)
    between.step = step
    try:
        client.run("web1.name", "echo mine", check=True)
        until(lambda: all(confirmed(path) for path in closed(lab)), deadline=90, what="all is put")
    finally:
        between.step = lambda line, step: False
    # it may have been said again: an alarm for each minute in which there were more
    said_of = [line.partition("ALARM: object store: ")[2] for line in said(lab)[mark:].splitlines() if "ALARM" in line]
    assert said_of and all(what.startswith("c1/recordings/") and "and no answer was lost: somebody else has put it" in what for what in said_of), said_of


def test_another_log_under_the_prefix(away, object_store):
    """Of a log of which nothing was put something is there: nothing is put beside it."""
    lab, _, between = away
    bucket = object_store.make_bucket(f"another-{os.getpid()}")
    lab.stop("collector")
    for path in lab.path("store", "log"), *recordings_of(lab):
        if os.path.exists(os.path.join(path, "archived")):
            os.unlink(os.path.join(path, "archived"))
    before, mark = lab.state["collector_options"], len(said(lab))
    lab.state["collector_options"] = object_store.archive_section(bucket, port=between.port)
    lab.write_configs()
    between.step = lambda line, step: THERE if step == "come" and "/log/checkpoint.0 " in line else False
    lab.start("collector")
    until(lambda: "ALARM: another log of recordings is in the bucket" in said(lab)[mark:], deadline=60, what="an alarm")
    assert "give archive another prefix" in said(lab)
    # nor of the recordings, of which none was put there
    assert not [key for key in object_store.client("reader").keys(bucket) if not key.startswith("c1/canary/")]
    between.step = lambda line, step: False
    # at another place it goes on from the first leaf
    lab.stop("collector")
    lab.state["collector_options"] = before
    lab.write_configs()
    lab.start("collector")
    until(lambda: f"put checkpoint {log_size(lab)} " in labkit.read(lab.path("store", "log", "archived")), deadline=60, what="the log is put")


def hup(lab):
    os.kill(lab.state["pids"]["collector"][0], 1)
