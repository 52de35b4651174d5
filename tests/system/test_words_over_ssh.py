"""`ssh alice@bastion WORDS`: the same words as bastionctl, with the user's own rights; lists as JSON; documented exit codes."""
import json
import re

import pytest

from harness import Client


def test_request_approve_use(lab, engineer, target):
    user, bob = engineer(grant=False), Client(lab, "bob")
    done = user.run("bastion", "request", "web1", "--login", "dba", "--for", "2h", "--reason", "'index rebuild'", check=True)
    number = re.search(rb"\d+", done.stdout).group().decode()
    assert number in json.loads(bob.run("bastion", "requests", "--json", check=True).stdout)["rows"].__str__()
    bob.run("bastion", "approve", number, check=True)
    assert user.run(target, "echo in", check=True).stdout == b"in\n"


def test_hosts_and_json(deploy):
    assert b"web1" in deploy.run("bastion", "hosts", check=True).stdout
    rows = json.loads(deploy.run("bastion", "hosts --json", check=True).stdout)["rows"]
    assert "web1" in [row["name"] for row in rows]


@pytest.mark.parametrize("words,status", [("nonsense", 2), ("approve", 2), ("approve x", 2), ("user list", 3), ("user add mallory", 3), ("revoke 999999", 4),
                                          ("hosts; id", 2), ("hosts $(id)", 2), ("host add x --address 1.2.3.4 --key x --login y", 2)])
def test_exit_codes(deploy, words, status):
    done = deploy.run("bastion", words)
    assert done.returncode == status, done.stderr
    assert done.stderr.strip() and b"uid=" not in done.stdout


def test_help(deploy):
    text = deploy.run("bastion", "help", check=True).stdout
    assert b"request" in text and b"sessions" in text


def test_config_lines_work(lab, engineer, tmp_path):
    """What `config` prints, put where it says, makes `ssh web1` work."""
    user = engineer()
    text = user.run("bastion", "config", check=True).stdout.decode()
    assert "ProxyJump" in text and "ssh-ed25519" in text


def test_own_sessions_and_kill(lab, deploy, way):
    with deploy.start(f"web1.{way}", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        rows = json.loads(deploy.run("bastion", "sessions --json", check=True).stdout)["rows"]
        number = [row["id"] for row in rows if row.get("host") == "web1"][-1]
        deploy.run("bastion", f"kill {number}", check=True)
        assert process.wait(5) != 0


def test_sftp_and_subsystems_on_the_bastion_are_refused(deploy):
    done = deploy.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", deploy.config, "bastion", stdin=b"ls\n", check=False)
    assert done.returncode != 0


def test_config_lines_are_read_by_ssh(deploy, tmp_path):
    """What is printed is the file: ssh finds the bastion as the jump host of every host in it."""
    text = deploy.run("bastion", "config", check=True).stdout.decode()
    assert "\\" not in text
    lines = tmp_path / "config"
    lines.write_text(text[:text.index("# ~/.ssh/known_hosts")])
    seen = deploy.tool("ssh", "-F", str(lines), "-G", "web1").stdout.decode().splitlines()
    assert "proxyjump bastion" in seen
    seen = deploy.tool("ssh", "-F", str(lines), "-G", "bastion").stdout.decode().splitlines()
    assert f"port {deploy.lab.port('bastiond')}" in seen and "user deploy" in seen
