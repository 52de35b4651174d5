"""LANG, LC_*, TERM and COLORTERM come through, as bastiond(8) says; nothing else does, although the target would take it."""
import os
import re

from harness import labkit

PASS = {"LANG": "de_DE.UTF-8", "LC_TIME": "C", "LC_MESSAGES": "C.UTF-8", "COLORTERM": "truecolor", "TERM": "vt220"}
STAY = {"LD_PRELOAD_X": "bad", "GIT_TRACE": "1", "FOO": "bar", "BASH_ENV": "/tmp/x", "LCX": "no", "LANGUAGE": "no", "COLORTERMX": "no", "TERMINFO": "/tmp"}


def test_only_language_and_terminal_come_through(deploy, target):
    done = deploy.run(target, "env", options=["-o", "SendEnv *"], env=PASS | STAY, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
    assert {k: seen.get(k) for k in PASS | STAY} == PASS | dict.fromkeys(STAY)


def test_the_page_names_them():
    page = labkit.read(os.path.join(labkit.REPO, "man", "bastiond.8"))
    said = re.search(r"^Of what a client sends\n(.*?)\nreach the target", page, re.M | re.S)[1]
    assert set(re.findall(r"\b[A-Z_]{4,}|LC_", said)) == {name if not name.startswith("LC_") else "LC_" for name in PASS}


def test_absurd_values_do_no_harm(deploy, target):
    done = deploy.run(target, "echo ok", env={"LC_ALL": "x" * 20000, "LC_NAME": "a\nb\x1b[2J"}, options=["-o", "SendEnv LC_*"])
    assert done.returncode in (0, 255)
    assert deploy.run(target, "echo ok", check=True).stdout == b"ok\n"
