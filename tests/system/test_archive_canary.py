"""The collector proves that the lock of its bucket holds before it puts anything there, says loudly where it does not, and then puts
nothing."""
import os
import re

import pytest

from harness import Client, labkit, until
from objectstore import Between


def run_with(lab, section):
    """The collector with that archive section; what it said since."""
    log = lab.path("log", "collector")
    start = os.path.getsize(log)
    lab.stop("collector")
    lab.state["collector_options"] = section
    lab.write_configs()
    lab.start("collector")
    return lambda: open(log, errors="replace").read()[start:]


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def put_there(object_store, bucket):
    return [key for key in object_store.client("reader").keys(bucket) if "/canary/" not in key]


@pytest.mark.parametrize("case", ["unlocked", "no right", "rule too short", "no rule", "may not look"])
def test_no_lock_is_an_alarm(own, object_store, case):
    name = f"canary-{case.replace(' ', '-')}"
    if case == "unlocked":
        name = object_store.make_bucket(name, lock=False)
        section, why = object_store.archive_section(name), "a locked object cannot be put"
    elif case == "no right":
        name = object_store.make_bucket(name)
        section, why = object_store.archive_section(name, user="reader"), "a locked object cannot be put: 403 AccessDenied"
    elif case == "rule too short":
        name = object_store.make_bucket(name, days=89, look=True)
        section, why = object_store.archive_section(name, lock="bucket", longest_session=1), "the object that was put is locked: COMPLIANCE until"
    elif case == "no rule":
        name = object_store.make_bucket(name, look=True)
        section, why = object_store.archive_section(name, lock="bucket"), "may not look at what it did|has no lock"
    else:
        name = object_store.make_bucket(name, days=97, user_denied=["GetObjectRetention"])
        section, why = object_store.archive_section(name, lock="bucket"), "may not look at what it did"
    said = run_with(own, section)
    until(lambda: "ALARM" in said(), deadline=30, what="an alarm")
    line = [row for row in said().splitlines() if "ALARM" in row][0]
    assert "the object store does not keep what is put into it" in line and re.search(why, line), line
    # the collector goes on, once the recorder has found it again, and what it takes stays here
    until(lambda: Client(own, "deploy").run("web1.name", "echo in").stdout == b"in\n", deadline=30, pause=0.5, what="a session")
    assert put_there(object_store, name) == []


@pytest.mark.parametrize("lock", ["header", "bucket"])
def test_a_lock_that_holds(own, object_store, lock):
    name = object_store.make_bucket(f"canary-{lock}", days=97 if lock == "bucket" else None, look=lock == "bucket")
    said = run_with(own, object_store.archive_section(name, lock=lock))
    until(lambda: put_there(object_store, name), deadline=30, what="objects")
    assert re.search(r"object store: bucket \S+ at https://\S+: the lock (is there and )?holds", said()) and "ALARM" not in said(), said()
    mode, end = object_store.client("writer").retention(name, put_there(object_store, name)[0])
    assert mode == "COMPLIANCE"


@pytest.mark.alone  # on a busy store one proof would take longer than from one to the next
@pytest.mark.patient
def test_it_is_proven_again_and_again(own, object_store):
    """The bucket's rule is weakened while the collector runs: from the next proof on nothing is put, until it is as it was."""
    name = object_store.make_bucket("canary-daily", days=97, look=True)
    client = Client(own, "deploy")
    said = run_with(own, object_store.archive_section(name, lock="bucket", canary="4s"))
    until(lambda: put_there(object_store, name), deadline=30, what="objects")
    object_store.set_rule(name, 1)
    until(lambda: "ALARM" in said(), deadline=30, what="an alarm")
    assert "the object that was put is locked: COMPLIANCE until" in said()
    # what was on its way is there; what comes now is not
    until(lambda: client.run("web1.name", "true").returncode == 0, what="a session")
    before = put_there(object_store, name)
    client.run("web1.name", "echo later", check=True)
    assert put_there(object_store, name) == before
    object_store.set_rule(name, 97)
    until(lambda: len(put_there(object_store, name)) > len(before), deadline=90, what="it is put after all")


def test_who_may_hide_is_told(own, object_store):
    """The owner's credentials hold the lock as well, but may put delete markers."""
    name = object_store.make_bucket("canary-owner")
    said = run_with(own, object_store.archive_section(name, user="owner"))
    until(lambda: "the lock is there and holds" in said() or "the lock holds" in said(), deadline=30, what="a proof")
    assert "take s3:DeleteObject from them" in said()


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_tls_is_verified(own, object_store, wrong, tmp_path):
    name = object_store.make_bucket(f"canary-tls-{wrong}")
    # the certificate is for 127.0.0.1
    between = Between(object_store.port("https"), address="127.0.0.2")
    if wrong == "authority":
        labkit.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=another",
                   "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.pem"))
        section = object_store.archive_section(name, ca_file=str(tmp_path / "ca.pem"))
    else:
        section = object_store.archive_section(name, endpoint=f"https://127.0.0.2:{between.port}")
    said = run_with(own, section)
    until(lambda: "is tried again" in said(), deadline=30, what="a refusal")
    between.close()
    line = [row for row in said().splitlines() if "is tried again" in row][0]
    assert re.search(r"certificate", line), line
    assert object_store.client("reader").keys(name) == []


@pytest.mark.parametrize("line, right", [("endpoint = \"http://s3.example.com\"", "https://"), ("bucket = \"a b\"", "letters, digits"),
                                         ("prefix = \"../c1\"", "letters, digits"), ("retention = 0", "1 to 36500"), ("lock = \"none\"", "\"header\" nor \"bucket\""),
                                         ("spool_max = \"much\"", "MiB"), ("canary = \"never\"", "duration"), ("credentials = \"relative\"", "whole path"),
                                         ("prefix = \"\"", "letters"), ("nonsense = 1", "")])
def test_wrong_lines(own, object_store, tmp_path, line, right):
    section = object_store.archive_section("evidence")
    section.insert(-1, "\t" + line)
    path = tmp_path / "collectord.conf"
    own.state["collector_options"] = []
    own.write_configs()
    path.write_text(labkit.read(own.path("collectord.conf")) + "\n".join(section) + "\n")
    with pytest.raises(labkit.LabError) as said:
        labkit.run(own.bin("bastion-collectord"), "-t", "-f", str(path))
    assert re.search(r"collectord\.conf:\d+: ", str(said.value)) and right in str(said.value), str(said.value)


def test_secrets_are_read_by_their_owner_alone(own, object_store, tmp_path):
    section = object_store.archive_section("evidence", credentials=str(tmp_path / "credentials"))
    path = tmp_path / "collectord.conf"
    path.write_text(labkit.read(own.path("collectord.conf")) + "\n".join(section) + "\n")
    for text, mode, wrong in (("", 0o600, "aws_access_key_id is missing"), ("aws_access_key_id = a\naws_secret_access_key = b\n", 0o644, "chmod 600"),
                              ("aws_access_key_id = a\naws_secret_access_key = b\n", 0o600, None)):
        labkit.write(str(tmp_path / "credentials"), text, mode)
        if wrong is None:
            assert "ok" in labkit.run(own.bin("bastion-collectord"), "-t", "-f", str(path))
        else:
            with pytest.raises(labkit.LabError) as said:
                labkit.run(own.bin("bastion-collectord"), "-t", "-f", str(path))
            assert wrong in str(said.value)
