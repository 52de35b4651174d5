"""Other clients than OpenSSH: paramiko, asyncssh, PuTTY's plink and psftp, Dropbear's dbclient."""
import asyncio
import os
import shutil

import asyncssh
import paramiko
import pytest

from harness import labkit

NAME = "deploy@dba@web1"


def key_of(lab, user="deploy"):
    return lab.path("users", user, "key")


def test_paramiko_exec_and_sftp(lab, home):
    client = paramiko.SSHClient()
    client.load_host_keys(lab.path("known_hosts"))
    client.connect("127.0.0.1", lab.port("bastiond"), NAME, key_filename=key_of(lab), allow_agent=False, look_for_keys=False, timeout=15)
    _, out, err = client.exec_command("cat; echo wrong >&2; exit 3")
    out.channel.sendall(b"hello")
    out.channel.shutdown_write()
    assert (out.read(), err.read(), out.channel.recv_exit_status()) == (b"hello", b"wrong\n", 3)
    data = os.urandom(1_500_000)
    with client.open_sftp() as sftp:
        with sftp.open(f"{home}/p", "wb") as f:
            f.write(data)
        with sftp.open(f"{home}/p", "rb") as f:
            assert f.read() == data
    client.close()


def test_a_large_certificate_before_the_registered_key(lab, deploy, tmp_path):
    """An agent offers it first: a key that is registered nowhere, refused as any other, and no end of the connection."""
    for name in ("ca", "other"):
        labkit.keygen(f"{tmp_path}/{name}")
    labkit.run("ssh-keygen", "-q", "-s", f"{tmp_path}/ca", "-I", "deploy", "-n", ",".join(f"role-of-a-project-{i:04}@example.net" for i in range(240)),
               f"{tmp_path}/other.pub")
    done = deploy.run("bastion", "help", options=("-v", "-i", f"{tmp_path}/other"), check=True)
    offered = [line for line in done.stderr.decode().splitlines() if "Offering public key" in line]
    assert any("ED25519-CERT" in line for line in offered[:-1]) and deploy.key in offered[-1], offered


def test_paramiko_with_a_code(engineer, lab):
    user = engineer()
    transport = paramiko.Transport(("127.0.0.1", lab.port("bastiond")))
    transport.start_client(timeout=10)
    name = f"{user.user}@dba@web1"
    assert transport.auth_publickey(name, paramiko.Ed25519Key.from_private_key_file(user.key)) == ["keyboard-interactive"]
    transport.auth_interactive(name, lambda title, text, prompts: [labkit.next_code(user.env["LAB_CODE"]) for _ in prompts])
    channel = transport.open_session(timeout=10)
    channel.exec_command("echo in")
    assert channel.makefile().read() == b"in\n"
    transport.close()


def test_paramiko_jump(lab):
    outer = paramiko.SSHClient()
    outer.load_host_keys(lab.path("known_hosts"))
    outer.connect("127.0.0.1", lab.port("bastiond"), "deploy", key_filename=key_of(lab), allow_agent=False, look_for_keys=False)
    channel = outer.get_transport().open_channel("direct-tcpip", ("web1", 22), ("127.0.0.1", 1))
    inner = paramiko.Transport(channel)
    inner.start_client(timeout=15)
    inner.auth_none("dba")
    session = inner.open_session()
    session.exec_command("echo inside")
    assert session.makefile().read() == b"inside\n"
    outer.close()


def test_asyncssh(lab, tmp_path):
    async def talk():
        bastion = await asyncssh.connect("127.0.0.1", lab.port("bastiond"), username="deploy", client_keys=[key_of(lab)],
                                         known_hosts=None, config=None, agent_path=None)
        async with bastion, await bastion.connect_ssh("web1", 22, username="dba", known_hosts=None, config=None, client_keys=None) as target:
            done = await target.run("cat; exit 4", input="hello", check=False)
            assert (done.stdout, done.exit_status) == ("hello", 4)
    asyncio.run(asyncio.wait_for(talk(), 30))


@pytest.fixture
def putty(lab, tmp_path):
    """plink's words up to the host, with the key in PuTTY's format and the host key given."""
    if not shutil.which("puttygen"):
        pytest.skip("no puttygen")
    labkit.run("puttygen", key_of(lab), "-o", str(tmp_path / "key.ppk"), "-O", "private")
    known = [line.split()[1:3] for line in labkit.read(lab.path("known_hosts")).splitlines()]
    prints = []
    for i, words in enumerate(known):
        path = labkit.write(str(tmp_path / f"host{i}.pub"), " ".join(words) + "\n")
        prints += ["-hostkey", labkit.run("ssh-keygen", "-lf", path).split()[1]]
    return lambda program: [program, "-batch", "-P", str(lab.port("bastiond")), "-i", str(tmp_path / "key.ppk"), *prints]


def test_plink(deploy, putty):
    done = deploy.tool(*putty("plink"), f"{NAME}@127.0.0.1", "cat; exit 6", stdin=b"hello", check=False, env={"HOME": "/nonexistent"})
    assert (done.stdout, done.returncode) == (b"hello", 6), done.stderr


def test_psftp(deploy, putty, home, tmp_path):
    (tmp_path / "x").write_bytes(bytes(100_000))
    batch = labkit.write(str(tmp_path / "batch"), f"put {tmp_path}/x {home}/x\nquit\n")
    deploy.tool(*putty("psftp"), "-b", batch, f"{NAME}@127.0.0.1", env={"HOME": "/nonexistent"})
    assert os.path.getsize(f"{home}/x") == 100_000


def test_dbclient(deploy, lab, tmp_path):
    labkit.run("dropbearconvert", "openssh", "dropbear", key_of(lab), str(tmp_path / "key"))
    done = deploy.tool("dbclient", "-y", "-y", "-T", "-p", str(lab.port("bastiond")), "-i", str(tmp_path / "key"), "-l", NAME, "127.0.0.1",
                       "cat; exit 6", stdin=b"hello", check=False, env={"HOME": str(tmp_path)})
    assert (done.stdout, done.returncode) == (b"hello", 6), done.stderr
