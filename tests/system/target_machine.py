"""A copy of this machine's /etc, /home and /var/lib in namespaces of its own, in which etc/target/bastion-account makes and removes accounts."""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from harness import labkit, until

STATE = "/var/lib/bastion-account"
SCRIPT = "/var/lib/under-test"      # a copy: the tree may lie below what is hidden here
BINDS = (("etc", "/etc"), ("home", "/home"), ("lib", "/var/lib"), ("spool", "/var/spool"))


class Namespaces:
    """Mount and process namespaces, made by a script; they live until stop()."""

    def __init__(self, mounts):
        # It ends with its standard input. It reaps, as an init does: the lock of a useradd that was killed is nobody's only then.
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                                        f"set -e\n{mounts}echo ready\nexec 3<&0\ncat <&3 >/dev/null & wait $!"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        self.pid = until(lambda: labkit.read(children).split(), what="the namespace")[0]

    def argv(self, *words):
        return ["nsenter", "-t", self.pid, "--mount", "--pid", "--wd=/", *words]

    def sh(self, script, check=True, stdin="", timeout=60):
        done = subprocess.run(self.argv("sh", "-c", script), capture_output=True, text=True, timeout=timeout, check=False, input=stdin)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def stop(self):
        self.holder.stdin.close()
        self.holder.wait(timeout=20)


class Machine(Namespaces):
    """One in which accounts can be made."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree("/etc", f"{folder}/etc", symlinks=True)
        for name in ("home", "lib", "spool"):
            os.mkdir(f"{folder}/{name}", 0o755)
        shutil.copy(labkit.ACCOUNT_PROGRAM, f"{folder}/lib/under-test")
        super().__init__("".join(f"mount --bind {folder}/{name} {at}\n" for name, at in BINDS))

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
        """A program of the host that fails: that one which bastion-account finds, whatever the tests' own PATH has before it."""
        at = self.sh(f"PATH=/usr/sbin:/usr/bin:/sbin:/bin; readlink -f $(command -v {program})")
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


@pytest.fixture(scope="module")
def machine():
    # in memory: the program syncs each step, which is not what is tested here
    with tempfile.TemporaryDirectory(dir=labkit.memory()) as folder:
        os.chmod(folder, 0o755)
        it = Machine(folder)
        yield it
        it.stop()


def later(seconds=3600):
    return int(time.time()) + seconds
