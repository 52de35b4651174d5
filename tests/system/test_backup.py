"""A backup of the database while the bastion works, its check, its way back, and a second bastion that takes the first one's place."""
import contextlib
import glob
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

from harness import Client, labkit, until


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def ctl(lab, *words, conf=None):
    return subprocess.run([lab.bin("bastionctl"), "-f", conf or lab.path("bastiond.conf"), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)


def database(lab):
    return lab.path("state", "db", "policy.db")


def restart(lab):
    if lab.control:
        lab.control.close()
        lab.control = None
    lab.start("bastiond")


@contextlib.contextmanager
def stopped(lab):
    lab.stop("bastiond")
    try:
        yield
    finally:
        restart(lab)


def test_while_sessions_go_on(own, tmp_path):
    """Many events make it a copy of many steps; a session types through it, and what changes meanwhile is in it or not, whole."""
    with Client(own, "deploy").start("web1.jump", "cat") as cat:
        until(lambda: own.ask("sessions")["rows"], 30, what="a session")
        for i in range(300):
            own.ask("user lock" if i % 2 == 0 else "user unlock", user="carol")
        path = str(tmp_path / "b.db")
        with subprocess.Popen([own.bin("bastionctl"), "-f", own.path("bastiond.conf"), "backup", path], stdout=subprocess.PIPE, text=True) as backup:
            for i in range(20):
                cat.stdin.write(b"%d\n" % i)
                cat.stdin.flush()
                assert cat.stdout.readline() == b"%d\n" % i
                own.ask("user lock" if i % 2 == 0 else "user unlock", user="carol")
            assert "bytes" in backup.stdout.read() and backup.wait(60) == 0
        cat.stdin.close()
        assert cat.wait(30) == 0
    assert os.stat(path).st_mode & 0o777 == 0o600
    checked = ctl(own, "backup", "check", path)
    assert checked.returncode == 0 and "is whole" in checked.stdout, checked.stderr
    assert not [name for name in os.listdir(own.path("state", "db")) if "backup" in name or "check" in name]
    assert "store.backup" in [row["kind"] for row in own.ctl_json("report", "privileges")["rows"]]


def test_not_for_others(own, tmp_path, free_for_all):
    done = subprocess.run([own.bin("bastionctl"), "-f", own.path("bastiond.conf"), "backup", f"{free_for_all}/b.db"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False, user=own.state["users"]["carol"], group=own.state["users"]["carol"], extra_groups=[])
    assert done.returncode == 3 and "for root" in done.stderr and not os.listdir(free_for_all)
    assert ctl(own, "backup", str(tmp_path / "no" / "where.db")).returncode == 5


@pytest.fixture
def backup(own, tmp_path):
    path = str(tmp_path / "bastion.db")
    assert ctl(own, "backup", path).returncode == 0
    return path


def test_what_is_not_whole_is_refused(own, backup):
    good = open(backup, "rb").read()

    def refused(says):
        done = ctl(own, "backup", "check", backup)
        assert done.returncode == 1 and says in done.stderr, done.stdout + done.stderr
    open(backup, "wb").write(good[:len(good) // 2])
    refused("restore it from a backup")
    open(backup, "wb").write(b"no database" * 1000)
    refused("not a database")
    open(backup, "wb").write(good)
    with sqlite3.connect(backup) as db:
        db.execute("DROP TRIGGER events_fixed")
        db.execute("UPDATE events SET actor='mallory' WHERE id=5")
    db.close()
    refused("event 5 does not fit the chain")
    open(backup, "wb").write(good)
    with sqlite3.connect(backup) as db:
        db.execute("DROP TRIGGER verdicts_kept")
        db.execute("DELETE FROM verdicts")
    db.close()
    refused("fewer approvals")
    done = ctl(own, "restore", backup)
    assert done.returncode == 1 and "bastiond runs" in done.stderr
    with stopped(own):
        before = open(database(own), "rb").read()
        done = ctl(own, "restore", backup)
        assert done.returncode == 1 and "fewer approvals" in done.stderr
        assert open(database(own), "rb").read() == before and not glob.glob(database(own) + ".*")


def test_restored(own, backup):
    user = Client(own, "deploy")
    user.run("web1.jump", "true", check=True)
    own.ask("user add", user="afterwards")
    with stopped(own):
        now = int(time.time())
        done = ctl(own, "restore", backup)
        assert done.returncode == 0 and "have ended" in done.stdout, done.stderr
        with contextlib.closing(sqlite3.connect(f"file:{database(own)}?mode=ro", uri=True)) as db:
            spent = [row[0] for row in db.execute("SELECT held FROM totp")]
        assert spent and min(spent) > now // 30, spent      # a code that was used after the backup is not good again
        kept = re.search(r"there: (\S+)", done.stdout).group(1)
        assert sqlite3.connect(f"file:{kept}?mode=ro", uri=True).execute("SELECT count(*) FROM users WHERE name='afterwards'").fetchone()[0] == 1
    assert "fit the chain" in own.ctl("events", "--verify")
    assert "afterwards" not in own.ctl("user", "list")
    assert not own.ask("grants")["rows"]
    assert user.run("web1.jump", "true").returncode != 0        # its grant has ended: a revoke after the backup cannot come back
    own.grant("deploy")
    user.run("web1.jump", "true", check=True)
    assert "store.restore" in [row["kind"] for row in own.ctl_json("report", "privileges")["rows"]]


# Ends the process before a call that a power cut may come before, the n-th of them in all. One that gave up root ends alone, and its parent after it.
CUT = r"""
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

static int *calls, last;

__attribute__((constructor)) static void begin(void)
{
	last = atoi(getenv("CUT_AT"));
	calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

#define BEFORE(name, params, args) \
int name params { static int (*real) params; if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name); \
	if (__atomic_add_fetch(calls, 1, __ATOMIC_SEQ_CST) == last) kill(0, SIGKILL); return real args; }

BEFORE(rename, (const char *a, const char *b), (a, b))
BEFORE(link, (const char *a, const char *b), (a, b))
BEFORE(unlink, (const char *a), (a))
BEFORE(ftruncate, (int fd, off_t n), (fd, n))
BEFORE(ftruncate64, (int fd, off_t n), (fd, n))
BEFORE(fsync, (int fd), (fd))
BEFORE(fdatasync, (int fd), (fd))
"""


def test_cut_short_it_is_the_old_or_the_new(own, backup, tmp_path):
    """The last commits of a bastiond that was killed are in the write-ahead log; whenever restore ends, the file and its log are one of the two."""
    shim, there, saved = str(tmp_path / "cut.so"), own.path("state", "db"), str(tmp_path / "saved")
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, "-xc", "-"], input=CUT, text=True, check=True)
    with stopped(own):
        db = sqlite3.connect(database(own))
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("UPDATE users SET why='the last commit' WHERE name='carol'")
        db.commit()
        subprocess.run(["cp", "-a", there, saved], check=True)
        db.close()

        def looks_like():
            """What stands in the database as bastiond would find it: (is the last commit in it, was it restored); and it is whole."""
            with labkit.tempfile.TemporaryDirectory(dir=tmp_path) as copy:
                for name in ("policy.db", "policy.db-wal"):
                    if os.path.exists(f"{there}/{name}"):
                        shutil.copy(f"{there}/{name}", copy)
                found = sqlite3.connect(f"{copy}/policy.db")
                assert found.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                why, restored = (found.execute(f"SELECT count(*) FROM {what}").fetchone()[0] for what in
                                 ("users WHERE why='the last commit'", "events WHERE kind='store.restore' AND id=(SELECT max(id) FROM events)"))
                found.close()
                return why, restored

        seen = []
        for cut in range(1, 200):
            shutil.rmtree(there)
            subprocess.run(["cp", "-a", saved, there], check=True)
            done = subprocess.run([own.bin("bastiond"), "-B", backup, "-f", own.path("bastiond.conf")], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60, check=False, start_new_session=True, env=os.environ | {"LD_PRELOAD": labkit.preload(shim), "CUT_AT": str(cut)})
            seen.append(looks_like())
            assert seen[-1] in ((1, 0), (0, 1)), f"cut before call {cut}: {seen[-1]}"
            if done.returncode == 0:
                break
            assert done.returncode == -9 or "was ended: Killed" in done.stderr, done.stderr
        assert done.returncode == 0 and seen[0] == (1, 0) and seen[-1] == (0, 1) and seen == sorted(seen, reverse=True) and len(seen) > 8, seen
    own.grant("deploy")


def test_standby_takes_over(own, tmp_path):
    """As bastiond(8), BACKUP AND STANDBY, has it (test_deploy.py runs its commands), with --keep-grants; then the first one dies."""
    state, run_dir, port = own.path("standby"), labkit.tempfile.mkdtemp(prefix="bastion-run2-", dir="/tmp"), labkit.free_port()
    subprocess.run(f"mkdir -p {state}; tar -C {own.path('state')} --exclude=./db -cf - . | tar -C {state} -xpf -", shell=True, check=True)
    path = str(tmp_path / "bastion.db")
    assert ctl(own, "backup", path).returncode == 0
    text = labkit.read(own.path("bastiond.conf")).replace(own.path("state") + '"', state + '"').replace(own.state["run_dir"], run_dir)
    conf = labkit.write(own.path("standby.conf"), text.replace(f":{own.port('bastiond')}", f":{port}"))
    with stopped(own):
        # a directory that somebody made by hand as root is none that policy could write in
        os.mkdir(f"{state}/db", 0o700)
        done = ctl(own, "restore", path, "--keep-grants", conf=conf)
        assert done.returncode == 1 and f"chown {labkit.ROLE_UIDS['policy']}:" in done.stderr and not os.listdir(f"{state}/db")
        os.rmdir(f"{state}/db")
        done = ctl(own, "restore", path, "--keep-grants", conf=conf)
        assert done.returncode == 0, done.stderr
        log = open(own.path("log", "standby"), "wb")
        second = subprocess.Popen([own.bin("bastiond"), "-D", "-f", conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            labkit.wait_port(port, second, own.path("log", "standby"))
            client = Client(own, "deploy")
            moved = labkit.read(client.config).replace(f"Port {own.port('bastiond')}", f"Port {port}")
            labkit.write(client.config, moved, 0o600)
            assert client.run("web1.jump", "echo here", check=True).stdout == b"here\n"     # host keys, grant, target's trust: the same
            assert "fit the chain" in ctl(own, "events", "--verify", conf=conf).stdout
        finally:
            second.terminate()
            second.wait(20)
            log.close()
            shutil.rmtree(run_dir, ignore_errors=True)
