"""What the pages and the README of a bundle say that one can do with tools of others is done, as it stands there: openssl, sha256sum, od, curl,
and the Go project's packages for transparency logs."""
import glob
import http.server
import os
import re
import subprocess
import tarfile
import tempfile
import threading

import pytest

from harness import LONG, labkit, page_commands
from test_evidence import authority, copied, read, replay, write

GO = "/usr/lib/go-1.19/bin/go"


@pytest.fixture(scope="module")
def store(resting):
    yield from copied(resting)


@pytest.fixture(scope="module")
def public_log(tmp_path_factory):
    """tests/public/log.go, compiled."""
    top = tmp_path_factory.mktemp("go")
    env = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(top / "cache"), "GOFLAGS": "", "HOME": str(top)}
    labkit.run(GO, "build", "-o", str(top / "log"), os.path.join(labkit.REPO, "tests", "public", "log.go"), env=env, timeout=LONG)
    return lambda *words: subprocess.run([str(top / "log"), *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bundle(store, tmp_path):
    name = str(tmp_path / "one.tar")
    assert replay(store.lab, "bundle", store.id, "-o", name, "--store", store.top).returncode == 0
    with tarfile.open(name) as tar:
        tar.extractall(str(tmp_path))
    return str(tmp_path / store.id)


def test_the_log_as_others_read_it(store, public_log, bundle):
    vkey, top = store.lab.path("store", "log.vkey"), store.copy()
    size = int(read(top, "log", "checkpoint").split(b"\n")[1])
    kept = len(glob.glob(os.path.join(glob.escape(top), "log", "checkpoint.*")))
    done = public_log(os.path.join(top, "log"), vkey)
    assert done.returncode == 0 and done.stdout == f"{size} leaves, {kept} older checkpoints\n" and size >= 6 and kept >= 1, done
    for name in f"log/tile/entries/000.p/{size}", f"log/tile/0/000.p/{size}", "log/checkpoint", "log/" + os.path.basename(
            glob.glob(os.path.join(glob.escape(top), "log", "checkpoint.*"))[0]):
        good = read(top, name)
        write(good[:60] + bytes([good[60] ^ 1]) + good[61:], top, name)
        assert public_log(os.path.join(top, "log"), vkey).returncode != 0, name
        write(good, top, name)
    # a proof of a bundle
    leaf = sorted(glob.glob(os.path.join(glob.escape(bundle), "log", "*.leaf")))[-1]
    proof = leaf.replace(".leaf", ".tlog-proof")
    done = public_log(leaf, proof, vkey)
    assert done.returncode == 0 and done.stdout == f"leaf {os.path.basename(leaf)[:-5]} of {size}\n", done
    write(read(leaf)[:-1] + b"x", leaf)
    assert public_log(leaf, proof, vkey).returncode != 0


def commands(text):
    """The indented lines of the bundle's README, as one script a step: {number: commands}."""
    steps, number = {}, 0
    for line in text.splitlines():
        begins = re.match(r"(\d)\. ", line)
        number = int(begins[1]) if begins else number
        if line.startswith("       "):
            steps[number] = steps.get(number, "") + line.strip() + "\n"
    return steps


def sh(script, cwd):
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_readme_of_a_bundle(store, bundle):
    steps = commands(read(bundle, "README").decode())
    assert sorted(steps) == [1, 2, 3, 4, 5]
    numbers = sorted(int(os.path.basename(name)[:-5]) for name in glob.glob(os.path.join(glob.escape(bundle), "log", "*.leaf")))
    assert sh(steps[1], bundle).stdout.split() == ["1", "3"]
    # in the order of the log, whatever the numbers are
    with tempfile.TemporaryDirectory() as top:
        for number, kind in (9, 1), (10, 2), (100, 3):
            write(bytes(12) + bytes([kind]), top, f"log/{number}.leaf")
        write(b"", top, "log/checkpoint")
        assert sh(steps[1], top).stdout.split() == ["1", "2", "3"]
    digest = sh(steps[2].replace("log/N.", f"log/{numbers[-1]}."), bundle).stdout.split()
    assert "".join(digest[:32]) == digest[32] and digest[33] == "00000000.brec"
    hashed = sh(steps[3].replace("log/N.", f"log/{numbers[-1]}."), bundle).stdout.split()[0]
    size = int(read(store.top, "log", "checkpoint").split(b"\n")[1])
    assert bytes.fromhex(hashed) == read(store.top, f"log/tile/0/000.p/{size}")[32 * numbers[-1]:][:32]
    for step in 4, 5:
        done = sh(steps[step], bundle)
        assert done.returncode == 0 and "Signature Verified Successfully" in done.stdout, (step, done)
    # and each of them notices what it is there for
    for step, name in (4, "log/checkpoint"), (5, "00000000.brec"):
        good = read(bundle, name)
        write(good[:50] + bytes([good[50] ^ 1]) + good[51:], bundle, name)
        assert sh(steps[step], bundle).returncode != 0, step
        write(good, bundle, name)


class Authority(http.server.BaseHTTPRequestHandler):
    """RFC 3161 over HTTP, by openssl ts -reply, as public authorities answer."""

    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/timestamp-query"
        write(query, self.server.dir, "query")
        labkit.run("openssl", "ts", "-reply", "-config", f"{self.server.dir}/tsa.cnf", "-queryfile", f"{self.server.dir}/query", "-out",
                   f"{self.server.dir}/reply")
        reply = read(self.server.dir, "reply")
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *words):
        pass


def test_a_timestamp_by_the_page(store, tmp_path):
    """bastion-collectord(8): a kept checkpoint is stamped by an authority, with openssl and curl; openssl and bastion-replay check it."""
    top, d = store.copy(), str(tmp_path)
    authority(d)
    name = os.path.basename(glob.glob(os.path.join(glob.escape(top), "log", "checkpoint.*"))[0])
    server = http.server.HTTPServer(("127.0.0.1", 0), Authority)
    server.dir = d
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        script = page_commands("bastion-collectord.8", "openssl ts -query")
        assert "https://tsa.example/" in script and "checkpoint.SIZE.tsr" in script
        done = sh(script.replace("https://tsa.example/", f"http://127.0.0.1:{server.server_port}/").replace("checkpoint.SIZE", name), os.path.join(top, "log"))
        assert done.returncode == 0, done
    finally:
        server.shutdown()
        server.server_close()
    stamp = os.path.join(top, "log", name + ".tsr")
    done = sh(f"openssl ts -verify -data {name} -in {name}.tsr -CAfile {d}/tsa.crt", os.path.join(top, "log"))
    assert done.returncode == 0 and "Verification: OK" in done.stdout, done
    write(read(store.lab.path("auditor.trust")) + f"tsa t {d}/tsa.crt\n".encode(), d, "trust")
    out = subprocess.run([store.lab.bin("bastion-replay"), "verify", "--store", top, "--trust", f"{d}/trust"], capture_output=True, text=True, timeout=60,
                         check=False).stdout
    assert f"timestamps by {d}/tsa.crt: {name.split('.')[1]} leaves, 20" in out and os.path.getsize(stamp) > 500
