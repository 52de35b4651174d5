"""A PAM session is open from the login to the end of its connection, whoever ends that, and no process waits for it."""
import os
import re
import signal
import subprocess

import pytest

from harness import labkit, until

NOTE = """#!/bin/sh
echo "$PAM_TYPE $PAM_USER $PAM_RHOST $PAM_TTY $CARRIED" >>{file}
[ "$PAM_TYPE" != close_session ] || ! grep -qsx "$PAM_USER" {broken} || kill -9 $PPID
"""


@pytest.fixture(scope="module")
def site(new_lab):
    """The session part of the stack notes what it sees; pam_env gives something that only its opening knows."""
    lab = new_lab()
    note = labkit.write(lab.path("note"), NOTE.format(file=lab.path("sessions"), broken=lab.path("broken")), 0o755)
    labkit.write(lab.path("carried"), "CARRIED=over\n")
    path = lab.path("pam.d", "bastiond")
    labkit.write(path, labkit.read(path).replace("session required pam_permit.so\n", f"""session required pam_env.so conffile=/dev/null envfile={lab.path('carried')}
session required pam_exec.so {note}
"""))
    return lab


def noted(lab, user):
    text = labkit.read(lab.path("sessions")) if os.path.exists(lab.path("sessions")) else ""
    return [row for row in text.splitlines() if f" {user} " in row]


def workers(lab):
    """Processes of this lab's bastiond that are in PAM."""
    parent = lab.state["pids"]["bastiond"][0]
    rows = subprocess.run(["ps", "--ppid", str(parent), "-o", "comm="], capture_output=True, text=True, check=False).stdout
    return [row for row in rows.split() if row == "bastiond-pam"]


def session_pid(lab):
    """The newest session's process: a child of master."""
    parent = lab.state["pids"]["bastiond"][0]
    pids = re.findall(r"\d+", subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True, check=False).stdout)
    return max(int(pid) for above in pids for pid in re.findall(r"\d+", subprocess.run(
        ["ps", "--ppid", above, "-o", "pid="], capture_output=True, text=True, check=False).stdout))


def rows(user, *kinds):
    return [f"{kind}_session {user} 127.0.0.1 ssh over" for kind in kinds]


@pytest.fixture
def opened(site, engineer):
    """A connection that is open, and its user."""
    client = engineer(site)
    with client.start("web1.name", "cat", bufsize=0) as process:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
        assert noted(site, client.user) == rows(client.user, "open")
        until(lambda: not workers(site), what="the worker of the login is gone")
        yield process, client.user
        process.kill()


def closed(site, user, deadline=10):
    until(lambda: len(noted(site, user)) >= 2, deadline=deadline, what="the session is closed")
    assert noted(site, user) == rows(user, "open", "close")


def test_client_leaves(site, opened):
    process, user = opened
    process.stdin.close()
    assert process.wait(10) == 0
    closed(site, user)


def test_session_process_is_killed(site, opened):
    _, user = opened
    os.kill(session_pid(site), signal.SIGKILL)
    closed(site, user)


def test_bastiond_ends(site, opened):
    _, user = opened
    site.stop("bastiond")
    closed(site, user, 1)
    site.start("bastiond")


def test_all_roles_fall(site, opened):
    """kill -9 of policy takes every session with it: parent still closes what was opened."""
    _, user = opened
    parent = site.state["pids"]["bastiond"][0]
    pid = subprocess.run(["pgrep", "-P", str(parent), "-f", "--", "-R policy"], capture_output=True, text=True, check=True).stdout.strip()
    os.kill(int(pid), signal.SIGKILL)
    closed(site, user)
    site.control.close()
    site.control = None
    until(lambda: "ready: policy" in labkit.read(site.path("log", "bastiond")).rpartition("roles start again")[2], what="the roles are back")


def test_login_that_policy_refuses(site, engineer):
    """A stack that opens a session without a code: no login, and the session does not stay open."""
    path, client = site.path("pam.d", "bastiond"), engineer(site)
    stack = labkit.read(path)
    try:
        labkit.write(path, re.sub(r"^auth .*$", "auth required pam_permit.so", stack, flags=re.M))
        assert client.run("bastion", "hosts").returncode == 255
        closed(site, client.user)
    finally:
        labkit.write(path, stack)


def test_crowd_that_leaves_at_once(site, engineer):
    """Sessions that end together are closed by one process; a module that breaks at one of them costs the others nothing."""
    clients = [engineer(site) for _ in range(4)]
    processes = [client.start("web1.name", "cat", bufsize=0) for client in clients]
    for process in processes:
        process.stdin.write(b"up\n")
        assert process.stdout.read(3) == b"up\n"
    labkit.write(site.path("broken"), clients[1].user + "\n")
    for process in processes:
        process.stdin.close()
    for process in processes:
        assert process.wait(10) == 0
    for client in clients:
        closed(site, client.user)
    until(lambda: not workers(site), what="the closers are gone")
    os.unlink(site.path("broken"))
    for client in clients:
        assert noted(site, client.user) == rows(client.user, "open", "close")
