"""Helpers of the system tests: clients as users run them, terminals, waiting for things to be true."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import patience  # noqa: F401 measured before labkit is there, which waits by it
import labkit

SLOW = labkit.SLOW  # what waits until something is done waits so many times as long
DEADLINE = 30       # seconds for anything that has no figure of its own
CLIENT = 75         # the same for a whole client, which may have to wait for the next code
LONG = 300 * SLOW   # for a program that works for up to a minute
MEMORY_MAX = (64 << 10) * (16 if labkit.sanitized() else 1)     # KiB that a session may grow to; what it frees ASan keeps, 256 MB of it
WAYS = ("jump", "name")     # ssh -J alice@bastion dba@web1, ssh alice@dba@web1@bastion


def until(condition, deadline=DEADLINE, pause=0.02, what="condition", paced=True):
    """The first true value of condition(); past the deadline the test fails. One that starts processes is not asked without end: what
    it waits for needs the processors, too. paced=False: the condition does the work itself."""
    end = time.monotonic() + deadline * SLOW
    while True:
        start = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        assert now < end, f"not within {deadline} s: {what}"
        time.sleep(max(pause, min(2 * (now - start), 0.25) if paced else 0))


def page_commands(page, begins):
    """The literal display of a manual page that begins so, as a shell reads it."""
    text = labkit.read(os.path.join(labkit.REPO, "man", page)).replace("\\e", "\\")
    found = [block for block in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", text, re.S | re.M) if block.startswith(begins)]
    assert len(found) == 1, (page, begins, len(found))
    return found[0]


def seccomp():
    """What "Seccomp" says in /proc/PID/status of what has a filter: with AddressSanitizer nothing has (common/confine.c)."""
    return "0" if labkit.sanitized() else "2"


class Process(subprocess.Popen):
    """A client in the background; a test that fails does not wait for it."""

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, trace)


class Client:
    """Stock OpenSSH as one user of a lab. Hosts in its configuration: `bastion`, and for every target a name for each
    way, web1.jump and web1.name, so that scp, rsync, git and ansible take the way by the host's name alone."""

    def __init__(self, lab, user, key=None, login="dba", options=()):
        self.lab, self.user, self.login = lab, user, login
        self.key = key or lab.path("users", user, "key")
        self.folder = lab.path("users", user)
        self.options = list(options)
        self.env = {k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK", "DISPLAY") and not k.startswith("LC_")}
        self.env |= {"LANG": "C.UTF-8", "SSH_ASKPASS": os.path.join(labkit.REPO, "tests", "askpass"), "SSH_ASKPASS_REQUIRE": "force",
                     "LAB_CODE": os.path.join(self.folder, "totp"), "TERM": "xterm"}
        self.config = self.write_config()

    def write_config(self):
        port = self.lab.port("bastiond")
        hosts = "".join(f"""
Host {host}.jump
    HostName {host}
    ProxyJump bastion
    User {self.login}
Host {host}.name
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias bastion
    User {self.user}@{self.login}@{host}
""" for host in self.lab.state["hosts"])
        fd, path = tempfile.mkstemp(prefix="ssh_config.", dir=self.folder)
        os.close(fd)
        return labkit.write(path, f"""
Host bastion
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias bastion
    User {self.user}
{hosts}
Host *
    IdentityFile {self.key}
    IdentitiesOnly yes
    UserKnownHostsFile {self.lab.path("known_hosts")}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    PreferredAuthentications publickey,keyboard-interactive
    NumberOfPasswordPrompts 1
    ConnectTimeout 60
    LogLevel ERROR
    SendEnv LANG LC_*
""" + "".join(f"    {option}\n" for option in self.options), 0o600)

    def argv(self, host, *words, options=()):
        return ["ssh", "-F", self.config, *options, host, *words]

    def run(self, host, *words, options=(), stdin=b"", check=False, timeout=CLIENT, env=None):
        """ssh HOST WORDS to its end: CompletedProcess with bytes."""
        done = subprocess.run(self.argv(host, *words, options=options), input=stdin, capture_output=True, timeout=timeout * SLOW,
                              env=self.env | (env or {}), check=False)
        if check:
            assert done.returncode == 0, f"ssh {host} {words}: status {done.returncode}\n{done.stderr.decode(errors='replace')}"
        return done

    def tool(self, *argv, check=True, timeout=CLIENT, env=None, stdin=b"", cwd=None):
        """scp, sftp, rsync, git ...: something that runs ssh by itself."""
        env = self.env | {"RSYNC_RSH": f"ssh -F {self.config}", "GIT_SSH_COMMAND": f"ssh -F {self.config}", **(env or {})}
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout * SLOW, env=env, cwd=cwd, check=False)
        if check:
            assert done.returncode == 0, f"{shlex.join(argv)}: status {done.returncode}\n{(done.stdout + done.stderr).decode(errors='replace')}"
        return done

    def start(self, host, *words, options=(), **kw):
        """ssh HOST WORDS in the background, with pipes."""
        kw = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kw
        return Process(self.argv(host, *words, options=options), env=self.env, **kw)

    def terminal(self, host, *words, options=(), rows=24, columns=80):
        return Terminal(self.argv(host, *words, options=("-tt", *options)), self.env, rows, columns)


class Echo:
    """A server on loopback: sends back what it gets, with a mark before it; at_once: as it comes, and without one."""

    def __init__(self, at_once=False):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.at_once = at_once
        self.seen = 0       # connections,
        self.over = 0       # and those that came to their end
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                one, _ = self.sock.accept()
            except OSError:
                return
            self.seen += 1
            with one:
                data = b""
                while chunk := one.recv(65536):
                    data += chunk
                    if self.at_once:
                        one.sendall(chunk)
                if not self.at_once:
                    one.sendall(b"echo " + data)
            self.over += 1


class Terminal:
    """A program on a terminal of its own; what it printed collects in `seen`."""

    def __init__(self, argv, env, rows=24, columns=80):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)
        self.status = None

    def read(self, timeout):
        """One more piece; b"" on time-out, None at the end."""
        if not select.select([self.fd], [], [], max(0, timeout))[0]:
            return b""
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return None
        self.seen += piece
        return piece or None

    def expect(self, pattern, timeout=DEADLINE):
        """Reads until the regular expression (bytes) matches what came since the last match; the match."""
        end = time.monotonic() + timeout * SLOW
        start = getattr(self, "mark", 0)
        while True:
            match = re.compile(pattern, re.S).search(self.seen, start)
            if match:
                self.mark = match.end()
                return match
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come within {timeout} s; seen: {self.seen[start:]!r}"
            assert self.read(left) is not None, f"ended before {pattern!r}; seen: {self.seen[start:]!r}"

    def send(self, data):
        os.write(self.fd, data)

    def line(self, text):
        self.send(text.encode() + b"\r")

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def wait(self, timeout=DEADLINE):
        """Reads to the end; the exit status."""
        end = time.monotonic() + timeout * SLOW
        while self.read(end - time.monotonic()) is not None:
            assert time.monotonic() < end, f"still running after {timeout} s; seen: {self.seen!r}"
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)


def replay(lab, *words, check=True, timeout=60, store=None):
    """bastion-replay WORDS on the lab's store, or on a copy, with the auditor's key."""
    argv = [lab.bin("bastion-replay"), *words, "--store", store or lab.path("store"), "--key", lab.path("auditor.key"), "--trust", lab.path("auditor.trust")]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout * SLOW, check=False)
    if check:
        assert done.returncode == 0, f"{shlex.join(argv)}: status {done.returncode}\n{(done.stdout + done.stderr).decode(errors='replace')}"
    return done


def events(lab, kind=None, user=None, after=0):
    """Rows of the event list, oldest first."""
    rows = lab.ask("events", limit=1000, **({"after": after} if after else {}), **({"user": user} if user else {}))["rows"]
    return [{"subject": ""} | row for row in rows if kind is None or row["kind"] == kind]


def recordings(lab, user):
    """Directories of a user's recordings, oldest first, that the bastion knows of."""
    rows = lab.ask("sessions", all=True)["rows"]
    found = []
    for recording in [row["recording"] for row in rows if row["user"] == user and row.get("recording")]:
        for day in sorted(os.listdir(lab.path("store", "recordings"))):
            path = lab.path("store", "recordings", day, recording)
            if os.path.isdir(path):
                found.append(path)
    return found


def complete(lab, path):
    """Is the recording closed, and nothing wrong with it?"""
    done = replay(lab, "verify", "--json", path, check=False)
    return done.returncode == 0 and json.loads(done.stdout)["verdict"] == "complete"


def recording_of(lab, user, closed=True):
    """Directory of a user's newest recording, once it is complete; not closed: as soon as it is there."""
    path = until(lambda: recordings(lab, user), what=f"a recording of {user}")[-1]
    if not closed:
        return path
    until(lambda: complete(lab, path), what=f"{path} is complete")
    return path


def children(pid):
    """What a process of one thread, as bastiond's are, began and did not reap yet."""
    with contextlib.suppress(OSError):
        return [int(child) for child in labkit.read(f"/proc/{pid}/task/{pid}/children").split()]
    return []


def roles(lab, name):
    """The processes that are in a role, oldest first: none, or two, in the moment in which another one takes over."""
    found = []
    for pid in children(lab.state["pids"].get("bastiond", (0, 0))[0]):
        with contextlib.suppress(OSError):
            if labkit.read(f"/proc/{pid}/comm").strip() == f"bastiond-{name}":
                found.append(pid)
    return found


def role(lab, name):
    """The process of a role."""
    pid, = roles(lab, name)
    return pid


def sessions(lab):
    """Process ids of the session processes: the children of master, which is `sess` to who looks for the bastion's processes."""
    return {pid for master in roles(lab, "sess") for pid in children(master) if labkit.start_time(pid) is not None}


def copy_of_store(lab, to, name="collector"):
    """A store as it is now, without keys. Its collector may replace a file of which the copy has the name and not yet the bytes: then once more."""
    def whole():
        try:
            return shutil.copytree(lab.store(name), to, ignore=shutil.ignore_patterns("journal", "control", "*.key", "*.new"))
        except shutil.Error:
            shutil.rmtree(to)
            return None
    return str(until(whole, what=f"a copy of {lab.store(name)}"))


def memory(pid, what="VmRSS"):
    """Resident KiB, or the most there ever was (VmHWM); 0: the process is gone."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith(what):
                    return int(line.split()[1])
    return 0


def made_recording(store, events, copies=1, wall=None):
    """Writes a recording of these events into a store of its own (tests/bench/brec_make.c says what an event is); ids."""
    os.makedirs(store, exist_ok=True)
    tool = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bench", "brec_make")
    argv = [tool, "-n", str(copies), *(["-w", str(wall)] if wall else []), str(store)]
    done = subprocess.run(argv, input="".join(json.dumps(e) + "\n" for e in events).encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split()


def replay_made(store, *words, env=None, check=0, **kw):
    """bastion-replay WORDS on such a store: what it printed. check: the exit status it must have."""
    argv = [os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay"), *words]
    env = os.environ | {"BASTION_STORE": str(store), "BASTION_IDENTITY": f"{store}/identity", "BASTION_TRUST": f"{store}/trust",
                        "XDG_CACHE_HOME": f"{store}/cache", "BASTION_NOTE": "true"} | (env or {})
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * SLOW, check=False, env=env, **kw)
    assert done.returncode == check, f"{shlex.join(argv)}: status {done.returncode}\n{(done.stdout + done.stderr).decode(errors='replace')}"
    return done


def meta_event(**more):
    return {"t": 0, "ch": 0, "kind": "m", "text": json.dumps({"user": "alice", "host": "web1", "login": "dba"} | more)}


def open_event(channel=1, t=0.0, **more):
    value = {"capability": "shell", "command": "", "pty": True, "term": "xterm", "cols": 60, "rows": 12} | more
    return {"t": t, "ch": channel, "kind": "C", "text": json.dumps(value)}


def chromium(page, *options):
    """What headless Chromium makes of a file; its words on both outputs, and what it asked the network for is refused."""
    with tempfile.TemporaryDirectory(prefix="bastion-chromium-") as home:
        done = subprocess.run(["chromium-headless-shell", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}",
                               "--disable-background-networking", "--js-flags=--no-wasm-async-compilation", "--hide-scrollbars", *options, f"file://{page}"],
                              capture_output=True, timeout=60 * SLOW, check=False, env=os.environ | {"HOME": home})
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def png_rows(path):
    """Rows of (red, green, blue) of an 8-bit PNG without interlace, as Chromium writes it."""
    data = open(path, "rb").read()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    size = {2: 3, 6: 4}[kind]
    assert depth == 8
    packed, at = b"", 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, before, rows = zlib.decompress(packed), bytearray((width + 1) * size), []
    for y in range(height):
        start = y * (width * size + 1)
        how, row = raw[start], bytearray(size) + raw[start + 1:start + 1 + width * size]    # a pixel of zeros is left of the first
        if how:     # of those without a filter nothing is to be done
            for i in range(size, len(row)):
                left, up, corner = row[i - size], before[i], before[i - size]
                if how == 1:
                    guess = left
                elif how == 2:
                    guess = up
                elif how == 3:
                    guess = (left + up) // 2
                else:   # Paeth: the nearest to left + up - corner, and of two the first
                    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                    guess = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
                row[i] = row[i] + guess & 255
        before = row
        rows.append([tuple(row[x:x + 3]) for x in range(size, len(row), size)])
    return rows
