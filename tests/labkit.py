"""One instance of the product on this machine: collector, target, bastiond, users, in one directory.

tests/lab is its command line; tests/demo and tests/system use it as a module. Everything lives in the instance's
directory (DIR below) and in what lab.json there lists; several instances run side by side, on ports of their own.

    DIR/lab.json        what runs (pid and start time), ports, names
    DIR/state DIR/run   bastiond's state_dir and run_dir (run_dir elsewhere when DIR is too long for a socket)
    DIR/store           the collector's directory; store2, store3 ... of more collectors
    DIR/target          a stock sshd: its accounts, host keys, homes
    DIR/users/NAME      key, key.pub, totp (base32), totp.step (last code used)
    DIR/auditor.key     age identity that opens the recordings
    DIR/log             one file a daemon
"""
import atexit
import base64
import contextlib
import fcntl
import json
import os
import random
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from codes import STEP, next_code, totp  # noqa: E402,F401 what tests use by labkit's name

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# whatever mask the caller has: others than root run what a lab's files hold
os.umask(0o022)
# bastion-replay logs what is read: not in the home of who runs the tests. Who is not root yet has this run again, and no end here (become_root)
if os.geteuid() == 0 and "XDG_STATE_HOME" not in os.environ:
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="bastion-lab-state-")
    atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)


def sanitized():
    """The programs are those of make check-asan."""
    try:
        with open(os.path.join(os.environ.get("LAB_BIN", os.path.join(REPO, "build")), "bastiond"), "rb") as f:
            return b"__asan_init" in f.read()
    except OSError:
        return False


# what waits for something to happen waits so many times as long: forks and starts take their time then; and on a slow machine (system/patience.py)
SLOW = (4 if sanitized() else 1) * float(os.environ.get("BASTION_TESTS_PATIENCE", "1"))
START_DEADLINE = 20 * SLOW      # seconds for a daemon to take connections
STOP_DEADLINE = 30 * SLOW       # seconds for a daemon to end after SIGTERM
MEMORY_ROOM = 1 << 30    # bytes that are free
RUN_DIR_MAX = 80        # bytes; a unix socket's whole path has 108
ROLE_UIDS = {"policy": 61001, "keys": 61002, "recorder": 61003, "session": 61004, "dial": 61005, "console": 61006, "monitor": 61008, "hook": 61009, "task": 61010}
COLLECTOR_UID = 61007
DBA_UID, APP_UID = 61101, 61102
FIRST_USER_UID = 62001  # accounts on the bastion that stand for users; they need no passwd entry
ACCOUNT_PROGRAM = os.path.join(REPO, "etc", "target", "bastion-account")    # a lab's target has a copy: it has a /home of its own
PROGRAMS = ("bastiond", "bastionctl", "bastion-collectord", "bastion-replay", "pam_bastion.so")
BASTION = "bastion"     # the name that clients have for it


class LabError(Exception):
    """Something did not come up or did not do what it was told; the text says what and where to look."""


def become_root(*keep):
    """Has the program start again under sudo, with these variables, unless it is root: once, at the start, where sudo asks on this terminal."""
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise LabError("needs root, or sudo")
    os.execvp("sudo", ["sudo", "env", *(f"{name}={os.environ[name]}" for name in keep if name in os.environ), sys.executable,
                       os.path.abspath(sys.argv[0]), *sys.argv[1:]])


# --- processes --------------------------------------------------------------------------------------------------

def start_time(pid):
    """Field 22 of /proc/PID/stat: with the pid, the identity of a process. None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def family(pid):
    """The process and all below it, as far as they are there."""
    found = [pid]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                found += [int(child) for child in read(f"/proc/{parent}/task/{thread}/children").split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def end_process(pid, started, deadline=STOP_DEADLINE):
    """SIGTERM, and SIGKILL after the deadline, to that very process and no other that got its pid: whether that was needed. Without a deadline
    SIGKILL at once."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        for sig, limit in ((signal.SIGTERM, deadline), (signal.SIGKILL, STOP_DEADLINE))[deadline is None:]:
            try:
                signal.pidfd_send_signal(fd, sig)
            except ProcessLookupError:
                return False
            if poll.poll(limit * 1000):
                return sig == signal.SIGKILL
        return True
    finally:
        os.close(fd)


def claim_port(port):
    """Whether nobody else of this run has it, where LAB_PORTS names the run's directory: a server may start later, or be down for a while."""
    folder = os.environ.get("LAB_PORTS")
    if not folder:
        return True
    try:
        os.close(os.open(os.path.join(folder, str(port)), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return True
    except FileExistsError:
        return False


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(count=1):
    """Of those that the kernel gives to no outgoing connection: it is still free when its server starts, a little later. The first of so many in a row."""
    while True:
        first = random.randrange(10000, 32000 - count)
        if all(is_free(port) and claim_port(port) for port in range(first, first + count)):
            return first


def wait_port(port, process, log, deadline=START_DEADLINE):
    """Returns when 127.0.0.1:port takes connections. The process's end, or the deadline, is an error."""
    end = time.monotonic() + deadline
    fd = os.pidfd_open(process.pid)
    try:
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                # nobody listens yet: look again soon, or at once when the process has ended
                if select.select([fd], [], [], 0.02)[0]:
                    break
    finally:
        os.close(fd)
    raise LabError(f"{process.args[0]} does not take connections on 127.0.0.1:{port}\n{tail(log)}")


def memory():
    """Where many small files that are soon gone are made fastest: the directory in memory that a run of tests has for it (LAB_MEMORY), or
    /dev/shm if there is room for what may run at once: a container's often has 64 MB."""
    if "LAB_MEMORY" in os.environ:
        return os.environ["LAB_MEMORY"]
    with contextlib.suppress(OSError):
        there = os.statvfs("/dev/shm")
        if os.access("/dev/shm", os.W_OK) and there.f_bavail * there.f_frsize > MEMORY_ROOM:
            return "/dev/shm"
    return tempfile.gettempdir()


def tail(path, lines=25):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])
    except OSError:
        return ""


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(*argv, **kw):
    """Runs a command to its end; a failure is a LabError with everything it said."""
    kw.setdefault("timeout", 60 * SLOW)
    if "input" not in kw:
        kw["stdin"] = subprocess.DEVNULL
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kw)
    if done.returncode != 0:
        raise LabError(f"{shlex.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def preload(library):
    """
    LD_PRELOAD for a program of ours, where AddressSanitizer wants to come first. Put before it by name it is loaded into what the program
    starts, too, and there it waits for libfaketime, which waits for it.
    """
    if sanitized():
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return library


def keygen(path, kind="ed25519", comment=""):
    """What ssh-keygen makes, without a process for each: path and path.pub. RSA, which takes a second, is left to it."""
    if os.path.exists(path):
        return path
    if kind == "rsa":
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", path)
        return path
    from cryptography.hazmat.primitives import serialization    # pylint: disable=import-outside-toplevel  # dear, and not every program makes keys
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519   # pylint: disable=import-outside-toplevel
    key = {"ed25519": ed25519.Ed25519PrivateKey.generate, "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1())}[kind]()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
        f.write(private)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    write(path + ".pub", f"{public} {comment}".rstrip() + "\n")
    return path


def shared_key(name, path, make):
    """make() makes the RSA key `path`, unless it is there. One costs a second or more: where LAB_KEYS names a directory, the first lab of a
    run makes it, and the others have a copy by that name."""
    folder = os.environ.get("LAB_KEYS")
    if not folder:
        return make()
    kept = os.path.join(folder, name)
    with open(kept + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(kept):
            done = make()
            for end in (".pub", ""):
                if os.path.exists(path + end):
                    shutil.copy(path + end, kept + end)
            return done
    for end in (".pub", ""):
        if os.path.exists(kept + end):
            shutil.copy(kept + end, path + end)
    return make()


def must_be_ours(path):
    """What a lab's files name is run, killed and removed as root: nobody else may have made them, or be able to change them."""
    st = os.lstat(path)
    if stat.S_ISLNK(st.st_mode) or st.st_uid not in (0, os.geteuid(), int(os.environ.get("SUDO_UID", 0))) or st.st_mode & 0o022:
        raise LabError(f"{path} belongs to uid {st.st_uid}, or others may write there: nothing in it is believed. Remove it, or give another directory")


def closed_to_others(path):
    """The first directory above that lets no others through; None: there is none, and what is to be made will let them."""
    while path != "/":
        path = os.path.dirname(path)
        with contextlib.suppress(FileNotFoundError):
            if not os.stat(path).st_mode & 0o001:
                return path
    return None


def runs_for_others(path):
    path = os.path.realpath(path)
    return closed_to_others(path) is None and os.stat(path).st_mode & 0o005 == 0o005


# --- the control socket ---------------------------------------------------------------------------------------

class Control:
    """A connection to control.sock as some uid (doc/PROTOCOL.control): what bastionctl does, without a process a word."""

    def __init__(self, path, uid=0):
        names = re.findall(r"^\s*M\((\w+),", read(os.path.join(REPO, "common", "msg.h")), re.M)
        self.request_type = names.index("CTL_REQUEST") + 1
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        # the kernel notes the effective uid at connect
        os.seteuid(uid)
        try:
            self.sock.connect(path)
        finally:
            os.seteuid(0)

    def ask(self, word, **args):
        body = json.dumps({"word": word, "args": args}).encode()
        self.sock.sendall(struct.pack("=HHI", self.request_type, 0, 1) + body)
        text, more = b"", 1
        while more:
            packet = self.sock.recv(1 << 17)
            if len(packet) < 9:
                raise LabError(f"{word}: the control socket closed")
            more, text = packet[8], text + packet[9:]
        reply = json.loads(text)
        if not reply["ok"]:
            raise LabError(f"{word} {args}: {reply.get('error')} {reply.get('hint', '')}")
        return reply

    def is_over(self):
        """Policy ends a connection that is silent for five minutes."""
        wait = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(wait)

    def close(self):
        self.sock.close()


# --- the instance -----------------------------------------------------------------------------------------------

class Lab:
    """An instance in `dir`. create() makes and starts one; Lab(dir) opens one that is there."""

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.control = None     # root's, kept while bastiond runs
        path = self.path("lab.json")
        if not os.path.lexists(path):
            raise LabError(f"{self.dir}: no lab there; `tests/lab up {self.dir}` makes one")
        must_be_ours(self.dir)
        must_be_ours(path)
        self.state = json.loads(read(path))

    @classmethod
    def create(cls, directory, users=0, hosts=2, options=(), bin_dir=None, etc=False, people=True, collectors=1, collector_options=(),
               accounts=False, glass=0):
        """users: so many more, user0001 ... hosts: how many, web1 ... options, collector_options: lines of bastiond.conf and of every collectord.conf.
        etc: bastiond runs with a copy of /etc (DIR/etc) in a mount namespace, for PAM modules that read files there.
        people: False leaves users and grants to the caller.
        glass: how many collectors for break-glass; `glass`, `glass2` ... here, g1, g2 ... the bastion's.
        collectors: how many; `collector`, `collector2` ... are their names here, c1, c2 ... the bastion's.
        accounts: the bastion can make accounts at the target (login @self), which has a copy of /etc, and /home and /var/lib of its own."""
        directory = os.path.abspath(directory)
        # it stands in configurations of four kinds, each with quotes of its own
        if not re.fullmatch(r"[\w/.+,@:=-]+", directory, re.ASCII):
            raise LabError(f"{directory!r}: give a directory whose path has letters, digits and / _ . + , @ : = - only")
        check_traversable(directory)
        os.makedirs(directory, mode=0o711, exist_ok=True)
        must_be_ours(directory)
        if os.listdir(directory):
            raise LabError(f"{directory} is not empty: give a new directory, or `tests/lab down {directory}` first")
        os.chmod(directory, 0o711)
        bin_dir = bin_dir or os.environ.get("LAB_BIN") or os.path.join(REPO, "build")
        for program in PROGRAMS:
            if not os.path.exists(os.path.join(bin_dir, program)):
                raise LabError(f"{bin_dir}/{program} is not built: run make, or set LAB_BIN")
        if not all(runs_for_others(os.path.join(bin_dir, program)) for program in PROGRAMS):
            bin_dir = copy_programs(bin_dir, os.path.join(directory, "bin"))
        if accounts:
            options = [*options, f'account_command = "{os.path.join(directory, "target", "bastion-account")}"']
        state = {"bin": os.path.abspath(bin_dir), "ports": {}, "pids": {}, "options": list(options), "temporary": [], "accounts": accounts,
                 "collector_options": list(collector_options), "users": {}, "collectors": collectors, "glass": glass, "hosts": [f"web{i + 1}" for i in range(max(1, hosts))]}
        # whole from its first moment: `env` may be waiting for it
        os.replace(write(os.path.join(directory, ".lab.json"), json.dumps(state)), os.path.join(directory, "lab.json"))
        lab = cls(directory)
        try:
            lab.make_directories()
            if etc:
                shutil.copytree("/etc", lab.path("etc"), symlinks=True)
            lab.make_target()
            lab.make_bastion()
            for name in lab.stores():
                lab.start(name)
            lab.start("target")
            lab.start("bastiond")
            lab.trust()
            lab.make_hosts()
            if people:
                lab.make_people(users)
            lab.state["up"] = True
            lab.save()
            lab.hand_over()
        except BaseException:
            lab.stop_all()
            lab.save()
            raise
        return lab

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def bin(self, name):
        return os.path.join(self.state["bin"], name)

    def port(self, name):
        return self.state["ports"][name]

    def collectors(self):
        return ["collector"] + [f"collector{i + 2}" for i in range(self.state.get("collectors", 1) - 1)]

    def glass(self):
        """Those for break-glass."""
        return ["glass", *(f"glass{i + 2}" for i in range(self.state["glass"] - 1))] if self.state.get("glass") else []

    def stores(self):
        return self.collectors() + self.glass()

    def store(self, name):
        """The directory of a collector."""
        return self.path("store" + name.removeprefix("collector"))

    def collector_conf(self, name):
        return self.path(f"collectord{name.removeprefix('collector')}.conf")

    def save(self):
        temporary = write(self.path(".lab.json"), json.dumps(self.state, indent=1) + "\n")
        os.replace(temporary, self.path("lab.json"))

    # --- files

    def make_directories(self):
        for name in ("log", "users", "pam.d", "target", "run", "state"):
            os.mkdir(self.path(name), 0o711)
        run_dir = self.path("run")
        if len(run_dir) > RUN_DIR_MAX:
            run_dir = tempfile.mkdtemp(prefix="bastion-lab-")
            self.state["temporary"].append(run_dir)
        os.chmod(run_dir, 0o755)
        self.state["run_dir"] = run_dir

    def make_target(self):
        """A stock sshd and the machine that it believes to be on: accounts, shell start-up files, /run."""
        t = self.path("target")
        for kind in ("ed25519", "ecdsa"):
            keygen(f"{t}/ssh_host_{kind}_key", kind, "target")
        rsa = f"{t}/ssh_host_rsa_key"
        shared_key("target", rsa, lambda: keygen(rsa, "rsa", "target"))
        keygen(f"{t}/direct_key", comment="straight to the target, for comparisons")
        accounts = [("dba", DBA_UID), ("app", APP_UID)]
        passwd, group, shadow = ["root:x:0:0:root:/root:/bin/sh"], ["root:x:0:"], ["root:*:19000:0:99999:7:::"]
        passwd += ["sshd:x:61100:65534::/run/sshd:/usr/sbin/nologin", "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin"]
        group += ["nogroup:x:65534:", "tty:x:5:"]
        for name, uid in accounts:
            home = f"{t}/home/{name}"
            os.makedirs(home, mode=0o755)
            os.chown(home, uid, uid)
            passwd.append(f"{name}:x:{uid}:{uid}::{home}:/bin/bash")
            group.append(f"{name}:x:{uid}:")
            shadow.append(f"{name}:*:19000:0:99999:7:::")
        for name, lines in (("passwd", passwd), ("group", group), ("shadow", shadow)):
            write(f"{t}/{name}", "\n".join(lines) + "\n", 0o600 if name == "shadow" else 0o644)
        binds = [(name, f"/etc/{name}") for name in ("passwd", "group", "shadow")]
        if self.state.get("accounts"):
            shutil.copytree("/etc", f"{t}/etc", symlinks=True)
            for name in ("passwd", "group", "shadow"):
                shutil.copy(f"{t}/{name}", f"{t}/etc/{name}")
            for name in ("gshadow", "subuid", "subgid"):
                write(f"{t}/etc/{name}", "", 0o600)
            for name in ("homes", "lib", "spool"):
                os.makedirs(f"{t}/{name}", mode=0o755)
            shutil.copy(ACCOUNT_PROGRAM, f"{t}/bastion-account")
            binds = [("etc", "/etc"), ("homes", "/home"), ("lib", "/var/lib"), ("spool", "/var/spool")]
        write(f"{t}/empty", "")
        write(f"{t}/ca.pub", "")
        write(f"{t}/inputrc", "set enable-bracketed-paste off\n")
        shutil.copy(f"{t}/direct_key.pub", f"{t}/authorized_keys")
        binds += [("empty", path) for path in ("/etc/profile", "/etc/bash.bashrc", "/etc/motd") if os.path.exists(path)]
        # By one process; the directory's name has nothing that would have to be written otherwise there (create). Whose source is `tmpfs` the
        # machine may have at /run already, and mount passes over what is there.
        write(f"{t}/mounts", "".join(f"{t}/{name} {at} none bind 0 0\n" for name, at in binds) + "lab /run tmpfs mode=755 0 0\n")
        write(f"{t}/start", "#!/bin/sh\n# in mount and pid namespaces of its own: nothing here touches the machine\nset -e\n"
              f"cd {shlex.quote(t)}\n"
              "mount -a -T mounts\nmkdir /run/sshd\n"
              # -r: a connection's process goes on as a copy instead of starting anew
              f"exec /usr/sbin/sshd -D -e -r -f {shlex.quote(t)}/sshd_config\n", 0o755)

    def target_config(self):
        t = self.path("target")
        return f"""# the lab's target: a stock sshd that trusts the bastion's certificates
ListenAddress 127.0.0.1:{self.port("target")}
HostKey {t}/ssh_host_ed25519_key
HostKey {t}/ssh_host_ecdsa_key
HostKey {t}/ssh_host_rsa_key
PidFile none
TrustedUserCAKeys {t}/ca.pub
AuthorizedKeysFile {t}/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin {"forced-commands-only" if self.state.get("accounts") else "no"}
Subsystem sftp internal-sftp
MaxStartups 4000
MaxSessions 1000
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
# takes whatever the bastion lets through, so that what is missing was stopped there
AcceptEnv *
# bash's line editor without its escape sequences around what is pasted
SetEnv INPUTRC={t}/inputrc
AllowTcpForwarding yes
AllowAgentForwarding yes
X11Forwarding yes
PermitTunnel yes
"""

    def make_bastion(self):
        """Configurations, keys and database, by the programs' own words."""
        self.state["ports"].update({name: free_port() for name in ("bastiond", "target", *self.stores())})
        run("age-keygen", "-o", self.path("auditor.key"))
        os.chmod(self.path("auditor.key"), 0o600)
        write(self.path("recipients"), run("age-keygen", "-y", self.path("auditor.key")))
        write(self.path("pam.d", "bastiond"), f"auth required {self.bin('pam_bastion.so')} socket={self.state['run_dir']}/pam.sock\n"
              "account required pam_permit.so\npassword required pam_deny.so\nsession required pam_permit.so\n")
        self.write_configs()
        for name in self.stores():
            run(self.bin("bastion-collectord"), "-I", "-f", self.collector_conf(name))
        os.mkdir(self.path("state", "keys"), 0o700)
        shared_key("bastion", self.path("state", "keys", "ssh_host_rsa_key"), lambda: self.ctl("init"))
        self.write_known_hosts()
        self.save()

    def write_configs(self):
        for name in self.stores():
            write(self.collector_conf(name), f"""# the lab's collector
listen = {{ "127.0.0.1:{self.port(name)}" }}
store = "{self.store(name)}"
user = "{COLLECTOR_UID}"
journal_bytes = "8MiB"
reserve = "16MiB"
recorder lab {{
	certificate = "{self.path("state")}/recorder/client.crt"
	signer = "{self.path("state")}/recorder/signer.pub"
}}
""" + "".join(f"{option}\n" for option in self.state.get("collector_options", [])))
        sections = [(f"collector c{i + 1}", name) for i, name in enumerate(self.collectors())]
        sections += [(f"break_glass_collector g{i + 1}", name) for i, name in enumerate(self.glass())]
        collectors = "".join(f"""
{section} {{
	address = "127.0.0.1"
	port = {self.port(name)}
	certificate = "{self.store(name)}/collector.crt"
}}
""" for section, name in sections)
        lines = {"listen": f'{{ "127.0.0.1:{self.port("bastiond")}" }}', "name": '"127.0.0.1"', "state_dir": f'"{self.path("state")}"',
                 "run_dir": f'"{self.state["run_dir"]}"', "pam_confdir": f'"{self.path("pam.d")}"', "recipients": f'"{self.path("recipients")}"',
                 **{f"user_{role}": f'"{uid}"' for role, uid in ROLE_UIDS.items()},
                 # everyone in a lab comes from one address, benchmarks by the hundred
                 "penalty_exempt": '{ "127.0.0.0/8" }', "per_source_max": "0", "max_startups": '"1000:30:2000"', "max_sessions_per_user": "2000"}
        given = self.state["options"]
        text = "".join(f"{name} = {value}\n" for name, value in lines.items() if not any(re.match(rf"\s*{name}\s*\+?=", option) for option in given))
        options = "".join(f"{option}\n" for option in given)
        write(self.path("bastiond.conf"), f"# the lab's bastion\n{text}{options}{collectors}")

    def write_known_hosts(self):
        """One wildcard line a host key of the bastion: it answers for itself and, inside -J, for every target."""
        keys = sorted(os.listdir(self.path("state", "keys")))
        lines = []
        for name in keys:
            if name.startswith("ssh_host_") and name.endswith("_key"):
                public = " ".join(run("ssh-keygen", "-y", "-f", self.path("state", "keys", name)).split()[:2])
                lines.append(f"[127.0.0.1]:{self.port('bastiond')},{BASTION},web*,[web*]:* {public}\n")
        write(self.path("known_hosts"), "".join(lines))

    # --- daemons

    def command(self, name):
        if name in self.stores():
            return [self.bin("bastion-collectord"), "-D", "-f", self.collector_conf(name)]
        if name == "target":
            return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
                    self.path("target", "start")]
        own_etc = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', self.path("etc")]
        return [*(own_etc if os.path.isdir(self.path("etc")) else ()), self.bin("bastiond"), "-D", "-f", self.path("bastiond.conf")]

    def start(self, name):
        if name == "target":
            write(self.path("target", "sshd_config"), self.target_config())
        log = self.path("log", name)
        with open(log, "ab") as out:
            process = subprocess.Popen(self.command(name), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True, cwd="/", umask=0o022)
        self.state["pids"][name] = [process.pid, start_time(process.pid)]
        self.save()
        wait_port(self.port(name), process, log)

    def stop(self, name, deadline=STOP_DEADLINE):
        """It and all its processes: with the first one killed the others end when they see that, and hold their sockets until then.
        deadline: None is kill -9. One that does not end by itself, and was to, is an error: what its end writes is not there."""
        killed = False
        if name in self.state["pids"]:
            pid, started = self.state["pids"][name]
            # by its number alone it may be a stranger: after a crash, or when the machine started anew
            whole = [(each, start_time(each)) for each in family(pid)] if start_time(pid) == started else []
            # unshare keeps SIGTERM from its child; when it is gone the kernel ends the namespace
            killed = end_process(*self.state["pids"].pop(name), 0 if name == "target" else deadline)
            self.save()
            end = time.monotonic() + STOP_DEADLINE
            while any(since is not None and start_time(each) == since for each, since in whole):
                if time.monotonic() > end:
                    raise LabError(f"{name} has ended, and processes that it began are still there after {STOP_DEADLINE:.0f} s")
                time.sleep(0.01)
        if name == "bastiond" and self.control:
            self.control.close()
            self.control = None
        if killed and deadline and name != "target":
            raise LabError(f"{name} did not end within {deadline:.0f} s of SIGTERM, and was killed")

    def stop_all(self):
        self.state["up"] = False
        self.save()
        failed = []
        for name in ("bastiond", "target", *self.stores()):
            try:
                self.stop(name)
            except LabError as e:
                failed.append(str(e))
        if failed:
            raise LabError("; ".join(failed))

    def down(self):
        """Ends what runs and removes the directory and everything outside it."""
        try:
            self.stop_all()
        finally:
            for path in self.state["temporary"]:
                if os.path.basename(path).startswith("bastion-lab-"):
                    shutil.rmtree(path, ignore_errors=True)
            # lab.json last: a `down` that was broken off can be given again
            for name in os.listdir(self.dir):
                if name != "lab.json":
                    remove(self.path(name))
            remove(self.path("lab.json"))
            os.rmdir(self.dir)

    # --- words

    def ctl(self, *words, uid=None):
        """bastionctl WORDS as root, or as the local account that stands for a user."""
        return run(self.bin("bastionctl"), "-f", self.path("bastiond.conf"), *words,
                   **({} if uid is None else {"user": uid, "group": uid, "extra_groups": []}))

    def ctl_json(self, *words, uid=None):
        return json.loads(self.ctl(*words, "--json", uid=uid))

    # --- people

    def ask(self, word, as_uid=0, **args):
        """One word over the control socket, as root or as the local account of a user; the reply."""
        path = self.state["run_dir"] + "/control.sock"
        if as_uid != 0:
            control = Control(path, as_uid)
            try:
                return control.ask(word, **args)
            finally:
                control.close()
        if self.control is not None and self.control.is_over():
            self.control.close()
            self.control = None
        if self.control is None:
            self.control = Control(path)
        return self.control.ask(word, **args)

    def make_user(self, name, service=False, role=None, approver=None, admin=False, grant=None, auditor=False):
        """User with a key and, unless a service account, a confirmed TOTP secret, in the roles named."""
        home = self.path("users", name)
        os.mkdir(home, 0o755)
        uid = FIRST_USER_UID + len(self.state["users"])
        kind = {"service": True, "from": ["127.0.0.0/8"], "until": int(time.time()) + 90 * 86400} if service else {}
        self.ask("user add", user=name, person=f"{name} of the lab", uid=uid, admin=admin, auditor=auditor, **kind)
        keygen(f"{home}/key", comment=f"{name}@lab")
        self.ask("user key add", user=name, device="laptop", key=read(f"{home}/key.pub").strip())
        if not service:
            self.enrol(name)
        if role:
            self.ask("role member add", role=role, user=name)
        if approver:
            self.ask("role approver add", role=approver, user=name)
        self.state["users"][name] = uid
        self.save()
        self.hand_over(home)

    def enrol(self, name):
        """New TOTP secret. The codes of the two steps before this one confirm it, so that the first one that somebody computes opens a login."""
        secret = self.ask("user totp enrol", user=name)["secret"]
        while True:
            step = int(time.time()) // STEP - 1
            try:
                self.ask("user totp confirm", user=name, code1=totp(secret, step - 1), code2=totp(secret, step))
                break
            except LabError:
                # a new step began on the way
                if step == int(time.time()) // STEP - 1:
                    raise
        write(self.path("users", name, "totp"), secret + "\n", 0o600)
        write(self.path("users", name, "totp.step"), str(step), 0o600)

    def request(self, name, host="web1", login="dba", span=8 * 3600, caps=()):
        """A request by that user; its number. span: seconds."""
        extra = {"cap": list(caps)} if caps else {}
        uid = self.state["users"][name]
        return str(self.ask("request", as_uid=uid, host=host, login=login, reason="lab", **{"for": span}, **extra)["id"])

    def grant(self, name, host="web1", login="dba", span=8 * 3600, caps=(), approver="bob"):
        """Requested by that user and approved by bob; its number."""
        number = self.request(name, host, login, span, caps)
        self.ask("approve", as_uid=self.state["users"][approver], id=int(number))
        return number

    def trust(self):
        """The target trusts the bastion's certificates."""
        end = time.monotonic() + START_DEADLINE
        # policy has the list of keys a moment after it takes words
        while not (ca := [row["key"] for row in self.ask("key list")["rows"] if row["name"] == "ca"]):
            if time.monotonic() > end:
                raise LabError("key list has no ca")
            time.sleep(0.02)
        write(self.path("target", "ca.pub"), ca[0] + "\n")
        # and the auditor the recorder's signatures and the collector's receipts
        write(self.path("auditor.trust"), f"signer lab {public_key(self.path('state', 'recorder', 'signer.pub'))}\n" +
              "".join(f"collector {name} {public_key(self.store(name) + '/collector.crt')}\n" for name in self.stores()) +
              # this auditor is no user of the bastion: tests of notes name who is; without a command for them nothing is revealed
              "notify true\n")

    def make_hosts(self):
        key = read(self.path("target", "ssh_host_ed25519_key.pub")).strip()
        for host in self.state["hosts"]:
            self.ask("host add", host=host, address="127.0.0.1", port=self.port("target"), key=[key], login=["dba", "app"], label=["tier=lab"])
        self.ask("role add", role="dba", host=["web*"], login=["dba"], max=8 * 3600, approvals=1)

    def make_people(self, users):
        self.make_user("alice", role="dba")
        self.make_user("bob", approver="dba")
        self.make_user("carol", admin=True)
        self.make_user("deploy", service=True, role="dba")
        for name in ("alice", "deploy"):
            self.grant(name)
        for i in range(users):
            name = f"user{i + 1:04d}"
            self.make_user(name, role="dba")
            self.grant(name, host=self.state["hosts"][i % len(self.state["hosts"])])

    def account_program(self):
        return self.path("target", "bastion-account")

    def hand_over(self, top=None):
        """What people hold belongs to who called sudo, if somebody did: ssh wants its keys so."""
        uid, gid = int(os.environ.get("SUDO_UID", 0)), int(os.environ.get("SUDO_GID", 0))
        if uid == 0:
            return
        tops = [top] if top else [self.path(n) for n in ("users", "auditor.key", "auditor.trust", "known_hosts", "lab.json") if os.path.exists(self.path(n))]
        for one in tops:
            os.chown(one, uid, gid)
            for folder, names, files in os.walk(one):
                for name in names + files:
                    os.chown(os.path.join(folder, name), uid, gid)

    def env(self):
        """What scripts need, by name."""
        if not self.state.get("up"):
            raise LabError(f"{self.dir} is not up: an `up` failed, or is under way; `tests/lab down {self.dir}` ends it")
        def user(name, prefix):
            if name not in self.state["users"]:
                return {}
            out = {prefix: name, f"{prefix}_KEY": self.path("users", name, "key")}
            if os.path.exists(self.path("users", name, "totp")):
                out |= {f"{prefix}_TOTP": read(self.path("users", name, "totp")).strip(),
                        f"{prefix}_TOTP_FILE": self.path("users", name, "totp")}
            return out
        return {
            "LAB_DIR": self.dir, "LAB_BIN": self.state["bin"], "LAB_CONF": self.path("bastiond.conf"),
            "LAB_HOST": "127.0.0.1", "LAB_PORT": str(self.port("bastiond")), "LAB_KNOWN_HOSTS": self.path("known_hosts"),
            "LAB_TARGET": "web1", "LAB_LOGIN": "dba", "LAB_TARGET_PORT": str(self.port("target")),
            "LAB_TARGET_HOME": self.path("target", "home", "dba"), "LAB_TARGET_KEY": self.path("target", "direct_key"),
            "LAB_TARGET_HOST_KEY": self.path("target", "ssh_host_ed25519_key.pub"), "LAB_TRUST": self.path("target", "ca.pub"),
            "LAB_STORE": self.path("store"), "LAB_COLLECTOR_CONF": self.path("collectord.conf"),
            "LAB_CONTROL": self.state["run_dir"] + "/control.sock", "LAB_AUDITOR_KEY": self.path("auditor.key"),
            "LAB_AUDITOR_TRUST": self.path("auditor.trust"),
            "LAB_ASKPASS": os.path.join(REPO, "tests", "askpass"),
            **user("alice", "LAB_USER"), **user("bob", "LAB_APPROVER"), **user("deploy", "LAB_SERVICE"),
            **{f"LAB_PID_{name.upper()}": str(pid) for name, (pid, _) in self.state["pids"].items()},
        }


def remove(path):
    """A file, or a directory with all in it; what others remove meanwhile, as an ssh its socket, is no error."""
    def failed(_, __, info):
        if not isinstance(info[1], FileNotFoundError):
            raise info[1]
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, onerror=failed)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def public_key(path):
    """The raw Ed25519 key of a PEM file's PUBLIC KEY block, as bastion-replay's trust file wants it."""
    block = re.search(r"-----BEGIN PUBLIC KEY-----(.*?)-----END", read(path), re.S).group(1)
    return base64.b64encode(base64.b64decode(block)[-32:]).decode()


def check_traversable(path):
    """The roles run under ids of their own: every directory above must let them through."""
    closed = closed_to_others(path)
    if closed:
        raise LabError(f"{closed} is closed to other users, and bastiond's roles are other users: choose a place below /tmp or /var/tmp")


def copy_programs(bin_dir, to):
    """Users of a lab run programs, too, under ids of their own: these are copies where they can, when the tree is in a home that is closed."""
    os.mkdir(to, 0o755)
    for program in PROGRAMS:
        shutil.copy(os.path.join(bin_dir, program), to)
        os.chmod(os.path.join(to, program), 0o755)
    return to
