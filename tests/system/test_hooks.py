"""Hooks: the examples in etc/hooks against small servers of our own; what a program may do, and that it never fails open."""
import http.server
import json
import os
import shutil
import socketserver
import tempfile
import threading
import time

import pytest

import labkit
from harness import Client, seccomp, until
from test_ends import ended, open_cat
from test_reload import reload, set_option

EXAMPLES = os.path.join(labkit.REPO, "etc", "hooks")


class Jira(http.server.BaseHTTPRequestHandler):
    """One issue a key; its status category is what the test says."""
    status, asked, posted, token = {}, [], [], []

    def do_GET(self):
        key = self.path.split("?")[0].rsplit("/", 1)[1]
        self.asked.append(key)
        self.token.append(self.headers["Authorization"])
        if key not in self.status:
            self.send_error(404)
            return
        if self.status[key] == "broken":
            self.send_error(500)
            return
        self.answer({"key": key, "fields": {"status": {"name": self.status[key], "statusCategory": {"key": self.status[key]}}}})

    def do_POST(self):
        self.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({})

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as curl speaks."""
    got = []

    def handle(self):
        self.wfile.write(b"220 test\r\n")
        people = []
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go\r\n")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line
                self.got.append((people, text.decode()))
            elif word == b"RCPT":
                people.append(line.decode().split("<")[1].split(">")[0])
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 test\r\n")


@pytest.fixture(scope="module")
def servers():
    for before in Jira.status, Jira.asked, Jira.posted, Jira.token, Mail.got:
        before.clear()
    started = []
    for kind, handler in ((http.server.ThreadingHTTPServer, Jira), (socketserver.ThreadingTCPServer, Mail)):
        server = kind(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
    yield [server.server_address[1] for server in started]
    for server in started:
        server.shutdown()


def install(folder, web, mail):
    """The examples, configured, as an administrator would: owned by root, the secret readable by the hook alone."""
    os.makedirs(folder)
    for name in ("ticket_check", "notify-webhook", "notify-mail"):
        shutil.copy(os.path.join(EXAMPLES, name), folder)
        os.chmod(os.path.join(folder, name), 0o755)
    labkit.write(f"{folder}/jira.header", "Authorization: Bearer secret\n", 0o400)
    os.chown(f"{folder}/jira.header", labkit.ROLE_UIDS["hook"], labkit.ROLE_UIDS["hook"])
    labkit.write(f"{folder}/hook.conf", f"""JIRA_URL=http://127.0.0.1:{web}
JIRA_HEADER={folder}/jira.header
WEBHOOK_URL=http://127.0.0.1:{web}/hook
WEBHOOK_HEADER=
MAIL_SERVER=smtp://127.0.0.1:{mail}
MAIL_FROM=bastion@example.org
MAIL_DOMAIN=example.org
""")
    # both notifications, and what a program leaves behind
    labkit.write(f"{folder}/notify", f"""#!/bin/sh
event=$(cat)
printf %s "$event" | {folder}/notify-webhook && printf %s "$event" | {folder}/notify-mail
""", 0o755)
    return folder


@pytest.fixture(scope="module")
def hooked(new_lab, servers):
    folder = install(f"/tmp/bastion-hooks-{os.getpid()}", *servers)
    os.chmod(folder, 0o755)
    lab = new_lab(options=[f'ticket_check = "{folder}/ticket_check"', f'notify = "{folder}/notify"', "ticket_check_every = 1s", "hook_timeout = 5s"])
    yield lab
    shutil.rmtree(folder)


def user_of(lab, name, ticket):
    """A user with a grant that rests on a ticket."""
    lab.make_user(name, role="dba")
    number = lab.ask("request", as_uid=lab.state["users"][name], host="web1", login="dba", reason="lab", ticket=ticket, **{"for": 3600})["id"]
    lab.ask("approve", as_uid=lab.state["users"]["bob"], id=number)
    return Client(lab, name), number


def test_a_ticket_that_is_closed_ends_the_session(hooked):
    Jira.status["OPS-1"] = "indeterminate"
    user, number = user_of(hooked, "ticketed", "OPS-1")
    process = open_cat(user, "web1.name")
    assert Jira.token[-1] == "Bearer secret"
    seen = len(Jira.asked)
    until(lambda: len(Jira.asked) > seen + 1, deadline=20, what="the periodic check")
    Jira.status["OPS-1"] = "done"
    _, said = ended(process, time.monotonic())
    assert "ticket OPS-1 is closed: its status is done" in said, said
    row, = [row for row in hooked.ctl_json("grants", "--all")["rows"] if row["id"] == number]
    assert row["state"] == "revoked" and row["closer"] == "bastiond"


def test_a_tracker_has_it_checked_at_once(hooked):
    """What a tracker's webhook says ends a session long before the next look at its ticket."""
    set_option(hooked, "ticket_check_every = 1s", "ticket_check_every = 10m")
    try:
        reload(hooked)
        Jira.status["OPS-4"] = "new"
        user, _ = user_of(hooked, "webhooked", "OPS-4")
        process = open_cat(user, "web1.name")
        assert hooked.ctl_json("ticket", "check", "OPS-4") == {"ok": True, "open": True, "text": "Ticket OPS-4 is open: its status is new."}
        Jira.status["OPS-4"] = "done"
        hooked.ctl("ticket", "check", "OPS-4")
        spent, said = ended(process, time.monotonic())
        assert spent < 5 and "ticket OPS-4 is closed: its status is done" in said, (spent, said)
    finally:
        set_option(hooked, "ticket_check_every = 10m", "ticket_check_every = 1s")
        reload(hooked)


def test_words_hear_what_the_ticket_says(hooked):
    hooked.make_user("asker", role="dba")
    ask = {"host": "web1", "login": "dba", "reason": "lab", "for": 60}
    for ticket, says in (("OPS-404", "there is no such ticket"), ("OPS-2", "its status is done"), ("../../x", "no number of a ticket"),
                         ("OPS-3", "cannot be checked")):
        Jira.status |= {"OPS-2": "done", "OPS-3": "broken"}
        with pytest.raises(labkit.LabError, match=says):
            hooked.ask("request", as_uid=hooked.state["users"]["asker"], ticket=ticket, **ask)
    # no ticket, no question
    seen = len(Jira.asked)
    assert hooked.ask("request", as_uid=hooked.state["users"]["asker"], **ask)["id"] > 0
    assert len(Jira.asked) == seen


def test_an_extension_asks_again(hooked):
    Jira.status["OPS-7"] = "new"
    _, number = user_of(hooked, "extender", "OPS-7")
    uid = hooked.state["users"]["extender"]
    more = hooked.ask("extend", as_uid=uid, id=number, **{"for": 120})["id"]
    assert more > number
    hooked.ask("cancel", as_uid=uid, id=more)
    Jira.status["OPS-7"] = "done"
    with pytest.raises(labkit.LabError, match="does not run any more"):    # it was revoked by that answer
        hooked.ask("extend", as_uid=uid, id=number, **{"for": 120})


def test_events_are_posted_and_mailed(hooked):
    Jira.status["OPS-9"] = "new"
    _, number = user_of(hooked, "noticed", "OPS-9")
    # two runs at a time: the approver's mail may come after the one about the decision
    _, text = until(lambda: [m for m in Mail.got if f"request: {number}" in m[1] and "bob@example.org" in m[0]], deadline=80, what="a mail to bob")[0]
    head, body = text.split("\r\n\r\n", 1)
    assert "Subject: 127.0.0.1: request by noticed, about noticed" in head and f"approve {number}" in body
    until(lambda: [m for m in Mail.got if m[0] == ["noticed@example.org"]], deadline=30, what="a mail to who asked")
    until(lambda: {"request", "decided"} <= {post["event"]["class"] for post in Jira.posted}, deadline=30)
    assert all(post["event"]["bastion"] == "127.0.0.1" for post in Jira.posted)


def test_members_of_an_approver_role_are_told(hooked):
    hooked.ask("role add", role="leads", group=True)
    hooked.make_user("lead")
    hooked.ask("role member add", role="leads", user="lead")
    hooked.ask("role add", role="night", host=["web2"], login=["app"], approver_role=["leads"], max=3600)
    hooked.make_user("owl", role="night")
    number = int(hooked.request("owl", host="web2", login="app", span=60))
    told = until(lambda: [post["event"] for post in Jira.posted if post["event"]["class"] == "request" and post["event"]["detail"]["request"] == number],
                 deadline=60, what="the request is told")
    assert told[0]["tell"] == ["lead"]


PROGRAM = """#!/usr/bin/python3
import ctypes, errno, json, os, resource, subprocess, sys, time
told = json.load(sys.stdin)
how = told["ticket"]
record = {"uid": os.getuid(), "groups": os.getgroups(), "environ": sorted(os.environ), "fds": sorted(os.listdir("/proc/self/fd")), "args": sys.argv[1:],
          "caps": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]}
if how == "SPY":
    libc = ctypes.CDLL(None, use_errno=True)
    def refused(call, *args):
        ctypes.set_errno(0)
        return ctypes.get_errno() if libc[call](*args) == -1 else 0
    try:
        os.readlink("/proc/1/exe")
    except OSError as e:
        record["worker"] = errno.errorcode[e.errno]
    record["refused"] = {"ptrace": refused("ptrace", 0, 0, 0, 0), "unshare": refused("unshare", 0x10000000),
                         "mount": refused("mount", b"x", b"/tmp", b"tmpfs", 0, 0), "bpf": refused("syscall", 321, 0, 0, 0)}
    record["processes"] = resource.getrlimit(resource.RLIMIT_NPROC)
    record["seen"] = sorted(filter(str.isdigit, os.listdir("/proc")))
    record["seccomp"] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")][0]
    sys.stderr.write("SPY " + json.dumps(record) + "\\n")
    sys.exit(3)
if how == "SLOW":
    subprocess.Popen(["sleep", "543210"], start_new_session=True)
    time.sleep(600)
if how == "LOUD":
    sys.stdout.write("x" * 1000000)
    time.sleep(600)
print(json.dumps({"open": how == "YES"}))
if how == "CHILD":
    subprocess.Popen(["sleep", "543211"], start_new_session=True)
if how == "CRASH":
    os.kill(os.getpid(), 11)
"""


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="bastion-hook-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield path


def test_a_program_is_bounded_and_never_a_yes(new_lab, folder):
    labkit.write(f"{folder}/check", PROGRAM, 0o755)
    # SLOW alone waits it out; the others are a Python's start on a full machine
    lab = new_lab(options=[f'ticket_check = "{folder}/check"', "hook_timeout = 8s"])
    uid = lab.state["users"]["alice"]
    ask = {"host": "web2", "login": "dba", "reason": "lab", "for": 60}
    for how in ("SPY", "SLOW", "LOUD", "CHILD", "CRASH", "NO"):
        begin = time.monotonic()
        with pytest.raises(labkit.LabError):
            lab.ask("request", as_uid=uid, ticket=how, **ask)
        assert time.monotonic() - begin < 20
    for text in (b"543210", b"543211"):
        until(lambda: not [pid for pid in filter(str.isdigit, os.listdir("/proc")) if text in cmdline(pid)], deadline=20, what="what it left is gone")
    line, = [line for line in labkit.read(lab.path("log", "bastiond")).splitlines() if "SPY {" in line]
    spied = json.JSONDecoder().raw_decode(line[line.index("SPY ") + 4:])[0]
    assert spied["uid"] == labkit.ROLE_UIDS["hook"] and spied["groups"] == [] and spied["args"] == [] and spied["caps"] == ["0" * 16]
    assert spied["environ"] == ["BASTIOND_HOOK", "HOME", "LANG", "PATH", "SHELL"]
    assert set(spied["fds"]) <= {"0", "1", "2", "3"}    # the last is the listing's own
    assert spied["processes"] == [256, 256]
    # no process but its worker and itself, into neither of which it gets, and no way to more
    assert spied["seen"] == ["1", "2"] and spied["worker"] == "EACCES" and spied["seccomp"] == seccomp()
    assert seccomp() == "0" or spied["refused"] == dict.fromkeys(("ptrace", "unshare", "mount", "bpf"), 1)
    assert lab.ask("request", as_uid=uid, ticket="YES", **ask)["id"] > 0


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return b""
