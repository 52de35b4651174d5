"""Capabilities with real clients: sftp and scp in one direction, exactly this command, a forward to exactly this destination."""
import filecmp
import hashlib
import os
import shutil
import socket

import pytest

from harness import Echo, labkit, recording_of, replay, until


def sftp(user, target, *lines):
    return user.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", user.config, target, stdin="\n".join(lines).encode() + b"\n", check=False)


def scp(user, *args):
    return user.tool("scp", "-q", "-F", user.config, *args, check=False)


def exported(lab, user):
    return replay(lab, "export", "--json", recording_of(lab, user.user)).stdout.decode()


@pytest.fixture
def payload(tmp_path, home, lab):
    path = tmp_path / "payload"
    path.write_bytes(os.urandom(700_001))
    there = os.path.join(home, "there")
    with open(there, "wb") as f:
        f.write(path.read_bytes())
    os.chmod(there, 0o666)
    os.chown(there, labkit.DBA_UID, labkit.DBA_UID)
    return path, there


def test_sftp_read_alone(lab, allowed, target, home, tmp_path, payload):
    user = allowed("sftp-read")
    path, there = payload
    done = sftp(user, target, f"ls -l {home}", f"get {there} {tmp_path}/back")
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    for line in (f"put {path} {home}/new", f"rename {there} {home}/x", f"rm {there}", f"mkdir {home}/d", f"chmod 600 {there}",
                 f"ln {there} {home}/link", f"symlink {there} {home}/link", f"put {path} {there}"):
        done = sftp(user, target, line)
        assert done.returncode != 0 and b"ermission denied" in done.stderr, (line, done.stderr)
    assert os.listdir(home) == ["there"] and os.stat(there).st_mode & 0o777 == 0o666
    # one refusal does not disturb what stands around it
    done = sftp(user, target, f"-rm {there}", f"get {there} {tmp_path}/again", f"-put {path} {there}", f"get {there} {tmp_path}/third")
    assert done.returncode == 0 and filecmp.cmp(path, tmp_path / "third", shallow=False)
    text = exported(lab, user)
    assert '"refused"' in text and "remove" in text and there in text
    assert [row for row in lab.ctl_json("events", "--user", user.user)["rows"] if row["kind"] == "channel.refused"]


def test_sftp_write_alone(lab, allowed, target, home, tmp_path, payload):
    user = allowed("sftp-write")
    path, there = payload
    done = sftp(user, target, f"put {path} {home}/new", f"rename {home}/new {home}/newer")
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(path, os.path.join(home, "newer"), shallow=False)
    for line in (f"get {there} {tmp_path}/back", f"ls {home}"):
        done = sftp(user, target, line)
        assert done.returncode != 0 and b"ermission denied" in done.stderr, (line, done.stderr)
    assert not (tmp_path / "back").exists() or (tmp_path / "back").stat().st_size == 0


def test_one_direction_across_key_exchanges(allowed, target, home, tmp_path):
    """What decides on each packet holds some while libssh exchanges keys, and bytes move under it."""
    path, there = tmp_path / "payload", os.path.join(home, "there")
    path.write_bytes(os.urandom(4_000_000))
    shutil.copyfile(path, there)
    os.chmod(there, 0o644)
    for user, line in ((allowed("sftp-read"), f"get {there} {tmp_path}/back"), (allowed("sftp-write"), f"put {path} {home}/new")):
        done = user.tool("sftp", "-q", "-oBatchMode=no", "-b", "-", "-F", user.config, "-o", "RekeyLimit=1M", target, stdin=line.encode() + b"\n",
                         check=False, timeout=120)
        assert done.returncode == 0, done.stderr
    assert filecmp.cmp(path, tmp_path / "back", shallow=False) and filecmp.cmp(path, os.path.join(home, "new"), shallow=False)


@pytest.mark.parametrize("tool", [(), ("-O",)], ids=["sftp", "old"])
def test_scp_in_each_direction(allowed, target, home, tmp_path, payload, tool):
    path, there = payload
    reader, writer = allowed("sftp-read"), allowed("sftp-write")
    assert scp(reader, *tool, f"{target}:{there}", str(tmp_path / "back")).returncode == 0
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    assert scp(writer, *tool, str(path), f"{target}:{home}/up").returncode == 0
    assert filecmp.cmp(path, os.path.join(home, "up"), shallow=False)
    assert scp(reader, *tool, str(path), f"{target}:{home}/no").returncode != 0
    assert scp(writer, *tool, f"{target}:{there}", str(tmp_path / "no")).returncode != 0
    assert not os.path.exists(os.path.join(home, "no")) and not (tmp_path / "no").exists()


def test_files_are_moved_without_a_terminal(engineer, target, home):
    """Also by who may do everything: through a terminal nobody could say which files they are."""
    user = engineer()
    for command in ("/usr/lib/openssh/sftp-server", f"scp -t {home}", f"scp -f {home}"):
        done = user.run(target, command, options=("-tt",))
        assert done.returncode != 0 and b"no terminal with s" in done.stdout + done.stderr, done


def test_no_way_around_the_direction(allowed, target, home, payload):
    """A client that words it otherwise: both flags at once, options after the path, a terminal, sftp-server as a command."""
    path, there = payload
    writer, reader = allowed("sftp-write"), allowed("sftp-read")
    for command in (f"scp -tf {there}", f"scp -t -f {there}", f"scp -t {home} -f", f"cat {there}", "scp -t *"):
        done = writer.run(target, command)
        assert done.returncode != 0 and b"is for sftp-write only" in done.stderr, (command, done.stderr)
    done = reader.run(target, "/usr/lib/openssh/sftp-server", options=("-tt",))
    assert done.returncode != 0 and b"no terminal with sftp" in done.stdout + done.stderr
    done = writer.run(target, f"scp -t {home}", options=("-tt",))
    assert done.returncode != 0 and b"no terminal with scp" in done.stdout + done.stderr
    done = reader.run(target, "/usr/lib/openssh/sftp-server", stdin=b"\0\0\0\0x")
    assert done.returncode != 0 and b"no sftp that could be followed" in done.stderr


def test_exactly_this_command(allowed, target):
    user = allowed('command "echo one two"', "command id -u")
    assert user.run(target, "echo one two", check=True).stdout == b"one two\n"
    assert user.run(target, "id -u", check=True).stdout.strip().isdigit()
    for other in ("echo one  two", "echo one two; id", "echo one two ", "id", "id -u\nid"):
        done = user.run(target, other)
        assert done.returncode != 0 and b"is for command echo one two, command id -u only" in done.stderr, (other, done.stderr)
    assert user.run(target, options=("-tt",)).returncode != 0


def test_connect_is_for_who_may_have_a_shell(allowed):
    """It has no command, and neither has an exec that is empty."""
    done = allowed("exec").run("bastion", options=("-tt",), stdin=b"connect web1 as dba\rexit\r")
    assert b"is for exec only" in done.stdout and b"$ " not in done.stdout and done.returncode == 0, done.stdout


def through(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
    return got


def test_a_forward_goes_where_the_grant_says(lab, allowed, target):
    server, other, port, wrong = Echo(), Echo(), labkit.free_port(), labkit.free_port()
    user = allowed("exec", f"forward 127.0.0.1:{server.port}")
    data = os.urandom(300_000)
    with user.start(target, "cat", options=("-o", "LogLevel=INFO", "-L", f"{port}:127.0.0.1:{server.port}",
                                            "-L", f"{wrong}:127.0.0.1:{other.port}")) as process:
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.read(3) == b"up\n"
        assert through(port, data) == b"echo " + data
        assert through(wrong, b"x") == b""
        process.stdin.close()
        assert process.wait(20) == 0
        assert b"forward 127.0.0.1" in process.stderr.read()
    assert server.seen == 1 and other.seen == 0
    text = until(lambda: exported(lab, user), what="recording")
    assert hashlib.sha256(data).hexdigest() in text and '"forward"' in text and f"127.0.0.1:{server.port}" in text
    kinds = [row["kind"] for row in lab.ctl_json("events", "--user", user.user)["rows"]]
    assert "channel.refused" in kinds and "forward.refused" in kinds


def test_a_forward_without_the_capability_is_none(allowed, target):
    server = Echo()
    user = allowed("exec", "shell")
    done = user.run(target, options=("-W", f"127.0.0.1:{server.port}"), stdin=b"x")
    assert done.stdout == b"" and server.seen == 0
    # by the outer connection it never is one
    user = allowed(f"forward web1:{server.port}")
    done = user.run("bastion", options=("-W", f"web1:{server.port}"), stdin=b"x")
    assert done.returncode != 0 and server.seen == 0
