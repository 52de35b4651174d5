"""SIGHUP reaches every role: keys, options and collectors for what comes after it; what runs goes on; what is wrong changes nothing."""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import threading
import time

import pytest

from harness import Client, labkit, recording_of, replay, seccomp, until

pytestmark = pytest.mark.chained

LOGINS = 24


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=['banner = "first banner\\n"', 'name = "first.example.org"'])


def log_of(lab):
    with open(lab.path("log", "bastiond"), encoding="utf-8", errors="replace") as f:
        return f.read()


def reload(lab, says="configuration and keys reloaded"):
    """SIGHUP, and the moment at which parent says how that went."""
    before = log_of(lab).count(says)
    os.kill(lab.state["pids"]["bastiond"][0], signal.SIGHUP)
    until(lambda: log_of(lab).count(says) > before, what=f"the log says {says!r}")


def set_option(lab, old, new):
    lab.state["options"] = [new if option == old else option for option in lab.state["options"]]
    lab.write_configs()


def hostkey(lab):
    shown = labkit.run("ssh-keyscan", "-T", "60", "-t", "ed25519", "-p", str(lab.port("bastiond")), "127.0.0.1")
    return shown.split()[-1]


def new_hostkey(lab):
    path = lab.path("state", "keys", "ssh_host_ed25519_key")
    for suffix in ("", ".pub"):
        os.unlink(path + suffix)
    labkit.keygen(path)
    lab.write_known_hosts()
    return labkit.read(path + ".pub").split()[1]


def test_new_sessions_get_host_keys_options_and_managed_keys(own):
    user = Client(own, "deploy")
    with user.start("web1.name", "echo one; read line; echo $line") as running:
        assert running.stdout.readline() == b"one\n"
        told = own.ctl("key", "add", "late", "--type", "ed25519").splitlines()
        with open(own.path("target", "authorized_keys"), "a", encoding="ascii") as f:
            f.write(next(line for line in told if line.startswith("ssh-")) + "\n")
        assert b"HostName first.example.org\n" in user.run("bastion", "config", check=True).stdout
        fresh = new_hostkey(own)
        set_option(own, 'banner = "first banner\\n"', 'banner = "second banner\\n"')
        set_option(own, 'name = "first.example.org"', 'name = "second.example.org:2022"')
        reload(own)
        until(lambda: hostkey(own) == fresh, what="the new host key is shown")
        pinned = labkit.read(own.path("target", "ssh_host_ed25519_key.pub")).strip()
        own.ask("host add", host="web-late", address="127.0.0.1", port=own.port("target"), key=[pinned], login=["dba"],
                managed_key="late")
        own.grant("deploy", host="web-late")
        done = user.run("web1.name", "echo in", options=("-l", "deploy@dba@web-late", "-o", "LogLevel=INFO"), check=True)
        assert done.stdout == b"in\n" and b"second banner" in done.stderr
        lines = user.run("bastion", "config", check=True).stdout
        assert b"HostName second.example.org\n    Port 2022\n" in lines and b"[second.example.org]:2022," in lines
        # the session of before the reload knows nothing of all this
        out, _ = running.communicate(b"two\n", timeout=30)
        assert (running.returncode, out) == (0, b"two\n")


def test_options_reach_parent_policy_and_sessions(own):
    """Which option is taken over from when is bastiond.conf(5)'s list, which test_reload_options holds against the table."""
    base, user = list(own.state["options"]), Client(own, "deploy")

    def with_options(*lines):
        own.state["options"] = [*base, *lines]
        own.write_configs()
        reload(own)
    try:
        until(lambda: own.ask("sessions")["rows"] == [], what="the sessions of before are over")
        with_options("log_level = debug", "max_sessions = 1", "content_limit = 0")
        with user.start("web1.name", "cat", bufsize=0) as first:
            first.stdin.write(b"one\n")
            assert first.stdout.read(4) == b"one\n"
            assert user.run("web1.name", "true").returncode == 255
            first.stdin.close()
            assert first.wait(20) == 0
        kinds = [json.loads(line)["kind"] for line in replay(own, "export", "--json", recording_of(own, "deploy")).stdout.splitlines()]
        assert "gap" in kinds and "in" not in kinds
        for role in ("session", "dial") if seccomp() != "0" else ():
            assert re.search(rf" {role}\[\d+\] debug: sandbox closed", log_of(own)), role
        with_options('allow_networks = { "192.0.2.0/24" }')
        assert user.run("web1.name", "true").returncode == 255
        with_options()
        until(lambda: user.run("web1.name", "echo in").stdout == b"in\n", deadline=20, pause=0.3, what="a login, with all as it was")
    finally:
        with_options()


def test_a_new_ca_signs(own):
    path = own.path("state", "keys", "user_ca.pem")
    os.unlink(path)
    os.unlink(path.replace(".pem", ".pub"))
    own.ctl("init")
    reload(own)
    user = Client(own, "deploy")
    assert user.run("web1.name", "true").returncode != 0, "the target does not trust the new CA yet"
    own.trust()
    assert user.run("web1.name", "echo in", check=True).stdout == b"in\n"


FILES = ["keys/user_ca.pem", "keys/managed/late.pem", "keys/ssh_host_ecdsa_key", "recorder/client.key", "recorder/signer.pem"]
FAULTS = {"open to others": "0644", "not a key": "key", "gone": "init"}


# a managed key may go
@pytest.mark.parametrize("name,fault", [(n, f) for n in FILES for f in FAULTS if (n, f) != (FILES[1], "gone")])
def test_what_is_wrong_changes_nothing(own, name, fault):
    path = own.path("state", name)
    shutil.copy2(path, path + "-kept")
    before = hostkey(own)
    try:
        if fault == "open to others":
            os.chmod(path, 0o644)
        elif fault == "not a key":
            labkit.write(path, "-----BEGIN NOTHING-----\n", 0o600)
        else:
            os.unlink(path)
        size = len(log_of(own))
        reload(own, "is not reloaded")
        said = log_of(own)[size:]
        assert name in said and FAULTS[fault] in said, said
    finally:
        os.rename(path + "-kept", path)
    assert hostkey(own) == before
    assert Client(own, "deploy").run("web1.name", "echo in", check=True).stdout == b"in\n"


def test_reloads_under_load_lose_no_login(own):
    reload(own)
    failed, over, reloads = [], threading.Event(), []

    def log_in():
        user, logins = Client(own, "deploy"), 0
        while logins < LOGINS // 4 or len(reloads) <= 5:
            logins += 1
            done = user.run("web1.name", "echo in")
            if (done.returncode, done.stdout) != (0, b"in\n"):
                failed.append(done)
    threads = [threading.Thread(target=log_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        os.kill(own.state["pids"]["bastiond"][0], signal.SIGHUP)
        reloads.append(time.monotonic())
        over.wait(0.1)
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert replay(own, "verify", recording_of(own, "deploy")).returncode == 0


def udp_owner(port):
    """The account of the local UDP socket with this port."""
    for line in labkit.read("/proc/net/udp").splitlines()[1:]:
        words = line.split()
        if int(words[1].split(":")[1], 16) == port:
            return int(words[7])
    return None


def dns_answer(query, address):
    """What a name server says: every name has this one IPv4 address."""
    question = query[12:query.index(b"\0", 12) + 5]
    wants = question[-4:] == b"\0\1\0\1"
    record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 60, 4) + socket.inet_aton(address) if wants else b""
    return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, int(wants), 0, 0) + question + record


def test_nothing_waits_for_a_name_server(new_lab):
    """A collector by its name, and a name server that keeps the queries for itself until it is told to answer."""
    lab = new_lab(etc=True)
    host = f"127.{random.randrange(2, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
    if os.path.lexists(lab.path("etc", "resolv.conf")):
        os.unlink(lab.path("etc", "resolv.conf"))
    labkit.write(lab.path("etc", "resolv.conf"), f"nameserver {host}\noptions timeout:30 attempts:1\n")
    labkit.write(lab.path("etc", "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")
    conf = labkit.read(lab.path("bastiond.conf"))
    assert conf.count('address = "127.0.0.1"') == 1
    labkit.write(lab.path("bastiond.conf"), conf.replace('address = "127.0.0.1"', 'address = "collector.example.org"'))
    user = Client(lab, "deploy")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((host, 53))
        server.settimeout(30)
        os.kill(lab.state["pids"]["bastiond"][0], signal.SIGHUP)
        query, asker = server.recvfrom(512)
        assert b"\x09collector\x07example\x03org\0" in query
        assert udp_owner(asker[1]) == labkit.ROLE_UIDS["dial"]
        assert user.run("web1.name", "echo in", check=True).stdout == b"in\n"
        assert "reloaded" not in log_of(lab), "the name server has not answered"
        server.settimeout(0.1)
        server.sendto(dns_answer(query, "127.0.0.1"), asker)

        def over():
            with contextlib.suppress(TimeoutError):
                more, who = server.recvfrom(512)    # of the other family
                server.sendto(dns_answer(more, "127.0.0.1"), who)
            return "configuration and keys reloaded" in log_of(lab)
        until(over, deadline=30, what="the reload, with the answer")
    assert user.run("web1.name", "echo in", check=True).stdout == b"in\n"
    # with nobody there it is refused at once, and nothing changes
    os.kill(lab.state["pids"]["bastiond"][0], signal.SIGHUP)
    until(lambda: "the configuration is not reloaded" in log_of(lab), deadline=45, what="no answer, no reload")
    assert 'cannot resolve "collector.example.org"' in log_of(lab)
    assert user.run("web1.name", "echo in", check=True).stdout == b"in\n"


def test_the_service_manager_hears_of_it(own, tmp_path):
    """sd_notify(3): RELOADING=1 with a time, then READY=1, so that `systemctl reload` waits for the end."""
    path = str(tmp_path / "notify")
    os.chmod(tmp_path, 0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        own.stop("bastiond")
        os.environ["NOTIFY_SOCKET"] = path
        try:
            own.start("bastiond")
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert manager.recv(200) == b"READY=1"
        now = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
        os.kill(own.state["pids"]["bastiond"][0], signal.SIGHUP)
        first = manager.recv(200).decode().split("\n")
        assert first[0] == "RELOADING=1" and int(first[1].removeprefix("MONOTONIC_USEC=")) >= now
        assert manager.recv(200) == b"READY=1"
