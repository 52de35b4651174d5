"""ed25519, ECDSA and RSA host keys, so that older clients find one they know; algorithms that are too old are not offered."""
import base64
import os

import pytest

from harness import Client, events, labkit, until


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"])
def test_offered(deploy, target, algorithm):
    done = deploy.run(target, "echo in", options=("-o", f"HostKeyAlgorithms={algorithm}"), check=True)
    assert done.stdout == b"in\n"


@pytest.mark.parametrize("options", ["HostKeyAlgorithms=ssh-rsa", "KexAlgorithms=diffie-hellman-group1-sha1", "KexAlgorithms=diffie-hellman-group14-sha1",
                                     "Ciphers=3des-cbc", "Ciphers=aes128-cbc", "MACs=hmac-md5"])
def test_not_offered(deploy, options):
    done = deploy.run("bastion", "hosts", options=("-o", "LogLevel=INFO", "-o", options, *(("-o", "Ciphers=aes128-ctr") if options.startswith("MACs") else ())))
    assert done.returncode == 255 and b"no matching" in done.stderr


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
def test_ciphers(deploy, target, cipher):
    assert len(deploy.run(target, "head -c 1000000 /dev/zero", options=("-c", cipher), check=True).stdout) == 1_000_000


def test_changed_host_key_of_the_target(new_lab):
    """A target that shows another key than the pinned one is not used, and that is an event. Of sixteen, as machines behind one address have,
    each is as good as another."""
    lab = new_lab()
    others = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([n] * 32) for n in range(15)]
    pinned = [f"ssh-ed25519 {base64.b64encode(key).decode()}" for key in others] + [labkit.read(lab.path("target", "ssh_host_ed25519_key.pub")).strip()]
    lab.ask("host add", host="web-many", address="127.0.0.1", port=lab.port("target"), key=pinned, login=["dba"])
    lab.grant("deploy", host="web-many")
    assert Client(lab, "deploy").run("web1.name", "echo in", options=("-l", "deploy@dba@web-many"), check=True).stdout == b"in\n"
    lab.stop("target")
    path = lab.path("target", "ssh_host_ed25519_key")   # of this type the pinned one is
    os.unlink(path)
    os.unlink(path + ".pub")
    labkit.keygen(path)
    lab.start("target")
    client = Client(lab, "deploy")
    for target in ("web1.name", "web1.jump"):
        done = client.run(target, "echo in")
        assert done.returncode != 0 and done.stdout == b"" and b"key" in done.stderr
    until(lambda: events(lab, "hostkey.mismatch"), what="the event")
