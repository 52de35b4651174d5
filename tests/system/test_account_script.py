"""etc/target/bastion-account, the program that makes and removes accounts at a target, run in a copy of this machine's /etc and /home: what it
makes, what it removes, and what it never touches."""
import os
import shutil
import subprocess
import tempfile
import time

import pytest

from harness import labkit, until

SCRIPT = os.path.join(labkit.REPO, "etc", "target", "bastion-account")
STATE = "/var/lib/bastion-account"
BINDS = (("etc", "/etc"), ("home", "/home"), ("lib", "/var/lib"), ("spool", "/var/spool"))


class Machine:
    """Mount and process namespaces in which accounts can be made; they live until stop()."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree("/etc", f"{folder}/etc", symlinks=True)
        for name in ("home", "lib", "spool"):
            os.mkdir(f"{folder}/{name}", 0o755)
        binds = "".join(f"mount --bind {folder}/{name} {at}\n" for name, at in BINDS)
        # it ends with its standard input
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                                        f"set -e\n{binds}echo ready\nexec cat >/dev/null"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        self.pid = until(lambda: labkit.read(children).split(), what="the namespace")[0]

    def argv(self, *words):
        return ["nsenter", "-t", self.pid, "--mount", "--pid", "--wd=/", *words]

    def sh(self, script, check=True):
        done = subprocess.run(self.argv("sh", "-c", script), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def account(self, words, status=0, by_stdin=True):
        """What bastion-account answers to these words."""
        done = subprocess.run(self.argv("sh", SCRIPT, *(() if by_stdin else words.split())), input=words + "\n" if by_stdin else "",
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def stop(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=20)


@pytest.fixture(scope="module")
def machine():
    # in memory: the program syncs each step, which is not what is tested here
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        os.chmod(folder, 0o755)
        it = Machine(folder)
        yield it
        it.stop()


def later(seconds=3600):
    return int(time.time()) + seconds


def test_made_and_removed(machine):
    end = later()
    assert machine.account(f"create ada 70001 {end} {int(time.time())}") == "ok"
    name, password, uid, gid, gecos, home, _ = machine.sh("getent passwd ada").split(":")
    assert (name, password, uid, gid, gecos, home) == ("ada", "x", "70001", "70001", "bastion-account 70001", "/home/ada")
    shadow = machine.sh("getent shadow ada").split(":")
    assert shadow[1] == "*" and 0 <= int(shadow[7]) * 86400 - end <= 86400
    assert machine.sh("stat -c %u:%a /home/ada").startswith("70001:7")
    assert machine.account("list") == f"ada 70001 {end} there"
    assert machine.account("remove ada 70001") == "gone"
    assert machine.sh("getent passwd ada; getent group ada; getent passwd 70001", check=False) == ""
    assert machine.sh("ls -A /home") == "" and machine.account("list") == ""
    assert machine.account("remove ada 70001") == "gone"     # an answer that was lost is asked for again


def test_a_uid_is_used_once(machine):
    end = later()
    assert machine.account(f"create bea 70010 {end}") == "ok"
    machine.account("remove bea 70010")
    assert machine.account(f"create bea 70010 {end}", 1) == "used 70010"
    assert machine.account(f"create cid 70010 {end}", 1) == "used 70010"
    # given up before it was made: a create that was under way does not come afterwards
    assert machine.account("remove dan 70013") == "gone"
    assert machine.account(f"create dan 70013 {end}", 1) == "used 70013"
    assert machine.account("list") == ""


def test_processes_end_and_nothing_is_left(machine):
    machine.account(f"create eve 70020 {later()}")
    # a loop that forks and forks, one that ignores all that it can, a file system below its home, a linger file
    machine.sh("mkdir -p '/home/eve/a b' && mount -t tmpfs tmpfs '/home/eve/a b' && mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/eve")
    spin = 'trap "" TERM HUP INT; while :; do sh -c "exec cat" <&0 & wait $!; done'
    machine.sh(f"setpriv --reuid 70020 --regid 70020 --clear-groups sh -c '{spin}' <>/dev/zero >/dev/null 2>&1 &"
               "setpriv --ruid 70020 --clear-groups sh -c 'exec cat' <>/dev/ptmx >/dev/null 2>&1 &")
    until(lambda: len(machine.sh("grep -l '^Uid:.*70020' /proc/[0-9]*/status", check=False).split()) >= 3, what="the processes")
    assert machine.account("remove eve 70020") == "gone"
    # nobody reaps here: what ended is a zombie
    assert machine.sh("grep -l '^Uid:.*70020' /proc/[0-9]*/status | xargs -r grep -L '^State:.*Z'", check=False) == ""
    assert machine.sh("ls -A /home /var/lib/systemd/linger | grep eve", check=False) == ""


def test_its_end_is_kept_by_the_target_alone(machine):
    machine.account(f"create fay 70030 {later()}")
    machine.account(f"create gus 70031 {later()}")
    assert machine.account("sweep", by_stdin=False) == ""
    end = later(60)
    assert machine.account(f"create fay 70030 {end}") == "ok"   # the end comes earlier,
    assert f"fay 70030 {end} there" in machine.account("list").splitlines()
    machine.sh(f"sed -i 's/{end}/{end - 120}/' {STATE}/fay")    # and two minutes pass
    assert machine.account("sweep", by_stdin=False) == "gone fay 70030"
    assert machine.sh("getent passwd fay", check=False) == ""
    assert [line.split()[0] for line in machine.account("list").splitlines()] == ["gus"]
    end = later(7200)
    assert machine.account(f"create gus 70031 {end}") == "ok"                    # and later
    assert machine.account("list") == f"gus 70031 {end} there"
    machine.account("remove gus 70031")


def test_what_others_made_is_never_touched(machine):
    machine.sh("useradd -m hal && useradd -m -u 70041 ida && useradd -m joy && groupadd kim && mkdir /home/leo")
    before = machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort")
    end = later()
    for words, why in ((f"create hal 70040 {end}", "did not make"), (f"create ina 70041 {end}", "is ida's"), (f"create kim 70042 {end}", "group kim"),
                       (f"create leo 70043 {end}", "/home/leo is there"), ("remove ida 70041", "made by others"),
                       (f"create root 70044 {end}", "did not make")):
        answer = machine.account(words, 1)
        assert answer.startswith("refused ") and why in answer, (words, answer)
    assert machine.account("remove hal 70045") == "gone"    # of ours there is none
    assert machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort") == before
    # ours was removed by hand, and another of that name made
    machine.account(f"create mia 70046 {end}")
    machine.sh("userdel -r mia && useradd -m mia && touch /home/mia/hers")
    assert machine.account("list").endswith("foreign")
    assert "remove it first" in machine.account(f"create mia 70046 {end}", 1)
    assert machine.account("remove mia 70046") == "gone"
    assert machine.sh("ls /home/mia") == "hers" and machine.account("list") == ""


def test_a_subordinate_uid_is_nobodys(machine):
    machine.sh("echo hal:300000:65536 >>/etc/subuid")
    answer = machine.account(f"create nan 300001 {later()}", 1)
    assert answer.startswith("refused ") and "/etc/subuid" in answer
    assert machine.account("list") == ""


@pytest.mark.parametrize("words", [
    "create oz 70050 {past}", "create oz 70050 {far}", "create oz 70050 {end} 1000000", "create ../oz 70050 {end}", "create -oz 70050 {end}",
    "create oz 0 {end}", "create oz 999 {end}", "create oz 7e4 {end}", "create oz 070050 {end}", "create oz 70050 {end}s",
    "create oz 99999999999999 {end}", "create O 70050 {end}", "create oz;id 70050 {end}", "create * 70050 {end}",
    "create " + "o" * 33 + " 70050 {end}", "remove oz 0", "remove .. 70050"])
def test_bad_arguments(machine, words):
    words = words.format(past=later(-1), far=later(500 * 86400), end=later())
    before = machine.sh(f"cat /etc/passwd; ls -A {STATE}")
    assert machine.account(words, 1).startswith("refused ")
    assert machine.sh(f"cat /etc/passwd; ls -A {STATE}") == before


@pytest.mark.parametrize("words", ["", "create", "create oz", "drop oz 70050", "remove oz", "list oz", "sweep 1", "create oz 70050 1 2 3"])
def test_usage(machine, words):
    assert machine.account(words, 2) == ""


def test_broken_off_half_way(machine):
    """A power cut at any step: what is there afterwards is marked, can be made anew under the same uid, and can be removed."""
    end = later()
    steps = ("groupadd -g 70060 pam", "groupadd -g 70060 pam && useradd -u 70060 -g 70060 -M -d /home/pam pam",
             "groupadd -g 70060 pam && useradd -u 70060 -g 70060 -m -d /home/pam pam")
    for i, step in enumerate(steps):
        uid = 70060 + i
        machine.sh(f"umask 077; mkdir -p {STATE}; echo '{uid} {end} 1 making' >{STATE}/pam; echo {uid} >>{STATE}/.used")
        machine.sh(step.replace("70060", str(uid)) or ":")
        if i % 2:
            assert machine.account(f"create pam {uid} {end}") == "ok"
            assert machine.sh("stat -c %u /home/pam") == str(uid)
        assert machine.account(f"remove pam {uid}") == "gone"
        assert machine.sh("getent passwd pam; getent group pam; ls /home | grep pam", check=False) == "", step


def test_what_cannot_be_removed_stays_marked(machine):
    machine.account(f"create quy 70070 {later()}")
    machine.sh("mount --bind /home/quy /home/quy")   # a mount on the home itself: it cannot go
    assert machine.account("remove quy 70070", 1).startswith("failed ")
    assert machine.account("list").split()[:2] == ["quy", "70070"]
    machine.sh("umount /home/quy")
    assert machine.account("remove quy 70070") == "gone"
    assert machine.sh("ls -A /home | grep quy", check=False) == ""


def test_killed_at_any_moment(machine):
    """kill -9 while it makes an account and while it removes one, later each time: asked again it ends what it began, and nothing is left."""
    began = time.monotonic()
    machine.account(f"create rob 70080 {later()}")
    span = time.monotonic() - began
    machine.account("remove rob 70080")
    steps = 4
    for i in range(steps):
        uid, end = 70081 + i, later()
        cut = f"timeout -s KILL {span * (i + 1) / steps:.3f} sh {SCRIPT}"
        machine.sh(f"{cut} create rob {uid} {end}", check=False)
        if i % 2:
            assert machine.account(f"create rob {uid} {end}") == "ok"
            assert machine.account("list") == f"rob {uid} {end} there"
            assert machine.sh("stat -c %u /home/rob") == str(uid)
        machine.sh(f"{cut} remove rob {uid}", check=False)
        assert machine.account(f"remove rob {uid}") == "gone"
        assert machine.account("list") == ""
        assert machine.sh(f"getent passwd rob {uid}; getent group rob {uid}; ls -d /home/rob", check=False) == ""
        assert machine.account(f"create rob {uid} {end}", 1).startswith("used ")
