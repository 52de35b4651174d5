"""The bastion itself at a host, with the stock ssh client: a certificate for one command, and what the host announces of its keys. A new
key is a proposal: no session takes it before an administrator does."""
import os
import re
import socket
import sqlite3
import threading

import pytest

from harness import Client, events, labkit, seccomp, until

pytestmark = pytest.mark.chained


@pytest.fixture(scope="module")
def scanned(new_lab):
    """A lab of its own: its target changes keys."""
    return new_lab()


def fingerprint(lab, kind):
    return labkit.run("ssh-keygen", "-l", "-f", lab.path("target", f"ssh_host_{kind}_key.pub")).split()[1]


def states(reply):
    return {row["fingerprint"]: row["state"] for row in reply["rows"]}


def scan(lab, host="web1", **args):
    return lab.ask("host scan", host=host, **args)


def add_host(lab, name, port, **args):
    pinned = labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()
    lab.ask("host add", host=name, address="127.0.0.1", port=port, key=[pinned], login=["dba"], **args)


def test_a_scan_is_one_command(scanned):
    lab = scanned
    reply = scan(lab)
    assert reply["look"]["result"] == "ok" and reply["look"]["login"] == "dba"
    log = labkit.read(lab.path("log", "target"))
    assert re.search(r"Accepted publickey for dba .* ID bastiond/scan/\d+ ", log)
    # the certificate binds it to its command, and the client's own choice would not count
    assert "forced-command (key-option) 'true' for dba" in log
    # nothing of it is left: neither files nor mounts
    empty = os.path.join(lab.state["run_dir"], "empty")
    assert os.listdir(empty) == [] and empty not in labkit.read("/proc/self/mounts")
    ended = events(lab, "task.end")[-1]
    assert ended["subject"] == "web1" and '"result": "ok"' in ended["detail"].replace('":"', '": "')


def test_an_announced_key_is_a_proposal(scanned):
    lab = scanned
    client = Client(lab, "deploy")
    reply = scan(lab, "web2", login="app")
    old, new = fingerprint(lab, "ed25519"), fingerprint(lab, "ecdsa")
    assert states(reply) == {old: "pinned", new: "announced", fingerprint(lab, "rsa"): "announced"}
    assert len([e for e in events(lab, "hostkey.announced") if e["subject"] == "web2"]) == 2
    # again: it is no news
    scan(lab, "web2")
    assert len([e for e in events(lab, "hostkey.announced") if e["subject"] == "web2"]) == 2
    # the host goes over to its new key: refused, by sessions and by scans, until somebody takes it
    lab.stop("target")
    config = lab.target_config
    lab.target_config = lambda: re.sub(r"HostKey .*(ed25519|rsa)_key\n", "", config())
    lab.start("target")
    try:
        lab.grant("deploy", host="web2")
        done = client.run("web2.name", "echo in")
        assert done.returncode == 255 and done.stdout == b""
        assert scan(lab, "web2")["look"]["result"] == "hostkey"
        with pytest.raises(labkit.LabError, match="no key of that fingerprint"):
            lab.ask("host trust-key", host="web2", fingerprint="SHA256:nothing")
        lab.ask("host trust-key", host="web2", fingerprint=new)
        assert client.run("web2.name", "echo in", check=True).stdout == b"in\n"
        # the old one is still pinned, and the host says that it has it no more
        reply = scan(lab, "web2")
        assert reply["look"]["result"] == "ok"
        assert {row["fingerprint"]: row.get("gone") is not None for row in reply["rows"] if row["state"] == "pinned"} == {old: True, new: False}
        lab.ask("host forget-key", host="web2", fingerprint=old)
        with pytest.raises(labkit.LabError, match="only key"):
            lab.ask("host forget-key", host="web2", fingerprint=new)
        # and a proposal that the host has taken back is none
        assert states(lab.ask("host keys", host="web2")) == {new: "pinned"}
        assert [e["subject"] for e in events(lab, "hostkey.withdrawn")] == ["web2"]
    finally:
        lab.stop("target")
        lab.target_config = config
        lab.start("target")
    assert [e["subject"] for e in events(lab, "hostkey.trust")] == ["web2"] and len(events(lab, "hostkey.forget")) == 1


def test_keys_that_come_and_go(scanned):
    """Of web2 the key that the last test took is pinned. What had gone is news when it comes again; what was refused or dropped is not."""
    lab, config = scanned, scanned.target_config
    old, new, rsa = (fingerprint(lab, kind) for kind in ("ed25519", "ecdsa", "rsa"))

    def news():
        return len([e for e in events(lab, "hostkey.announced") if e["subject"] == "web2"])

    def gone(reply):
        return {row["fingerprint"] for row in reply["rows"] if row.get("gone") is not None}
    before = news()
    assert states(scan(lab, "web2")) == {new: "pinned", old: "announced", rsa: "announced"} and news() == before + 2
    lab.ask("host forget-key", host="web2", fingerprint=rsa)
    lab.ask("host trust-key", host="web2", fingerprint=old)
    assert states(scan(lab, "web2")) == {new: "pinned", old: "pinned", rsa: "refused"}
    lab.ask("host trust-key", host="web2", fingerprint=rsa)
    lab.stop("target")
    lab.target_config = lambda: re.sub(r"HostKey .*rsa_key\n", "", config())
    lab.start("target")
    assert gone(scan(lab, "web2")) == {rsa}
    lab.stop("target")
    lab.target_config = config
    lab.start("target")
    # just what is pinned, and so none of it has gone
    assert gone(scan(lab, "web2")) == set()
    # dropped while the host has it: refused
    lab.ask("host forget-key", host="web2", fingerprint=old)
    lab.ask("host forget-key", host="web2", fingerprint=rsa)
    assert states(scan(lab, "web2")) == {new: "pinned", old: "refused", rsa: "refused"} and news() == before + 2


def test_ways_to_fail(scanned):
    lab = scanned
    with pytest.raises(labkit.LabError, match="no login nobody"):
        scan(lab, login="nobody")
    add_host(lab, "web-none", labkit.free_port())
    assert scan(lab, "web-none")["look"]["result"] == "unreachable"
    # takes connections and says nothing; says what is no SSH, with a line for the terminal
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as other:
        add_host(lab, "web-silent", silent.getsockname()[1])
        add_host(lab, "web-other", other.getsockname()[1])

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"\x1b[2J\x07Authenticated to all\r\n" * 2000)
        thread = threading.Thread(target=answer)
        thread.start()
        reply = scan(lab, "web-other")
        thread.join()
        assert reply["look"]["result"] == "unreachable" and "\x1b" not in reply["note"]
        assert scan(lab, "web-silent")["look"]["result"] == "unreachable"
    # a host that believes another CA
    trusted = labkit.read(lab.path("target", "ca.pub"))
    labkit.write(lab.path("target", "ca.pub"), "")
    reply = scan(lab)
    assert reply["look"]["result"] == "refused" and "Permission denied" in reply["note"]
    labkit.write(lab.path("target", "ca.pub"), trusted)
    assert scan(lab)["look"]["result"] == "ok"


def test_the_client_is_alone(scanned):
    """An account of its own, no process in sight but its worker, and no call that it has no use for."""
    lab, seen = scanned, {}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        add_host(lab, "web-alone", port)

        def look():
            connection, _ = silent.accept()
            with connection:
                for pid in filter(str.isdigit, os.listdir("/proc")):
                    try:
                        with open(f"/proc/{pid}/cmdline", "rb") as f:
                            argv = f.read().split(b"\0")
                        if argv[:1] != [b"ssh"] or str(port).encode() not in argv:
                            continue
                        seen.update(line.split(":\t", 1) for line in labkit.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
                        seen["pids"] = sorted(filter(str.isdigit, os.listdir(f"/proc/{pid}/root/proc")))
                    except OSError:
                        continue
        thread = threading.Thread(target=look)
        thread.start()
        assert scan(lab, "web-alone")["look"]["result"] == "unreachable"
        thread.join()
    assert set(seen["Uid"].split()) == {str(labkit.ROLE_UIDS["task"])} and seen["Seccomp"] == seccomp() and seen["NoNewPrivs"] == "1"
    assert seen["pids"] == ["1", "2"] and seen["NSpid"].split()[1:] == ["2"]


def test_once_a_day(scanned):
    """A host where the bastion was not for host_key_check hours is looked at, and one that was is not."""
    lab = scanned
    scan(lab)
    before = len(events(lab, "task.start"))
    lab.stop("bastiond")
    with sqlite3.connect(lab.path("state", "db", "policy.db")) as db:
        db.execute("UPDATE hosts SET added=added-25*3600")
        db.execute("DELETE FROM host_looks WHERE host_id=(SELECT id FROM hosts WHERE name='web2')")
    db.close()
    lab.start("bastiond")
    looked = until(lambda: lab.ask("host keys", host="web2").get("look"), 30)
    assert looked["result"] == "ok" and looked["login"] == "dba"
    assert "web1" not in [e["subject"] for e in events(lab, "task.start")[before:]]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_with_a_managed_key(scanned, kind):
    """The private half stays with keys: the client asks it through a socket."""
    lab = scanned
    line = next(line for line in lab.ctl("key", "add", kind, "--type", kind).splitlines() if line.startswith("ssh-"))
    with open(lab.path("target", "authorized_keys"), "a", encoding="ascii") as f:
        f.write(line + "\n")
    lab.stop("bastiond")
    lab.start("bastiond")
    until(lambda: kind in [row["name"] for row in lab.ask("key list")["rows"]], 20)
    add_host(lab, f"web-{kind}", lab.port("target"), managed_key=kind)
    reply = scan(lab, f"web-{kind}")
    assert reply["look"]["result"] == "ok", reply
