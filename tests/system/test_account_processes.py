"""etc/target/bastion-account against a user who wants to stay: processes that defend themselves, mounts, a home that is somewhere else. What does
not go is not "gone"."""
import contextlib
import os
import signal
import sys

import pytest

from harness import until
from target_machine import SCRIPT, later, machine  # noqa: F401

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
    """As the page says: what is not certain is `failed`, the account is closed, and a later try ends it. Nothing can strike here, so that the
    defence holds for the whole of the call, which is a short one."""
    uid = 70227
    machine.account(f"create una {uid} {later()}")
    with machine.python(CHAIN, uid, int(signal.SIGKILL)) as chain:
        with machine.broken("perl"), machine.broken("python3"), machine.broken("setpriv"):
            answer = machine.sh(f"sed 's/^KILLS_S=15 /KILLS_S=2 /' {SCRIPT} >/var/lib/short; grep -q '^KILLS_S=2 ' /var/lib/short;"
                                f"sh /var/lib/short remove una {uid}", check=False)
            assert answer == f"failed processes of uid {uid} do not end"
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


def test_what_cannot_be_removed_stays_marked(machine):
    machine.account(f"create quy 70070 {later()}")
    machine.sh("mount -o remount,bind,ro /home")   # it cannot go
    assert machine.account("remove quy 70070", 1).startswith("failed ")
    assert machine.account("list").split()[:2] == ["quy", "70070"]
    machine.sh("mount -o remount,bind,rw /home")
    assert machine.account("remove quy 70070") == "gone"
    assert machine.sh("ls -A /home | grep quy", check=False) == ""
