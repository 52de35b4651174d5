"""bastionctl sync: people and roles from a file, and from a real LDAP server (slapd); who is gone there is ended here."""
import os
import shutil
import subprocess
import tempfile

import pytest

from harness import Client, labkit, until


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab()


def conf(lab, **options):
    return labkit.write(lab.path("directory.conf"), "".join(f'{key} = "{value}"\n' for key, value in options.items()), 0o600)


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
    with pytest.raises(labkit.LabError, match="nothing is changed"):
        own.ctl("sync", path)
    assert state_of(own, "zoe") == "active" == state_of(own, "yan")


@pytest.fixture
def slapd():
    """A server of its own on a unix socket: its URI."""
    folder = tempfile.mkdtemp(prefix="slapd-", dir="/tmp")
    uri = "ldapi://" + (folder + "/socket").replace("/", "%2F")
    os.mkdir(f"{folder}/db")
    labkit.write(f"{folder}/slapd.conf", f"""include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
sizelimit size.soft=2 size.hard=1000 size.prtotal=unlimited
database mdb
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw secret
directory {folder}/db
""")
    process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", f"{folder}/slapd.conf", "-h", uri], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: os.path.exists(f"{folder}/socket"), 20, what="slapd listens")
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
    # wrong words to the server, or a filter that finds nobody: nobody ends
    with pytest.raises(labkit.LabError, match="nothing is changed"):
        lab.ctl("sync", conf(lab, **options | {"filter": "(uid=nobody)"}))
    labkit.write(secret, "wrong\n", 0o600)
    with pytest.raises(labkit.LabError, match="nothing is changed|named nobody"):
        lab.ctl("sync", conf(lab, **options))
    assert [state_of(lab, name) for name in names[1:]] == ["active"] * 6
