"""What is sealed goes into an object store with Object Lock: the same bytes, locked in COMPLIANCE mode, and nobody takes it away, not
even the bucket's owner. A copy of the bucket is a store that verifies."""
import json
import os
import time

import pytest

from harness import Client, labkit, recordings, replay, until
from objectstore import StoreError

DAY = 86400
HOUR = 3600     # that each lock is longer


@pytest.fixture(scope="module")
def archived(new_lab, object_store):
    """A lab whose collector archives, after three sessions; its bucket."""
    bucket = object_store.make_bucket("evidence")
    lab = new_lab(collector_options=object_store.archive_section(bucket))
    client = Client(lab, "deploy")
    for n in range(3):
        client.run("web1.name", f"echo session {n}", check=True)
    until(lambda: len(closed(lab)) >= 3, what="recordings closed")
    until(lambda: all(confirmed(path) for path in closed(lab)), deadline=60, what="all recordings confirmed")
    # the log follows within seconds
    until(lambda: f"c1/log/checkpoint.{log_size(lab)}" in object_store.client("reader").keys(bucket, "c1/log/"), deadline=40, what="the log's checkpoint")
    return lab, bucket


def log_size(lab):
    return int(labkit.read(lab.path("store", "log", "checkpoint")).splitlines()[1])


def closed(lab):
    rows = [json.loads(line) for line in replay(lab, "verify", "--all", "--json", check=False).stdout.splitlines()]
    return [path for path in recordings(lab, "deploy") if any(row.get("closed") and row["id"] in path for row in rows)]


def confirmed(path):
    """The names that the list of a recording's directory has, if it says that the recording is closed and has all."""
    try:
        lines = [line.split() for line in labkit.read(os.path.join(path, "archived")).splitlines()]
    except FileNotFoundError:
        return None
    names = {words[1] for words in lines if words[0] in ("put", "held")}
    segments = {name for name in os.listdir(path) if name.endswith(".brec")}
    return names if any(words[0] == "closed" for words in lines) and segments < names else None


def test_same_bytes(archived, object_store):
    lab, bucket = archived
    reader = object_store.client("reader")
    for path in closed(lab):
        top = "c1/recordings/" + "/".join(path.split("/")[-2:])
        receipts = b""
        for name in sorted(confirmed(path)):
            data = reader.get(bucket, f"{top}/{name}")
            if name.startswith("receipts."):
                receipts += data
            else:
                assert data == open(os.path.join(path, name), "rb").read(), name
        assert receipts and receipts == open(os.path.join(path, "receipts"), "rb").read()
    # nothing was put twice but the canary, where that was tried, and nothing else is there
    keys = [one["key"] for one in reader.versions(bucket)]
    assert [key for key in sorted(set(keys)) if keys.count(key) != 1 and not key.startswith("c1/canary/")] == []
    assert {key.split("/")[1] for key in keys} == {"recordings", "log", "canary"} and all(key.startswith("c1/") for key in keys)


def test_locked_for_90_days_from_close(archived, object_store):
    lab, bucket = archived
    writer = object_store.client("writer")
    for one in object_store.client("reader").versions(bucket, "c1/recordings/"):
        mode, end = writer.retention(bucket, one["key"], one["version"])
        assert mode == "COMPLIANCE"
        # what was put when its session might have gone on is locked for the longest session more
        assert 90 * DAY - 600 <= end - time.time() <= 97 * DAY + HOUR + 1


def test_the_bucket_verifies(archived, object_store, tmp_path):
    """What the collector put, judged where it lies, with keys that can only read. A recording that is being made is there up to its last seal."""
    lab, bucket = archived
    keys = object_store.write_credentials(str(tmp_path / "keys"), "reader")
    url = f"https://127.0.0.1:{object_store.port('https')}/{bucket}/c1"
    done = replay(lab, "verify", "--all", "--json", "--credentials", keys, "--ca", object_store.path("ca.pem"), store=url, check=False)
    rows = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}
    for path in closed(lab):
        row = rows[os.path.basename(path)]
        assert row["verdict"] == "complete" and row["log"] == "whole" and row["receipt_seq"] == row["last_seq"] and row["dir"].startswith(url), row
    assert {row["verdict"] for row in rows.values()} <= {"complete", "cut"} and b"ALARM" not in done.stderr, done


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_nobody_takes_it_away(archived, object_store, who):
    lab, bucket = archived
    client, reader = object_store.client(who), object_store.client("reader")
    before = reader.versions(bucket, "c1/")
    tried = [one for one in before if "/recordings/" in one["key"] or "/log/" in one["key"]]
    assert len(tried) >= 10
    for one in tried:
        path, version = f"/{bucket}/{one['key']}", {"versionId": one["version"]}
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))

        def retention(mode):
            return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{soon}</RetainUntilDate></Retention>".encode()
        for words in (("DELETE", path, version), ("PUT", path, {"retention": "", **version}, retention("COMPLIANCE")),
                      ("PUT", path, {"retention": "", **version}, retention("GOVERNANCE")),
                      ("DELETE", path, version, b"", {"x-amz-bypass-governance-retention": "true"})):
            with pytest.raises(StoreError) as refused:
                client.ask(*words)
            assert refused.value.status == 403, words
    # other bytes under the same name stand beside the first, which a reader still finds
    one = tried[0]
    data = reader.get(bucket, one["key"], one["version"])
    other = client.put(bucket, one["key"], b"other bytes")
    assert other != one["version"]
    assert reader.get(bucket, one["key"], one["version"]) == data
    after = reader.versions(bucket, "c1/")
    assert [v for v in after if v["version"] != other] == before


def test_a_copy_of_the_bucket_verifies(archived, object_store, tmp_path):
    lab, bucket = archived
    copy = str(tmp_path / "copy")
    object_store.fetch(bucket, "c1", copy)
    rows = {row["id"]: row for row in map(json.loads, replay(lab, "verify", "--all", "--json", store=copy, check=False).stdout.splitlines()) if "id" in row}
    for path in closed(lab):
        row = rows[os.path.basename(path)]
        assert row["verdict"] == "complete" and row["receipt_seq"] == row["last_seq"], row
