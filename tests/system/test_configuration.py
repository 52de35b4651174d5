"""bastiond -t: a wrong line is named as file:line, with what would be right."""
import re
import subprocess

import pytest


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
