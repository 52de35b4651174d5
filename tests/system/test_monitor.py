"""Events leave as syslog and as JSON lines, numbers as metrics; by a process of its own, whose death and whose receivers' death end nothing."""
import glob
import json
import os
import re
import signal
import socket
import threading
import urllib.error
import urllib.request

import pytest

from harness import Client, labkit, roles, seccomp, until

HEAD = re.compile(r"<(\d+)>1 (\S+) (\S+) bastiond (\d+) (\S+) (\[bastiond@32473 .*)", re.S)


class Receiver(threading.Thread):
    """A syslog server: datagrams, at a port or at a path as /dev/log is one, or a stream with lengths (RFC 6587)."""

    def __init__(self, kind, port=0, path=None):
        super().__init__(daemon=True)
        self.kind, self.messages, self.open = kind, [], True
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, kind)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(path or ("127.0.0.1", port))
        self.port = None if path else self.socket.getsockname()[1]
        if path:
            os.chmod(path, 0o666)   # as syslog daemons have it
        self.peer = None
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        self.start()

    def run(self):
        try:
            if self.kind == socket.SOCK_DGRAM:
                while True:
                    self.messages.append(self.socket.recv(65536).decode())
            while True:
                self.peer = self.socket.accept()[0]
                data = b""
                while piece := self.peer.recv(65536):
                    data += piece
                    while b" " in data and len(data) >= (size := int(data.split(b" ", 1)[0])) + len(str(size)) + 1:
                        start = len(str(size)) + 1
                        self.messages.append(data[start:start + size].decode())
                        data = data[start + size:]
        except OSError:
            pass

    def close(self):
        for s in (self.socket, self.peer):
            if s is not None:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()
        self.join(5)

    def kinds(self):
        return [HEAD.fullmatch(m).group(5) for m in self.messages]


@pytest.fixture(scope="module")
def syslog():
    receiver = Receiver(socket.SOCK_STREAM)
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def own(new_lab, syslog):
    port = labkit.free_port()
    folder = labkit.tempfile.mkdtemp(prefix="bastion-events-", dir="/tmp")
    os.chmod(folder, 0o711)     # a socket there is dialled again by the monitor's own account
    lab = new_lab(options=[f'event_syslog = "tcp:127.0.0.1:{syslog.port}"', f'event_json = "{folder}/events.json"',
                           f'metrics_listen = {{ "127.0.0.1:{port}" }}'])
    lab.metrics, lab.events, lab.folder = port, f"{folder}/events.json", folder
    yield lab
    labkit.shutil.rmtree(folder, ignore_errors=True)


def get(lab, path, method="GET", data=None):
    request = urllib.request.Request(f"http://127.0.0.1:{lab.metrics}{path}", method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def metrics(lab):
    status, text = get(lab, "/metrics")
    assert status == 200
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def lines(lab):
    with open(lab.events, encoding="ascii") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]     # one that is being written may be there by half


def monitor_pid(lab):
    return next(reversed(roles(lab, "mon")), None)


def test_every_event_by_every_way(own, syslog):
    Client(own, "deploy").run("web1.jump", "true", check=True)
    own.ask("user lock", user="alice", reason='"] [x@1 a="b"]')
    own.ask("user unlock", user="alice")
    rows = own.ctl_json("events", "--limit", "1000")["rows"]
    got = until(lambda: (them := lines(own)) and them[-1]["id"] >= rows[-1]["id"] and them, 20, what="the events in the file")
    mine = {e["id"]: e for e in got}
    assert [e["id"] for e in got] == list(range(got[0]["id"], got[-1]["id"] + 1))
    assert "policy.start" in [e["kind"] for e in got]
    for row in rows[-20:]:
        e = mine[row["id"]]
        assert (e["kind"], e["actor"], e["subject"], e["hash"], e["time"]) == (row["kind"], row["actor"], row.get("subject", ""), row["hash"], row["at"])
    until(lambda: len(syslog.messages) >= len(got), 20, what="the events by syslog")
    lock = [m for m in syslog.messages if " user.lock " in m][0]
    match = HEAD.fullmatch(lock)
    assert match.group(1) == "85" and 'reason="\\"\\] [x@1 a=\\"b\\"\\]"' in lock and f'hash="{[r for r in rows if r["kind"] == "user.lock"][-1]["hash"]}"' in lock
    assert os.stat(own.events).st_mode & 0o007 == 0
    numbers = metrics(own)
    assert numbers["bastiond_up"] == 1
    until(lambda: metrics(own)["bastiond_collectors_up"] == 1, 20, what="the collectors in the numbers")
    assert numbers['bastiond_events_total{kind="user.lock"}'] >= 1 and numbers['bastiond_outlet_up{outlet="syslog"}'] == 1
    until(lambda: metrics(own)["bastiond_users"] == len(own.state["users"]), 20, what="the number of users")


def test_health_and_nothing_else(own):
    until(lambda: get(own, "/healthz") == (200, "ok\n"), 20, what="health")
    assert get(own, "/metrics/../etc/passwd")[0] == 404
    assert get(own, "/metrics", "POST", b"x" * 100000)[0] in (405, 413)
    assert get(own, "/metrics?x=" + "y" * 4000)[0] == 200
    with socket.create_connection(("127.0.0.1", own.metrics), timeout=20) as s:     # half a request holds nobody up
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost")
        assert get(own, "/healthz")[0] == 200
    own.stop("collector")
    until(lambda: get(own, "/healthz")[0] == 503, 30, what="the alarm")
    own.start("collector")
    until(lambda: get(own, "/healthz")[0] == 200, 30, what="health")


def test_no_rights_and_no_secrets(own):
    pid = monitor_pid(own)
    status = open(f"/proc/{pid}/status", encoding="ascii").read()
    assert re.search(r"^Uid:\s+61008\s+61008\s+61008", status, re.M) and re.search(r"^Seccomp:\s+(\d)", status, re.M)[1] == seccomp()
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    files = [os.readlink(fd) for fd in glob.glob(f"/proc/{pid}/fd/*")]
    assert not [f for f in files if "policy.db" in f or "/keys" in f or "config" in f]


def test_its_death_ends_nothing(own, syslog):
    policy = own.ask("sessions")        # the control connection lives on
    client = Client(own, "deploy").start("web1.jump", "cat")
    until(lambda: own.ask("sessions")["rows"], 30, what="a session")
    pid = monitor_pid(own)
    os.kill(pid, signal.SIGKILL)
    until(lambda: monitor_pid(own) not in (None, pid), 20, what="another monitor")
    own.ask("user lock", user="alice", reason="after the kill")
    own.ask("user unlock", user="alice")
    until(lambda: any(e["kind"] == "user.lock" and e["detail"].get("reason") == "after the kill" for e in lines(own)), 20, what="its event")
    until(lambda: any("after the kill" in m for m in syslog.messages), 20, what="its syslog message")
    assert own.ask("sessions")["rows"] and policy is not None
    client.stdin.write(b"still here\n")
    client.stdin.close()
    assert client.stdout.read() == b"still here\n" and client.wait(20) == 0


def test_a_file_is_opened_anew(own):
    os.rename(own.events, own.events + ".1")
    before = monitor_pid(own)
    os.kill(own.state["pids"]["bastiond"][0], signal.SIGHUP)
    until(lambda: os.path.exists(own.events) and monitor_pid(own) not in (None, before), 20, what="the new file")
    until(lambda: "policy.reload" in [e["kind"] for e in lines(own)] + [json.loads(line)["kind"] for line in open(own.events + ".1", encoding="ascii")], 20,
          what="the event of the reload")
    with open(own.events + ".1", encoding="ascii") as f:
        old = [json.loads(line)["id"] for line in f]
    own.ask("user lock", user="alice")
    own.ask("user unlock", user="alice")
    new = until(lambda: (them := [e["id"] for e in lines(own)]) and own.ctl_json("events", "--limit", "1")["rows"][0]["id"] in them and them, 20, what="events in it")
    assert set(range(old[0], new[-1] + 1)) == set(old) | set(new)


def test_a_receiver_that_is_away(own, syslog):
    syslog.close()
    until(lambda: metrics(own)['bastiond_outlet_up{outlet="syslog"}'] == 0 or own.ask("user lock", user="alice") is None or own.ask("user unlock", user="alice") is None,
          20, pause=0.2, what="the way to it down")
    own.ask("user lock", user="alice", reason="while it was away")
    own.ask("user unlock", user="alice")
    until(lambda: any(e.get("detail", {}).get("reason") == "while it was away" for e in lines(own)), 20, what="the file goes on")
    again = Receiver(socket.SOCK_STREAM, syslog.port)
    try:
        until(lambda: any("while it was away" in m for m in again.messages), 20, what="what waited")
    finally:
        again.close()


def by_datagrams(own, place, receiver):
    """Events with every field go there, once each and in order; and when nobody takes them for a while nothing else is the worse for it."""
    was = own.state["options"]
    own.state["options"] = [f'event_syslog = "{place}"' if option.startswith("event_syslog") else option for option in was]
    own.write_configs()
    before = monitor_pid(own)
    os.kill(own.state["pids"]["bastiond"][0], signal.SIGHUP)
    until(lambda: monitor_pid(own) not in (None, before), 20, what="another monitor")
    since = own.ctl_json("events", "--limit", "1")["rows"][-1]["id"]
    try:
        for number in range(50):
            own.ask("user lock", user="alice", reason=f"number {number}" + '"] [x' * (number % 2))
            own.ask("user unlock", user="alice")
        until(lambda: any("number 49" in m for m in receiver.messages), 20, what="the last of them")
        rows = [row for row in own.ctl_json("events", "--limit", "1000", "--after", str(since))["rows"] if row["kind"] == "user.lock"]
        got = [m for m in receiver.messages if HEAD.fullmatch(m) and " user.lock " in m]
        assert len(rows) == len(got) == 50
        for row, message in zip(rows, got):
            assert message.startswith("<85>1 ") and f'[bastiond@32473 id="{row["id"]}" actor="root" subject="alice" hash="{row["hash"]}"]' in message
            assert f'reason="{json.loads(row["detail"])["reason"]}"' in re.sub(r"\\(.)", r"\1", message)
    finally:
        own.state["options"] = was
        own.write_configs()


def test_by_udp(own):
    receiver = Receiver(socket.SOCK_DGRAM)
    try:
        by_datagrams(own, f"udp:127.0.0.1:{receiver.port}", receiver)
    finally:
        receiver.close()
    # nobody listens: what was sent there is lost without a word of UDP, and nothing else is
    own.ask("user lock", user="alice", reason="to a closed port")
    own.ask("user unlock", user="alice")
    until(lambda: any(e.get("detail", {}).get("reason") == "to a closed port" for e in lines(own)), 20, what="the same event in the file")


def test_by_a_socket_as_dev_log(own):
    """Which comes and goes with its daemon: what happened meanwhile waits, as with TCP."""
    path = f"{own.folder}/log"
    receiver = Receiver(socket.SOCK_DGRAM, path=path)
    try:
        by_datagrams(own, path, receiver)
    finally:
        receiver.close()
    os.unlink(path)
    own.ask("user lock", user="alice", reason="while it was away")
    until(lambda: metrics(own)['bastiond_outlet_up{outlet="syslog"}'] == 0, 20, what="the way to it down")
    again = Receiver(socket.SOCK_DGRAM, path=path)
    try:
        until(lambda: any("while it was away" in m for m in again.messages), 20, what="what waited")
    finally:
        again.close()
        own.ask("user unlock", user="alice")


def test_dashboard_and_rules_ask_for_what_is_there(own):
    """Each metric that the samples name is one that /metrics has, and each kind of event, before there was one; promtool, where it is
    installed, takes the rules and the metrics."""
    folder = os.path.join(labkit.REPO, "etc", "monitoring")
    have = set(re.findall(r"^# TYPE (\S+)", get(own, "/metrics")[1], re.M))
    rules = labkit.read(os.path.join(folder, "bastiond.rules.yml"))
    board = json.loads(labkit.read(os.path.join(folder, "grafana.json")))
    asked = re.findall(r"bastiond_\w+", rules + " ".join(t["expr"] for p in board["panels"] for t in p["targets"]))
    assert asked and set(asked) <= have
    kinds = set(re.findall(r'E\(\w+, "([^"]+)"\)', labkit.read(os.path.join(labkit.REPO, "approvals", "event.h"))))
    for exact in re.findall(r'kind(=~?)"([^"]+)"', rules):
        for kind in exact[1].split("|"):
            assert any(re.fullmatch(kind, k) for k in kinds), kind
    # increase() of a series that begins with 1 is 0: the first event would ring no bell
    counted = {name: n for name, n in metrics(own).items() if name.startswith("bastiond_events_total")}
    assert set(counted) == {f'bastiond_events_total{{kind="{k}"}}' for k in kinds} and 0 in counted.values()
    if labkit.shutil.which("promtool"):
        labkit.run("promtool", "check", "rules", os.path.join(folder, "bastiond.rules.yml"))
        labkit.run("promtool", "check", "metrics", input=get(own, "/metrics")[1])


def test_one_that_hangs_does_not_keep_the_bastion(own):
    pid = monitor_pid(own)
    os.kill(pid, signal.SIGSTOP)
    parent, = own.state["pids"]["bastiond"][:1]
    os.kill(parent, signal.SIGTERM)
    until(lambda: "the monitor does not end: it is killed" in labkit.read(own.path("log", "bastiond")), 30, pause=0.1, what="the line about it")
    until(lambda: not os.path.exists(f"/proc/{pid}") and not os.path.exists(f"{own.state['run_dir']}/control.sock"), 20, pause=0.1, what="the end of both")
    own.stop("bastiond")
