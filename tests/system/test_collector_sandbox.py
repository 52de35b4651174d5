"""The collector's processes work inside their sandboxes: each has its filter, and a reload, which reads keys and configuration again, does
not need what they have given up."""
import os
import re
import signal

from harness import Client, labkit, seccomp, until


def status(path):
    return dict(line.split(":\t", 1) for line in labkit.read(path).splitlines() if ":\t" in line)


def test_all_are_inside(lab):
    pid = lab.state["pids"]["collector"][0]
    processes = labkit.family(pid)
    assert len(processes) == 2, "the collector and the process that reads the keys"
    for process in processes:
        for thread in os.listdir(f"/proc/{process}/task"):
            row = status(f"/proc/{process}/task/{thread}/status")
            assert row["Seccomp"] == seccomp() and row["NoNewPrivs"] == "1", row
    assert seccomp() == "0" or labkit.read(lab.path("log", "collector")).count("sandbox closed: seccomp, Landlock") >= 2


def test_the_unit_leaves_them_their_sandboxes():
    """What closes a sandbox is in none of systemd's sets of calls."""
    unit = labkit.read(os.path.join(labkit.REPO, "etc", "systemd", "bastion-collectord.service"))
    words = re.search(r"^SystemCallFilter=(.*)$", unit, re.M)[1].split()
    assert {"@system-service", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= set(words)


def test_reload_inside(lab):
    client = Client(lab, "deploy")
    client.run("web1.name", "true", check=True)
    pid, before = lab.state["pids"]["collector"][0], len(labkit.read(lab.path("log", "collector")))
    os.kill(pid, signal.SIGHUP)
    until(lambda: "reload: 1 recorders" in labkit.read(lab.path("log", "collector"))[before:], what="the reload")
    until(lambda: client.run("web1.name", "echo again").stdout == b"again\n", pause=0.2, what="a recorded session after it")
    assert lab.state["pids"]["collector"][0] == pid and len(labkit.family(pid)) == 2
