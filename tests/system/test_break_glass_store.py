"""Break-glass while the recording store is down: recorded by collectors of their own, for that grant alone, and by nobody else."""
import json
import os
import re
import shutil
import signal
import tempfile

import pytest

import labkit
from harness import Client, events, replay, until
from test_reload import log_of, reload

pytestmark = pytest.mark.chained

REASON = "the store burns"


@pytest.fixture(scope="module")
def told():
    """A folder with a program for `notify`, and what it was told, one object a line."""
    with tempfile.TemporaryDirectory(prefix="bastion-told-") as folder:
        os.chmod(folder, 0o755)
        labkit.write(f"{folder}/events", "", 0o666)
        labkit.write(f"{folder}/notify", f"#!/bin/sh\nline=$(cat) && echo \"$line\" >>{folder}/events\n", 0o755)
        yield folder


@pytest.fixture(scope="module")
def fire(new_lab, told):
    """One usual collector and one for break-glass; fireman may break the glass at web1, and has an approved grant, too."""
    lab = new_lab(options=["hold_deadline = 10s", "hold_banner = 500ms", "mfa_grace = 10m", f'notify = "{told}/notify"'], glass=1)
    lab.ask("role add", role="fire", host=["web1"], login=["dba"], approvals=2, break_glass=True)
    lab.ask("role approver add", role="fire", user="bob")
    lab.make_user("fireman", role="fire")
    lab.ask("role member add", role="dba", user="fireman")
    lab.grant("fireman")
    lab.number = lab.ask("request", as_uid=lab.state["users"]["fireman"], host="web1", login="dba", reason=REASON, break_glass=True)["id"]
    return lab


def state_of(lab, name):
    """Its last line in the log."""
    lines = re.findall(rf"collector {name}: (\w+)", log_of(lab))
    return lines[-1] if lines else None


def kill(lab, name):
    os.kill(lab.state["pids"][name][0], signal.SIGKILL)
    lab.stop(name)


def hang(lab, name):
    os.kill(lab.state["pids"][name][0], signal.SIGSTOP)


def bring_back(lab, name, short):
    if name in lab.state["pids"]:
        os.kill(lab.state["pids"][name][0], signal.SIGCONT)
    else:
        lab.start(name)
    until(lambda: state_of(lab, short) == "up", deadline=30, what=f"{name} is up again")


def refuse(lab, name):
    """It is there, and knows the bastion no more."""
    conf = labkit.read(lab.collector_conf(name))
    lab.stop(name)
    labkit.write(lab.collector_conf(name), re.sub(r'certificate = ".*"', f'certificate = "{lab.store(name)}/collector.crt"', conf))
    lab.start(name)
    labkit.write(lab.collector_conf(name), conf)


@pytest.fixture(params=[kill, hang])
def away(fire, request):
    """The usual collector is gone, and recorder knows: of one that hangs when somebody waits for it."""
    request.param(fire, "collector")
    assert Client(fire, "deploy").run("web1.name", "echo in").stdout == b""
    until(lambda: state_of(fire, "c1") != "up", deadline=20, what="it is known to be away")
    yield fire
    bring_back(fire, "collector", "c1")


@pytest.fixture
def gone(fire):
    kill(fire, "collector")
    until(lambda: state_of(fire, "c1") != "up", deadline=20, what="it is known to be away")
    yield fire
    if "glass" not in fire.state["pids"]:
        bring_back(fire, "glass", "g1")
    if "collector" not in fire.state["pids"]:
        bring_back(fire, "collector", "c1")


def recording(lab, user="fireman"):
    """Of their newest session: the row, and where it lies in each store."""
    row = [row for row in lab.ask("sessions", all=True)["rows"] if row["user"] == user and row.get("recording")][-1]
    found = {}
    for name in lab.stores():
        top = os.path.join(lab.store(name), "recordings")
        for day in os.listdir(top) if os.path.isdir(top) else ():
            if row["recording"] in os.listdir(os.path.join(top, day)):
                found[name] = os.path.join(top, day, row["recording"])
    return row, found


def verdicts(lab, name):
    """By recording, of all that the store has and its log knows."""
    done = replay(lab, "verify", "--all", "--json", store=lab.store(name), check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["id"]: row["verdict"] for row in rows}


def apart(lab, folder):
    return replay(lab, "events", "--apart", folder, check=False)


def emergencies(told):
    rows = [json.loads(line) for line in labkit.read(f"{told}/events").splitlines()]
    return [row for row in rows if row["class"] == "emergency"]


def test_in_while_the_store_is_down(away, told, terminals):
    before = len(emergencies(told))
    user = Client(away, "fireman")
    shell = terminals(user.terminal("web1.name"))
    shell.expect(rb"break-glass: this access was not approved", timeout=40)
    shell.expect(rb"recorded by the collectors for break-glass")
    shell.line("echo $((6*7))")
    shell.expect(rb"\n42\r\n")
    row, found = recording(away)
    assert row["store"] == "break-glass" and row["grant"] == away.number and list(found) == ["glass"], (row, found)
    assert [r["store"] for r in away.ask("reviews", as_uid=away.state["users"]["bob"])["rows"] if r["id"] == away.number] == ["break-glass"]
    # nobody else gets in, whatever recordings are made there meanwhile
    refused = Client(away, "deploy").run("web1.name", "echo in")
    assert refused.returncode != 0 and refused.stdout == b"" and b"recording store does not answer" in refused.stderr, refused
    assert recording(away, "deploy")[1] == {}
    shell.line("exit 0")
    shell.wait()
    until(lambda: verdicts(away, "glass").get(row["recording"]) == "complete", what="it is complete")
    done = replay(away, "verify", "--all", store=away.store("glass"))
    assert b"in the log" in done.stdout and b"receipt of the collector" in done.stdout and b"missing" not in done.stdout, done.stdout
    shown = replay(away, "show", found["glass"], store=away.store("glass")).stdout.decode()
    assert REASON in shown and "fireman of the lab" in shown and re.search(r"store +break-glass", shown), shown
    loud = events(away, "break-glass.store")[-1]
    assert loud["actor"] == "fireman" and REASON in loud["detail"] and row["recording"] in loud["detail"], loud
    assert "ALARM: break-glass while the recording store is down: fireman goes to dba@web1" in log_of(away)
    # who decides under the role, administrators and auditors hear of it at once
    one = until(lambda: emergencies(told)[before:], deadline=30, what="notify is told")[0]
    assert one["kind"] == "break-glass.store" and {"bob", "carol"} <= set(one["tell"]) and one["detail"]["recording"] == row["recording"], one


def test_one_that_refuses_us_is_down_as_well(fire):
    refuse(fire, "collector")
    until(lambda: state_of(fire, "c1") != "up", deadline=20, what="it is known to be away")
    assert Client(fire, "fireman").run("web1.jump", "echo in", check=True).stdout == b"in\n"
    assert list(recording(fire)[1]) == ["glass"]
    fire.stop("collector")
    bring_back(fire, "collector", "c1")


def test_the_usual_ones_again(fire):
    """Back is back, also for the same grant; and what happened meanwhile is in the recording of the events."""
    assert Client(fire, "fireman").run("web1.name", "echo in", check=True).stdout == b"in\n"
    row, found = recording(fire)
    assert "store" not in row and list(found) == ["collector"], (row, found)
    until(lambda: set(verdicts(fire, "collector").values()) <= {"complete", "open"}, what="nothing is missing there")
    assert set(verdicts(fire, "glass").values()) == {"complete"}
    happened = len(events(fire, "break-glass.store"))
    assert happened > 0

    def shipped():
        return [line for line in replay(fire, "events", check=False).stdout.decode().splitlines() if "break-glass.store" in line]
    until(lambda: len(shipped()) == happened, what="the events are shipped")
    # each store names what the other has, and one of them changed or lost shows
    done = apart(fire, fire.store("glass"))
    assert done.returncode == 0 and f"for break-glass: {happened}, each named".encode() in done.stderr, done
    with tempfile.TemporaryDirectory() as copy:
        for name in ("recordings", "log"):
            shutil.copytree(os.path.join(fire.store("glass"), name), os.path.join(copy, name))
        lost = next(os.path.join(top, name) for top, names, _ in os.walk(os.path.join(copy, "recordings")) for name in names if len(name) == 32)
        shutil.move(lost, os.path.join(copy, "elsewhere"))
        done = apart(fire, copy)
        assert done.returncode == 1 and f"recording {os.path.basename(lost)}".encode() in done.stderr and b"it is missing" in done.stderr, done
    # and what does not belong there
    done = apart(fire, fire.store("collector"))
    assert done.returncode == 1 and b"does not belong there" in done.stderr and b"it is missing" in done.stderr, done


def test_these_too_go_away(gone):
    """P4 as on any day: held, told, ended; and then nothing opens."""
    user = Client(gone, "fireman")
    home = gone.path("target", "home", "dba")
    with user.start("web1.name", f"cat > {home}/burning", bufsize=0) as process:
        process.stdin.write(b"before\n")
        until(lambda: os.path.exists(f"{home}/burning") and os.path.getsize(f"{home}/burning") == 7, deadline=30)
        kill(gone, "glass")
        process.stdin.write(b"never\n")
        held, process.stdin = process.stdin, None
        out, err = process.communicate(timeout=30)
        held.close()
    assert process.returncode != 0 and b"could not be stored in time" in err, (out, err)
    assert labkit.read(f"{home}/burning") == "before\n"
    until(lambda: state_of(gone, "g1") != "up", deadline=20)
    refused = user.run("web1.name", "echo in")
    assert refused.stdout == b"" and b"neither the recording store answers nor the one for break-glass" in refused.stderr, refused
    row, found = recording(gone)
    bring_back(gone, "glass", "g1")
    until(lambda: verdicts(gone, "glass").get(row["recording"]) in ("complete", "abandoned"), deadline=20, what="it was closed")
    assert set(verdicts(gone, "glass").values()) <= {"complete", "abandoned"}
    assert list(found) == ["glass"]


def exchange(lab):
    """The usual collector becomes the one for break-glass, and the other way round."""
    conf = labkit.read(lab.path("bastiond.conf"))
    names = {"collector c1 {": "break_glass_collector c1 {", "break_glass_collector g1 {": "collector g1 {"}
    names |= {new: old for old, new in names.items()}
    labkit.write(lab.path("bastiond.conf"), re.sub(r"^\w*collector \w+ {", lambda match: names[match[0]], conf, flags=re.M))
    reload(lab)


def test_a_reload_moves_collectors_between_the_sets(fire):
    job = Client(fire, "deploy")
    with job.start("web1.name", "echo one; read line; echo $line") as running:
        assert running.stdout.readline() == b"one\n"
        first = until(lambda: recording(fire, "deploy"), what="its recording")[0]["recording"]
        exchange(fire)
        assert job.run("web1.name", "echo in", check=True).stdout == b"in\n"
        assert list(recording(fire, "deploy")[1]) == ["glass"]
        # what runs keeps what it began with
        assert running.communicate(b"two\n", timeout=30)[0] == b"two\n"
    until(lambda: verdicts(fire, "collector").get(first) == "complete", what="it is complete there")
    kill(fire, "glass")
    until(lambda: state_of(fire, "g1") != "up", deadline=20, what="it is known to be away")
    assert Client(fire, "fireman").run("web1.name", "echo in", check=True).stdout == b"in\n"
    row, found = recording(fire)
    assert row["store"] == "break-glass" and list(found) == ["collector"], (row, found)
    assert job.run("web1.name", "echo in").stdout == b""
    bring_back(fire, "glass", "g1")
    exchange(fire)
    assert job.run("web1.name", "echo in", check=True).stdout == b"in\n"
    assert list(recording(fire, "deploy")[1]) == ["collector"]
