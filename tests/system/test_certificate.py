"""The keys role alone, as bastiond starts it, and a stock sshd that believes its CA: what the role signs opens one login for
minutes from one address, what it lends opens one login, and nothing else. The test plays policy."""
import array
import base64
import fcntl
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import labkit

HEAD = struct.Struct("=HHI")
TYPES = [None] + re.findall(r"^\tM\((\w+),", labkit.read(os.path.join(labkit.REPO, "common", "msg.h")), re.M)


def string(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


def take(data):
    length = struct.unpack_from(">I", data)[0]
    return data[4:4 + length], data[4 + length:]


class Keys:
    """`bastiond -R keys` with the configuration and the keys of a lab."""

    def __init__(self, lab):
        parent, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link, policy = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        conf = os.open(lab.path("bastiond.conf"), os.O_RDONLY)
        # out of the way of the numbers they are to have
        fds = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, 30) for number, fd in ((3, theirs), (4, policy), (7, conf))}

        def place():
            for number, fd in fds.items():
                os.dup2(fd, number)
        self.process = subprocess.Popen([lab.bin("bastiond"), "-R", "keys", "-D", "-f", lab.path("bastiond.conf")],
                                        pass_fds=(3, 4, 7), preexec_fn=place)
        for fd in (conf, *fds.values()):
            os.close(fd)
        theirs.close()
        policy.close()
        self.parent = parent
        self.link.settimeout(20)
        parent.settimeout(20)
        kind, _, _ = HEAD.unpack(parent.recv(100)[:HEAD.size])
        assert TYPES[kind] == "KEYS_READY"

    def ask(self, kind, body, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.link.sendmsg([HEAD.pack(TYPES.index(kind), 0, 1) + body], rights)
        answer = self.link.recv(70000)
        assert TYPES[HEAD.unpack(answer[:HEAD.size])[0]] == kind + "_RE"
        return answer[HEAD.size:]

    def sign(self, blob, principal="dba", key_id="alice/17/00", after=-50, before=250, source="127.0.0.1", command=""):
        now = int(time.time())
        answer = self.ask("SIGN_CERT", string(blob) + string(principal) + string(key_id) +
                          struct.pack(">QQQ", 1, now + after, now + before) + string(source) + b"\0" + string(command))
        return answer[0] == 1, take(answer[1:])[0]

    def close(self):
        self.parent.close()
        assert self.process.wait(20) == 0


@pytest.fixture(scope="module")
def managed(lab):
    """A managed RSA key that the target takes; gone from the lab afterwards."""
    path = lab.path("state", "keys", "managed", "testkey.pem")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path], check=True)
    os.chmod(path, 0o600)
    yield path
    os.unlink(path)


@pytest.fixture
def keys(lab, managed):
    it = Keys(lab)
    yield it
    it.close()


@pytest.fixture(scope="module", params=["ed25519", "ecdsa", "rsa"])
def key(request, tmp_path_factory):
    return labkit.keygen(str(tmp_path_factory.mktemp("key") / "key"), request.param)


def blob_of(path):
    return base64.b64decode(labkit.read(path + ".pub").split()[1])


def write_certificate(path, blob):
    kind = take(blob)[0].decode()
    labkit.write(path + "-cert.pub", f"{kind} {base64.b64encode(blob).decode()}\n")


def login(lab, *options, user="dba"):
    """Straight to the target's sshd: is `true` run there?"""
    done = subprocess.run(["ssh", "-F", "none", "-p", str(lab.port("target")), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                           "-o", "UserKnownHostsFile=/dev/null", *options, f"{user}@127.0.0.1", "true"],
                          capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})
    if done.returncode != 0:
        assert "Permission denied" in done.stderr
    return done.returncode == 0


def login_with(lab, path, **kw):
    return login(lab, "-i", path, "-o", "IdentitiesOnly=yes", **kw)


def test_sshd_takes_it_for_the_one_login(lab, keys, key):
    ok, blob = keys.sign(blob_of(key))
    assert ok
    write_certificate(key, blob)
    assert login_with(lab, key)
    assert not login_with(lab, key, user="app")


def test_wrong_principal(lab, keys, key):
    ok, blob = keys.sign(blob_of(key), principal="app")
    assert ok
    write_certificate(key, blob)
    assert not login_with(lab, key)
    assert login_with(lab, key, user="app")


def test_expired(lab, keys, tmp_path):
    key = labkit.keygen(str(tmp_path / "key"))
    ok, blob = keys.sign(blob_of(key), before=20)
    end = int(time.time()) + 20
    assert ok
    write_certificate(key, blob)
    assert login_with(lab, key)
    while time.time() <= end:    # a certificate ends by the clock and by nothing else
        time.sleep(0.1)
    assert not login_with(lab, key)


def test_source_address(lab, keys, key):
    for source, works in (("192.0.2.1", False), ("127.0.0.0/8", True), ("192.0.2.1,127.0.0.1", True), ("::1", False)):
        ok, blob = keys.sign(blob_of(key), source=source)
        assert ok
        write_certificate(key, blob)
        assert login_with(lab, key) == works, source


@pytest.mark.parametrize("change", [
    {"after": -50, "before": 260}, {"after": 15, "before": 310}, {"after": -63, "before": 200}, {"before": -1}, {"after": 10, "before": 5}, {"principal": "dba,app"}, {"principal": "-"},
    {"principal": ""}, {"key_id": ""}, {"source": ""}, {"source": "web1"}, {"source": "127.0.0.1/99"}], ids=str)
def test_out_of_bounds(keys, tmp_path, change):
    labkit.keygen(str(tmp_path / "key"))
    assert keys.sign(blob_of(str(tmp_path / "key")), **change)[0] is False


def test_key_types_out_of_bounds(keys, tmp_path):
    for number, options in enumerate((["-t", "ecdsa", "-b", "384"], ["-t", "dsa"])):
        path = str(tmp_path / f"key{number}")
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", path, *options], check=True)
        assert keys.sign(blob_of(path))[0] is False
    assert keys.sign(b"\0\0\0\x0bssh-ed25519\0\0\0\x1f" + bytes(31))[0] is False
    assert keys.sign(b"")[0] is False


class Agent:
    """A socket for ssh's IdentityAgent; each connection is lent to the keys role for `dba`."""

    def __init__(self, keys, path):
        self.keys, self.path = keys, path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.lend)
        self.thread.start()

    def lend(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    assert self.keys.ask("LEND_KEY", string("testkey") + string("dba") + string("") + bytes(16), [connection.fileno()])[0] == 1
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def test_lent_key_is_one_login(lab, keys, tmp_path):
    answer = keys.ask("LIST_KEYS", b"")
    lines = {}
    rest = answer[5:]
    while rest:
        name, rest = take(rest)
        line, rest = take(rest)
        lines[name.decode()] = line.decode()
    assert list(lines)[0] == "ca" and lines["ca"].startswith("ssh-ed25519 ")
    with open(lab.path("target", "authorized_keys"), "a") as file:
        file.write(lines["testkey"] + "\n")
    agent = Agent(keys, str(tmp_path / "agent"))
    # the host-bound variant of the method names the server's key, which the role cannot know: a session's login has the plain one
    unbound = ("-o", "PubkeyAuthentication=unbound")
    try:
        assert login(lab, "-o", f"IdentityAgent={agent.path}", *unbound)
        assert not login(lab, "-o", f"IdentityAgent={agent.path}", *unbound, user="app")
        assert not login(lab, "-o", f"IdentityAgent={agent.path}")
    finally:
        agent.close()


def test_unknown_key_is_not_lent(keys):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for name, user in (("nokey", "dba"), ("../user_ca", "dba"), ("ca", "dba"), ("testkey", "dba root")):
            assert keys.ask("LEND_KEY", string(name) + string(user) + string("") + bytes(16), [theirs.fileno()])[0] == 0
        theirs.close()
        ours.settimeout(20)
        assert ours.recv(10) == b""    # the role kept none of the descriptors


def test_no_more_is_said(lab, managed):
    """A malformed message ends the role; so does the end of parent's link (Keys.close)."""
    it = Keys(lab)
    it.link.send(HEAD.pack(TYPES.index("SIGN_CERT"), 0, 1) + b"\0")
    assert it.link.recv(10) == b""
    assert it.process.wait(20) == 0
