"""Retention at the collector: what is closed for longer, or silent for longer and 30 days more, is removed, with a leaf in the log that both
verifiers take for it; what is young, on hold, open, or old by one clock alone, stays, and no command removes it."""
import base64
import glob
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import time

import pytest

from harness import Client, labkit, made_recording, meta_event, open_event, until
from test_evidence import Store, leaves_of, read, write

sys.path.insert(0, os.path.dirname(labkit.__file__))
import verify_independent as independent  # noqa: E402

pytestmark = pytest.mark.chained

DAY = 86400
NOW = time.time()
# what they are: days since the close, days since the files were written
AGES = {"old": (100, 100), "long": (100, 100), "young": (80, 100), "written": (100, 1), "open": (100, 100), "held": (100, 100),
        "silent": (130, 130), "broken": (130, 130), "torn": (130, 130), "mute": (130, 130), "touched": (130, 110), "lost": (130, 130), "taken": (130, 130)}
# these have no close; the last signature is a checkpoint, the seal of the segment before, none, a checkpoint
UNCLOSED = {"open": False, "silent": True, "broken": False, "torn": False, "mute": False, "touched": True, "lost": True, "taken": True}
SEGMENTS = {"long": 70, "broken": 70, "torn": 3}
GONE = {"old", "long", "silent", "broken", "torn"}


class Aged:
    """A lab whose collector holds recordings from months ago, beside those of its own bastion."""

    def __init__(self, lab):
        self.lab, self.ids, self.dirs = lab, {}, {}
        made, store = lab.path("made"), lab.path("store")
        for name, (closed, written) in AGES.items():
            events = [meta_event(), open_event()] + [{"t": 61 * i, "ch": 1, "kind": "o", "text": "x"} for i in range(SEGMENTS.get(name, 1))]
            self.ids[name], = made_recording(made, events, wall=int(NOW - closed * DAY))
            path, = glob.glob(f"{made}/recordings/*/{self.ids[name]}")
            if name in UNCLOSED:
                last = max(os.listdir(path))
                data = read(path, last)
                close = last_frame(data)
                mark = checkpoint(close, self.bastion_key(), bytes.fromhex(self.ids[name])) if UNCLOSED[name] else b""
                write(data[:100] if name == "torn" else data[:-len(close)] + mark, path, last)
                # these closed, and lost their end: a receipt speaks of the close, or the object store's list does
                if name == "lost":
                    write(receipt(bytes.fromhex(self.ids[name]), independent.Frame(close).seq + 1), path, "receipts")
                if name == "taken":
                    line = b"closed 0 1 1"
                    write(line + b" %08x\n" % independent.crc32c(line), path, "archived")
            for file in os.listdir(path):
                os.utime(os.path.join(path, file), (NOW - written * DAY,) * 2)
        lab.stop("collector")
        shutil.copytree(f"{made}/recordings", f"{store}/recordings", dirs_exist_ok=True)
        for top, folders, files in os.walk(f"{store}/recordings"):
            for entry in [*folders, *files]:
                os.chown(os.path.join(top, entry), labkit.COLLECTOR_UID, labkit.COLLECTOR_UID)
        # they came from a store that had no log: they get their leaves at the start
        for name in "log", "journal":
            for entry in os.listdir(f"{store}/{name}"):
                path = f"{store}/{name}/{entry}"
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        for name, one in self.ids.items():
            self.dirs[name], = glob.glob(f"{store}/recordings/*/{one}")
        with open(lab.path("auditor.trust"), "a", encoding="ascii") as f:
            f.write(read(made, "trust").decode())
        self.store = store
        self.signer = lab.path("made.pub")
        labkit.run("openssl", "pkey", "-in", f"{made}/signer.pem", "-pubout", "-out", self.signer)
        self.user = Client(lab, "deploy")

    def bastion_key(self):
        return independent.serialization.load_pem_private_key(read(self.lab.path("made"), "signer.pem"), None)

    def configure(self, line):
        self.lab.write_configs()
        conf = labkit.read(self.lab.collector_conf("collector"))
        labkit.write(self.lab.collector_conf("collector"), f"{line}\n{conf}")

    def restart(self):
        self.lab.stop("collector")
        self.lab.start("collector")
        self.hear()

    def hear(self):
        """A session: its header says what time it is."""
        until(lambda: self.user.run("web1.name", "true").returncode == 0, what="the bastion found the collector again")

    def log(self):
        return read(self.lab.path("log", "collector")).decode()

    def there(self):
        return {name for name, path in self.dirs.items() if os.path.exists(path)}

    def command(self, *words):
        return subprocess.run([self.lab.bin("bastion-collectord"), *words, "-f", self.lab.collector_conf("collector")], capture_output=True, text=True,
                              timeout=30, check=False)

    def copy(self):
        """The store as it is, at rest, for the verifiers."""
        it = Store.__new__(Store)
        it.lab, it.scratch, it.top = self.lab, self.lab.path("scratch"), self.store
        shutil.rmtree(it.scratch, ignore_errors=True)
        os.makedirs(it.scratch)
        it.keys = (independent.load_keys(self.lab.path("state", "recorder", "signer.pub")) + independent.load_keys(self.signer),
                   independent.load_keys(self.lab.path("store", "collector.crt")))
        return it


def last_frame(data):
    at = len(independent.Header(data).raw)
    while True:
        frame = independent.Frame(data[at:at + 65536]).raw
        at += len(frame)
        if at == len(data):
            return frame


def receipt(rid, seq):
    """One that nobody signed: what it says is enough to keep."""
    body = struct.pack(">I", 176) + bytes(40) + rid + struct.pack(">Q", seq) + bytes(32) + struct.pack(">III", 1, 0, 0) + bytes(64)
    return body + struct.pack(">I", independent.crc32c(body))


def checkpoint(close, key, rid):
    """The close frame as the checkpoint that could stand there."""
    f = independent.Frame(close)
    message = independent.MARKS[independent.CHECKPOINT] + rid + struct.pack(">Q", f.seq) + f.body[:40]
    new = struct.pack(">IB", 128, independent.CHECKPOINT) + close[5:20] + f.body[:40] + key.sign(message)
    return new + struct.pack(">I", independent.crc32c(new))


@pytest.fixture(scope="module")
def aged(new_lab):
    return Aged(new_lab())


def test_less_than_ninety_days_is_refused(aged):
    for days, right in ((89, False), (1, False), (-1, False), (90, True), (0, True)):
        aged.configure(f"retention = {days}")
        done = aged.command("-t")
        assert (done.returncode == 0) == right, done.stderr
        assert right or "younger than 90 days must be kept" in done.stderr


def test_hold_and_retention(aged):
    # without the option everything stays
    aged.configure("")
    aged.restart()
    assert aged.there() == set(AGES)
    done = aged.command("-H", aged.ids["held"], "-m", "case 4711: \u00fc")
    assert done.returncode == 0 and "on hold" in done.stdout, done
    assert "case 4711" in read(aged.dirs["held"], "hold").decode()
    assert aged.command("-H", aged.ids["held"], "-m", "again").returncode == 1
    for words, says in ((("-H", "00" * 16, "-m", "x"), "no recording"), (("-U", aged.ids["young"], "-m", "x"), "not on hold"), (("-H", "xy", "-m", "x"), "32 hex"),
                        (("-H", aged.ids["young"]), "say why"), (("-H", aged.ids["young"], "-m", "a\nb"), "say why")):
        done = aged.command(*words)
        assert done.returncode == 1 and says in done.stderr, (words, done)
    # a session that runs can be held, too; it goes on, and the auditor sees the hold
    session = aged.user.start("web1.name", "read x; echo done $x")
    rid = until(lambda: [row["recording"] for row in aged.lab.ask("sessions")["rows"] if row.get("recording")], what="a session")[-1]
    assert until(lambda: aged.command("-H", rid, "-m", "while it runs").returncode == 0, what="its recording is open")
    assert session.communicate(b"well\n", timeout=30)[0] == b"done well\n"
    row = until(lambda: [row for row in aged.copy().ours(aged.store) if row["id"] == rid and row["verdict"] == "complete"], what="it is complete")[0]
    assert row["held"] and row["log"] == "whole"
    aged.configure("retention = 90")
    aged.restart()
    until(lambda: aged.there() == set(AGES) - GONE, deadline=60, what="what is old by both clocks is gone")
    assert aged.log().count("notice: pruned: ") == len(GONE)
    assert aged.log().count(", never closed, alive at ") == 3
    # kill -9 and a start do not bring it back, and the rest stays
    os.kill(aged.lab.state["pids"]["collector"][0], 9)
    aged.restart()
    assert aged.there() == set(AGES) - GONE
    # released, it goes
    assert aged.command("-U", aged.ids["held"], "-m", "case closed").returncode == 0
    assert not os.path.exists(os.path.join(aged.dirs["held"], "hold"))
    aged.restart()
    until(lambda: aged.there() == set(AGES) - GONE - {"held"}, deadline=60, what="what was released is gone")
    done = aged.command("-H", aged.ids["old"], "-m", "too late")
    assert done.returncode == 1 and "removed already" in done.stderr


def test_both_verifiers_say_pruned(aged):
    aged.lab.stop_all()
    it = aged.copy()
    found = it.both(it.top)
    assert {name: found.get(aged.ids[name], found.get(aged.dirs[name])) for name in AGES} == {
        "old": "pruned", "long": "pruned", "held": "pruned", "young": "complete", "written": "complete", "open": "abandoned",
        "silent": "pruned", "broken": "pruned", "torn": "pruned", "mute": "abandoned", "touched": "abandoned", "lost": "abandoned", "taken": "abandoned"}
    rows = {row["id"]: row for row in it.ours(it.top)}
    assert "retention of 90 days" in rows[aged.ids["old"]]["reason"] and "bastion-collectord" in rows[aged.ids["old"]]["reason"]
    assert "retention of 90 days, and 30 more without a close" in rows[aged.ids["silent"]]["reason"]
    # a copy that still has the files is judged by them; half of one is what the collector left when it was stopped
    made, = glob.glob(aged.lab.path("made", "recordings", "*", aged.ids["long"]))
    back = aged.dirs["long"]
    shutil.copytree(made, back)
    segments = sorted(os.listdir(back))
    assert len(segments) == 70 and it.both(it.top)[back] == "complete"     # more than go in one second
    # without its first segment nothing says that these are of it
    os.rename(os.path.join(back, segments[0]), aged.lab.path("first"))
    assert it.both(it.top)[back] == "gap"
    os.rename(aged.lab.path("first"), os.path.join(back, segments[0]))
    for n, name in enumerate(reversed(segments)):
        os.unlink(os.path.join(back, name))
        if n in (0, 1, 68, 69):
            assert it.both(it.top)[back] == "pruned"
    os.rmdir(back)


def with_leaves(it, top, leaves):
    """A log of these leaves, signed by the collector's own key: what a collector that lies could make."""
    shutil.rmtree(os.path.join(top, "log", "tile"))
    for name in glob.glob(os.path.join(top, "log", "checkpoint*")):
        os.unlink(name)
    hashes = [independent.sha256(b"\0", leaf) for leaf in leaves]
    assert len(leaves) < 256
    write(b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves), top, "log", "tile", "entries", f"000.p/{len(leaves)}")
    write(b"".join(hashes), top, "log", "tile", "0", f"000.p/{len(leaves)}")
    origin = read(it.top, "log", "checkpoint").split(b"\n")[0]
    write(it.sign(origin + b"\n%d\n" % len(leaves) + base64.b64encode(independent.fold(hashes)) + b"\n"), top, "log", "checkpoint")


def text(value):
    return struct.pack(">I", len(value)) + value


def changed(leaf, **new):
    """The prune leaf with other fields."""
    wall, days, segment = struct.unpack(">QII", leaf[29:45])
    frame, who, why = independent.strings(leaf[77:], independent.STRS[independent.PRUNED][1:])
    value = {"rid": leaf[13:29], "wall": wall, "days": days, "segment": segment, "hash": leaf[45:77], "frame": frame, "who": who, "why": why} | new
    return leaf[:13] + value["rid"] + struct.pack(">QII", value["wall"], value["days"], value["segment"]) + value["hash"] + text(value["frame"]) + \
        text(value["who"]) + text(value["why"])


def act(kind, rid):
    return b"brec/v1 leaf" + bytes([kind]) + rid + struct.pack(">Q", int(NOW * 1e6)) + text(b"uid 0") + text(b"because")


def closed(frame, key, rid, wall):
    """The close frame with another time, signed by another key."""
    f = independent.Frame(frame)
    message = independent.MARKS[independent.CLOSE] + rid + struct.pack(">Q", f.seq) + f.body[:32] + struct.pack(">Q", wall) + f.body[104:]
    new = frame[:20] + f.body[:32] + struct.pack(">Q", wall) + key.sign(message) + f.body[104:]
    return new + struct.pack(">I", independent.crc32c(new))


def test_a_collector_that_lies_is_not_believed(aged):
    """Each prune leaf that is not in order leaves the recording cut, and verification fails."""
    it = aged.copy()
    it.log_key = independent.serialization.load_pem_private_key(read(aged.store, "receipt.key"), None)
    rid, leaves = bytes.fromhex(aged.ids["old"]), leaves_of(aged.store, it.keys[1])
    own = [leaf for leaf in leaves if leaf[13:29] == rid]
    rest = [leaf for leaf in leaves if leaf[13:29] != rid]
    opened, close, prune = own
    frame = independent.strings(prune[77:], independent.STRS[independent.PRUNED][1:])[0]
    ended = int.from_bytes(independent.Frame(frame).body[32:40], "big")
    other = [leaf for leaf in leaves if leaf[13:29] == bytes.fromhex(aged.ids["held"])]
    flipped = bytearray(frame)
    flipped[60] ^= 1
    flipped = bytes(flipped[:-4]) + struct.pack(">I", independent.crc32c(bytes(flipped[:-4])))
    stranger = independent.serialization.load_pem_private_key(
        labkit.run("openssl", "genpkey", "-algorithm", "ed25519").encode(), None)
    day = DAY * 1000000
    variants = {
        "as it was": ([opened, close, prune], "pruned"),
        "89 days are no retention": ([opened, close, changed(prune, days=89)], "cut"),
        "0 days are none": ([opened, close, changed(prune, days=0)], "cut"),
        "a day before its time": ([opened, close, changed(prune, wall=ended + 90 * day - 1)], "cut"),
        "at its time": ([opened, close, changed(prune, wall=ended + 90 * day)], "pruned"),
        "from the future": ([opened, close, changed(prune, wall=int((time.time() + 3 * DAY) * 1e6))], "cut"),
        "no number": ([opened, close, changed(prune, wall=2**64 - 1)], "cut"),
        "a bit of the close": ([opened, close, changed(prune, frame=flipped)], "cut"),
        "an older close by another key": ([opened, close, changed(prune, frame=closed(frame, stranger, rid, ended - 50 * day))], "cut"),
        "no close frame": ([opened, close, changed(prune, frame=b"")], "cut"),
        "another segment": ([opened, close, changed(prune, segment=1)], "cut"),
        "another file": ([opened, close, changed(prune, hash=bytes(32))], "cut"),
        "before the close": ([opened, prune, close], "cut"),
        "never closed": ([opened, prune], "cut"),
        "that of another recording": ([opened, close, changed(other[-1], rid=rid)], "cut"),
        "while on hold": ([opened, act(5, rid), close, prune], "cut"),
        "after a release": ([opened, act(5, rid), close, act(6, rid), prune], "pruned"),
        "held again": ([opened, close, act(5, rid), act(6, rid), act(5, rid), prune], "cut"),
        "and once more in order": ([opened, close, changed(prune, days=89), prune], "pruned"),
        "shorter": ([opened, close, prune[:-1]], "cut"),
        "longer": ([opened, close, prune + b"x"], "cut"),
        "a name of 64 bytes": ([opened, close, changed(prune, who=b"w" * 64)], "pruned"),
        "a longer name": ([opened, close, changed(prune, who=b"w" * 65)], "cut"),
        "a reason of 256 bytes": ([opened, close, changed(prune, why=b"w" * 256)], "pruned"),
        "a longer reason": ([opened, close, changed(prune, why=b"w" * 257)], "cut"),
    }
    top = os.path.join(it.scratch, "lies")
    shutil.copytree(aged.store, top, ignore=shutil.ignore_patterns("journal", "*.key", "*.pruned"))
    for name, (mine, verdict) in variants.items():
        with_leaves(it, top, rest + mine)
        assert it.both(top)[aged.ids["old"]] == verdict, name


def test_a_lapse_that_lies_is_not_believed(aged):
    """What closed never lapses, nor does what the log knows more of, or what was alive later; and nothing lapses in the time of a retention."""
    it = aged.copy()
    it.log_key = independent.serialization.load_pem_private_key(read(aged.store, "receipt.key"), None)
    leaves = leaves_of(aged.store, it.keys[1])
    own = {name: [leaf for leaf in leaves if leaf[13:29] == bytes.fromhex(aged.ids[name])] for name in ("silent", "broken", "old", "long")}
    rid = {name: leaves[0][13:29] for name, leaves in own.items()}
    opened, lapse = own["silent"]
    *seals, last = own["broken"]
    alive = int.from_bytes(independent.Frame(independent.strings(lapse[77:], independent.STRS[independent.PRUNED][1:])[0]).body[32:40], "big")
    day = DAY * 1000000
    early = read(glob.glob(aged.lab.path("made", "recordings", "*", aged.ids["broken"]))[0], "00000010.brec")
    stranger = independent.serialization.load_pem_private_key(labkit.run("openssl", "genpkey", "-algorithm", "ed25519").encode(), None)
    close = independent.strings(own["old"][2][77:], independent.STRS[independent.PRUNED][1:])[0]

    def of(name, leaf):
        return leaf[:13] + rid[name] + leaf[29:]
    variants = {
        "as it was": ("silent", [opened, lapse], "pruned"),
        "at its time": ("silent", [opened, changed(lapse, wall=alive + 120 * day)], "pruned"),
        "a moment before": ("silent", [opened, changed(lapse, wall=alive + 120 * day - 1)], "cut"),
        "89 days are no retention": ("silent", [opened, changed(lapse, days=89)], "cut"),
        "it closed": ("silent", [opened, of("silent", own["old"][1]), lapse], "cut"),
        "it closed afterwards": ("silent", [opened, lapse, of("silent", own["old"][1])], "cut"),
        "it has a seal": ("silent", [opened, of("silent", seals[1]), lapse], "cut"),
        "it never opened": ("silent", [lapse], "cut"),
        "on hold": ("silent", [opened, act(5, rid["silent"]), lapse], "cut"),
        "as a prune": ("silent", [opened, lapse[:12] + b"\4" + lapse[13:]], "cut"),
        "signed by another": ("silent", [opened, changed(lapse, frame=checkpoint(close, stranger, rid["silent"]))], "cut"),
        "of another segment": ("silent", [opened, changed(lapse, segment=1)], "cut"),
        "a prune as one": ("old", [own["old"][0], own["old"][1], own["old"][2][:12] + b"\7" + own["old"][2][13:]], "cut"),
        "that of what closed": ("long", [*own["long"][:-1], of("long", last)], "cut"),
        "behind all seals": ("broken", [*seals, last], "pruned"),
        "one seal less": ("broken", [*seals[:-1], last], "cut"),
        "an earlier seal": ("broken", [*seals, changed(last, segment=10, frame=last_frame(early), hash=independent.sha256(early))], "cut"),
        "no seal": ("broken", [seals[0], last], "cut"),
    }
    rest = [leaf for leaf in leaves if leaf[13:29] not in rid.values()]
    top = os.path.join(it.scratch, "lapses")
    shutil.copytree(aged.store, top, ignore=shutil.ignore_patterns("journal", "*.key", "*.pruned"))
    for what, (name, mine, verdict) in variants.items():
        with_leaves(it, top, rest + mine)
        assert it.both(top)[aged.ids[name]] == verdict, what
        if what == "signed by another":
            reason, = [row["reason"] for row in it.ours(top) if row["id"] == aged.ids[name]]
            assert "the lapse leaf" in reason and "its last signed frame is not signed" in reason, reason


def test_a_clock_that_leaps_removes_nothing(aged):
    """The collector's clock a year ahead: what the bastions say is believed."""
    before = aged.there()
    library, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    ahead = ["env", f"LD_PRELOAD={labkit.preload(library)}", "FAKETIME=+400d", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    aged.lab.command = lambda name, plain=aged.lab.command: (ahead if name == "collector" else []) + plain(name)
    for name in "collector", "target", "bastiond":
        aged.lab.start(name)
    aged.hear()
    until(lambda: "not believed: it is more than a day after" in aged.log(), what="the log says why nothing is pruned")
    aged.restart()
    assert aged.there() == before and aged.log().count("notice: pruned: ") == len(GONE) + 1
