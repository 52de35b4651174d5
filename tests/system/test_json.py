"""--json gives JSON or is refused: of every word, as the table has them."""
import glob
import json
import os
import re
import shlex
import subprocess

import pytest

from harness import labkit


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def test_names_are_rows(own):
    assert sorted(row["name"] for row in own.ctl_json("names", "host")["rows"]) == sorted(own.state["hosts"]) == sorted(own.ctl("names", "host").split())
    assert own.ctl_json("names", "session")["rows"] == []
    uid = own.state["users"]["alice"]
    assert [row["name"] for row in own.ctl_json("names", "user", uid=uid)["rows"]] == []


def table():
    """{word: its example} of approvals/words_*."""
    text = "".join(labkit.read(path) for path in glob.glob(f"{labkit.REPO}/approvals/words_*.[ci]*"))
    text = re.sub(r'REPORT\("([^"]+)",.*?"((?:[^"\\]|\\.)*)"\)', r'.path = "report \1" .example = "report \1 \2"', text, flags=re.S)
    found = dict(re.findall(r'\.path = "([^"]*[^" ])"(?:(?!\.path = ).)*?\.example = "((?:[^"\\]|\\.|"\s+")*)"', text, re.S))
    return {word: re.sub(r'"\s+"', "", example).replace('\\"', '"') for word, example in found.items()}


def test_json_of_every_word(own, tmp_path):
    words = table()
    page = labkit.read(f"{labkit.REPO}/man/bastionctl.1")
    text_only = re.search(r"refuses it with status 2:\n\.Ic (.*) \.\n", page)[1].split(" , ")
    assert set(words) == set(re.findall(r"^\s+'([a-z -]+)' '", labkit.read(f"{labkit.REPO}/etc/completion/_bastionctl"), re.M)) | {"connect", "exit"}
    for name in re.findall(r"[\w/.-]+\.(?:pub|key|sig)\b", " ".join(words.values())):
        labkit.keygen(str(tmp_path / "k"))
        labkit.write(str(tmp_path / os.path.basename(name)), labkit.read(str(tmp_path / "k.pub")))
    labkit.write(str(tmp_path / "directory.conf"), f'source = "file:{labkit.write(str(tmp_path / "people"), "zoe - Zoe Example" + chr(10))}"\n')
    bad = {}
    for word, example in words.items():
        argv = [a.replace("/etc/bastiond", str(tmp_path)) for a in shlex.split(example) if a != "--csv"]
        done = subprocess.run([own.bin("bastionctl"), "-f", own.path("bastiond.conf"), *argv, "--json"],
                              input=labkit.read(str(tmp_path / "k.pub")) if argv[-1] == "-" else "", capture_output=True, text=True,
                              timeout=60, check=False, cwd=str(tmp_path))
        if word in text_only:
            fine = done.returncode == 2 and done.stdout == "" and (done.stderr.count("--json") or word in ("connect", "exit"))
        else:
            try:
                fine = json.loads(done.stdout)["ok"] == (done.returncode == 0)
            except ValueError:
                fine = False
        if not fine:
            bad[word] = (argv, done.returncode, done.stdout[:200], done.stderr[:200])
    assert not bad
