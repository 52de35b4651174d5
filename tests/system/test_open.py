"""A recording that is being made is `open`: a warning, for as long as the log and the bastion's signature bear it out; never one that was cut.
The bounds themselves, and cuts behind receipt and seal, are in test_brec_verify.c."""
import glob
import json
import os
import subprocess
import sys
import sysconfig
import time

import pytest

from harness import Client, copy_of_store, labkit, recording_of, until

sys.path.insert(0, os.path.dirname(labkit.__file__))
import verify_independent as independent  # noqa: E402

LIBRARY = "/usr/lib/%s/faketime/libfaketime.so.1" % sysconfig.get_config_var("MULTIARCH")


class Judged:
    """Both verifiers' word on one recording of a store that stands still."""

    def __init__(self, lab, top, path):
        self.lab, self.top = lab, copy_of_store(lab, top)
        self.path = os.path.join(self.top, os.path.relpath(path, lab.path("store")))
        self.keys = (independent.load_keys(lab.path("state", "recorder", "signer.pub")), independent.load_keys(lab.path("store", "collector.crt")))

    def verdict(self, later=0):
        """`later`: seconds from now."""
        env = os.environ | ({"LD_PRELOAD": labkit.preload(LIBRARY), "FAKETIME": f"+{later}s", "TZ": "UTC"} if later else {})
        done = subprocess.run([self.lab.bin("bastion-replay"), "verify", "--json", self.path, "--store", self.top, "--trust", self.lab.path("auditor.trust")],
                              capture_output=True, text=True, env=env, timeout=60 * labkit.SLOW, check=False)
        row = json.loads(done.stdout)
        real, independent.time.time = time.time, lambda: now() + later
        now = real
        try:
            other, = [it["verdict"] for it in independent.verify_store(self.top, *self.keys) if it["dir"] == self.path]
        finally:
            independent.time.time = real
        assert row["verdict"] == other, (row, other)
        assert done.returncode == (0 if other in ("open", "complete") else 1)
        return other

    def listed(self):
        """What list says of it, without an identity."""
        rows = subprocess.run([self.lab.bin("bastion-replay"), "list", "--json", "--store", self.top, "--trust", self.lab.path("auditor.trust")],
                              capture_output=True, text=True, timeout=60 * labkit.SLOW, check=True).stdout
        verdict, = [row["verdict"] for row in map(json.loads, rows.splitlines()) if row["dir"] == self.path]
        return verdict

    def bundled(self, name):
        """Its verdict once it was made a bundle, which has all leaves that the log has."""
        run = lambda *words: subprocess.run([self.lab.bin("bastion-replay"), *words, "--trust", self.lab.path("auditor.trust")],  # noqa: E731
                                            capture_output=True, text=True, timeout=60, check=False)
        made = run("bundle", os.path.basename(self.path), "-o", str(name), "--store", self.top)
        assert made.returncode == 0, made
        row = json.loads(run("verify", "--json", str(name)).stdout)
        other, = independent.verify_bundle(str(name), *self.keys)
        assert (row["verdict"], row["log"]) == (other["verdict"], other["log"]) and other["log"] == "part"
        return row["verdict"]


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def test_open_then_complete(own, tmp_path):
    client = Client(own, "deploy")
    with client.start("web1.name", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        path = recording_of(own, "deploy", closed=False)
        # the log's files and a first checkpoint of the bastion come within a second
        live = until(lambda: once_open(own, tmp_path, path), deadline=20, pause=0.3, what="it is open")
        assert live.verdict(later=540) == live.listed() == "open"
        # past its bound it is no longer called so; nor in a bundle, whose maker chose the leaves
        assert live.verdict(later=700) == "abandoned"
        assert live.bundled(tmp_path / "open.tar") == "abandoned"
        process.stdin.close()
        assert process.wait(20) == 0
    recording_of(own, "deploy")
    closed = until(lambda: once_whole(own, tmp_path, path), deadline=20, pause=0.3, what="the store's copy is complete")
    # its end taken away: the log has the close
    name = max(glob.glob(closed.path + "/*.brec"))
    data = open(name, "rb").read()
    with open(name, "wb") as f:
        f.write(data[:-len(last_frame(data))])
    assert closed.verdict() == "cut"


def last_frame(data):
    at = len(independent.Header(data).raw)
    while True:
        frame = independent.Frame(data[at:]).raw
        at += len(frame)
        if at == len(data):
            return frame


def copy(lab, tmp_path, path):
    return Judged(lab, tmp_path / f"copy{time.monotonic_ns()}", path)


def once_open(lab, tmp_path, path):
    it = copy(lab, tmp_path, path)
    return it if it.verdict() == "open" else None


def once_whole(lab, tmp_path, path):
    it = copy(lab, tmp_path, path)
    return it if it.verdict() == "complete" else None
