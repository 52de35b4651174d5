"""Rows of make bench: recorder and collector, and beside them the recorders that Debian has, tlog-rec and sudo_logsrvd.

What is compared is how fast terminal output becomes evidence: the same bytes, in records of the same size, on the same file system, until they are
stored. bastiond: tests/bench/brec_load plays sessions, each frame counts when the session is told that it is committed, which is after an fdatasync.
sudo_logsrvd: sudo_sendlog plays sudo, it ends with the server's last commit point, which is after fflush: nothing is synced. tlog-rec records `cat`,
and syncs nothing either. So both are measured twice: as they are, and with tests/bench/preload/durable.c, by which a record is on the disk before
the next one is taken. doc/BENCH.md says more.
"""
import json
import os
import pty
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time

RECORD = 1024       # bytes of terminal output in a record
TYPING = 3600       # seconds, of
KEYS = 5            # keys a second


def output(size):
    """Terminal output that does not repeat itself."""
    block = os.urandom(size // 2).hex()
    return "".join(f"\x1b[3{i % 8}m{block[i:i + 72]}\x1b[m\r\n" for i in range(0, size, 72))[:size].encode()


def port_of(server):
    """A port that nobody has."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nobody listens on port {port}")


class Recorders:
    """dir: where all of them store, on the disk in question. bench: tests/bench/run's Bench, for the lab and the rows."""

    def __init__(self, bench):
        self.bench = bench
        self.bin = bench.lab.state["bin"]
        self.dir = os.path.join(bench.dir, "recorders")
        os.makedirs(self.dir, exist_ok=True)

    def brec_load(self, *args):
        """frames/s, MB/s, p50 µs, p99 µs"""
        out = subprocess.run([f"{self.bin}/bench/brec_load", "-f", self.bench.env["LAB_CONF"], *map(str, args)], check=True, capture_output=True,
                             text=True).stdout
        return tuple(float(x) for x in re.search(r": (\d+) frames/s, ([\d.]+) MB/s durable, commit p50 (\d+) us, p99 (\d+) us", out).groups())

    # --- our own

    def load(self):
        seconds = 2 if self.bench.quick else 10
        counts = (1, 20) if self.bench.quick else (1, 100, 1000)
        # 5 frames a second each, as of typing; and as fast as it goes
        calm = {n: self.brec_load("-n", n, "-i", 200, "-t", seconds) for n in counts}
        flat = {n: self.brec_load("-n", n, "-w", 8, "-t", seconds) for n in counts}
        self.bench.row("commit, 5 frames/s each, p50", {str(n): v[2] for n, v in calm.items()}, "µs")
        self.bench.row("commit, 5 frames/s each, p99", {str(n): v[3] for n, v in calm.items()}, "µs")
        self.bench.row("durable frames, flat out", {str(n): v[0] for n, v in flat.items()}, "1/s")
        bulk = self.brec_load("-n", 8, "-w", 8, "-s", 32768, "-t", seconds)
        self.bench.row("durable, 8 recordings, 32 KiB", {"bastiond": bulk[1]}, "MB/s")

    # --- the others

    def sudo_log(self, data):
        """What sudo would have recorded, for sudo_sendlog."""
        path = os.path.join(self.dir, "sudo")
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        span = {"seconds": len(data) // RECORD // 1000 + 1, "nanoseconds": 0}
        with open(f"{path}/log.json", "w", encoding="ascii") as f:
            json.dump({"timestamp": {"seconds": 1764000000, "nanoseconds": 0}, "columns": 80, "lines": 24, "command": "/bin/cat", "exit_value": 0,
                       "run_time": span, "runargv": ["cat", "data"], "runuid": 0, "runuser": "root", "submitcwd": "/home/alice",
                       "submithost": "bench", "submituser": "alice", "ttyname": "/dev/pts/1"}, f, indent=4)
        with open(f"{path}/ttyout", "wb") as f:
            f.write(data)
        with open(f"{path}/timing", "w", encoding="ascii") as f:
            f.writelines(f"4 0.001000 {min(RECORD, len(data) - at)}\n" for at in range(0, len(data), RECORD))
        return path

    def sudo(self, data, sessions, durable):
        """MB/s until the last commit point; and synced, unless it is durable anyway."""
        store, port = os.path.join(self.dir, "sudo-store"), port_of("sudo_logsrvd")
        shutil.rmtree(store, ignore_errors=True)
        os.mkdir(store)
        conf = os.path.join(self.dir, "sudo_logsrvd.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"[server]\nlisten_address = 127.0.0.1:{port}\npid_file =\nserver_log = {self.dir}/sudo.log\n"
                    f"[iolog]\niolog_dir = {store}\niolog_file = %{{seq}}\niolog_compress = false\niolog_flush = true\n[eventlog]\nlog_type = none\n")
        with open(f"{self.dir}/sudo.err", "ab") as err:
            server = subprocess.Popen(["env", *self.preload(durable), "/usr/sbin/sudo_logsrvd", "-n", "-f", conf], stdout=err, stderr=err)
        try:
            wait_port(port)
            start = time.monotonic()
            subprocess.run(["/usr/sbin/sudo_sendlog", "-h", "127.0.0.1", "-p", str(port), "-t", str(sessions), self.sudo_log(data)], check=True,
                           stdout=subprocess.DEVNULL)
            took = time.monotonic() - start
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        kept = sum(os.path.getsize(os.path.join(top, n)) for top, _, names in os.walk(store) for n in names if n == "ttyout")
        assert kept == len(data) * sessions, f"sudo_logsrvd kept {kept} bytes of {len(data) * sessions}"
        return len(data) * sessions / took / 1e6

    def tlog(self, data, durable):
        """MB/s of one session: a program is one process, more of them would be the same again."""
        log, source = os.path.join(self.dir, "tlog.log"), os.path.join(self.dir, "data")
        if os.path.exists(log):
            os.unlink(log)
        with open(source, "wb") as f:
            f.write(data)
        start = time.monotonic()
        pid, fd = pty.fork()
        if pid == 0:
            # it wants a utmp, and a place for its lock
            os.execvp("unshare", ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/tlog && :>/run/utmp && exec "$@"',
                                  "sh", "env", *self.preload(durable), "tlog-rec", "--writer=file", f"--file-path={log}", f"--payload={RECORD}", "cat", source])
        got = 0
        try:
            while n := len(os.read(fd, 65536)):
                got += n
        except OSError:
            pass    # the terminal is gone: it has ended
        os.close(fd)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError("tlog-rec failed")
        took = time.monotonic() - start
        kept = 0
        with open(log, encoding="utf-8") as f:
            for line in f:
                kept += len(json.loads(line)["out_txt"].encode())
        assert kept >= len(data), f"tlog-rec kept {kept} bytes of {len(data)}"
        return len(data) / took / 1e6

    def preload(self, durable):
        return [f"LD_PRELOAD={self.bin}/bench/durable.so"] if durable else []

    def beside(self):
        """Interleaved; medians of MB of terminal output a second."""
        rounds = 1 if self.bench.quick else 5
        small, large = output((1 if self.bench.quick else 4) << 20), output((1 if self.bench.quick else 16) << 20)
        crowd = 4 if self.bench.quick else 20
        one, many = {}, {}
        frame = RECORD + 16     # padding and tag
        for _ in range(rounds):
            seconds = 1 if self.bench.quick else 4
            for row, ways in ((one, {"bastiond": lambda: self.brec_load("-n", 1, "-w", 32, "-s", frame, "-t", seconds)[1] * RECORD / (frame + 24),
                                     "sudo_logsrvd, synced": lambda: self.sudo(small, 1, True),
                                     "tlog-rec, synced": lambda: self.tlog(small, True),
                                     "sudo_logsrvd, not synced": lambda: self.sudo(large, 1, False),
                                     "tlog-rec, not synced": lambda: self.tlog(small, False)}),
                              (many, {"bastiond": lambda: self.brec_load("-n", crowd, "-w", 32, "-s", frame, "-t", seconds)[1] * RECORD / (frame + 24),
                                      "sudo_logsrvd, synced": lambda: self.sudo(small[:1 << 18], crowd, True),
                                      "sudo_logsrvd, not synced": lambda: self.sudo(small, crowd, False)})):
                for way, measure in ways.items():
                    row.setdefault(way, []).append(measure())
        one, many = ({w: statistics.median(v) for w, v in row.items()} for row in (one, many))
        for other in ("sudo_logsrvd", "tlog-rec"):
            self.bench.row(f"1 KiB records, 1 session, {other}", {w: v for w, v in one.items() if w == "bastiond" or w.startswith(other)}, "MB/s",
                           f"{other}, synced", {"bastiond": 5}, "more")
        self.bench.row(f"1 KiB records, {crowd} sessions", many, "MB/s", "sudo_logsrvd, synced", {"bastiond": 5}, "more")

    # --- an hour of typing

    def typing(self):
        """A key every 200 ms, its echo 20 ms later, a line and 200 bytes of answer every 40 keys."""
        store = os.path.join(self.dir, "typing")
        os.makedirs(store)
        events = [{"t": 0, "ch": 0, "kind": "m", "text": '{"user":"alice","host":"web1","login":"dba"}'},
                  {"t": 0, "ch": 1, "kind": "C", "text": '{"capability":"shell","command":"","pty":true,"term":"xterm","cols":120,"rows":40}'}]
        raw = 0
        for i in range(TYPING * KEYS):
            key, answer = ("\r", "\r\n" + "x" * 200) if i % 40 == 39 else ("a", "a")
            events += [{"t": i / KEYS, "ch": 1, "kind": "i", "text": key}, {"t": i / KEYS + 0.02, "ch": 1, "kind": "o", "text": answer}]
            raw += len(key) + len(answer)
        subprocess.run([f"{self.bin}/bench/brec_make", "-e", store], input="\n".join(map(json.dumps, events)).encode(), check=True,
                       stdout=subprocess.DEVNULL)
        kept = sum(os.path.getsize(os.path.join(top, n)) for top, _, names in os.walk(f"{store}/recordings") for n in names)
        self.bench.row("an hour of typing, 5 keys/s", {"typed and shown": raw / 1e6, "stored": kept / 1e6}, "MB", "typed and shown")
