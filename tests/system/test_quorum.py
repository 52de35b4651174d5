"""Two of three collectors: one dies, hangs, or loses its network in the middle of typing, and the typing goes on; back again, it
catches up. One that lies is an alarm, an event, and out. The list of collectors changes under a running session."""
import contextlib
import os
import re
import signal
import struct
import subprocess
import time

import pytest

from harness import Client, Terminal, complete, events, labkit, replay, until
from test_false_collector import END, HELLO, RESUME, FalseCollector
from test_reload import log_of, reload

pytestmark = [pytest.mark.alone, pytest.mark.calm]

PAUSE = 1.0         # seconds that a key stroke may take while a collector goes away
STROKES = 75        # of 20 ms each, a third before, a third while it is away
NETWORK = [f"198.18.{os.getpid() >> 6 & 255}.{(os.getpid() & 63) * 4 + i}" for i in (1, 2)]    # nobody else's, and none that a killed run left


@pytest.fixture(scope="module")
def three(new_lab):
    return new_lab(options=["quorum = 2"], collectors=3)


@pytest.fixture
def session(three):
    terminal = Terminal(Client(three, "deploy").argv("web1.name", options=("-tt",)), Client(three, "deploy").env)
    terminal.line("stty raw -echo; echo $((6*7)); exec cat")
    terminal.expect(rb"42")
    yield terminal
    terminal.close()


def stroke(terminal, n):
    """One key and its echo: seconds."""
    key = b"%c" % (97 + n % 26)
    start = time.monotonic()
    terminal.send(key)
    terminal.expect(key, timeout=10)
    took = time.monotonic() - start
    time.sleep(max(0, 0.02 - took))
    return took


def newest(lab, name):
    """The newest session's directory in a collector's store; the recording of events is always open."""
    wanted = [row["recording"] for row in lab.ask("sessions", all=True)["rows"] if row["user"] == "deploy" and row.get("recording")][-1]
    top = os.path.join(lab.store(name), "recordings")
    return next((os.path.join(top, day, wanted) for day in os.listdir(top) if wanted in os.listdir(os.path.join(top, day))), top)


def content(path):
    """What a recording's segments hold."""
    names = sorted(n for n in os.listdir(path) if n.endswith(".brec"))
    return [(n, open(os.path.join(path, n), "rb").read()) for n in names]


def all_complete(lab):
    """The newest recording: whole, verified and the same at all three."""
    paths = [newest(lab, name) for name in lab.collectors()]
    return len({os.path.basename(p) for p in paths}) == 1 and all(
        complete(lab, p) for p in paths) and content(paths[0]) == content(paths[1]) == content(paths[2])


def pid_of(lab, name):
    return lab.state["pids"][name][0]


def kill(lab):
    os.kill(pid_of(lab, "collector2"), signal.SIGKILL)
    lab.stop("collector2")
    return lambda: lab.start("collector2")


def hang(lab):
    os.kill(pid_of(lab, "collector2"), signal.SIGSTOP)
    return lambda: os.kill(pid_of(lab, "collector2"), signal.SIGCONT)


@pytest.mark.parametrize("away", [kill, hang])
def test_typing_goes_on_without_one(three, session, away):
    before = [stroke(session, n) for n in range(STROKES // 3)]
    back = away(three)
    try:
        without = [stroke(session, n) for n in range(STROKES // 3)]
    finally:
        back()
    after = [stroke(session, n) for n in range(STROKES // 3)]
    print(f"{away.__name__}: longest echo {max(before) * 1e3:.0f} ms with three, {max(without) * 1e3:.0f} ms without one, "
          f"{max(after) * 1e3:.0f} ms after")
    assert max(without) < PAUSE and max(after) < PAUSE
    os.kill(session.pid, signal.SIGHUP)
    until(lambda: all_complete(three), deadline=20, what="all three copies are whole and the same")


def test_any_of_them_may_die(three, session):
    """Each in turn, in the middle of typing, and back while it goes on: none is more than the others, and nobody waits for who comes back."""
    longest = {}
    for name, c in zip(three.collectors(), ("c1", "c2", "c3")):
        ups = log_of(three).count(f"collector {c}: up")
        before = [stroke(session, n) for n in range(5)]
        os.kill(pid_of(three, name), signal.SIGKILL)
        without = [stroke(session, n) for n in range(25)]
        three.stop(name)
        three.start(name)
        back, end = [], time.monotonic() + 20
        while log_of(three).count(f"collector {c}: up") == ups:
            assert time.monotonic() < end, f"{c} is not back"
            back.append(stroke(session, len(back)))
        back += [stroke(session, n) for n in range(10)]
        longest[c] = max(without + back)
        print(f"{c}: longest echo {max(before) * 1e3:.0f} ms with all, {max(without) * 1e3:.0f} ms without it, {max(back) * 1e3:.0f} ms while it came back")
    assert max(longest.values()) < PAUSE, longest
    os.kill(session.pid, signal.SIGHUP)
    until(lambda: all_complete(three), deadline=20, what="all three copies are whole and the same")


def test_one_that_hangs_is_given_up(three, session):
    """Its kernel goes on acknowledging: it must not count towards the quorum of new sessions for ever."""
    gone = log_of(three).count("collector c2: down: it acknowledges nothing")
    back = hang(three)
    try:
        until(lambda: stroke(session, 1) < PAUSE and log_of(three).count("collector c2: down: it acknowledges nothing") > gone,
              deadline=12, what="the hung collector is given up")
    finally:
        back()
    os.kill(session.pid, signal.SIGHUP)
    until(lambda: all_complete(three), deadline=20, what="all three copies are whole and the same")


def sync(lab, to, port=None):
    """bastion-collectord -S, from the first collector's store."""
    return subprocess.run([lab.bin("bastion-collectord"), "-f", lab.collector_conf("collector"), "-S", f"127.0.0.1:{port or lab.port(to)}", "-c",
                           f"{lab.store(to)}/collector.crt"], capture_output=True, text=True, timeout=60, check=False)


class Refuser(FalseCollector):
    """Refuses the recording that it is asked about first, says so once more when it is asked about the next one, forgets the end of that,
    and then is full."""
    refused, asked = None, 0

    def err(self, link):
        text = b"\x1b]0;title\x07 no"
        self.send(link, 11, self.refused + struct.pack(">HI", 8, len(text)) + text)

    def handle(self, link, kind, body):
        if kind == RESUME:
            self.asked += 1
            if self.asked == 3:
                self.send(link, 10, b"\0" + struct.pack(">I", 4) + b"full")
                return
            self.refused = self.refused or body[:16]
            self.err(link)
            if self.asked == 1:
                return
        before = self.last.get(body[:16])
        super().handle(link, kind, body)
        if kind == END:
            self.last[body[:16]] = before


class Narrow(FalseCollector):
    """Takes no new recordings."""

    def handle(self, link, kind, body):
        super().handle(link, kind, body)
        if kind == HELLO:
            self.send(link, 10, b"\2" + struct.pack(">I", 6) + b"narrow")


def test_one_that_is_refused_stops_no_other(three):
    for _ in range(3):
        assert Client(three, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"
    until(lambda: complete(three, newest(three, "collector")), what="it is closed")

    def give(other):
        try:
            return sync(three, "collector2", other.socket.getsockname()[1])
        finally:
            other.close()
    done = give(Refuser(three, "", "collector2", port=0))
    assert done.returncode == 1 and done.stderr.count("not given") == 1 and "\\x1b]0;title" in done.stderr and "\x1b" not in done.stderr, done
    assert done.stdout.count("gave ") == 1 and "takes no more for now: full" in done.stderr and "were there" not in done.stdout, done
    # what that one has in part is completed while new ones are not taken
    begun = done.stdout.split("gave  ")[1].split()[0]
    done = give(Narrow(three, "", "collector2", port=0))
    assert done.returncode == 1 and f"gave  {begun}\n" in done.stdout and done.stdout.endswith("1 given, 0 were there\n"), done
    assert re.search(r"^bastion-collectord: [1-9]\d* not given: the other collector takes no new recordings for now: narrow\n\Z", done.stderr, re.M), done


def let_in(lab, to):
    """The first collector is one of those that may store at this one."""
    with open(lab.collector_conf(to), "a", encoding="ascii") as f:
        f.write(f'recorder c1 {{\n\tcertificate = "{lab.store("collector")}/collector.crt"\n'
                f'\tsigner = "{lab.path("state")}/recorder/signer.pub"\n}}\n')


def test_what_a_long_absence_cut_comes_from_another_collector(three):
    done = sync(three, "collector2")
    assert done.returncode == 1 and "recorder section" in done.stderr, done
    terminal = Terminal(Client(three, "deploy").argv("web1.name", options=("-tt",)), Client(three, "deploy").env)
    terminal.line("stty -echo; echo $((6*7))")
    terminal.expect(rb"42")
    back, ups = kill(three), log_of(three).count("collector c2: up")
    # more than the recorder keeps for one
    terminal.line("seq 400000; echo do''ne")
    terminal.expect(rb"done")
    let_in(three, "collector2")
    back()
    terminal.line("exit")
    assert terminal.wait() == 0
    terminal.close()
    until(lambda: complete(three, newest(three, "collector")), what="the others have it all")
    until(lambda: three.ask("sessions")["rows"] == [], what="the session ended")
    assert content(newest(three, "collector2")) != content(newest(three, "collector"))
    done = sync(three, "collector2")
    assert done.returncode == 0 and f"gave  {os.path.basename(newest(three, 'collector'))}" in done.stdout, done
    until(lambda: all_complete(three), deadline=20, what="all three copies are whole and the same")
    assert "0 given" in sync(three, "collector2").stdout
    # other bytes for the same frames: an alarm, and nothing is given
    path = newest(three, "collector")
    for name, says in ((content(path)[-1][0], "ALARM"), ("00000000.brec", "verify says more")):
        with open(os.path.join(path, name), "r+b") as f:
            whole = f.read()
            f.seek(100)
            f.write(bytes([whole[100] ^ 1]))
            f.flush()
            done = sync(three, "collector2")
            f.seek(0)
            f.write(whole)
        assert done.returncode == 1 and says in done.stderr and "0 given" in done.stdout, done
    until(lambda: log_of(three).count("collector c2: up") > ups, what="the recorder is back, too")


@contextlib.contextmanager
def network(name):
    """A network namespace, and its link to here."""
    outer = name + "h"

    def ip(*words, check=True):
        subprocess.run(["ip", *words], check=check, capture_output=True)
    try:
        ip("netns", "add", name)
        ip("link", "add", outer, "type", "veth", "peer", "name", "q0", "netns", name)
        ip("addr", "add", f"{NETWORK[0]}/30", "dev", outer)
        ip("link", "set", outer, "up")
        for words in (("addr", "add", f"{NETWORK[1]}/30", "dev", "q0"), ("link", "set", "q0", "up"), ("link", "set", "lo", "up")):
            ip("-n", name, *words)
        yield ip
    finally:
        ip("link", "del", outer, check=False)
        ip("netns", "del", name, check=False)


@pytest.fixture
def far(three):
    """collector3 in a network namespace of its own, whose link the test cuts."""
    name, conf, port = f"q{os.getpid()}", three.collector_conf("collector3"), three.port("collector3")
    three.stop("collector3")
    with network(name) as ip, open(three.path("log", "collector3"), "ab") as log:
        labkit.write(conf, labkit.read(conf).replace("127.0.0.1", NETWORK[1]))
        main = three.path("bastiond.conf")
        labkit.write(main, labkit.read(main).replace(f'address = "127.0.0.1"\n\tport = {port}', f'address = "{NETWORK[1]}"\n\tport = {port}'))
        with subprocess.Popen(["ip", "netns", "exec", name, *three.command("collector3")], stdout=log, stderr=log) as process:
            try:
                ups = log_of(three).count("collector c3: up")
                reload(three)
                until(lambda: log_of(three).count("collector c3: up") > ups, what="the collector at its new address is up")
                yield lambda state: ip("-n", name, "link", "set", "q0", state)
            finally:
                process.terminate()
                three.write_configs()
        reload(three)
    three.start("collector3")


def test_typing_goes_on_when_a_network_is_cut(three, far, session):
    before = [stroke(session, n) for n in range(STROKES // 3)]
    far("down")
    without = [stroke(session, n) for n in range(STROKES // 3)]
    far("up")
    after = [stroke(session, n) for n in range(STROKES // 3)]
    print(f"network: longest echo {max(before) * 1e3:.0f} ms with three, {max(without) * 1e3:.0f} ms without one, {max(after) * 1e3:.0f} ms after")
    assert max(without) < PAUSE and max(after) < PAUSE
    os.kill(session.pid, signal.SIGHUP)
    until(lambda: all_complete(three), deadline=30, what="all three copies are whole and the same")


def test_without_two_nothing_moves(three, session):
    stroke(session, 1)
    kill(three)
    os.kill(pid_of(three, "collector3"), signal.SIGSTOP)
    session.send(b"~")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        session.read(0.1)
    assert b"~" not in session.seen
    os.kill(pid_of(three, "collector3"), signal.SIGCONT)
    session.expect(b"~", timeout=5)
    three.start("collector2")


def test_another_value_is_an_alarm_and_an_event(three):
    """Two collectors that hold different bytes for a sequence: the recorder knows which, and the two others go on."""
    three.stop("collector3")
    # it knows nothing of the recording of events, which is always open: that alarm comes first, and a reload is another chance
    forgot, lied = "ALARM: collector c3: what it has", "ALARM: collector c3: it acknowledged"
    alarms = log_of(three).count(forgot)
    liar = FalseCollector(three, "other value", "collector3")
    try:
        until(lambda: log_of(three).count(forgot) > alarms, what="the alarm about the recording of events")
        ups, alarms, seen = log_of(three).count("collector c3: up"), log_of(three).count(lied), len(events(three, "recorder.alarm"))
        reload(three)
        until(lambda: log_of(three).count("collector c3: up") > ups, what="c3 is up")
        assert Client(three, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"
        until(lambda: log_of(three).count(lied) == alarms + 1, what="the alarm")
        rows = until(lambda: events(three, "recorder.alarm")[seen:], what="the event")
        assert "c3" in str(rows[0])
    finally:
        liar.close()
    three.start("collector3")
    ups = log_of(three).count("collector c3: up")
    reload(three)
    until(lambda: log_of(three).count("collector c3: up") > ups, what="a reload gives it another chance")


def test_the_list_changes_under_a_session(three, session):
    """c1 leaves and later comes back: the running session keeps it to its end, new ones do without."""
    conf = labkit.read(three.path("bastiond.conf"))
    at = conf.index("collector c1")
    labkit.write(three.path("bastiond.conf"), conf[:at] + conf[conf.index("collector c2"):])
    reload(three)
    assert max(stroke(session, n) for n in range(10)) < PAUSE
    assert Client(three, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"
    until(lambda: os.path.basename(newest(three, "collector2")) == os.path.basename(newest(three, "collector3")) != "recordings")
    assert os.path.basename(newest(three, "collector")) == "recordings", "the one that left has nothing new"
    os.kill(session.pid, signal.SIGHUP)
    until(lambda: "collector c1: left" in log_of(three), what="c1 is left when nothing needs it")
    three.write_configs()
    reload(three)
    until(lambda: log_of(three).rfind("collector c1: up") > log_of(three).rfind("collector c1: left"), what="c1 is up again")
