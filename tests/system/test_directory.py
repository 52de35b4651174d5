"""bastionctl sync: people and roles from a file, and from a real LDAP server (slapd); who is gone there is ended here."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from harness import Client, labkit, until


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def conf(lab, **options):
    return labkit.write(lab.path("directory.conf"), "".join(f'{key} = "{value}"\n' for key, value in options.items()), 0o600)


def sync(lab, *words):
    """What it says, also where it fails."""
    return subprocess.run([lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), "sync", *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


def state_of(lab, user):
    rows = [row for row in lab.ctl_json("user", "list", "--limit", "1000")["rows"] if row["name"] == user]
    return rows[0]["state"] if rows else None


def test_a_file(own):
    source = labkit.write(own.path("people"), "# the staff\nzoe dba Zoe Example\nyan - Yan Example\nalice dba alice of the lab\n", 0o600)
    path = conf(own, source=f"file:{source}")
    shown = own.ctl("sync", path, "--dry-run")
    assert "zoe" in shown and state_of(own, "zoe") is None
    own.ctl("sync", path)
    assert state_of(own, "zoe") == "active" and own.ctl_json("user", "show", "zoe")["row"]["roles"] == ["dba"]
    alice = Client(own, "alice")
    with alice.start("web1.name", "cat") as session:
        session.stdin.write(b"hello\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"hello\n"
        labkit.write(source, "zoe dba Zoe Example\nyan - Yan Example\n", 0o600)
        own.ctl("sync", path)
        assert session.wait(20) != 0
    assert alice.run("bastion", "hosts").returncode == 255
    labkit.write(source, "# nobody\n", 0o600)
    with pytest.raises(labkit.LabError, match="named nobody"):
        own.ctl("sync", path)
    labkit.write(source, "zoe\n", 0o600)
    out = sync(own, path)
    assert out.returncode == 5 and f"{source}:1: write NAME" in out.stderr and "nothing is changed" in out.stderr, out
    out = sync(own, conf(own, source=f"file:{source}.gone"))
    assert out.returncode == 5 and f"{source}.gone" in out.stderr and "not read to its end" in out.stderr and "nobody" not in out.stderr, out
    conf(own, source=f"file:{source}")
    assert sync(own, f"{path}.gone").returncode == 2
    assert state_of(own, "zoe") == "active" == state_of(own, "yan")
    # entries that cannot be taken end nobody, and do not keep the others out
    groups = ",".join(f"group{i:02}" for i in range(80))
    labkit.write(source, f"zoe dba {'Z' * 65}\nyan {groups} Yan Example\nAnn - Ann\nxan - Xan Example\n", 0o600)
    out = sync(own, path)
    assert out.returncode == 0 and out.stderr.count("stays as it is") == 2 and "left out: Ann" in out.stderr, out
    labkit.write(source, "zoe dba Zo\x1be\nyan - Yan Example\nxan - Xan Example\n", 0o600)
    own.ctl("sync", path)
    assert state_of(own, "zoe") == state_of(own, "yan") == state_of(own, "xan") == "active"
    assert own.ctl_json("user", "show", "zoe")["row"]["roles"] == ["dba"]


def connects(path):
    """Somebody listens: the file is there before that."""
    with socket.socket(socket.AF_UNIX) as it:
        return it.connect_ex(path) == 0


@pytest.fixture
def slapd():
    """A server of its own on a unix socket, and at .tcp with TLS on demand: the socket's URI."""
    yield from serve(True)


@pytest.fixture
def clear_slapd():
    """The same without TLS."""
    yield from serve(False)


class Uri(str):
    tcp = ca = ""


def serve(tls):
    folder = tempfile.mkdtemp(prefix="slapd-", dir="/tmp")
    uri = Uri("ldapi://" + (folder + "/socket").replace("/", "%2F"))
    uri.tcp, uri.ca = f"ldap://127.0.0.1:{labkit.free_port()}", f"{folder}/cert"
    labkit.run("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", f"{folder}/key", "-out", uri.ca, "-days", "2", "-subj",
               "/CN=directory", "-addext", "subjectAltName=IP:127.0.0.1")
    certificate = f"TLSCertificateFile {uri.ca}\nTLSCertificateKeyFile {folder}/key\n" if tls else ""
    os.mkdir(f"{folder}/db")
    labkit.write(f"{folder}/slapd.conf", f"""include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
{certificate}sizelimit size.soft=2 size.hard=1000 size.prtotal=unlimited
database mdb
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw secret
directory {folder}/db
""")
    process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", f"{folder}/slapd.conf", "-h", f"{uri} {uri.tcp}"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: connects(f"{folder}/socket"), 20, what="slapd listens")
    os.chmod(folder, 0o755)
    yield uri
    process.terminate()
    process.wait(20)
    shutil.rmtree(folder)


def ldap(uri, tool, text, *options):
    labkit.run(tool, "-x", "-H", uri, "-D", "cn=admin,dc=example", "-w", "secret", *options, input=text)


def person(name, role):
    return f"dn: uid={name},dc=example\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name} of LDAP\nsn: X\nou: cn=bastion-{role},ou=groups\nou: cn=other\n\n"


def test_ldap(new_lab, slapd):
    lab = new_lab(people=False)
    names = [f"ldap{i}" for i in range(7)]
    ldap(slapd, "ldapadd", "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n" +
         "".join(person(name, "dba") for name in names))
    secret = labkit.write(lab.path("secret"), "secret\n", 0o600)
    options = {"source": slapd, "base": "dc=example", "filter": "(objectClass=inetOrgPerson)", "bind": "cn=admin,dc=example", "secret": secret,
               "roles": "ou", "roles_prefix": "bastion-"}
    path = conf(lab, **options)
    lab.ctl("sync", path)
    assert [state_of(lab, name) for name in names] == ["active"] * 7
    assert lab.ctl_json("user", "show", "ldap3")["row"]["roles"] == ["dba"]
    assert lab.ctl_json("user", "show", "ldap3")["row"]["person"] == "ldap3 of LDAP"
    ldap(slapd, "ldapdelete", "uid=ldap0,dc=example\n")
    lab.ctl("sync", path)
    assert state_of(lab, "ldap0") is None and state_of(lab, "ldap1") == "active"
    # roles that are not to be read are nobody's loss; without that option they are not the directory's to say
    roles = lambda: [lab.ctl_json("user", "show", name)["row"]["roles"] for name in names[1:]]
    with pytest.raises(labkit.LabError, match="6 of 6 who have a role would have none"):
        lab.ctl("sync", conf(lab, **options | {"roles_prefix": "bastoin-"}))
    lab.ctl("sync", conf(lab, **{key: value for key, value in options.items() if not key.startswith("roles")}))
    assert roles() == [["dba"]] * 6
    # wrong words to the server, or a filter that finds nobody: nobody ends
    with pytest.raises(labkit.LabError, match="nothing is changed"):
        lab.ctl("sync", conf(lab, **options | {"filter": "(uid=nobody)"}))
    labkit.write(secret, "wrong\n", 0o600)
    with pytest.raises(labkit.LabError, match="nothing is changed|named nobody"):
        lab.ctl("sync", conf(lab, **options))
    assert [state_of(lab, name) for name in names[1:]] == ["active"] * 6


def test_no_password_in_clear(new_lab, slapd, clear_slapd):
    lab = new_lab(people=False)
    secret = labkit.write(lab.path("secret"), "secret\n", 0o600)
    options = {"base": "dc=example", "filter": "(objectClass=inetOrgPerson)", "bind": "cn=admin,dc=example", "secret": secret}
    for uri in (slapd, clear_slapd):
        ldap(uri, "ldapadd", "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n" + person("zed", "dba"))
    with pytest.raises(labkit.LabError, match="StartTLS"):
        lab.ctl("sync", conf(lab, source=clear_slapd.tcp, **options))
    with pytest.raises(labkit.LabError, match="StartTLS"):
        lab.ctl("sync", conf(lab, source=slapd.tcp, **options))    # a certificate that nobody vouches for
    assert state_of(lab, "zed") is None
    lab.ctl("sync", conf(lab, source=slapd.tcp, tls_ca=slapd.ca, **options))
    assert state_of(lab, "zed") == "active"


def tlv(tag, *parts):
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body


PAGED = tlv(4, b"1.2.840.113556.1.4.319")
RESULT = bytes([10, 1, 0, 4, 0, 4, 0])


def answer(server, page):
    """One client: a bind, and a search that finds one person and ends with these controls."""
    with server.accept()[0] as client:
        for ends in (False, True):
            asked = client.recv(4096)    # 30 LEN 02 01 NUMBER
            number = asked[asked.index(b"\x02\x01") + 2:][:1]
            message = lambda *parts: tlv(0x30, b"\x02\x01", number, *parts)
            if not ends:
                client.sendall(message(tlv(0x61, RESULT)))
                continue
            found = tlv(0x64, tlv(4, b"uid=one,dc=example"), tlv(0x30, tlv(0x30, tlv(4, b"uid"), tlv(0x31, tlv(4, b"one"))),
                                                             tlv(0x30, tlv(4, b"cn"), tlv(0x31, tlv(4, b"One Example")))))
            client.sendall(message(found) + message(tlv(0x65, RESULT), tlv(0xa0, page)))
            client.recv(4096)


@pytest.mark.parametrize("page, ends", [(tlv(0x30, PAGED, tlv(4, tlv(0x30, b"\x02\x01\x00", tlv(4)))), "whole"),
                                        (tlv(0x30, PAGED, tlv(4, b"\x30\x7f\x02")), "partial")])
def test_a_page_that_cannot_be_read_is_not_the_last(own, page, ends):
    path = f"/tmp/ldap-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        try:
            os.chmod(path, 0o777)
            server.listen(1)
            thread = threading.Thread(target=answer, args=(server, page), daemon=True)
            thread.start()
            said = sync(own, conf(own, source="ldapi://" + path.replace("/", "%2F"), base="dc=example"), "--share", "100", "--dry-run")
            thread.join(20)
        finally:
            os.unlink(path)
    assert ("one" in said.stdout) == (ends == "whole"), said
    assert ("nothing is changed" in said.stderr) == (ends == "partial"), said


@pytest.mark.parametrize("text, says", [("foo = x\n", ":1: no such option 'foo'"), ('source = "http://x"\n', "source: write file:/PATH"), ("", "source: write file:/PATH"),
                                        ('source = "ldap://x"\nfilter = "' + "(" * 5000 + '"\n', "filter: at most "), (None, "No such file")])
def test_a_wrong_description_of_the_directory(lab, tmp_path, text, says):
    path = tmp_path / "sync.conf"
    if text is not None:
        path.write_text(text)
    out = subprocess.run([lab.bin("bastionctl"), "-f", lab.path("bastiond.conf"), "sync", str(path)], capture_output=True, text=True, check=False)
    assert out.returncode == 2 and says in out.stderr, out
