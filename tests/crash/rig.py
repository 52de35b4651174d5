"""A collector, and the configuration of a bastion that ships to it, in a directory of their own: what tests/crash/ship and tests/crash/kills
torture. Needs root. LAB_BIN: where the programs are (default build)."""
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from labkit import free_port  # noqa: E402

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("LAB_BIN", os.path.join(REPO, "build"))
COLLECTOR_UID = 61007
ROLES = {"policy": 61001, "keys": 61002, "recorder": 61003, "session": 61004, "dial": 61005, "console": 61006, "task": 61010}


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


class Rig:
    """A collector and the configuration of a bastion, in a directory of their own."""

    def __init__(self, top, options="", other=None):
        """other: a rig whose collector is the second one of this rig's bastion; both then are the quorum."""
        self.dir = top
        self.port = free_port()
        self.collector = None
        self.store = os.path.join(top, "store")
        self.acks = os.path.join(top, "acks")
        os.chmod(top, 0o755)
        os.makedirs(os.path.join(top, "run"), exist_ok=True)
        subprocess.run(["age-keygen", "-o", f"{top}/auditor.key"], check=True, capture_output=True)
        write(f"{top}/recipients", subprocess.run(["age-keygen", "-y", f"{top}/auditor.key"], check=True, capture_output=True,
                                                  text=True).stdout)
        client = self.client = other.dir if other else top
        write(f"{top}/collectord.conf", f'listen = {{ "127.0.0.1:{self.port}" }}\nstore = "{self.store}"\nuser = "{COLLECTOR_UID}"\n'
              f'{options}\nrecorder rig {{\n\tcertificate = "{client}/state/recorder/client.crt"\n\tsigner = "{client}/state/recorder/signer.pub"\n}}\n')
        subprocess.run([f"{BIN}/bastion-collectord", "-I", "-f", f"{top}/collectord.conf"], check=True, capture_output=True)
        if other:
            with open(f"{client}/bastiond.conf", "a", encoding="utf-8") as f:
                f.write(self.section("c2") + "quorum = 2\n")
            return
        write(f"{top}/bastiond.conf", f'listen = {{ "127.0.0.1:{free_port()}" }}\nstate_dir = "{top}/state"\nrun_dir = "{top}/run"\n'
              f'recipients = "{top}/recipients"\n' + "".join(f'user_{r} = "{uid}"\n' for r, uid in ROLES.items()) +
              self.section("c1"))
        subprocess.run([f"{BIN}/bastiond", "-I", "-f", f"{top}/bastiond.conf"], check=True, capture_output=True)
        os.makedirs(os.path.join(top, "run", "empty"), exist_ok=True)

    def section(self, name):
        return f'collector {name} {{\n\taddress = "127.0.0.1"\n\tport = {self.port}\n\tcertificate = "{self.store}/collector.crt"\n}}\n'

    def start(self, wait=False):
        with open(f"{self.dir}/collector.log", "ab") as log:
            self.collector = subprocess.Popen([f"{BIN}/bastion-collectord", "-D", "-f", f"{self.dir}/collectord.conf"],
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            wait_for("the collector's start", self.listening, 60)

    def listening(self):
        if self.collector.poll() is not None:
            raise AssertionError(f"the collector ended: see {self.dir}/collector.log")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.collector.kill()
        self.collector.wait()

    def stop(self):
        """A clean end; a sanitizer's finding is a failure here."""
        self.collector.terminate()
        if self.collector.wait() != 0:
            raise AssertionError(f"the collector ended with {self.collector.returncode}: see {self.dir}/collector.log")

    def feed(self, *args):
        with open(f"{self.dir}/feeder.log", "ab") as log:
            return subprocess.Popen([f"{BIN}/bench/brec_load", "-f", f"{self.dir}/bastiond.conf", "-a", self.acks, *map(str, args)],
                                    stdout=log, stderr=log)

    def check(self, acks=None):
        """Empty if every acknowledged frame is stored as it was sent, and the log of recordings knows what it should, no more."""
        r = subprocess.run([f"{BIN}/bench/brec_load", "-c", self.store, "-a", acks or self.acks], capture_output=True, text=True)
        return self.verify() if r.returncode == 0 else r.stdout[-2000:] + r.stderr[-2000:]

    def verify(self):
        """Empty if nothing is worse than a recording that has no end, all of it is in the log, and the log is good."""
        return self.verdicts()[0]

    def verdicts(self):
        """As verify, and the number of recordings."""
        write(f"{self.dir}/trust", f"signer rig {self.client}/state/recorder/signer.pub\ncollector rig {self.store}/collector.crt\n")
        r = subprocess.run([f"{BIN}/bastion-replay", "verify", "--all", "--json", "--store", self.store, "--trust", f"{self.dir}/trust"],
                           capture_output=True, text=True)
        rows = [json.loads(line) for line in r.stdout.splitlines()]
        bad = [row for row in rows if row["verdict"] not in ("complete", "abandoned", "open") or row["log"] not in ("whole", "part")]
        return "" if rows and not bad else f"{r.stderr}{bad[:3]}", len(rows)

    def alarms(self):
        with open(f"{self.dir}/collector.log", encoding="utf-8", errors="replace") as f:
            found = [line for line in f if "ALARM" in line]
        with open(f"{self.dir}/feeder.log", encoding="utf-8", errors="replace") as f:
            return "".join(found + [line for line in f if "ALARM" in line])

    def acknowledged(self):
        try:
            with open(self.acks, "rb") as f:
                return f.read().count(b"\n")
        except FileNotFoundError:
            return 0


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen in {seconds} s")
        time.sleep(0.02)
