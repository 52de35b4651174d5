"""What a machine had before: authorized_keys and a hosts file, line by line, first only shown. And what a shell completes: names."""
import json
import os
import shutil
import subprocess

import pytest

from harness import labkit, replay, until


def ctl(lab, *words, status=0):
    done = subprocess.run([lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("one", "two", "three"):
        labkit.keygen(str(folder / name), comment="ivy@Work-Laptop")
    return [labkit.read(str(folder / f"{name}.pub")).strip() for name in ("one", "two", "three")]


def test_keys(lab, keys, tmp_path, fresh):
    path = str(tmp_path / "authorized_keys")
    name = fresh("ivy")
    lab.ask("user add", user=name)
    labkit.write(path, f"# ivy's\n\n{keys[0]}\n  {keys[1]}\n{' '.join(keys[2].split()[:2])}\n")
    shown = ctl(lab, "import", "keys", name, path)
    assert f"{path}:3: user key add {name} work-laptop  (ssh-ed25519" in shown and f"{path}:4: user key add {name} work-laptop-2" in shown
    assert "3 to do, nothing was done" in shown and not lab.ask("user key list", user=name)["rows"]
    assert "3 of 3 done" in ctl(lab, "import", "keys", name, path, "--apply")
    assert [row["device"] for row in lab.ask("user key list", user=name)["rows"]] == ["work-laptop", "work-laptop-2", "key"]
    again = ctl(lab, "import", "keys", name, path, "--apply", status=1)
    assert "0 of 3 done" in again and f"{path}:3" in again and "refused" in again


@pytest.mark.parametrize("line,says", [("ssh-ed25519 AAAA", "not such a key"), ('command="x" ssh-ed25519 AAAA', "Options before a key"), ("garbage", "no public key begins"),
                                       ("ssh-dss AAAAB3NzaC1kc3MAAACB x", "one line"), ("ssh-ed25519 \x1b[2J", "not such a key")])
def test_a_malformed_line_stops_all(lab, keys, tmp_path, line, says):
    path = str(tmp_path / "authorized_keys")
    labkit.write(path, f"{keys[0]}\n{line}\n")
    said = ctl(lab, "import", "keys", "alice", path, "--apply", status=2)
    assert f"{path}:2: " in said and says in said and "nothing was done" in said and "\x1b" not in said
    assert len(lab.ask("user key list", user="alice")["rows"]) == 1


def test_hosts(lab, keys, tmp_path, fresh):
    big, small = fresh("db"), fresh("db")
    hosts, known = str(tmp_path / "hosts"), str(tmp_path / "known_hosts")
    labkit.write(hosts, f"127.0.0.1 localhost\n::1 ip6-localhost\n10.9.0.1\t{big} {big}.example.org # the big one\n10.9.0.2 {small}\n")
    one, two = (" ".join(key.split()[:2]) for key in keys[:2])
    labkit.write(known, f"# scanned\n10.9.0.1,{big} {one}\n[10.9.0.2]:2222 {two}\n@revoked * {one}\n")
    shown = ctl(lab, "import", "hosts", hosts, "--keys", known, "--login", "dba", "--label", "tier=db")
    assert f"{hosts}:3: host add {big} --address 10.9.0.1  (1 key)" in shown and f"{hosts}:4: host add {small} --address 10.9.0.2 --port 2222" in shown
    assert "localhost" not in shown and "2 to do" in shown
    assert "2 of 2 done" in ctl(lab, "import", "hosts", hosts, "--keys", known, "--login", "dba", "--label", "tier=db", "--apply")
    row = [row for row in lab.ctl_json("host", "list", "--limit", "1000")["rows"] if row["name"] == small][0]
    assert (row["address"], row["port"], row["labels"], row["logins"]) == ("10.9.0.2", 2222, ["tier=db"], ["dba"])
    labkit.write(hosts, "10.9.0.3 db9\n10.9.0.300 db10\n10.9.0.4\n")
    said = ctl(lab, "import", "hosts", hosts, "--keys", known, "--login", "dba", "--apply", status=2)
    assert f"{hosts}:1: no host key of db9" in said and f"{hosts}:2: a line is" in said and f"{hosts}:3: there is an address" in said and "nothing was done" in said
    for name in (big, small):
        lab.ask("host remove", host=name)


def test_keys_of_nobody_are_refused_before_they_are_shown(lab, tmp_path):
    path = str(tmp_path / "keys")
    labkit.write(path, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMf0bDFTMSAHzLuCJEfEtoWTBJcGmEEQFLEDCbOkN3bO x@laptop\n")
    said = ctl(lab, "import", "keys", "nobody-here", path, status=4)
    assert "nobody-here" in said and "would do" not in said
    with open(path, "a", encoding="ascii") as f:    # the lines come first
        f.write("garbage\n")
    said = ctl(lab, "import", "keys", "nobody-here", path, status=2)
    assert f"{path}:2: no public key begins" in said and "There is no user" not in said


def completed(lab, tmp_path, shell, *words):
    """What the shell offers for the last of these words."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    wrapper = folder / "bastionctl"
    wrapper.write_text(f'#!/bin/sh\nexec {lab.bin("bastionctl")} -f {lab.path("bastiond.conf")} "$@"\n')
    wrapper.chmod(0o755)
    etc = os.path.join(labkit.REPO, "etc", "completion")
    argv = " ".join(f"'{word}'" for word in ("bastionctl", *words))
    script = {"bash": f"source {etc}/bastionctl; COMP_WORDS=({argv}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _bastionctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
              "zsh": f"compdef() {{ }}; compadd() {{ shift; print -l -- $@; }}; _files() {{ print FILES; }}; source {etc}/_bastionctl; words=({argv}); CURRENT=$#words; "
                     "PREFIX=$words[-1]; _bastionctl"}[shell]
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL,
                          env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"})
    offered = [line for line in done.stdout.splitlines() if line and line.startswith(words[-1])]
    return offered


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_names(lab, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    number = lab.request("alice")
    try:
        def offers(*words):
            return set(completed(lab, tmp_path, shell, *words))
        assert "approve" in offers("a")
        assert offers("approve", number[:1]) >= {number}
        assert offers("host", "remove", "web") >= {"web1", "web2"} and "alice" not in offers("host", "remove", "")
        assert offers("role", "member", "add", "d") == {"dba"}              # the first place is a role,
        assert offers("role", "member", "add", "dba", "ali") == {"alice"}   # the second a user
        assert offers("report", "logins", "--user", "car") == {"carol"} and offers("report", "logins", "--us") == {"--user"}
        assert offers("report", "logins", "--user", "carol", "--since", "") == set()
        assert "shell" in offers("request", "web1", "--cap", "") and offers("completion", "") >= {"bash", "zsh"}
    finally:
        lab.ask("cancel", as_uid=lab.state["users"]["alice"], id=int(number))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_behind_a_configuration(lab, tmp_path, shell):
    """`bastionctl -f FILE WORD`: words and names are those of that instance."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    conf = lab.path("bastiond.conf")
    assert completed(lab, tmp_path, shell, "-f", conf, "host", "rem") == ["remove"]
    assert set(completed(lab, tmp_path, shell, "-f", conf, "host", "remove", "web")) >= {"web1", "web2"}
    assert completed(lab, tmp_path, shell, "-f", str(tmp_path / "none"), "host", "remove", "web") == []
    if shell == "bash":
        (tmp_path / "one.conf").touch()
        assert completed(lab, tmp_path, shell, "-f", str(tmp_path / "on")) == [str(tmp_path / "one.conf")]


def test_names_make_no_refusals(lab):
    """Who is no administrator presses TAB for users: nothing, and no event says that it was refused."""
    before = lab.ctl_json("events", "--limit", "1")["rows"][-1]["id"]
    for kind in ("user", "role", "host", "request", "grant", "review", "session", "account"):
        lab.ctl("names", kind, uid=lab.state["users"]["alice"])
    assert "web1" in lab.ctl("names", "host", uid=lab.state["users"]["alice"])
    kinds = [row["kind"] for row in lab.ctl_json("events", "--after", str(before), "--limit", "1000")["rows"]]
    assert "word.refused" not in kinds


def test_verify_against_the_collectors(lab, tmp_path):
    lab.ask("user lock", user="alice", reason="verify")
    lab.ask("user unlock", user="alice")
    last = lab.ctl_json("events", "--limit", "1")["rows"][-1]["id"]

    def recorded():
        lines = replay(lab, "events", "--json").stdout.decode().splitlines()
        return lines if lines and json.loads(lines[-1])["number"] >= last else None
    lines = until(recorded, 30, pause=0.3, what="the events in the recording")
    path = str(tmp_path / "events.json")
    labkit.write(path, "\n".join(lines) + "\n")
    said = ctl(lab, "events", "verify", "--against", path)
    assert "fit the chain" in said and "are in the database as in" in said
    # one that is otherwise there, and one more than there is
    other = json.loads(lines[40])
    other["hash"] = "00" * 32
    labkit.write(path, "\n".join(lines[:40] + [json.dumps(other)] + lines[41:]) + "\n")
    assert f"event {other['number']} is not in the database as the collectors have it" in ctl(lab, "events", "verify", "--against", path, status=1)
    more = json.loads(lines[-1]) | {"number": 10 ** 9}
    labkit.write(path, "\n".join(lines + [json.dumps(more)]) + "\n")
    assert "event 1000000000 is not in the database" in ctl(lab, "events", "verify", "--against", path, status=1)
    labkit.write(path, "{}\n")
    assert f"{path}:1: no line" in ctl(lab, "events", "verify", "--against", path, status=2)
