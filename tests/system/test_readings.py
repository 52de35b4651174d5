"""Reading a recording is an event: in the auditor's log before anything is shown, and at the bastion, whose recorded events name it."""
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from harness import Client, labkit, made_recording, meta_event, open_event, recording_of, replay_made, until


@pytest.fixture(scope="module")
def own(new_lab):
    """A lab with an auditor, eve, who needs one code in ten minutes."""
    lab = new_lab(options=['mfa_grace = "10m"'])
    lab.make_user("eve")
    lab.ask("user add", user="judge", person="judge of the lab", auditor=True, uid=labkit.FIRST_USER_UID + 100)
    os.mkdir(lab.path("users", "judge"), 0o755)
    labkit.keygen(lab.path("users", "judge", "key"), comment="judge@lab")
    lab.ask("user key add", user="judge", device="laptop", key=labkit.read(lab.path("users", "judge", "key.pub")).strip())
    lab.enrol("judge")
    return lab


@pytest.fixture
def auditor(own, tmp_path):
    return Auditor(own, tmp_path)


class Auditor:
    """bastion-replay with a log of its own, and ssh as the command for notes."""

    def __init__(self, lab, home, user="judge"):
        self.lab, self.home = lab, home
        client = Client(lab, user, key=lab.path("users", user, "key"))
        self.log = home / "bastion-replay" / "readings"
        self.env = client.env | {"XDG_STATE_HOME": str(home), "BASTION_NOTE": f"ssh -F {client.config} bastion"}

    def run(self, *words, status=0, **env):
        argv = [self.lab.bin("bastion-replay"), *words, "--store", self.lab.path("store"), "--key", self.lab.path("auditor.key"),
                "--trust", self.lab.path("auditor.trust")]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=90, check=False, env=self.env | env)
        assert done.returncode == status, done.stdout.decode() + done.stderr.decode()
        return done

    def readings(self, status=0):
        done = self.run("readings", "--json", status=status)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def noted(lab, auditor):
    """What the recorded events say of readings."""
    rows = [json.loads(line) for line in auditor.run("events", "--json").stdout.splitlines()]
    return [row for row in rows if row["kind"].startswith("recording.")]


def a_recording(lab):
    Client(lab, "deploy").run("web1.name", "echo seen", check=True)
    return recording_of(lab, "deploy")


def test_the_bastion_records_it(own, auditor):
    ident = os.path.basename(a_recording(own))
    assert b"seen" in auditor.run("play", ident).stdout
    auditor.run("export", "--json", "--reveal", ident)
    auditor.run("search", "--user", "deploy", "seen", XDG_CACHE_HOME=str(auditor.home))
    auditor.run("show", ident)
    auditor.run("list")
    rows, said = auditor.readings()
    assert [row["command"] for row in rows] == ["play", "delivered", "export", "delivered", "search", "delivered", "show", "delivered"]
    assert "8 lines, whole and unchanged. 0 readings not known" in said
    read = [row for row in rows if row["command"] != "delivered"]
    events = until(lambda: (lambda e: e if len(e) == 4 else None)(noted(own, auditor)), deadline=20, pause=0.3, what="four events at the collector")
    assert [e["kind"] for e in events] == ["recording.replay", "recording.reveal", "recording.search", "recording.replay"]
    for event, row in zip(events, read):
        detail = event["detail"] if isinstance(event["detail"], dict) else json.loads(event["detail"])
        assert (event["actor"], event["subject"]) == ("judge", "deploy")
        assert (detail["number"], detail["hash"], detail["at"]) == (row["number"], row["hash"], row["at"])
        assert detail.get("recording") == row.get("recording")
    assert json.loads(events[2]["detail"])["recordings"] >= 1 if isinstance(events[2]["detail"], str) else events[2]["detail"]["recordings"] >= 1


def test_log_is_a_chain(own, auditor):
    ident = os.path.basename(a_recording(own))
    for words in (["show", ident], ["commands", ident]):
        auditor.run(*words, BASTION_NOTE="")
    before = b"\0" * 32
    for line in auditor.log.read_text().splitlines():
        digest, text = line.split(" ", 1)
        before = hashlib.sha256(before + text.encode()).digest()
        assert before.hex() == digest
    auditor.log.write_text(auditor.log.read_text().replace('"show"', '"list"'))
    assert "NOT as they were written" in auditor.readings(status=1)[1]


def test_a_bastion_that_is_away(own, auditor):
    ident = os.path.basename(a_recording(own))
    away = {"BASTION_NOTE": "ssh -o BatchMode=yes -p 1 127.0.0.1"}
    done = auditor.run("play", ident, **away)
    assert b"seen" in done.stdout and b"was not told" in done.stderr and b"--deliver" in done.stderr
    # but nothing is revealed
    done = auditor.run("export", "--json", "--reveal", ident, status=3, **away)
    assert done.stdout == b"" and b"nothing is revealed" in done.stderr
    assert "2 readings not known to the bastion" in auditor.readings()[1]
    auditor.run("readings", "--deliver", status=3, **away)
    assert auditor.run("readings", "--deliver").stdout == b"2 delivered, 0 left\n"
    assert "0 readings not known to the bastion" in auditor.readings()[1]
    assert auditor.run("readings", "--deliver").stdout == b"0 delivered, 0 left\n"


def test_nothing_is_revealed_that_nobody_is_told(tmp_path):
    """Without a command for notes there is no event at the bastion: then --reveal is refused by each command that has it, and shows nothing."""
    store = tmp_path / "store"
    ident, = made_recording(store, [meta_event(), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "shown\r\n"}])
    for words in (["play"], ["follow"], ["export", "--json"], ["export", "--text"], ["search"]):
        place = [ident] if words != ["search"] else ["shown"]
        done = replay_made(store, *words, "--reveal", *place, check=3, env={"BASTION_NOTE": "", "XDG_STATE_HOME": str(tmp_path / "state")})
        assert done.stdout == b"" and b"notify ssh YOU@BASTION" in done.stderr, words
    assert not (tmp_path / "state" / "bastion-replay" / "readings").exists()      # nothing was read
    with open(store / "trust", "a", encoding="utf-8") as f:
        f.write("notify false\n")
    assert replay_made(store, "play", "--reveal", ident, check=3, env={"BASTION_NOTE": ""}).stdout == b""
    assert b"shown" in replay_made(store, "play", "--reveal", ident, env={"BASTION_NOTE": "true"}).stdout


def test_only_auditors_are_believed(own, tmp_path):
    ident = os.path.basename(a_recording(own))
    eve = Auditor(own, tmp_path, "eve")
    done = eve.run("export", "--json", "--reveal", ident, status=3)
    assert done.stdout == b"" and b"is not for you" in done.stderr
    assert [row for row in own.ctl_json("events", "--limit", "20")["rows"] if row["kind"] == "word.refused" and row["actor"] == "eve"]


def test_no_log_no_reading(tmp_path):
    store = tmp_path / "store"
    ident, = made_recording(store, [meta_event(), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "shown\r\n"}])
    readonly = tmp_path / "state"
    (readonly / "bastion-replay").mkdir(parents=True, mode=0o700)
    (readonly / "bastion-replay").chmod(0o755)
    for words in (["show"], ["play"], ["commands"], ["export", "--text"], ["search"]):
        done = replay_made(store, *words, ident if words != ["search"] else "shown", check=3, env={"XDG_STATE_HOME": str(readonly)})
        assert done.stdout == b"" and b"log of readings" in done.stderr, words
        done = replay_made(store, *words, ident if words != ["search"] else "shown", check=3, env={"XDG_STATE_HOME": "/proc/1/none"})
        assert done.stdout == b"", words
    # a full disk
    full = tmp_path / "full"
    full.mkdir()
    script = f"mount -t tmpfs -o size=4k,nr_inodes=8 none {full} && mkdir -m 700 {full}/bastion-replay && dd if=/dev/zero of={full}/fill bs=4k count=1 2>/dev/null; exec \"$@\""
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", sys.executable, "-c",
            f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import harness; "
            f"d = harness.replay_made({str(store)!r}, 'play', {ident!r}, check=3, env={{'XDG_STATE_HOME': {str(full)!r}}}); "
            "assert d.stdout == b'' and b'No space left' in d.stderr, d"]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_it_is_the_accounts(tmp_path, home):
    """As in a job that begins with an empty environment: log and index are where the page says."""
    store, mine = tmp_path / "store", tmp_path / "mine"
    made_recording(store, [meta_event(approvals=[]), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "needle\r\n"}])
    mine.mkdir()
    accounts = re.sub(r"^(root:.*):[^:]*:([^:]*)$", rf"\1:{mine}:\2", labkit.read("/etc/passwd"), flags=re.M)
    labkit.write(str(tmp_path / "passwd"), accounts)
    words = ["env", "-i", *([] if home is None else [f"HOME={home}"]), os.path.join(os.environ.get("LAB_BIN", f"{labkit.REPO}/build"), "bastion-replay"),
             "--store", str(store), "--key", f"{store}/identity", "--trust", f"{store}/trust", "search", "needle"]
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", f'mount --bind {tmp_path}/passwd /etc/passwd && exec "$@"', "sh", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "needle" in done.stdout and "index" not in done.stderr, done
    assert (mine / ".local/state/bastion-replay/readings").exists() and os.listdir(mine / ".cache/bastion-replay")


def test_which_commands_are_readings(tmp_path):
    """As READINGS of the page has it; there every command but `readings` is one or is none."""
    section = labkit.read(os.path.join(labkit.REPO, "man", "bastion-replay.1")).partition("\n.Sh READINGS\n")[2].partition("\n.Sh ")[0]
    logged, silent = (set(re.findall(r"\w+", " ".join(re.findall(r"^\.Cm (.*)", part, re.M)))) for part in
                      (section.partition("show anything")[0], re.search(r"\.Pp\n((?:(?!\.Pp\n).)*)show nothing", section, re.S)[1]))
    place = tmp_path / "store"
    ident, = made_recording(place, [meta_event(approvals=[]), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "shown\r\n"}])
    words = {"export": ["--text", ident], "search": ["shown"], "bundle": ["-o", str(tmp_path / "bundle"), ident], "list": [], "events": [], "pull": []}
    known = re.findall(r"^  ([a-z]+) ", replay_made(place, "--help").stdout.decode(), re.M)
    assert logged | silent | {"readings"} == set(known) and not logged & silent
    for command in logged | silent:
        state = tmp_path / command
        env = os.environ | {"BASTION_STORE": str(place), "BASTION_IDENTITY": f"{place}/identity", "BASTION_TRUST": f"{place}/trust", "BASTION_NOTE": "",
                            "XDG_CACHE_HOME": f"{place}/cache", "XDG_STATE_HOME": str(state)}
        subprocess.run([os.path.join(os.environ.get("LAB_BIN", f"{labkit.REPO}/build"), "bastion-replay"), command, *words.get(command, [ident])],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, env=env)
        log = state / "bastion-replay" / "readings"
        assert log.exists() == (command in logged), command
        assert command in silent or json.loads(log.read_text().split(" ", 1)[1])["command"] == command
