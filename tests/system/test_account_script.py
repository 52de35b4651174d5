"""etc/target/bastion-account, the program that makes and removes accounts at a target, run in a copy of this machine's /etc and /home: what it
makes, what it removes, and what it never touches."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from harness import labkit, until

SCRIPT = os.path.join(labkit.REPO, "etc", "target", "bastion-account")
STATE = "/var/lib/bastion-account"
# A user's process that ends at once and goes on in its child, which no list of processes shows, and sends a signal to all that it may, the ones
# that are to end it among them. The first one is root's: it reaps them.
CHAIN = """
import ctypes, os, sys
uid, signal = int(sys.argv[1]), int(sys.argv[2])
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
if os.fork() == 0:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    while True:
        for _ in range(200):
            try:
                os.kill(-1, signal)
            except OSError:
                pass
        if os.fork():
            os._exit(0)
print("up", flush=True)
while True:
    os.wait()
"""
# A process whose first thread has ended.
HEADLESS = """
import ctypes, os, sys, threading, time
os.setresuid(*3 * [int(sys.argv[1])])
threading.Thread(target=lambda: print("up", flush=True) or time.sleep(600)).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)
"""
# A process of theirs that makes another one fifty times a second.
FORKS = """
import os, sys, time
os.setresuid(*3 * [int(sys.argv[1])])
print("up", flush=True)
while True:
    time.sleep(0.02)
    os.fork() or time.sleep(600)
"""
# A name service that cannot be asked for groups, as sssd when it is broken.
NO_ANSWER = """#!/bin/sh
[ "$1" != DATABASE ] || exit 3
exec GETENT.real "$@"
"""
ONE, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
BINDS = (("etc", "/etc"), ("home", "/home"), ("lib", "/var/lib"), ("spool", "/var/spool"))


class Machine:
    """Mount and process namespaces in which accounts can be made; they live until stop()."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree("/etc", f"{folder}/etc", symlinks=True)
        for name in ("home", "lib", "spool"):
            os.mkdir(f"{folder}/{name}", 0o755)
        binds = "".join(f"mount --bind {folder}/{name} {at}\n" for name, at in BINDS)
        # It ends with its standard input. It reaps, as an init does: the lock of a useradd that was killed is nobody's only then.
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                                        f"set -e\n{binds}echo ready\nexec 3<&0\ncat <&3 >/dev/null & wait $!"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        self.pid = until(lambda: labkit.read(children).split(), what="the namespace")[0]

    def argv(self, *words):
        return ["nsenter", "-t", self.pid, "--mount", "--pid", "--wd=/", *words]

    def sh(self, script, check=True, stdin=""):
        done = subprocess.run(self.argv("sh", "-c", script), capture_output=True, text=True, timeout=60, check=False, input=stdin)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    @contextlib.contextmanager
    def python(self, script, *args):
        """A program of theirs that says when it runs, and that ends at the latest here."""
        process = subprocess.Popen(self.argv(sys.executable, "-c", script, *map(str, args)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()
            process.wait(timeout=20)

    @contextlib.contextmanager
    def broken(self, program):
        """A program of the host that fails."""
        at = self.sh(f"readlink -f $(command -v {program})")
        self.sh(f"mount --bind /bin/false {at}")
        try:
            yield
        finally:
            if program != "umount":
                self.sh(f"umount {at}")
            else:
                self.sh(f"""{sys.executable} -c 'import ctypes; assert ctypes.CDLL(None).umount2(b"{at}", 2) == 0'""")

    def run(self, words, by_stdin=True):
        return subprocess.run(self.argv("sh", SCRIPT, *(() if by_stdin else words.split())), input=words + "\n" if by_stdin else "",
                              capture_output=True, text=True, timeout=60, check=False)

    def account(self, words, status=0, by_stdin=True):
        """What bastion-account answers to these words."""
        done = self.run(words, by_stdin)
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
    assert machine.account("list") == f"ada 70001 {end} there -"
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


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL])
def test_nobody_defends_their_processes(machine, sent):
    """A user who stops, or kills, whatever is to kill theirs, and forks all the time."""
    uid = 70200 + sent
    machine.account(f"create una {uid} {later()}")
    with machine.python(CHAIN, uid, int(sent)) as chain:
        assert machine.account(f"remove una {uid}") == "gone"
        chain.wait(timeout=20)  # nothing is left to reap


def test_a_process_without_its_first_thread(machine):
    machine.account(f"create vic 70210 {later()}")
    with machine.python(HEADLESS, 70210) as process:
        until(lambda: "Z" in machine.sh("grep -h ^State: $(grep -l '^Uid:.*70210' /proc/[0-9]*/status)"), what="the end of its first thread")
        assert machine.account("remove vic 70210") == "gone"
        process.wait(timeout=20)


@pytest.mark.parametrize("gone", [("perl",), ("perl", "python3")])
def test_no_perl(machine, gone):
    """Without it, and without python, which does the same: what does not defend itself ends all the same."""
    uid = 70220 + len(gone)
    machine.account(f"create wyn {uid} {later()}")
    with machine.python(FORKS, uid), contextlib.ExitStack() as stack:
        for program in gone:
            stack.enter_context(machine.broken(program))
        assert machine.account(f"remove wyn {uid}") == "gone"
        assert machine.sh(f"grep -l '^Uid:.*{uid}' /proc/[0-9]*/status | xargs -r grep -L '^State:.*Z'", check=False) == ""


def test_python_is_as_good(machine):
    uid = 70225
    machine.account(f"create una {uid} {later()}")
    with machine.python(CHAIN, uid, int(signal.SIGKILL)) as chain, machine.broken("perl"):
        assert machine.account(f"remove una {uid}") == "gone"
        chain.wait(timeout=20)


def test_with_neither_a_defence_is_told(machine):
    """As the page says: it may take longer than one call then. What is not certain is `failed`, the account is closed, and a later try ends it."""
    uid = 70227
    machine.account(f"create una {uid} {later()}")
    with machine.python(CHAIN, uid, int(signal.SIGKILL)) as chain:
        with machine.broken("perl"), machine.broken("python3"):
            done = machine.run(f"remove una {uid}")
            assert done.stdout.startswith("failed ") and done.returncode == 1 or done.stdout == "gone\n" and done.returncode == 0
            if done.stdout == "gone\n":
                chain.wait(timeout=20)
            else:
                assert machine.sh("getent shadow una").split(":")[7] == "1" and f"una {uid}" in machine.account("list")
        assert machine.account(f"remove una {uid}") == "gone"
        chain.wait(timeout=20)


def test_what_fails_is_not_gone(machine):
    """A list of processes that is not whole is no proof, and an account that is not closed could be come back to."""
    machine.account(f"create xia 70230 {later()}")
    for program, why in (("xargs", "cannot be listed"), ("grep", "cannot be listed"), ("chage", "chage")):
        with machine.broken(program):
            answer = machine.account("remove xia 70230", 1)
        assert answer.startswith("failed ") and why in answer
        assert "xia 70230" in machine.account("list") and machine.sh("getent passwd xia")
    assert machine.account("remove xia 70230") == "gone"


@pytest.mark.parametrize("field", ["", "/srv/zoe"])
def test_a_home_that_was_moved_stays(machine, field):
    """What passwd says is not believed: nothing outside the home that was made is unmounted or removed."""
    uid = 70250 + len(field)
    machine.account(f"create zoe {uid} {later()}")
    machine.sh(f"mkdir -p /srv/zoe && chown {uid} /srv/zoe && touch /srv/zoe/it; sed -i 's,:/home/zoe:,:{field}:,' /etc/passwd")
    before = machine.sh("cut -d' ' -f2 /proc/self/mounts")
    try:
        answer = machine.account(f"remove zoe {uid}", 1)
        assert answer.startswith("failed ") and f"its home is '{field}'" in answer
        assert machine.sh("cut -d' ' -f2 /proc/self/mounts; ls /srv/zoe") == f"{before}\nit"
        assert machine.sh("getent passwd zoe", check=False) == ""
        assert machine.account(f"remove zoe {uid}") == "gone" and machine.sh("ls /home | grep zoe", check=False) == ""
    finally:
        machine.sh("rm -rf /srv/zoe")


def test_what_is_mounted_on_the_home(machine):
    """By name and by number, twice, with a name that is hard to read, and one whose file system is dead."""
    machine.account(f"create abe 70260 {later()}")
    machine.sh("cd /home/abe && mkdir -p \"$(printf 'a\\n ')x\" && mount -t tmpfs t \"$(printf 'a\\n ')x\""
               "&& mount -t tmpfs t /home/abe && mkdir /home/abe/d && mount -t tmpfs t /home/abe/d && mount -t tmpfs t /home/abe")
    assert machine.account("remove abe 70260") == "gone"
    assert machine.sh("ls -A /home | grep abe; grep abe /proc/mounts", check=False) == ""


@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no fuse")
def test_a_dead_file_system_on_the_home(machine):
    machine.account(f"create ben 70270 {later()}")
    machine.sh(f"""{sys.executable} -c 'import os
fd = os.open("/dev/fuse", os.O_RDWR)
import ctypes
assert ctypes.CDLL(None).mount(b"x", b"/home/ben", b"fuse", 0, b"fd=%d,rootmode=40000,user_id=70270,group_id=70270" % fd) == 0'""")
    assert machine.sh("ls /home/ben 2>&1", check=False).startswith("ls: cannot")
    with machine.broken("umount"):
        assert machine.account("remove ben 70270", 1).startswith("failed ")
    assert "ben 70270" in machine.account("list")
    assert machine.account("remove ben 70270") == "gone"
    assert machine.sh("ls -A /home | grep ben; grep ben /proc/mounts", check=False) == ""


def test_no_subordinate_uids(machine):
    assert machine.account(f"create cal 50001 {later()}") == "ok"   # where useradd gives some
    assert machine.sh("grep cal /etc/subuid /etc/subgid", check=False) == ""
    machine.account("remove cal 50001")


def test_a_name_with_power(machine):
    """What sudo gives rights to as a user or a group; not what is a command, a host or a comment to it. A host may want it so."""
    rules = """%opsy,dev.ops,\\\\
  conti ALL=(ALL:ALL) NOPASSWD: /bin/evie # finn
User_Alias PEOPLE = gail, !hank
root ALL=(ivy : jack) /bin/kate lara mona, (nell) ALL
Host_Alias BOXES = otto
Cmnd_Alias TOOLS = /bin/pia quin
#includedir /etc/sudo.more
@include sudo.%h
"""
    machine.sh("mkdir -p /etc/sudoers.d /etc/sudo.more && printf '%s' \"$(cat)\" >/etc/sudoers.d/x && echo 'rita ALL=ALL' >/etc/sudo.more/y &&"
               "echo 'sven ALL=ALL' >/etc/sudo.$(uname -n | cut -d. -f1) && echo 'tess ALL=ALL' >/etc/sudo.more/y~", stdin=rules)
    # what they are to sudo is decided before anything is made: asked of the script's own function
    names = ("opsy dev.ops conti gail hank ivy jack nell rita sven docker wheel root "
             "ops evie finn kate lara mona otto pia quin tess").split()
    functions = machine.sh(f"sed -n '/^POWERFUL=/p; /^ALLOW=/p; /^answer()/,/^}}/p; /^rules_in()/,/^need_free()/p' {SCRIPT} | sed '$d'")
    said = machine.sh("eval \"$(cat)\"\n" f"for name in {' '.join(names)}; do powerful $name && echo $name; done; :", stdin=functions).split()
    assert said == names[:13]
    for name in ("opsy", "docker"):
        answer = machine.account(f"create {name} 70280 {later()}", 1)
        assert answer.startswith("refused ") and "sudo" in answer
        assert machine.sh(f"getent group {name}; ls {STATE} | grep {name}", check=False) == ""
    # the host says that they shall have them; what is no rule of sudo stays refused
    machine.sh("printf 'opsy\\ndocker\\n' >/etc/bastion-account.allow")
    assert machine.account(f"create docker 70280 {later()}", 1).startswith("refused ")
    for uid, name in enumerate(("opsy", "lara"), 70281):
        assert machine.account(f"create {name} {uid} {later()}") == "ok"
        machine.account(f"remove {name} {uid}")
    machine.sh("rm -r /etc/sudoers.d/x /etc/sudo.more /etc/bastion-account.allow")


def test_a_name_service_that_fails_is_no_answer(machine):
    """That there is no such account is said by getent, not by its failure: nothing is made, nothing counts as gone."""
    machine.account(f"create kai 70310 {later()}")
    at = machine.sh("readlink -f $(command -v getent)")
    copy = f"/var/lib/{os.path.basename(at)}.real"
    machine.sh(f"cp {at} {copy}")
    for database in ("passwd", "group"):
        machine.sh(f"cat >/var/lib/getent.fails && chmod 755 /var/lib/getent.fails && mount --bind /var/lib/getent.fails {at}",
                   stdin=NO_ANSWER.replace("DATABASE", database).replace("GETENT.real", copy))
        try:
            assert machine.account(f"create lev 70311 {later()}", 1).startswith(f"failed getent {database} fails")
            if database == "passwd":
                assert machine.account(f"create kai 70310 {later()}", 1).startswith("failed getent")
                assert machine.account("remove kai 70310", 1).startswith("failed getent")
                assert machine.account("remove nobody_known 70312", 1).startswith("failed getent")
                assert machine.account("list", 1).startswith("failed getent")
        finally:
            machine.sh(f"umount {at}")
    assert machine.sh(f"ls {STATE}") == "kai" and machine.sh("getent passwd kai")
    assert machine.account("remove kai 70310") == "gone"


def test_two_bastions(machine):
    """Of different databases, with the same name and uid: neither gets, changes or removes what the other one made."""
    end = later()
    assert machine.account(f"create lou 70320 {end} {int(time.time())} {ONE}") == "ok"
    mark = machine.sh(f"cat {STATE}/lou")
    for by in (OTHER, "-", ""):
        answer = machine.account(f"create lou 70320 {later(9)} {int(time.time())} {by}", 1)
        assert answer.startswith("refused ") and "another bastion's" in answer and ONE in answer
    assert "another bastion's" in machine.account(f"create lou 70321 {end} {int(time.time())} {OTHER}", 1)
    # of the other's there is none; one that gives no name is told that it is not asked for
    assert machine.account(f"remove lou 70320 {OTHER}") == "gone"
    assert machine.account("remove lou 70320", 1).startswith("refused ")
    assert machine.sh(f"cat {STATE}/lou") == mark and machine.sh("getent passwd lou") and machine.account("list") == f"lou 70320 {end} there {ONE}"
    assert machine.account(f"create lou 70320 {end + 1} {int(time.time())} {ONE}") == "ok"
    for bad in ("x" * 32, ONE[:-1], ONE + "0", ONE.upper()):
        assert machine.account(f"remove lou 70320 {bad}", 1).startswith("refused ")
    # root of the host, by hand
    assert machine.account(f"create lou 70320 {end}", by_stdin=False) == "ok" and machine.account("list") == f"lou 70320 {end} there {ONE}"
    assert machine.account(f"remove lou 70320 {ONE}") == "gone" and machine.account("list") == ""
    assert machine.account(f"create lou 70320 {end} {int(time.time())} {OTHER}", 1) == "used 70320"
    machine.account(f"create lou 70322 {end} {int(time.time())} {ONE}")
    assert machine.account("remove lou 70322", by_stdin=False) == "gone"


def test_a_mark_from_before_bastions_had_names(machine):
    """It is that bastion's which knows name and uid, and from then on no other's."""
    end = later()
    for uid in (70330, 70331):
        machine.account(f"create max {uid} {end}")
        machine.sh(f"echo '{uid} {end} 1 there' >{STATE}/max")  # its form then
        assert machine.account("list") == f"max {uid} {end} there -"
        assert machine.account(f"create max 70339 {end} {int(time.time())} {ONE}", 1).startswith("refused ")
        if uid == 70330:
            assert machine.account(f"create max {uid} {end} {int(time.time())} {ONE}") == "ok"
            assert machine.account("list") == f"max {uid} {end} there {ONE}"
            assert "another bastion's" in machine.account(f"create max {uid} {end} {int(time.time())} {OTHER}", 1)
        assert machine.account(f"remove max {uid} {ONE}") == "gone" and machine.account("list") == ""


def test_a_try_that_fails_takes_no_uid(machine):
    end = later()
    with machine.broken("useradd"):
        assert machine.account(f"create gil 70290 {end}", 1).startswith("failed ")
    assert machine.account("list") == f"gil 70290 {end} making -"
    assert machine.sh("getent passwd gil; getent group gil; ls /home | grep gil", check=False) == ""
    assert machine.account(f"create gil 70290 {end}") == "ok"
    assert machine.account("remove gil 70290") == "gone" and machine.account("list") == ""


def test_a_full_disk_makes_no_other_number(machine):
    size = 4096 // 6 * 6
    machine.sh(f"mkdir -p {STATE} && mount -t tmpfs -o size=64k tmpfs {STATE}")
    try:
        machine.sh(f"yes 60000 | head -c {size} >{STATE}/.used; head -c 1000000 /dev/zero >{STATE}/.full", check=False)
        assert machine.account("remove ian 70300", 1).startswith("failed ")
        machine.sh(f"rm {STATE}/.full")
        assert machine.account("remove ian 70301") == "gone"
        assert machine.account(f"create ian 70301 {later()}", 1) == "used 70301"
        assert machine.sh(f"sort -u {STATE}/.used").split() == ["60000", "70301"]
    finally:
        machine.sh(f"umount {STATE}")


def test_its_end_is_kept_by_the_target_alone(machine):
    machine.account(f"create fay 70030 {later()}")
    machine.account(f"create gus 70031 {later()}")
    assert machine.account("sweep", by_stdin=False) == ""
    end = later(60)
    assert machine.account(f"create fay 70030 {end}") == "ok"   # the end comes earlier,
    assert f"fay 70030 {end} there -" in machine.account("list").splitlines()
    machine.sh(f"sed -i 's/{end}/{end - 120}/' {STATE}/fay")    # and two minutes pass
    assert machine.account("sweep", by_stdin=False) == "gone fay 70030"
    assert machine.sh("getent passwd fay", check=False) == ""
    assert [line.split()[0] for line in machine.account("list").splitlines()] == ["gus"]
    end = later(7200)
    assert machine.account(f"create gus 70031 {end}") == "ok"                    # and later
    assert machine.account("list") == f"gus 70031 {end} there -"
    machine.account("remove gus 70031")


def test_what_others_made_is_never_touched(machine):
    machine.sh("useradd -m hal && useradd -m -u 70041 ida && useradd -m joy && groupadd kim && mkdir /home/leo")
    before = machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort")
    end = later()
    for words, why in ((f"create hal 70040 {end}", "did not make"), (f"create ina 70041 {end}", "is ida's"), (f"create kim 70042 {end}", "group kim"),
                       (f"create leo 70043 {end}", "/home/leo is there"), ("remove ida 70041", "made by others"),
                       (f"create root 70044 {end}", "give rights"), (f"create root 70044 {end} {int(time.time())} {ONE}", "give rights")):
        answer = machine.account(words, 1)
        assert answer.startswith("refused ") and why in answer, (words, answer)
    assert machine.account("remove hal 70045") == "gone"    # of ours there is none
    assert machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort") == before
    # ours was removed by hand, and another of that name made
    machine.account(f"create mia 70046 {end}")
    machine.sh("userdel -r mia && useradd -m mia && touch /home/mia/hers")
    assert machine.account("list").endswith("foreign -")
    assert "others removed or replaced it" in machine.account(f"create mia 70046 {end}", 1)
    assert machine.account("remove mia 70046") == "gone"
    assert machine.sh("ls /home/mia") == "hers" and machine.account("list") == ""


def test_a_subordinate_uid_is_nobodys(machine):
    machine.sh("echo hal:300000:65536 >>/etc/subuid")
    answer = machine.account(f"create nan 300001 {later()}", 1)
    assert answer.startswith("refused ") and "/etc/subuid" in answer
    assert machine.account("list") == ""


def test_bad_arguments(machine):
    before = machine.sh(f"cat /etc/passwd; ls -A {STATE}")
    for words in ("create oz 70050 {past}", "create oz 70050 {far}", "create oz 70050 {end} 1000000", "create ../oz 70050 {end}", "create -oz 70050 {end}",
                  "create oz 0 {end}", "create oz 999 {end}", "create oz 7e4 {end}", "create oz 070050 {end}", "create oz 70050 {end}s",
                  "create oz 99999999999999 {end}", "create O 70050 {end}", "create oz;id 70050 {end}", "create * 70050 {end}",
                  "create " + "o" * 33 + " 70050 {end}", "remove oz 0", "remove .. 70050"):
        assert machine.account(words.format(past=later(-1), far=later(500 * 86400), end=later()), 1).startswith("refused "), words
    assert machine.sh(f"cat /etc/passwd; ls -A {STATE}") == before


def test_usage(machine):
    for words in ("", "create", "create oz", "drop oz 70050", "remove oz", "list oz", "sweep 1", "create oz 70050 1 2 3 4", "remove oz 70050 1 2"):
        assert machine.account(words, 2) == "", words


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
    machine.sh("mount -o remount,bind,ro /home")   # it cannot go
    assert machine.account("remove quy 70070", 1).startswith("failed ")
    assert machine.account("list").split()[:2] == ["quy", "70070"]
    machine.sh("mount -o remount,bind,rw /home")
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
            assert machine.account("list") == f"rob {uid} {end} there -"
            assert machine.sh("stat -c %u /home/rob") == str(uid)
        machine.sh(f"{cut} remove rob {uid}", check=False)
        assert machine.account(f"remove rob {uid}") == "gone"
        assert machine.account("list") == ""
        assert machine.sh(f"getent passwd rob {uid}; getent group rob {uid}; ls -d /home/rob", check=False) == ""
        assert machine.account(f"create rob {uid} {end}", 1).startswith("used ")
