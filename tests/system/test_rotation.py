"""Every key is changed while a session runs: signer, client certificate, CA, host keys, and the collector's certificate."""
import json
import os
import shutil
import signal

import pytest

from harness import Client, Terminal, labkit, recording_of, replay, until
from test_reload import hostkey, log_of, reload

pytestmark = pytest.mark.chained


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


@pytest.fixture
def session(own):
    user = Client(own, "deploy")
    terminal = Terminal(user.argv("web1.name", options=("-tt",)), user.env)
    terminal.line("stty -echo; echo $((6*7))")
    terminal.expect(rb"\n42\r\n")
    yield terminal
    terminal.close()


def alive(terminal):
    terminal.line("echo still $((40+3))")
    terminal.expect(rb"still 43", timeout=10)


def works(lab):
    assert Client(lab, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"


def collector_log(lab):
    return labkit.read(lab.path("log", "collector"))


def reload_collector(lab):
    """SIGHUP; it ends the connections, and the recorder is back at once."""
    ups = log_of(lab).count("collector c1: up")
    count = collector_log(lab).count("reload: 1 recorders")
    os.kill(lab.state["pids"]["collector"][0], signal.SIGHUP)
    until(lambda: collector_log(lab).count("reload: 1 recorders") > count, what="the collector reloaded")
    until(lambda: log_of(lab).count("collector c1: up") > ups, what="the recorder is connected again")


def trust(lab):
    """The auditor's trust file with every key that signer.pub names."""
    keys = labkit.read(lab.path("state", "recorder", "signer.pub")).split("-----BEGIN")[1:]
    lines = ""
    for number, key in enumerate(keys):
        path = labkit.write(lab.path(f"signer{number}.pub"), "-----BEGIN" + key)
        lines += f"signer lab {labkit.public_key(path)}\n"
    lines += f"collector lab {labkit.public_key(lab.path('store', 'collector.crt'))}\n"
    labkit.write(lab.path("auditor.trust"), lines)
    return len(keys)


def swap_signer(lab):
    """A copy of the old key, for the thief's part."""
    return shutil.copy2(lab.path("state", "recorder", "signer.pem"), lab.path("stolen.pem"))


def test_signer(own, session):
    works(own)
    before = recording_of(own, "deploy")
    stolen = swap_signer(own)
    own.ctl("rotate", "begin", "signer")
    own.ctl("rotate", "begin", "signer")
    reload_collector(own)
    alive(session)
    own.ctl("rotate", "end", "signer")
    assert trust(own) == 2
    reload(own)
    works(own)
    after = recording_of(own, "deploy")
    alive(session)
    assert replay(own, "verify", before).returncode == 0 and replay(own, "verify", after).returncode == 0
    headers = [open(f"{path}/00000000.brec", "rb").read(136)[104:] for path in (before, after)]
    assert headers[0] != headers[1], "another key signs"
    session.line("exit")
    assert session.wait() == 0
    # the old key is out of the collector's file: what it signs now is taken nowhere, whatever time it claims
    public = own.path("state", "recorder", "signer.pub")
    both = labkit.read(public)
    labkit.write(public, "-----BEGIN" + both.split("-----BEGIN")[1])
    reload_collector(own)
    current = own.path("state", "recorder", "signer.pem")
    shutil.copy2(current, own.path("current.pem"))
    shutil.copy2(stolen, current)
    reload(own)
    done = Client(own, "deploy").run("web1.name", "echo in")
    assert done.returncode != 0 and done.stdout == b""
    assert "chain" in log_of(own) or "signed" in log_of(own)
    shutil.copy2(own.path("current.pem"), current)
    labkit.write(public, both)
    reload(own)
    works(own)


def test_client(own, session):
    own.ctl("rotate", "begin", "client")
    # too early: the collector does not know the new one. The one before goes on, and the log says so
    shutil.copytree(own.path("state", "recorder"), own.path("recorder-kept"))
    known = own.path("known-client.crt")
    whole = labkit.read(own.path("state", "recorder", "client.crt"))
    labkit.write(known, "-----BEGIN" + whole.split("-----BEGIN")[1])
    conf = own.path("collectord.conf")
    labkit.write(conf, labkit.read(conf).replace(own.path("state") + "/recorder/client.crt", known))
    reload_collector(own)
    own.ctl("rotate", "end", "client")
    reload(own)
    until(lambda: "does not know our new certificate" in log_of(own), what="the log says who must do what")
    alive(session)
    works(own)
    # now the collector knows both
    labkit.write(known, whole)
    reload_collector(own)
    alive(session)
    # and now only the new one
    shutil.copy(own.path("state", "recorder", "client.crt"), known)
    reload_collector(own)
    until(lambda: "knows our new certificate" in log_of(own), what="the new certificate is in use")
    alive(session)
    works(own)


def test_ca(own, session):
    own.ctl("rotate", "begin", "ca")
    shutil.copy(own.path("state", "keys", "user_ca.pub"), own.path("target", "ca.pub"))
    assert len(labkit.read(own.path("target", "ca.pub")).splitlines()) == 2
    works(own)
    own.ctl("rotate", "end", "ca")
    reload(own)
    works(own)
    alive(session)
    shutil.copy(own.path("state", "keys", "user_ca.pub"), own.path("target", "ca.pub"))
    assert len(labkit.read(own.path("target", "ca.pub")).splitlines()) == 1
    works(own)


def test_host_keys(own, session):
    before = hostkey(own)
    own.ctl("rotate", "begin", "hostkey")
    lines = labkit.read(own.path("state", "keys", "ssh_host_ed25519_key.pub")).splitlines()
    assert len(lines) == 2 and lines[0].split()[1] == before
    reload(own)
    config = Client(own, "deploy").run("bastion", "config", check=True).stdout.decode()
    assert before in config and lines[1].split()[1] in config, "users get both beforehand"
    own.ctl("rotate", "end", "hostkey")
    reload(own)
    until(lambda: hostkey(own) == lines[1].split()[1], what="the new host key is shown")
    own.write_known_hosts()
    config = Client(own, "deploy").run("bastion", "config", check=True).stdout.decode()
    assert before not in config and lines[1].split()[1] in config
    works(own)
    alive(session)


def test_the_collectors_certificate(own, session):
    store = own.path("store")
    old = own.path("old")
    os.mkdir(old)
    for name in ("collector.crt", "collector.key"):
        shutil.move(f"{store}/{name}", f"{old}/{name}")
    labkit.run(own.bin("bastion-collectord"), "-I", "-f", own.path("collectord.conf"))
    at_bastion = labkit.write(own.path("c1.crt"), labkit.read(f"{old}/collector.crt") + labkit.read(f"{store}/collector.crt"))
    conf = own.path("bastiond.conf")
    labkit.write(conf, labkit.read(conf).replace(f"{store}/collector.crt", at_bastion))
    reload(own)
    alive(session)
    reload_collector(own)
    alive(session)
    labkit.write(at_bastion, labkit.read(f"{store}/collector.crt"))
    ups = log_of(own).count("collector c1: up")
    reload(own)
    until(lambda: log_of(own).count("collector c1: up") > ups, what="only the new one, and up")
    alive(session)
    works(own)


def test_the_receipt_key(own, session):
    """Receipts and the log of recordings are signed by another key under a running session; what the old one signed verifies."""
    store = own.path("store")
    works(own)
    before = recording_of(own, "deploy")
    with open(f"{store}/log/checkpoint", encoding="utf-8") as f:
        origin = f.readline()
    old = labkit.public_key(f"{store}/collector.crt")
    os.rename(f"{store}/receipt.key", own.path("receipt.old"))
    labkit.run(own.bin("bastion-collectord"), "-I", "-f", own.path("collectord.conf"))
    certificate = labkit.read(f"{store}/collector.crt")
    assert certificate.count("PUBLIC KEY") == 4, "the new one stands behind the old one"
    conf = own.path("bastiond.conf")
    at_bastion = own.path("c1.crt") if own.path("c1.crt") in labkit.read(conf) else f"{store}/collector.crt"
    labkit.write(at_bastion, certificate)
    ups = log_of(own).count("collector c1: up")
    reload(own)
    until(lambda: log_of(own).count("collector c1: up") > ups, what="the recorder is connected")
    ups = log_of(own).count("collector c1: up")
    reload_collector(own)
    assert "another receipt key signs" in collector_log(own)
    until(lambda: log_of(own).count("collector c1: up") > ups, what="the recorder took the new key")
    alive(session)
    works(own)
    with open(f"{store}/log/checkpoint", encoding="utf-8") as f:
        assert f.readline() == origin, "the log keeps its name"

    def trusted(*keys):
        trust(own)
        lines = [line for line in labkit.read(own.path("auditor.trust")).splitlines() if not line.startswith("collector")]
        labkit.write(own.path("auditor.trust"), "\n".join([*lines, *(f"collector c{i} {key}" for i, key in enumerate(keys)), ""]))
    new = labkit.public_key(labkit.write(own.path("new.pub"), "-----BEGIN PUBLIC" + certificate.split("-----BEGIN PUBLIC")[2]))
    assert new != old
    trusted(old, new)
    after = recording_of(own, "deploy")
    for path in (before, after):
        row = json.loads(replay(own, "verify", "--json", path).stdout)
        assert row["verdict"] == "complete" and row["receipt_seq"] == row["last_seq"] and row["log"] == "whole", row
    assert replay(own, "verify", "--all", check=False).returncode in (0, 1)
    # the new key alone does not speak for what the old one acknowledged, and the other way round
    trusted(new)
    assert json.loads(replay(own, "verify", "--json", before, check=False).stdout)["receipt_seq"] == 0
    trusted(old)
    assert json.loads(replay(own, "verify", "--json", after, check=False).stdout)["receipt_seq"] == 0
    trusted(old, new)
    # a key that is none changes nothing
    os.rename(f"{store}/receipt.key", own.path("receipt.kept"))
    labkit.write(f"{store}/receipt.key", "nonsense\n", 0o600)
    os.kill(own.state["pids"]["collector"][0], signal.SIGHUP)
    until(lambda: "it is no Ed25519 key; nothing is changed" in collector_log(own), what="the log says what is wrong")
    os.rename(own.path("receipt.kept"), f"{store}/receipt.key")
    alive(session)
    works(own)
    # and a start goes on with both
    own.stop("collector")
    own.start("collector")
    alive(session)
    works(own)
    assert json.loads(replay(own, "verify", "--json", recording_of(own, "deploy")).stdout)["log"] == "whole"


def test_a_wrong_pair_changes_nothing(own, session):
    key = own.path("store", "collector.key")
    shutil.copy2(key, key + "-kept")
    shutil.copy2(own.path("old", "collector.key"), key)
    os.kill(own.state["pids"]["collector"][0], signal.SIGHUP)
    until(lambda: "the key is not that of the certificate" in collector_log(own), what="the log says what is wrong")
    os.rename(key + "-kept", key)
    alive(session)
    works(own)
