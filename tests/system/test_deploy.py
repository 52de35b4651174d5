"""The README's "Deploy", run: in a copy of this machine's file system that lives in memory (overlay) for one test.

Bastion and collector share that copy, and the target is the lab's; apart from addresses every command is the README's."""
import os
import re
import subprocess

import pytest

from harness import labkit

# what stands in the README → what runs here; {x} are this machine's values
STEPS = [
    ("tests/deps build", None),
    ("make -j2", "make -s -j2 {made} >/dev/null"),
    ("make install PREFIX=/usr SYSCONFDIR=/etc", "make -s install PREFIX=/usr SYSCONFDIR=/etc {made} >/dev/null"),
    ("age-keygen -o auditor.key", "age-keygen -o /root/auditor.key"),
    ("age-keygen -y auditor.key", "age-keygen -y /root/auditor.key >/etc/bastiond/auditors"),
    ("for role in policy keys recorder session dial console monitor task; do useradd --system --home-dir / --shell /usr/sbin/nologin bastiond-$role; done", None),
    ("useradd --system --home-dir / --shell /usr/sbin/nologin bastion-collector", None),
    ("bastion-collectord -I -f /etc/bastiond/collectord.conf", None),
    ("bastionctl init", None),
    ("bastiond -t -f /etc/bastiond/bastiond.conf", None),
    ("systemctl enable --now bastion-collectord", None),
    ("systemctl enable --now bastiond", None),
    ("bastionctl user add alice --person \"Alice Example\"", None),
    ("bastionctl user key add alice laptop alice.pub", "bastionctl user key add alice laptop {alice}.pub"),
    ("bastionctl user totp enrol alice", None),
    ("bastionctl user add bob --person \"Bob Example\"", None),
    ("bastionctl user key add bob laptop bob.pub", "bastionctl user key add bob laptop {bob}.pub"),
    ("bastionctl user totp enrol bob", None),
    ("bastionctl user add carol --person \"Carol Example\" --auditor", None),
    ("ssh-keyscan -t ed25519 10.0.0.11 > web1.key", "ssh-keyscan -t ed25519 -p {target} 127.0.0.1 2>/dev/null >/root/web1.key"),
    ("bastionctl host add web1 --address 10.0.0.11 --key web1.key --login dba --label tier=db",
     "bastionctl host add web1 --address 127.0.0.1 --port {target} --key /root/web1.key --login dba --label tier=db"),
    ("bastionctl role add dba --label tier=db --login dba --max 8h --approvals 1", None),
    ("bastionctl role member add dba alice", None),
    ("bastionctl role approver add dba bob", None),
    ("bastionctl host trust web1", None),
    ("bastion-replay verify --all --store /mnt/evidence --trust trust", "cd /root && {trust}\nbastion-replay verify --all --store /var/lib/bastion-collectord --trust trust || [ $? = 1 ]"),
]


def readme():
    return labkit.read(os.path.join(labkit.REPO, "README.md")).partition("## Deploy")[2].partition("\n## ")[0]


def test_every_step_stands_in_the_readme():
    text = readme()
    missing = [command for command, _ in STEPS if command not in text]
    assert not missing


@pytest.fixture(scope="module")
def machine(new_lab, tmp_path_factory):
    """A shell script that runs in the overlay: what it prints."""
    lab = new_lab()
    folder = tmp_path_factory.mktemp("deploy")
    for name in ("alice", "bob"):
        labkit.keygen(str(folder / name))

    def run(script):
        inside = labkit.write(str(folder / "inside"), "set -eux\nexport PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                              "unset MAKEFLAGS MFLAGS MAKELEVEL\n"
                              # what this machine itself may have of it
                              "rm -rf /etc/bastiond /etc/pam.d/bastiond /var/lib/bastiond /var/lib/bastion-collectord\n"
                              "for user in $(getent passwd | grep -Eo '^(bastiond-[a-z]+|bastion-collector):' | tr -d :); do userdel $user; done\n"
                              f"cd {labkit.REPO}\n" + script, 0o755)
        outside = f"""set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/u /mnt/w /mnt/r
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r
for d in /dev /proc /tmp {labkit.REPO}; do mount --rbind $d /mnt/r$d; done
mount -t tmpfs -o mode=755 tmpfs /mnt/r/run
exec chroot /mnt/r sh {inside}
"""
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", outside],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr[-6000:]
        return done.stdout
    run.lab, run.folder = lab, folder
    return run


SERVE = """
configure() {{ cat >/etc/bastiond/bastiond.conf <<END
listen = {{ "127.0.0.1:{bastiond}" }}
recipients = "/etc/bastiond/auditors"
collector vault {{
	address = "127.0.0.1"
	port = {collector}
	certificate = "/etc/bastiond/collector.crt"
}}
END
}}
serve() {{ "$@" >>{log} 2>&1 & }}
"""


def test_readme_deploys(machine):
    lab = machine.lab
    built = os.path.abspath(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")))
    lines = re.search(r"^    signer .*\n    collector .*\n    notify .*\n", readme(), re.M)[0]
    trust = "cp /var/lib/bastiond/recorder/signer.pub /var/lib/bastion-collectord/collector.crt . && cat >trust <<END\n" + lines + "END"
    values = {"made": f"B={built}" + (" SAN=1" if labkit.sanitized() else ""), "target": lab.port("target"), "alice": machine.folder / "alice",
              "bob": machine.folder / "bob", "log": machine.folder / "log", "trust": trust, "bastiond": labkit.free_port(), "collector": labkit.free_port()}
    collectord = f"""cat >/etc/bastiond/collectord.conf <<END
listen = {{ "127.0.0.1:{values['collector']}" }}
recorder bastion {{
	certificate = "/etc/bastiond/bastion.crt"
	signer = "/etc/bastiond/bastion.signer.pub"
}}
END
"""
    special = {
        "bastion-collectord -I -f /etc/bastiond/collectord.conf":
            collectord + "bastion-collectord -I -f /etc/bastiond/collectord.conf\ncp /var/lib/bastion-collectord/collector.crt /etc/bastiond/collector.crt",
        "bastionctl init": "configure\nbastionctl init\ncp /var/lib/bastiond/recorder/client.crt /etc/bastiond/bastion.crt\n"
                           "cp /var/lib/bastiond/recorder/signer.pub /etc/bastiond/bastion.signer.pub",
        "systemctl enable --now bastion-collectord": "bastion-collectord -t -f /etc/bastiond/collectord.conf\n"
                                                     "serve bastion-collectord -D -f /etc/bastiond/collectord.conf",
        "systemctl enable --now bastiond": "serve bastiond -D -f /etc/bastiond/bastiond.conf\n"
                                           f"for i in $(seq 100); do ssh-keyscan -T 1 -p {values['bastiond']} 127.0.0.1 2>/dev/null | grep -q . && break; sleep 0.1; done",
    }
    lines = [special.get(command) or (here or command).format(**values) if here or command in special else command for command, here in STEPS]
    out = machine(SERVE.format(**values) + "\n".join(lines) + "\nbastionctl user list; echo all-done\n")
    assert "all-done" in out and "TrustedUserCAKeys" in out and re.search(r"alice.*human", out)
    assert out.count("otpauth://") == 2 and re.search(r"^[0-9a-f]{32} +open", out, re.M), "two enrolled, and the auditor's trust file believes the bastion's list of events"
