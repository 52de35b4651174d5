"""`watch ID`: a live terminal, shown to auditors and administrators, and to nobody else; drawn anew, and read-only."""
import itertools
import os
import re
import subprocess
import time

import pytest

from harness import Client, Terminal, events, recording_of, replay, until

LIMIT = 1.0     # promise P7
counter = itertools.count(1)
# screen_view.h, and the line at the end; written anew from the text there
GRAMMAR = re.compile(rb"(?:[\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]+|\r|\n|\x1b\[\d{0,3};\d{0,3}H|\x1b\[[\d;]*m|\x1b\[2J|\x1b\[\?(?:7|25|1049)[hl])*\Z")


@pytest.fixture
def auditor(lab):
    name = f"aud{os.getpid()}x{next(counter)}"
    lab.make_user(name, auditor=True)
    return name


@pytest.fixture
def shell(deploy, terminals):
    it = terminals(deploy.terminal("web1.name"))
    it.expect(rb"\$ $")
    return it


def newest(lab, user="deploy"):
    """The number of a user's newest session."""
    return str(max(row["id"] for row in lab.ask("sessions")["rows"] if row["user"] == user))


def ctl(lab, name, *words, rows=24, columns=80):
    """bastionctl WORDS on a terminal, as the local account of a user."""
    uid = str(lab.state["users"][name])
    argv = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), *words]
    return Terminal(argv, os.environ | {"TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}, rows, columns)


def as_user(lab, name, *words):
    """The same without a terminal, to its end."""
    uid = lab.state["users"][name]
    argv = [lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), *words]
    return subprocess.run(argv, user=uid, group=uid, extra_groups=[], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)


def test_live_and_from_before(lab, shell, auditor, terminals, home):
    shell.line("echo early-$((41*101))")
    shell.expect(rb"early-4141\r\n.*\$ $")
    session = newest(lab)
    seen = terminals(ctl(lab, auditor, "watch", session))
    seen.expect(rb"early-4141")
    seen.expect(rb"deploy as dba@web1")
    shell.expect(auditor.encode() + rb" watches this session")
    shell.line("echo later-$((43*101))")
    seen.expect(rb"later-4343")
    shell.line(f"cd {home}; echo there-$((3*7))")
    seen.expect(rb"there-21")
    # what the watcher types is for nobody; a q in it would be for the viewer
    seen.send(b"touch typed\r")
    shell.line("echo on-$((47*101))")
    seen.expect(rb"on-4747")
    assert not os.path.exists(f"{home}/typed") and b"touch" not in shell.seen
    seen.send(b"q")
    assert seen.wait() == 0
    assert seen.seen.endswith(b"\x1b[?1049l") or b"\x1b[?1049l" in seen.seen[-200:]
    shell.expect(auditor.encode() + rb" no longer watches")
    shell.line("exit")
    shell.wait()


def test_a_watch_that_ends_behind_the_end_of_file(lab, shell, auditor, terminals):
    """A terminal that nothing has open any more is at its end of file; its command's status comes later, whoever looked on meanwhile."""
    seen = terminals(ctl(lab, auditor, "watch", newest(lab)))
    seen.expect(rb"deploy as dba@web1")
    shell.expect(auditor.encode() + rb" watches this session")
    shell.line("exec sh -c 'sleep 6; exit 4' </dev/null >/dev/null 2>&1")
    time.sleep(2)   # the end of file shows nowhere
    seen.send(b"q")
    assert seen.wait() == 0
    assert shell.wait(20) == 4


def test_events_and_the_recording(lab, shell, auditor, terminals):
    session = newest(lab)
    seen = terminals(ctl(lab, auditor, "watch", session))
    seen.expect(rb"deploy as dba@web1")
    row, = events(lab, "watch.start", auditor)
    assert row["subject"] == "deploy" and f'"session":{session}' in row["detail"].replace(" ", "")
    rows = [row for row in lab.ctl_json("sessions")["rows"] if str(row["id"]) == session]
    assert rows[0]["watchers"] == [auditor]
    assert not events(lab, "watch.end", auditor)
    seen.send(b"\x03")
    assert seen.wait() == 0
    row, = until(lambda: events(lab, "watch.end", auditor), what="the event of the end")
    assert "left" in row["detail"]
    shell.line("exit")
    shell.wait()
    text = replay(lab, "export", "--json", recording_of(lab, "deploy")).stdout.decode()
    assert f"{auditor} watches terminal 1" in text and f"{auditor} no longer watches terminal 1" in text
    assert text.index(f"{auditor} watches") < text.index(f"{auditor} no longer")


def test_hostile_output_is_drawn_anew(lab, shell, auditor, terminals):
    seen = terminals(ctl(lab, auditor, "watch", newest(lab)))
    seen.expect(rb"deploy as dba@web1")
    # clipboard, title, reports, a C1 string, an unfinished one, bytes at random
    shell.line(r"printf '\033]52;c;'$(printf aG)'k=\007\033]0;title\007\033[c\033[6n\033P1$r\033\\\302\220x\033[31mred\033[0m\033]8;;x'; "
               r"head -c 20000 /dev/urandom; printf '\033c\033[?1049l\nshown-%d\n' $((59*101))")
    seen.expect(rb"shown-5959")
    seen.send(b"q")
    assert seen.wait() == 0
    assert b"\x1b]" not in seen.seen and b"aGk=" not in seen.seen
    assert GRAMMAR.match(seen.seen), seen.seen[-300:]


def test_nobody_else(lab, shell, deploy):
    session = newest(lab)
    for name in ("bob", "alice"):
        done = as_user(lab, name, "watch", session)
        assert done.returncode == 2 and b"terminal" in done.stderr
        seen = ctl(lab, name, "watch", session)
        assert seen.wait() == 3
        assert b"'watch' is not for you" in seen.seen
        seen.close()
    # root is no person
    root = Terminal([lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), "watch", session], os.environ | {"TERM": "xterm"})
    assert root.wait() == 3 and b"no person" in root.seen
    root.close()
    assert deploy.run("bastion", "watch", session).returncode == 2     # no terminal
    seen = deploy.terminal("bastion", "watch", session)
    assert seen.wait() == 3 and b"not for you" in seen.seen
    seen.close()
    assert b"watches" not in shell.seen
    assert not [row for row in events(lab, "watch.start") if f'"session":{session}' in row["detail"].replace(" ", "")]


def test_nothing_to_see(lab, deploy, auditor, terminals):
    with deploy.start("web1.jump", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        seen = terminals(ctl(lab, auditor, "watch", newest(lab)))
        assert seen.wait() == 1
        assert b"no terminal open" in seen.seen
        process.stdin.close()
        process.wait(10)
    seen = terminals(ctl(lab, auditor, "watch", "999999"))
    assert seen.wait() == 4 and b"no open session" in seen.seen


@pytest.mark.alone
@pytest.mark.calm
@pytest.mark.parametrize("cause", ["lock", "kill", "exit", "remove"])
def test_it_ends(lab, shell, auditor, terminals, cause):
    session = newest(lab)
    seen = terminals(ctl(lab, auditor, "watch", session))
    seen.expect(rb"deploy as dba@web1")
    start = time.monotonic()
    if cause == "lock":
        lab.ask("user lock", user=auditor, reason="gone")
    elif cause == "remove":
        lab.ask("user remove", user=auditor)
    elif cause == "kill":
        lab.ask("kill", id=int(session))
    else:
        shell.line("exit")
    seen.wait(timeout=5)
    assert time.monotonic() - start < LIMIT
    said = seen.seen.split(b"\x1b[?1049l")[-1]
    assert b"lock" in said if cause == "lock" else b"remove" in said if cause == "remove" else b"The session has ended." in said, said
    if cause in ("lock", "remove"):
        shell.line("echo on-$((7*7))")
        shell.expect(rb"on-49")


def test_over_ssh_and_in_the_console(lab, shell, auditor, terminals):
    shell.line("echo early-$((41*101))")
    shell.expect(rb"early-4141\r\n.*\$ $")
    session = newest(lab)
    client = Client(lab, auditor)
    console = terminals(client.terminal("bastion", rows=20, columns=70))
    console.expect(rb"> ?$")
    console.line(f"watch {session}")
    console.expect(rb"early-4141")
    shell.line("echo later-$((43*101))")
    console.expect(rb"later-4343")
    console.resize(30, 100)
    console.expect(rb"\x1b\[2J.*later-4343")
    console.send(b"q")
    console.expect(rb"> ?$")
    console.line("sessions")
    console.expect(rb"deploy")
    console.line("exit")
    assert console.wait() == 0
    seen = terminals(client.terminal("bastion", "watch", session))
    seen.expect(rb"later-4343")
    seen.send(b"q")
    assert seen.wait() == 0


def test_who_goes_without_a_word(lab, shell, auditor, terminals):
    session = newest(lab)
    seen = terminals(ctl(lab, auditor, "watch", session))
    seen.expect(rb"deploy as dba@web1")
    os.kill(seen.pid, 9)
    until(lambda: events(lab, "watch.end", auditor), deadline=10, what="the event of the end")
    shell.line("echo on-$((7*7))")
    shell.expect(rb"on-49")


def test_so_many_and_no_more(lab, shell, auditor, terminals):
    session = newest(lab)
    for i in range(4):
        seen = terminals(ctl(lab, auditor, "watch", session))
        seen.expect(rb"deploy as dba@web1")
    seen = terminals(ctl(lab, auditor, "watch", session))
    assert seen.wait() == 1 and b"max_watchers" in seen.seen


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_who_is_where(lab, shell, auditor, terminals, columns):
    session = newest(lab)
    shell.line("true")
    # what only the session knows comes with its next sign of life
    row = until(lambda: [row for row in lab.ctl_json("sessions")["rows"] if str(row["id"]) == session and row.get("bytes_out") and row.get("doing")], what="a report")[0]
    assert row["doing"] == ["shell"] and row["how"] == "name" and row["terminals"] == 1 and row["idle"] < 60
    assert row["user"] == "deploy" and row["host"] == "web1" and row["login"] == "dba" and row["peer"] == "127.0.0.1"
    assert row["until"] > time.time() and row["grant"] > 0 and row["way"] > 0 and row["since"] <= time.time() and row["bytes_out"] > 0
    seen = terminals(ctl(lab, auditor, "sessions", columns=columns))
    assert seen.wait() == 0
    text = re.sub(rb"\x1b\[[\d;]*m", b"", seen.seen).decode()
    # a table, or blocks where that is too narrow; what has no room is named on a line of its own
    lines = [line for line in text.splitlines() if not line.startswith("not shown")]
    assert max(len(line) for line in lines) <= columns, text
    for word in ("deploy", "dba", "web1", "shell"):
        assert word in text
