"""What installs and starts the tests: no service of a package stays switched on, every program that is used is in the list, and a user with
sudo becomes root once."""
import importlib.machinery
import importlib.util
import os
import re
import subprocess

import pytest

from harness import labkit

DEPS = os.path.join(labkit.REPO, "tests", "deps")
CHECK = os.path.join(labkit.REPO, "tests", "check")


def program(folder, name, text):
    labkit.write(f"{folder}/{name}", "#!/bin/sh\n" + text, 0o755)


# runs a program that a signal can end, whatever is ignored here; what it runs finds its number in the file $SELF
SIGNALLED = """sh -c 'echo $$ >"$SELF"; exec env --default-signal=HUP,INT,TERM "$@"' sh"""


@pytest.fixture
def machine(tmp_path):
    """run(missing packages, group, before, signal): what was said, the last line being the status, and what a fake apt-get and a fake systemctl
    saw. `before` is a policy-rc.d that is there; the signal comes while apt-get installs. /usr/sbin is a copy in memory."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    missing, log = tmp_path / "missing", tmp_path / "log"
    program(bin_dir, "dpkg-query", f'for last; do :; done\ngrep -qx "$last" {missing} && exit 1\necho "installed 99:9"\n')
    program(bin_dir, "apt-get", f"""case "$*" in *" install "*)
[ -x /usr/sbin/policy-rc.d ] && /usr/sbin/policy-rc.d; echo "install guard=$?" >>{log}; : >{missing}
[ -z "$SIGNAL" ] || kill -$SIGNAL $(cat "$SELF") ;; esac
""")
    program(bin_dir, "systemctl", f'echo "systemctl $*" >>{log}\n')

    def run(packages, group, before="", signal=""):
        missing.write_text("".join(f"{name}\n" for name in packages))
        log.write_text("")
        script = f"""set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/u /mnt/w
mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/mnt/u,workdir=/mnt/w /usr/sbin
rm -f /usr/sbin/policy-rc.d
[ -z "$BEFORE" ] || {{ echo "$BEFORE" >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; }}
status=0
PATH={bin_dir}:$PATH {SIGNALLED} {DEPS} {group} || status=$?
[ ! -e /usr/sbin/policy-rc.d ] || cat /usr/sbin/policy-rc.d
echo $status
"""
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=os.environ | {"BEFORE": before, "SIGNAL": signal, "SELF": str(tmp_path / "pid")}, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, log.read_text()
    return run


def test_no_service_stays_on(machine):
    said, log = machine(["slapd", "ceph-mon"], "test")
    assert said.splitlines() == ["installing: slapd ceph-mon", "0"], "and no policy-rc.d is left"
    assert "install guard=101" in log, "services do not start at the installation"
    for service in ("slapd.service", "ceph-crash.service"):
        assert re.search(rf"systemctl disable .*{service}", log), log
    assert "ssh.service" not in log     # which was there before
    said, log = machine(["openssh-server"], "lab")
    assert re.search(r"systemctl disable .*ssh\.service", log) and "slapd" not in log


def test_what_was_there_stays_as_it_is(machine):
    said, log = machine(["curl"], "test", before="#!/bin/sh\n# mine")
    assert "# mine\n0\n" in said, "a policy-rc.d of the machine's own"
    assert "systemctl" not in log
    assert machine([], "test") == ("0\n", "")


@pytest.mark.parametrize("signal", ["HUP", "INT", "TERM"])
def test_what_is_broken_off_leaves_the_machine_as_it_was(machine, signal):
    """With the policy-rc.d left there no service of the machine would ever be started or restarted by a package again; and an sshd that came by
    then is not missing the next time, so that nothing would switch it off."""
    said, log = machine(["openssh-server"], "lab", signal=signal)
    assert said.splitlines() == ["installing: openssh-server", {"HUP": "129", "INT": "130", "TERM": "143"}[signal]]
    assert "install guard=101" in log and re.search(r"systemctl disable .*ssh\.service", log), log


def test_what_a_killed_run_left_goes(machine):
    said, log = machine(["curl"], "test", before="#!/bin/sh\n# tests/deps made this, and removes it at its end\nexit 101")
    assert said.splitlines() == ["installing: curl", "0"] and "install guard=101" in log


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_check_that_is_broken_off_leaves_no_folder(tmp_path, signal):
    for name in ("tests", "tmp", "bin"):
        (tmp_path / name).mkdir()
    labkit.write(f"{tmp_path}/tests/check", labkit.read(CHECK), 0o755)
    program(tmp_path / "bin", "make", 'ls "$TMPDIR"\nkill -$SIGNAL $(cat "$SELF")\n')
    env = os.environ | {"SIGNAL": signal, "SELF": f"{tmp_path}/pid", "TMPDIR": f"{tmp_path}/tmp", "MAKE": f"{tmp_path}/bin/make", "B": "build"}
    done = subprocess.run(["sh", "-c", f"{SIGNALLED} {tmp_path}/tests/check build"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == {"INT": 130, "TERM": 143}[signal] and done.stdout.startswith("== build\ntmp."), done.stdout + done.stderr
    assert os.listdir(tmp_path / "tmp") == []


def listed():
    text = labkit.read(os.path.join(labkit.REPO, "tests", "packages.txt"))
    return {group: set(re.findall(r"^([a-z0-9][a-z0-9.+-]*)", body, re.M)) for group, body in re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)}


# program → its package, of what tests and hooks run and no minimal system has
USED = {"jq": "jq", "curl": "curl", "zsh": "zsh", "strace": "strace", "faketime": "faketime", "slapd": "slapd", "puttygen": "putty-tools", "dbclient": "dropbear-bin",
        "sshpass": "sshpass", "rsync": "rsync", "git": "git", "ansible": "ansible-core", "mandoc": "mandoc", "ctags": "universal-ctags", "ssss-split": "ssss",
        "age-keygen": "age", "oathtool": "oathtool", "ip": "iproute2", "unshare": "util-linux", "pgrep": "procps", "openssl": "openssl"}


def test_what_is_used_is_listed():
    lists = listed()
    names = lists["build"] | lists["lab"] | lists["unit"] | lists["test"]
    assert set(USED.values()) | {"tzdata"} <= names
    # what TLS to a bucket goes by: the library only recommends it, and recommended packages are not installed
    assert "ca-certificates" in lists["build"]
    # a program that a hook names stands above
    for name in ("ticket_check", "notify-webhook", "notify-mail"):
        hook = labkit.read(os.path.join(labkit.REPO, "etc", "hooks", name))
        for used in set(re.findall(r"(?:^|[|&;($]\s*|\s)(jq|curl|perl|python3|openssl|xmllint|mailx?|sendmail)\s+-", hook, re.M)):
            assert USED.get(used) in names, used


def test_a_user_becomes_root_once(tmp_path):
    program(tmp_path, "id", "echo 1000\n")
    program(tmp_path, "sudo", f'for word; do echo "$word"; done >{tmp_path}/said\n')
    done = subprocess.run([CHECK, "deps", "lint"], env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "B": "build-x", "MAKE": "make SAN=1"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert said[0] == "env" and {"B=build-x", "MAKE=make SAN=1"} <= set(said) and said[-3:] == [CHECK, "deps", "lint"]
    os.remove(tmp_path / "sudo")
    done = subprocess.run(["/bin/sh", CHECK, "deps"], env={"PATH": str(tmp_path)} | {"B": "build-x"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1 and "needs root, or sudo" in done.stderr


def demo():
    path = os.path.join(labkit.REPO, "tests", "demo")
    loader = importlib.machinery.SourceFileLoader("demo", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo", loader))
    loader.exec_module(module)
    return module


def test_so_does_the_demo(monkeypatch):
    """Nothing in it asks sudo again: the terminals that it makes have no ticket of sudo's."""
    it, ran = demo(), []

    def run(program, argv):
        ran.append((program, argv))
        raise SystemExit
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", run)
    monkeypatch.setattr(labkit.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("DEMO_DIR", "/tmp/elsewhere")
    with pytest.raises(SystemExit):
        it.main()
    (program_name, argv), = ran
    assert program_name == "sudo" and argv[:2] == ["sudo", "env"] and "DEMO_DIR=/tmp/elsewhere" in argv
