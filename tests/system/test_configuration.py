"""bastiond -t: a wrong line is named as file:line, with what would be right. And the collector's default where a machine has less."""
import ctypes
import errno
import os
import re
import socket
import struct
import subprocess

import pytest

from harness import labkit


def check(lab, text, tmp_path):
    path = tmp_path / "bastiond.conf"
    path.write_text(text)
    done = subprocess.run([lab.bin("bastiond"), "-t", "-f", str(path)], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stderr + done.stdout, str(path)


def test_the_labs_own_is_right(lab):
    done = subprocess.run([lab.bin("bastiond"), "-t", "-f", lab.path("bastiond.conf")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["nonsense = 1", "strict = maybe", "lease = 5 parsecs", 'listen = { "nowhere" }', 'listen = { "127.0.0.1:70000" }',
                                  "max_auth_tries = -1", "segment_bytes = 12", "strict =", "= true", '"', "collector x {", 'user_policy = "no-such-user"',
                                  "hold_deadline = 99999999999999999999s", 'recipients = "/no/such/file"', 'allow_networks = { "10.0.0.0/99" }',
                                  'allow_networks = { "10.0.0.1/8" }', "login_grace = 0s"])
def test_wrong_lines(lab, tmp_path, line):
    text = open(lab.path("bastiond.conf")).read()
    key = line.split("=")[0].strip()
    kept = [row for row in text.splitlines() if not (key and row.startswith(key + " "))]
    kept.insert(5, line)
    status, said, path = check(lab, "\n".join(kept) + "\n", tmp_path)
    assert status != 0
    assert re.search(re.escape(path) + r":\d+: \S", said) or "/no/such/file" in said, said


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"listen = { " * 10_000, bytes(range(256)) * 100, b"a" * 1_000_000, b'banner = "' + b"%n%s" * 1000],
                         ids=["control bytes", "open lists", "all bytes", "a long line", "formats"])
def test_garbage_files(lab, tmp_path, data):
    path = tmp_path / "bastiond.conf"
    path.write_bytes(data)
    done = subprocess.run([lab.bin("bastiond"), "-t", "-f", str(path)], capture_output=True, timeout=20, check=False)
    assert done.returncode in (1, 2), (done.returncode, done.stderr[:300])


@pytest.mark.parametrize("missing", ["/no/such/file", "/", "/dev/null"])
def test_missing_file(lab, missing):
    done = subprocess.run([lab.bin("bastiond"), "-t", "-f", missing], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0 and missing in done.stderr


def test_collectors_configuration(lab, tmp_path):
    path = tmp_path / "collectord.conf"
    path.write_text(open(lab.path("collectord.conf")).read() + "\nnonsense = 1\n")
    done = subprocess.run([lab.bin("bastion-collectord"), "-t", "-f", str(path)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0 and re.search(r"collectord\.conf:\d+: ", done.stderr)
    done = subprocess.run([lab.bin("bastion-collectord"), "-t", "-f", lab.path("collectord.conf")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def without_ipv6():
    """In a child: socket(2) knows no such family, as on a machine that was booted with ipv6.disable=1."""
    load, equal, give = 0x20, 0x15, 0x06
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    lines = [(load, 0, 0, 0), (equal, 0, 3, number), (load, 0, 0, 16), (equal, 0, 1, socket.AF_INET6), (give, 0, 0, 0x50000 | errno.EAFNOSUPPORT),
             (give, 0, 0, 0x7fff0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    filter_of = struct.pack("HP", len(lines), ctypes.addressof(program))
    assert ctypes.CDLL(None).prctl(22, 2, filter_of, 0, 0) == 0


def test_collector_without_ipv6(lab, tmp_path):
    """It takes the IPv4 half of the default; with nothing left it says what to write."""
    top, port = labkit.tempfile.mkdtemp(prefix="bastion-test-"), labkit.free_port()
    conf = re.sub(r"^listen = .*\n", "", labkit.read(lab.path("collectord.conf")), flags=re.M).replace(f'store = "{lab.path("store")}"', f'store = "{top}/store"')
    path, said = str(tmp_path / "conf"), tmp_path / "said"
    command = [lab.bin("bastion-collectord"), "-D", "-f", path]
    try:
        os.chmod(top, 0o755)
        labkit.write(path, conf + f'listen = {{ "127.0.0.1:{port}", "[::1]:{port}" }}\n')
        labkit.run(*command[:1], "-I", "-f", path)
        with open(said, "wb") as out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=without_ipv6) as collector:
            try:
                labkit.wait_port(port, collector, said)
            finally:
                collector.terminate()
        assert collector.returncode == 0 and f"listen [::1]:{port}: Address family not supported by protocol: left out" in said.read_text()
        labkit.write(path, conf + f'listen = {{ "[::1]:{port}" }}\n')
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, preexec_fn=without_ipv6)
        assert done.returncode == 1 and 'write listen = { "0.0.0.0:7422" }' in done.stderr, done
    finally:
        labkit.shutil.rmtree(top)
