#!/usr/bin/python3
"""A real object store with Object Lock on 127.0.0.1, for tests: Ceph's RADOS gateway over one monitor and one daemon for objects.

    tests/objectstore.py up DIR     starts one; prints what to know
    tests/objectstore.py down DIR   ends it and removes DIR

As a module: ObjectStore.create(dir), .client(user), .make_bucket(name), .down(). It runs as the account `ceph` if it is started as
root, else as who starts it; everything lies in its directory. Three users: `owner` owns buckets, `writer` may put and nothing
else, `reader` may read. The gateway listens with and without TLS; DIR/ca.pem signed its certificate.
"""
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pwd
import re
import secrets
import select
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labkit

REGION = "us-east-1"
DEADLINE = 120     # seconds for a daemon or a tool of the store: on a busy machine they take long
USERS = {name: (f"{name.upper()}ACCESSKEY000001", f"{name}secret{name}secret{name}00000001") for name in ("owner", "writer", "reader")}
PORTS = ("mon", "http", "https")
OSD_PORTS = 16     # the daemon for objects listens at four, and at four others once the monitor took it for dead
# what the collector's credentials may do: bastion-collectord(8) has the same for other stores
WRITER_DENIED = ["GetObject", "GetObjectVersion", "GetObjectAcl", "GetObjectVersionAcl", "PutObjectAcl", "PutObjectVersionAcl", "DeleteObject",
                 "DeleteObjectVersion", "PutObjectRetention", "BypassGovernanceRetention", "AbortMultipartUpload", "PutObjectTagging",
                 "PutBucketObjectLockConfiguration", "PutLifecycleConfiguration", "PutBucketPolicy", "DeleteBucket"]
READER_ALLOWED = ["GetObject", "GetObjectVersion", "GetObjectRetention", "GetObjectLegalHold", "GetBucketObjectLockConfiguration", "ListBucket",
                  "ListBucketVersions"]


class StoreError(Exception):
    """The store answered with an error: .status, .code."""

    def __init__(self, status, code, text):
        super().__init__(f"{status} {code} {text[:200]}")
        self.status, self.code = status, code


class Client:
    """Requests to one store, signed with one user's keys (AWS Signature Version 4), in the simplest way that is right."""

    def __init__(self, port, access, secret):
        self.port, self.access, self.secret = port, access, secret

    def ask(self, method, path, query=None, body=b"", headers=None):
        """(headers, body) of a 2xx answer; otherwise StoreError. path: "/bucket/key"; query: a dict."""
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        digest = hashlib.sha256(body).hexdigest()
        send = {"host": f"127.0.0.1:{self.port}", "x-amz-date": stamp, "x-amz-content-sha256": digest, **(headers or {})}
        if body:
            send["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        send = {name.lower(): str(value) for name, value in send.items()}
        quoted = urllib.parse.quote(path)
        words = "&".join(f"{urllib.parse.quote(k, safe='')}={urllib.parse.quote(str(v), safe='')}" for k, v in sorted((query or {}).items()))
        names = ";".join(sorted(send))
        canonical = "\n".join([method, quoted, words, *(f"{name}:{send[name].strip()}" for name in sorted(send)), "", names, digest])
        scope = f"{day}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (day, REGION, "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        send["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, quoted + ("?" + words if words else ""), body=body or None, headers=send)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status // 100 != 2:
            code = ElementTree.fromstring(data).findtext("Code", "") if data.startswith(b"<?xml") else ""
            raise StoreError(answer.status, code, data.decode(errors="replace"))
        return {k.lower(): v for k, v in answer.getheaders()}, data

    def put(self, bucket, key, body, **headers):
        """The new version's id."""
        return self.ask("PUT", f"/{bucket}/{key}", body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})[0].get("x-amz-version-id")

    def get(self, bucket, key, version=None):
        return self.ask("GET", f"/{bucket}/{key}", {"versionId": version} if version else None)[1]

    def versions(self, bucket, prefix=""):
        """Every version in the bucket, oldest first within a key: dicts with key, version, size, marker."""
        found, more = [], {}
        while True:
            data = self.ask("GET", f"/{bucket}", {"versions": "", "prefix": prefix, "max-keys": "1000", **more})[1]
            top = ElementTree.fromstring(data)
            ns = top.tag.partition("}")[0] + "}" if top.tag.startswith("{") else ""
            for one in top:
                if one.tag in (ns + "Version", ns + "DeleteMarker"):
                    found.append({"key": one.findtext(ns + "Key"), "version": one.findtext(ns + "VersionId"), "size": int(one.findtext(ns + "Size") or 0),
                                  "marker": one.tag == ns + "DeleteMarker", "when": one.findtext(ns + "LastModified")})
            if top.findtext(ns + "IsTruncated") != "true":
                break
            more = {"key-marker": top.findtext(ns + "NextKeyMarker"), "version-id-marker": top.findtext(ns + "NextVersionIdMarker")}
        return sorted(found, key=lambda one: (one["key"], one["when"]))

    def keys(self, bucket, prefix=""):
        return sorted({one["key"] for one in self.versions(bucket, prefix) if not one["marker"]})

    def retention(self, bucket, key, version=None):
        """(mode, unix seconds) of its lock."""
        data = self.ask("GET", f"/{bucket}/{key}", {"retention": "", **({"versionId": version} if version else {})})[1]
        top = ElementTree.fromstring(data)
        ns = top.tag.partition("}")[0] + "}" if top.tag.startswith("{") else ""
        until = top.findtext(ns + "RetainUntilDate").partition(".")[0].rstrip("Z")
        return top.findtext(ns + "Mode"), datetime.datetime.fromisoformat(until).replace(tzinfo=datetime.timezone.utc).timestamp()

    def hold(self, bucket, key, version=None):
        """Its legal hold: ON, OFF; None if it never had one."""
        try:
            data = self.ask("GET", f"/{bucket}/{key}", {"legal-hold": "", **({"versionId": version} if version else {})})[1]
        except StoreError:
            return None
        top = ElementTree.fromstring(data)
        return top.findtext((top.tag.partition("}")[0] + "}" if top.tag.startswith("{") else "") + "Status")


class ObjectStore:
    """One store in `dir`. create() makes and starts one; ObjectStore(dir) opens one that is there."""

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.state = json.loads(labkit.read(self.path("store.json")))

    @classmethod
    def create(cls, directory):
        directory = os.path.abspath(directory)
        os.makedirs(directory, mode=0o711, exist_ok=True)
        labkit.write(os.path.join(directory, "store.json"), json.dumps({"ports": {name: labkit.free_port() for name in PORTS}, "pids": {}}))
        store = cls(directory)
        try:
            store.configure()
            store.start()
            store.make_users()
        except BaseException:
            store.stop()
            raise
        return store

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def port(self, name="http"):
        return self.state["ports"][name]

    def save(self):
        labkit.write(self.path("store.json"), json.dumps(self.state))

    # --- set-up

    def account(self):
        """Keywords of subprocess that give up root, if it is there to give up."""
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam("ceph")
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def ceph(self, program, *words, **kw):
        kw.setdefault("timeout", DEADLINE)
        return labkit.run(program, "--conf", self.path("ceph.conf"), *words, cwd=self.dir, **self.account(), **kw)

    def configure(self):
        d = self.dir
        first = labkit.free_port(OSD_PORTS)
        labkit.write(self.path("ceph.conf"), f"""[global]
fsid = {labkit.read("/proc/sys/kernel/random/uuid").strip()}
mon initial members = a
mon host = [v2:127.0.0.1:{self.port("mon")}/0]
public network = 127.0.0.0/8
public addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
ms bind port min = {first}
ms bind port max = {first + OSD_PORTS - 1}
keyring = {d}/keyring
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 0
paxos propose interval = 0.05
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
osd crush update on start = false
osd objectstore = memstore
osd class dir = /usr/lib/{os.uname().machine}-linux-gnu/rados-classes
osd memory target = 939524096
memstore device bytes = 2147483648
run dir = {d}
pid file =
admin socket = {d}/$name.asok
crash dir = {d}/crash
log file = {d}/$name.log
mon cluster log file = {d}/cluster.log
[mon.a]
mon data = {d}/mon.a
[osd.0]
osd data = {d}/osd.0
[client.rgw]
rgw data = {d}/rgw
rgw frontends = beast endpoint=127.0.0.1:{self.port("http")} ssl_endpoint=127.0.0.1:{self.port("https")} ssl_certificate={d}/server.crt ssl_private_key={d}/server.key
rgw thread pool size = 32
rgw enable usage log = false
rgw enable ops log = false
# without the administrative interface nobody can remove what is locked
rgw enable apis = s3, iam, sts
""")
        for name in ("mon.a", "osd.0", "rgw", "crash"):
            os.mkdir(self.path(name), 0o700)
        self.make_certificates()
        if os.geteuid() == 0:
            entry = pwd.getpwnam("ceph")
            for top, folders, files in os.walk(d):
                for name in [top, *(os.path.join(top, n) for n in folders + files)]:
                    os.chown(name, entry.pw_uid, entry.pw_gid)
        for words in (["--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"],
                      ["--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *"],
                      ["--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"],
                      ["--gen-key", "-n", "client.rgw", "--cap", "mon", "allow rw", "--cap", "osd", "allow rwx"]):
            labkit.run("ceph-authtool", self.path("keyring"), *words, cwd=d, **self.account())
        fsid = [row.split()[-1] for row in labkit.read(self.path("ceph.conf")).splitlines() if row.startswith("fsid")][0]
        labkit.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{self.port('mon')}/0]", self.path("monmap"), cwd=d,
                   **self.account())
        self.ceph("ceph-mon", "-i", "a", "--mkfs", "--monmap", self.path("monmap"), "--keyring", self.path("keyring"))

    def make_certificates(self):
        """A certificate authority of the store's own, and the gateway's certificate by it."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        labkit.run("openssl", "req", "-x509", *key, "-days", "3650", "-subj", "/CN=test store", "-addext", "basicConstraints=critical,CA:true",
                   "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        labkit.run("openssl", "req", *key, "-subj", "/CN=127.0.0.1", "-keyout", self.path("server.key"), "-out", self.path("server.csr"))
        labkit.write(self.path("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        labkit.run("openssl", "x509", "-req", "-in", self.path("server.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"), "-set_serial", "2",
                   "-days", "3650", "-extfile", self.path("server.ext"), "-out", self.path("server.crt"))
        os.chmod(self.path("ca.pem"), 0o644)

    # --- daemons

    def launch(self, name, *argv):
        with open(self.path(f"{name}.out"), "ab") as out:
            process = subprocess.Popen([argv[0], "--conf", self.path("ceph.conf"), *argv[1:], "-f"], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True, cwd=self.dir, **self.account())
        self.state["pids"][name] = [process.pid, labkit.start_time(process.pid)]
        self.save()
        return process

    def start(self):
        self.launch("mon", "ceph-mon", "-i", "a")
        uuid = labkit.read("/proc/sys/kernel/random/uuid").strip()
        # one process for all of them: its start takes longer than what it does
        self.ceph("ceph", "--connect-timeout", str(DEADLINE), input=f"osd new {uuid} 0\nosd crush add-bucket lo host\nosd crush move lo root=default\n"
                  "osd crush add osd.0 1.0 host=lo\n")
        self.ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
        self.launch("osd", "ceph-osd", "-i", "0")
        self.start_gateway()

    def start_gateway(self):
        process = self.launch("rgw", "radosgw", "-n", "client.rgw")
        labkit.wait_port(self.port("http"), process, self.path("rgw.out"), DEADLINE)

    def stop_gateway(self):
        """The store is away, until start_gateway."""
        labkit.end_process(*self.state["pids"].pop("rgw"))
        self.save()

    def stop(self):
        for name in ("rgw", "osd", "mon"):
            if name in self.state["pids"]:
                labkit.end_process(*self.state["pids"].pop(name), 3)
        self.save()

    def down(self):
        self.stop()
        shutil.rmtree(self.dir)

    # --- users and buckets

    def make_users(self):
        """All at once: radosgw-admin takes long to start."""
        with concurrent.futures.ThreadPoolExecutor(len(USERS)) as pool:
            list(pool.map(self.make_user, USERS))

    def make_user(self, name):
        access, secret = USERS[name]
        self.ceph("radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={name}", f"--display-name={name}", f"--access-key={access}",
                  f"--secret-key={secret}", *([] if name == "owner" else ["--max-buckets=-1"]))

    def client(self, user):
        return Client(self.port("http"), *USERS[user])

    def write_credentials(self, path, user="writer"):
        """Whole or not at all: an archiver may start just now."""
        access, secret = USERS[user]
        os.replace(labkit.write(f"{path}.{os.getpid()}", f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n", 0o600), path)
        return path

    def credentials(self, bucket, user="writer"):
        """Where those of the collectors that put into a bucket are."""
        return self.path(f"{user}.{bucket}.credentials")

    def archive_section(self, bucket, prefix="c1", user="writer", port=None, **options):
        """The lines of collectord.conf that put evidence here, by TLS; port: of something in between, without it."""
        options = {"endpoint": f"https://127.0.0.1:{self.port('https')}" if port is None else f"http://127.0.0.1:{port}", "bucket": bucket, "prefix": prefix,
                   "credentials": self.write_credentials(self.credentials(bucket, user), user), "ca_file": self.path("ca.pem"), **options}
        return ["archive {", *(f"\t{name} = {json.dumps(value)}" for name, value in options.items()), "}"]

    def fetch(self, bucket, prefix, directory):
        """The bucket as a store's directory: what a reader has of it."""
        reader = self.client("reader")
        receipts = {}
        for one in reader.versions(bucket, prefix + "/"):
            path = os.path.join(directory, one["key"].removeprefix(prefix + "/"))
            if one["marker"]:
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            data = reader.get(bucket, one["key"], one["version"])
            folder, _, name = path.rpartition("/")
            if name.startswith("receipts."):
                receipts.setdefault(folder, {})[name] = data
            elif name.startswith("checkpoint.") and name[11:].isdigit():
                newest = max((int(n[11:]) for n in os.listdir(folder) if n.startswith("checkpoint.") and n[11:].isdigit()), default=-1)
                if int(name[11:]) >= newest:
                    with open(os.path.join(folder, "checkpoint"), "wb") as f:
                        f.write(data)
            with open(path, "wb") as f:
                f.write(data)
        for folder, found in receipts.items():
            with open(os.path.join(folder, "receipts"), "wb") as f:
                f.write(b"".join(found[name] for name in sorted(found)))

    def set_rule(self, name, days):
        """What the bucket locks objects for whose put does not say it."""
        self.client("owner").ask("PUT", f"/{name}", {"object-lock": ""}, "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
                                 f"<DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>".encode())

    def make_bucket(self, name, days=None, lock=True, look=False, user_denied=()):
        """A new bucket of `owner`, with Object Lock: writer may put, reader may read; its whole name. days: what the bucket's rule locks for.
        look: the writer may see locks, too. user_denied: what it may not do besides."""
        owner, name = self.client("owner"), f"{name}-{secrets.token_hex(4)}"
        owner.ask("PUT", f"/{name}", headers={"x-amz-bucket-object-lock-enabled": "true"} if lock else {})
        if days is not None:
            self.set_rule(name, days)

        def statement(effect, user, actions):
            return {"Effect": effect, "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]}, "Action": [f"s3:{a}" for a in actions],
                    "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}
        policy = {"Version": "2012-10-17", "Statement": [statement("Allow", "writer", ["PutObject", *(["GetObjectRetention"] if look else [])]),
                                                         statement("Deny", "writer", [*WRITER_DENIED, *user_denied]), statement("Allow", "reader", READER_ALLOWED)]}
        owner.ask("PUT", f"/{name}", {"policy": ""}, json.dumps(policy).encode())
        return name


class Between:
    """Stands between a client and a port on 127.0.0.1 and passes bytes on. `step(request line, step)` is called at each step of each
    request that it can read (no TLS): "come" before anything is passed on, "half" after half of the body, "stored" when the answer is
    there and nobody has it, "told" when it has been passed on; if it returns True both connections are cut there and then. Bytes at "come" are
    the answer, and nothing is passed on."""

    STEPS = ("come", "half", "stored", "told")

    def __init__(self, port, step=None, address="127.0.0.1"):
        self.to, self.step, self.refusing = port, step, False
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.stopped = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.stopped:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self):
        self.stopped = True
        # wakes who waits in accept()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def refuse(self):
        """Nobody is there: new connections are refused, and those that are open are cut at their next request."""
        self.refusing = True
        self.close()

    def accept_again(self):
        self.refusing = self.stopped = False
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.to)) as store:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.step is None:
                    self.blind(client, store)
                else:
                    while self.one(client, store):
                        pass
        except OSError:
            pass

    @staticmethod
    def blind(client, store):
        other = {client: store, store: client}
        while True:
            for one in select.select(list(other), [], [])[0]:
                data = one.recv(1 << 16)
                if not data:
                    return
                other[one].sendall(data)

    @staticmethod
    def message(s, bare=False):
        """Head and body of one message; (b"", b"") at the end. Bare: an answer to HEAD, whose length is that of what it does not bring."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = s.recv(1 << 16)
            if not piece:
                return b"", b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        want = int(length.group(1)) if length and not bare else 0
        while len(body) < want:
            piece = s.recv(1 << 16)
            if not piece:
                return b"", b""
            body += piece
        return head + b"\r\n\r\n", body

    def one(self, client, store):
        """One request and its answer. False: the connection is over."""
        head, body = self.message(client)
        if not head:
            return False
        line = head.split(b"\r\n")[0].decode()
        # the body is here: nobody has to be told to send it
        head = re.sub(rb"(?im)^expect:[^\r]*\r\n", b"", head)
        said = self.refusing or self.step(line, "come")
        if isinstance(said, bytes):
            client.sendall(said)
            return True
        if said:
            return False
        store.sendall(head + body[:len(body) // 2])
        if self.step(line, "half"):
            return False
        store.sendall(body[len(body) // 2:])
        answer = b"".join(self.message(store, line.startswith("HEAD ")))
        if not answer or self.step(line, "stored"):
            return False
        client.sendall(answer)
        return not self.step(line, "told")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down"):
        sys.exit(__doc__.strip())
    if sys.argv[1] == "down":
        ObjectStore(sys.argv[2]).down()
        return
    store = ObjectStore.create(sys.argv[2])
    print(f"http://127.0.0.1:{store.port('http')} https://127.0.0.1:{store.port('https')} ca {store.path('ca.pem')}")
    for name, (access, secret) in USERS.items():
        print(name, access, secret)


if __name__ == "__main__":
    main()
