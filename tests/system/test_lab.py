"""tests/lab itself: several at once, its variables, and nothing left behind."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from harness import LONG, labkit, until

LAB = os.path.join(labkit.REPO, "tests", "lab")
BUILD = os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build"))
WANTED = """LAB_HOST LAB_PORT LAB_TARGET LAB_LOGIN LAB_USER LAB_USER_KEY LAB_USER_TOTP LAB_APPROVER LAB_APPROVER_KEY LAB_APPROVER_TOTP
LAB_SERVICE LAB_SERVICE_KEY LAB_AUDITOR_KEY LAB_STORE LAB_CONF LAB_BIN""".split()

SET = ("lease = 4s", "per_source_max = 50", "name=b.example")    # the lab has lines of its own for the last two


def test_daemons_have_as_long_as_the_machine_is_slow():
    """Measured before labkit is there, and known to what the tests start."""
    slow = (4 if labkit.sanitized() else 1) * float(os.environ["BASTION_TESTS_PATIENCE"])
    assert labkit.START_DEADLINE == 20 * slow and labkit.STOP_DEADLINE == 30 * slow


def test_a_daemon_that_has_to_be_killed_is_an_error(lab):
    """Who waits for what its end writes is told why that is not there."""
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"\n"
        lab.state["pids"]["stubborn"] = [process.pid, labkit.start_time(process.pid)]
        with pytest.raises(labkit.LabError, match="stubborn did not end"):
            lab.stop("stubborn", deadline=0.1)
        assert process.wait(20) == -signal.SIGKILL


def test_a_long_directory_beside_another(lab):
    top = tempfile.mkdtemp(prefix="bastion-lab-")
    os.chmod(top, 0o711)
    directory = os.path.join(top, "d" * 120)
    try:
        labkit.run(LAB, "up", directory, "--users", "2", "--hosts", "3", *(word for option in SET for word in ("--set", option)), timeout=LONG)
        # the code is computed by somebody who knows nothing of ours, right after `up`
        script = f'eval "$({LAB} env {directory})"; for name in {" ".join(WANTED)}; do eval "[ -n \\"\\$$name\\" ]" || echo missing $name; done; ' \
                 'options="-p $LAB_PORT -o IdentitiesOnly=yes -o UserKnownHostsFile=$LAB_KNOWN_HOSTS"; ' \
                 f'printf "#!/bin/sh\\noathtool --totp -b %s\\n" $LAB_USER_TOTP >{top}/ask; chmod 755 {top}/ask; ' \
                 f'SSH_ASKPASS={top}/ask SSH_ASKPASS_REQUIRE=force ssh $options -i $LAB_USER_KEY $LAB_USER@$LAB_LOGIN@$LAB_TARGET@$LAB_HOST echo user; ' \
                 'ssh $options -i $LAB_SERVICE_KEY $LAB_SERVICE@$LAB_LOGIN@$LAB_TARGET@$LAB_HOST echo service'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        assert done.stdout == "user\nservice\n", done.stdout + done.stderr
        other = labkit.Lab(directory)
        assert [len(re.findall(rf"^{option.split('=')[0].strip()} ?=", labkit.read(other.path("bastiond.conf")), re.M)) for option in SET] == [1] * len(SET)
        pids = [pid for pid, _ in other.state["pids"].values()]
        outside = list(other.state["temporary"])
        assert len({other.port("bastiond"), lab.port("bastiond")}) == 2 and outside
    finally:
        subprocess.run([LAB, "down", directory], timeout=60, check=False)
    assert os.listdir(top) == ["ask"]
    shutil.rmtree(top)
    assert not any(os.path.exists(path) for path in outside)
    assert not any(os.path.exists(f"/proc/{pid}/exe") and directory in open(f"/proc/{pid}/cmdline").read() for pid in pids)


def test_it_is_up_or_not(free_for_all):
    """`env` says nothing of one that is not up yet, and an `up` that is told to end leaves nothing that runs."""
    directory, programs = f"{free_for_all}/lab", f"{free_for_all}/bin"
    os.mkdir(programs, 0o755)
    for name in labkit.PROGRAMS:
        os.symlink(os.path.join(BUILD, name), f"{programs}/{name}")
    # one that never listens
    os.unlink(f"{programs}/bastiond")
    labkit.write(f"{programs}/bastiond", f'#!/bin/sh\ncase $1 in -D) exec sleep 100 ;; esac\nexec {BUILD}/bastiond "$@"\n', 0o755)
    with subprocess.Popen([LAB, "up", directory], stdin=subprocess.DEVNULL, env=os.environ | {"LAB_BIN": programs}) as coming:
        pids = until(lambda: os.path.exists(f"{directory}/lab.json") and "bastiond" in (they := labkit.Lab(directory).state["pids"]) and they, deadline=30, what="bastiond")
        env = subprocess.run([LAB, "env", directory], capture_output=True, text=True, timeout=60, check=False)
        coming.terminate()
    assert coming.returncode == 128 + signal.SIGTERM
    assert env.returncode == 1 and env.stdout == "" and "is not up: an `up` failed, or is under way" in env.stderr, env
    assert not any(labkit.start_time(pid) for pid, _ in pids.values()) and labkit.Lab(directory).state["pids"] == {}
    env = subprocess.run([LAB, "env", directory], capture_output=True, text=True, timeout=60, check=False)
    assert env.returncode == 1 and "is not up" in env.stderr, env
    labkit.run(LAB, "down", directory)
    assert not os.path.exists(directory)


def left(top, **state):
    """A directory with what a lab leaves there."""
    directory = os.path.join(top, "lab")
    os.makedirs(f"{directory}/users/alice")
    labkit.write(f"{directory}/lab.json", json.dumps({"pids": {}, "temporary": [], **state}))
    return labkit.Lab(directory)


def test_a_pid_that_is_somebody_elses_now(tmp_path):
    left(tmp_path, pids={"bastiond": [os.getpid(), 1], "collector": [os.getpid(), 1]}).down()
    assert os.listdir(tmp_path) == []


def test_down_can_be_broken_off(tmp_path, monkeypatch):
    lab = left(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(labkit.shutil, "rmtree", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            lab.down()
    labkit.Lab(lab.dir).down()
    assert os.listdir(tmp_path) == []


def test_names_and_places_that_cannot_be(tmp_path, free_for_all):
    os.chmod(tmp_path, 0o700)
    for directory, says in ((f"{free_for_all}/my lab", "give a directory whose path has letters"), (f"{free_for_all}/$x", "give a directory whose path has letters"),
                            (f"{free_for_all}/\u00e4", "give a directory whose path has letters"), (f"{tmp_path}/a/lab", "is closed to other users")):
        done = subprocess.run([LAB, "up", directory], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr, done
    assert os.listdir(tmp_path) == os.listdir(free_for_all) == []


def test_who_is_not_root(free_for_all):
    """Needs sudo, says so, and leaves nothing: it is the one under sudo that makes things."""
    place = tempfile.mkdtemp(dir="/tmp")
    try:
        os.chmod(place, 0o755)
        for name in ("lab", "labkit.py", "codes.py"):
            shutil.copy(os.path.join(os.path.dirname(LAB), name), place)
        os.mkdir(f"{place}/bin")
        said = []
        for _ in range(2):
            done = subprocess.run([sys.executable, f"{place}/lab", "up", "/tmp/there"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                                  user=62001, group=62001, extra_groups=[], env={"PATH": f"{place}/bin", "TMPDIR": free_for_all, "LAB_BIN": "/x", "SECRET": "y"})
            said.append((done.returncode, done.stdout, done.stderr))
            labkit.write(f"{place}/bin/sudo", "#!/bin/sh\necho \"$@\"\n", 0o755)
    finally:
        shutil.rmtree(place)
    assert said == [(1, "", "tests/lab: needs root, or sudo\n"), (0, f"env LAB_BIN=/x {sys.executable} {place}/lab up /tmp/there\n", "")]
    assert os.listdir(free_for_all) == []


@pytest.fixture
def theirs():
    """A directory below /tmp that another account made, with a lab.json that names what root is to remove and whom to kill."""
    precious, directory = tempfile.mkdtemp(prefix="precious-", dir="/tmp"), tempfile.mkdtemp(prefix="theirs-", dir="/tmp")
    victim = subprocess.Popen(["sleep", "100"])
    state = {"bin": "/nowhere", "ports": {}, "pids": {"bastiond": [victim.pid, labkit.start_time(victim.pid)]}, "options": [], "temporary": [precious], "users": {},
             "hosts": [], "run_dir": directory}
    labkit.write(f"{directory}/lab.json", json.dumps(state))
    os.chown(f"{directory}/lab.json", 62001, 62001)
    os.chown(directory, 62001, 62001)
    yield directory, precious, victim
    victim.kill()
    victim.wait()
    for path in (precious, directory):
        shutil.rmtree(path, ignore_errors=True)


def test_nothing_of_others_is_believed(theirs):
    directory, precious, victim = theirs

    def refused(*argv, env=None):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env=os.environ | (env or {}))
        assert done.returncode != 0 and "belongs to uid" in done.stdout + done.stderr, done.stdout + done.stderr
        assert os.path.exists(precious) and os.path.exists(directory) and victim.poll() is None
    refused(LAB, "down", directory)
    refused(os.path.join(labkit.REPO, "tests", "demo"), "down", env={"DEMO_DIR": directory})
    refused(os.path.join(labkit.REPO, "tests", "demo"), env={"DEMO_DIR": directory})
    os.chown(directory, 0, 0)       # the file alone is theirs
    refused(LAB, "down", directory)
    os.chown(f"{directory}/lab.json", 0, 0)
    os.chmod(f"{directory}/lab.json", 0o666)
    refused(LAB, "down", directory)
    os.remove(f"{directory}/lab.json")
    os.chown(directory, 62001, 62001)
    refused(LAB, "up", directory)
    os.chown(directory, 0, 0)
    os.chmod(directory, 0o777)
    refused(LAB, "up", directory)


def test_only_what_labs_make_is_removed(theirs):
    directory, precious, _ = theirs
    for path in (directory, f"{directory}/lab.json"):
        os.chown(path, 0, 0)
    state = json.loads(labkit.read(f"{directory}/lab.json")) | {"pids": {}}
    labkit.write(f"{directory}/lab.json", json.dumps(state))
    labkit.run(LAB, "down", directory)
    assert os.path.exists(precious) and not os.path.exists(directory)


def test_in_a_closed_home(tmp_path_factory):
    """The tree below /root, or a home that others do not enter: its users' commands and the target's program run all the same."""
    closed = tmp_path_factory.mktemp("closed")
    for name in labkit.PROGRAMS:
        shutil.copy(os.path.join(BUILD, name), closed)
    os.chmod(closed, 0o700)
    directory = tempfile.mkdtemp(prefix="bastion-lab-", dir="/tmp")
    lab = labkit.Lab.create(directory, bin_dir=str(closed), accounts=True)
    try:
        assert labkit.runs_for_others(lab.bin("bastionctl")) and not labkit.runs_for_others(str(closed / "bastionctl"))
        assert "web1" in lab.ctl("hosts", uid=lab.state["users"]["alice"])
        assert lab.account_program() in labkit.read(lab.path("bastiond.conf")) and labkit.closed_to_others(lab.account_program()) is None
    finally:
        lab.down()


def test_a_port_is_claimed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_PORTS", str(tmp_path))
    first = labkit.free_port(3)
    assert not any(labkit.claim_port(port) for port in range(first, first + 3))
    assert labkit.claim_port(9999) and not labkit.claim_port(9999)
    numbers = iter([9999, *range(31999, 31900, -1)])
    monkeypatch.setattr(labkit.random, "randrange", lambda *_: next(numbers))
    assert labkit.free_port() != 9999


def test_the_callers_mask_does_not_count(tmp_path):
    """umask 077 is a usual hardening of root's; others run what a lab's files hold."""
    done = subprocess.run(["sh", "-c", 'umask 077 && exec "$@"', "sh", sys.executable, "-c",
                           f"import os, sys; sys.path.insert(0, {os.path.dirname(labkit.__file__)!r}); import labkit; os.mkdir('made'); labkit.write('text', '')"],
                          cwd=tmp_path, check=False)
    assert done.returncode == 0 and (tmp_path / "made").stat().st_mode & 0o777 == 0o755
