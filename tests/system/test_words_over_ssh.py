"""`ssh alice@bastion WORDS`: the same words as bastionctl, with the user's own rights; lists as JSON; documented exit codes."""
import json
import os
import re

import pytest

from harness import Client, Terminal


def test_request_approve_use(lab, engineer, target):
    user, bob = engineer(grant=False), Client(lab, "bob")
    done = user.run("bastion", "request", "web1", "--login", "dba", "--for", "2h", "--reason", "'index rebuild'", check=True)
    number = re.search(rb"\d+", done.stdout).group().decode()
    assert int(number) in [row["id"] for row in json.loads(bob.run("bastion", "requests", "--json", check=True).stdout)["rows"]]
    bob.run("bastion", "approve", number, check=True)
    assert user.run(target, "echo in", check=True).stdout == b"in\n"


@pytest.mark.parametrize("words", ["grants", None])
def test_colours_are_the_terminals(lab, deploy, terminals, words):
    """ssh -t: a state has a colour, but on a terminal that says it is dumb nothing is in the way; with a word, and in the console."""
    for term in ("xterm", "dumb"):
        run = terminals(Terminal(deploy.argv("bastion", *([words] if words else []), options=("-tt",)), deploy.env | {"TERM": term}))
        if words is None:
            run.line("grants")
            run.expect(rb"(approved|active).*web1.*> ")
            run.line("exit")
        assert run.wait() == 0 and re.search(rb"approved|active", run.seen), run.seen
        assert bool(re.search(rb"\x1b\[32m(approved|active)\x1b\[0m", run.seen)) == (b"\x1b[1m" in run.seen) == (term == "xterm"), run.seen


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


def printed(client, folder, known=lambda text: text):
    """The lines of `config` in files of their own, as the name of a configuration; known(): what is made of known_hosts."""
    config, hosts = client.run("bastion", "config", check=True).stdout.decode().split("# ~/.ssh/known_hosts\n")
    (folder / "known_hosts").write_text(known(hosts) + "\n")
    lines = folder / "config"
    lines.write_text(f"{config}\nHost *\n    IdentityFile {client.key}\n    IdentitiesOnly yes\n    UserKnownHostsFile {folder}/known_hosts\n"
                     "    GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n")
    return str(lines)


@pytest.mark.parametrize("tool", ["ssh", "scp", "sftp"])
def test_config_lines_work(deploy, home, tmp_path, tool):
    """What `config` prints, put where it says, is all that `ssh web1` and the others need."""
    config, content = printed(deploy, tmp_path), os.urandom(100_000)
    (tmp_path / "file").write_bytes(content)
    if tool == "ssh":
        assert deploy.tool("ssh", "-F", config, "web1", f"cat >{home}/file; whoami", stdin=content).stdout == b"dba\n"
    elif tool == "scp":
        deploy.tool("scp", "-q", "-F", config, f"{tmp_path}/file", f"web1:{home}/file")
    else:
        deploy.tool("sftp", "-q", "-b", "-", "-F", config, "web1", stdin=f"put {tmp_path}/file {home}/file\n".encode())
    with open(f"{home}/file", "rb") as f:
        assert f.read() == content


def test_config_lines_reach_the_bastion_by_its_name(deploy, tmp_path):
    """A refusal advises `ssh deploy@NAME WORD`: with the lines of `config` that command works."""
    config = printed(deploy, tmp_path)
    advice = deploy.run("web1.jump", "true", options=("-l", "root")).stderr.decode()
    name = re.search(r"ssh deploy@(\S+) (hosts|request)", advice).group(1)
    assert b"web1" in deploy.tool("ssh", "-F", config, f"deploy@{name}", "hosts").stdout


def test_config_lines_pin_the_keys(deploy, tmp_path):
    """With the known_hosts of another bastion, ssh goes nowhere."""
    config = printed(deploy, tmp_path, lambda text: "".join(re.findall(r"^(\[127\S+?,)", text, re.M)[:1]) + "web1 " + "ssh-ed25519 "
                     "AAAAC3NzaC1lZDI1NTE5AAAAIJ1VxPOzRFeUz5t0Hpw9xGgrRfFLJ1cOQZ4cSiMeLlvd")
    done = deploy.tool("ssh", "-F", config, "web1", "true", check=False)
    assert done.returncode == 255 and b"HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_own_sessions_and_kill(lab, deploy, way):
    with deploy.start(f"web1.{way}", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        rows = json.loads(deploy.run("bastion", "sessions --json", check=True).stdout)["rows"]
        number = [row["id"] for row in rows if row.get("host") == "web1"][-1]
        deploy.run("bastion", f"kill {number}", check=True)
        assert process.wait(20) != 0


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
