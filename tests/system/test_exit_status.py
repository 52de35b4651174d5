"""Exit statuses are those of the pages."""
import glob
import os
import re
import subprocess

import pytest

from harness import labkit, made_recording, meta_event, open_event, replay_made

MAN = os.path.join(labkit.REPO, "man")


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def run(lab, *argv, uid=0, conf=None):
    return subprocess.run([lab.bin(argv[0]), "-f", conf or lab.path("bastiond.conf"), *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False, user=uid, group=uid, extra_groups=[])


def statuses(page):
    """{status: what the page says of it} of its EXIT STATUS."""
    section = labkit.read(f"{MAN}/{page}").partition("\n.Sh EXIT STATUS\n")[2].partition("\n.Sh ")[0]
    return {int(n): text for n, text in re.findall(r"^\.It (\d)\n(.*?)(?=^\.It |^\.El)", section, re.M | re.S)}


def test_bastionctl(own, tmp_path, free_for_all):
    """Status by status; who asks is root or a user."""
    said = statuses("bastionctl.1")
    assert sorted(said) == [0, 1, 2, 3, 4, 5]
    odd, wrong = labkit.write(str(tmp_path / "odd"), "no line of any format\n"), labkit.write(str(tmp_path / "wrong.conf"), "listen = 1\n")
    user = own.state["users"]["alice"]
    nowhere = str(tmp_path / "nowhere")
    cases = [(0, ("key", "list")), (0, ("names", "host")), (1, ("user", "add", "alice")), (1, ("init",), 0, wrong), (1, ("rotate", "end", "signer")),
             (1, ("backup", "check", nowhere)), (1, ("restore", nowhere)), (2, ("frobnicate",)), (2, ("rotate", "begin", "other")),
             (2, ("import", "keys", "alice", odd)), (2, ("import", "hosts", odd, "--keys", odd, "--login", "dba")), (2, ("events", "verify", "--against", odd)),
             (2, ("sync", odd)), (2, ("sync", nowhere)), (3, ("user", "list"), user), (4, ("user", "show", "nobody")), (4, ("import", "keys", "nobody", "/dev/null")),
             (5, ("import", "keys", "alice", nowhere)), (5, ("events", "verify", "--against", nowhere)), (5, ("backup", f"{nowhere}/x")),
             (5, ("-S", nowhere, "key", "list"))]
    cases += [(3, words, user) for words in (("init",), ("rotate", "begin", "signer"), ("rotate", "end", "signer"), ("backup", f"{free_for_all}/x.db"),
                                             ("backup", "check", odd), ("restore", odd), ("sync", odd), ("key", "add", "x"))]
    got = [(case, run(own, "bastionctl", *case[1], uid=case[2] if len(case) > 2 else 0, conf=case[3] if len(case) > 3 else None)) for case in cases]
    assert not [(case, done.returncode, done.stderr) for case, done in got if done.returncode != case[0]]
    assert not os.listdir(free_for_all)


def test_bastiond(own, tmp_path):
    said = statuses("bastiond.8")
    assert sorted(said) == [0, 1, 2]
    fine, wrong = said[0], labkit.write(str(tmp_path / "wrong.conf"), "listen = 1\n")
    backup, user = str(tmp_path / "b.db"), own.state["users"]["alice"]
    own.ctl("backup", backup)
    # state_dir is the lab's: what makes something new comes last, and what restores is refused, as the bastion runs
    for status, words in ((0, ("-t",)), (0, ("-T",)), (0, ("-V",)), (0, ("-I",)), (0, ("-K", backup)), (0, ("-N", "client")), (0, ("-C", "client")),
                          (1, ("-C", "client")), (1, ("-N", "other")), (1, ("-K", wrong)), (1, ("-K", backup + "x")), (1, ("-B", backup)), (1, ("-B", backup, "-G")),
                          (2, ("-t", "-T")), (2, ("-G",)), (2, ("-t", "more")), (2, ("-x",))):
        done = run(own, "bastiond", *words)
        assert done.returncode == status, (words, done.returncode, done.stderr)
        if status == 0:
            assert words[0][1] in re.findall(r"\b[A-Za-z]\b", fine), f"bastiond(8) does not say when {words[0]} ends with 0"
    for words in (("-t",), ("-T",), ("-I",), ("-N", "ca"), ("-C", "ca"), ("-K", backup), ("-B", backup), ()):
        done = run(own, "bastiond", *words, conf=wrong)
        assert done.returncode == 1, (words, done)
    for words in (("-I",), ("-N", "ca"), ("-C", "ca"), ("-K", backup), ("-B", backup), ("-D",)):
        assert run(own, "bastiond", *words, uid=user).returncode == 1, words
    assert run(own, "bastiond", "-V", uid=user).returncode == 0


def test_bastion_replay(tmp_path):
    """Case by case, each with what the page says of the status; and whoever ends with 1 for a verdict is named there."""
    said = statuses("bastion-replay.1")
    assert sorted(said) == [0, 1, 2, 3]
    events = [meta_event(approvals=[]), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "seen\r\n"}]
    good, bad = tmp_path / "good", tmp_path / "bad"
    (whole,), (forged,) = made_recording(good, events), made_recording(bad, events)
    segment, = glob.glob(f"{bad}/recordings/*/{forged}/00000000.brec")
    data = bytearray(open(segment, "rb").read())
    data[-400] ^= 1
    open(segment, "wb").write(data)
    state = tmp_path / "state" / "bastion-replay"
    os.makedirs(state)
    labkit.write(str(state / "readings"), "0" * 64 + ' {"number":1,"at":1,"uid":0,"login":"eve","command":"show","reveal":false}\n', 0o600)
    (tmp_path / "signers").write_text("")
    none, refusing = {"BASTION_NOTE": ""}, {"BASTION_NOTE": "false"}
    read = {"XDG_STATE_HOME": str(tmp_path / "fresh")}
    cases = [(0, "list", good, [], {}, ".Cm list"), (0, "list", bad, [], {}, ".Cm list"), (0, "verify", good, [], {}, ".Cm verify"),
             (1, "verify", bad, [], {}, ".Cm verify"), (1, "verify", bad, [forged], {}, ".Cm verify"), (1, "verify", good, ["--trust", f"{bad}/trust"], {}, "unverifiable"),
             (0, "search", good, ["seen"], read, ".Cm search"), (3, "search", bad, ["seen"], read, "read"),
             (1, "search", good, ["--trust", f"{bad}/trust", "seen"], read, ".Cm search"),
             (1, "approvals", good, ["--signers", str(tmp_path / "signers"), whole], read, ".Cm approvals"),
             (1, "readings", good, [], {"XDG_STATE_HOME": str(tmp_path / "state")}, "readings"), (2, "show", good, [], {}, "usage"),
             (2, "readings", good, ["--user", "x"], {}, "usage"), (3, "show", good, ["--key", f"{bad}/identity", whole], read, "decrypted"),
             (3, "show", good, ["--key", str(tmp_path / "nowhere"), whole], read, "read"), (3, "pull", tmp_path / "copy", ["--from", "http://127.0.0.1:1/evidence"],
                                                                                         {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}, "fetched"),
             (0, "show", good, [whole], read | refusing, "done"), (3, "readings", good, ["--deliver"], read | refusing, ".Cm readings Fl -deliver"),
             (3, "export", good, ["--text", "--reveal", whole], read | none, ".Fl -reveal"), (3, "export", good, ["--text", "--reveal", whole], read | refusing, ".Fl -reveal")]
    for status, command, store, words, env, phrase in cases:
        done = replay_made(store, command, *words, env=env, check=status)
        assert phrase in said[status], (command, status, phrase)
        assert status == 0 or done.stderr or command in ("verify", "approvals"), (command, words)
    verdicts = {os.path.basename(name)[7:-2].removesuffix("_cmd") for name in glob.glob(f"{labkit.REPO}/recorder/replay_*.c") if "EXIT_VERDICT" in labkit.read(name)}
    assert verdicts == set(re.findall(r"\w+", " ".join(re.findall(r"^\.Cm ([a-z , ]+)[:,]?$", said[1], re.M)))), verdicts


def test_what_cannot_be_printed_is_said(own, tmp_path):
    """A disk that is full, and a standard output that is closed: no status of success, and a sentence that says why."""
    hosts, keys = labkit.write(str(tmp_path / "hosts"), ""), labkit.write(str(tmp_path / "keys"), "")
    ctl = f"bastionctl -f {own.path('bastiond.conf')}"
    commands = {f"{ctl} {words}": 5 for words in ("help", "help approve", "--help", "-V", "user list", "names host", "completion bash", "events verify",
                                                  f"import keys alice {keys}", f"import hosts {hosts} --keys {keys} --login dba")}
    commands |= {"bastion-replay --help": 3, "bastion-replay help list": 3, "bastion-replay -V": 3, "bastiond -V": 1, "bastion-collectord -V": 1}
    for command, status in commands.items():
        for end in (">/dev/full", ">&-"):
            if end == ">&-" and command.startswith("bastiond "):    # which opens /dev/null then
                continue
            done = subprocess.run(["/bin/sh", "-c", f"exec {os.path.dirname(own.bin('bastiond'))}/{command} {end}"], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == status, (command, end, done)
            said = "No space left on device" if end == ">/dev/full" else "Bad file descriptor"
            assert said in done.stderr or command.endswith("d -V"), (command, end, done)


def test_help_and_version_wherever_they_stand(own):
    """With other options before them, too; and every program has a version that its page names."""
    for words in (("--help",), ("-h",), ("-S", "/nowhere", "--help")):
        done = run(own, "bastionctl", *words)
        assert done.returncode == 0 and done.stdout.startswith("usage:") and done.stderr == "", words
    for program, page in (("bastiond", "bastiond.8"), ("bastion-collectord", "bastion-collectord.8"), ("bastionctl", "bastionctl.1"),
                          ("bastion-replay", "bastion-replay.1")):
        assert re.search(r"^\.It Fl V\b", labkit.read(f"{MAN}/{page}"), re.M), page
        for option in ("-V",) if program.endswith("d") else ("-V", "--version"):
            assert re.fullmatch(rf"{program} \d+\.\d+\n", labkit.run(own.bin(program), option)), program
