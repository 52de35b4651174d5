"""The README's "Deploy", run, and what the pages say for the days after it: a reload, a new certificate, a second bastion.

A machine is a copy of this one's file system that lives in memory (overlay). Bastion and collector share one, the standby is another,
and the target is the lab's. Apart from addresses every command is that of the README or the page; `ssh standby` and systemctl are ours."""
import os
import re
import time

import pytest

from codes import STEP, totp
from harness import LONG, Client, labkit, page_commands, until
from target_machine import Namespaces

pytestmark = pytest.mark.chained

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


OVERLAYS = """mount -t tmpfs tmpfs /mnt
for m in first standby; do
	mkdir /mnt/$m /mnt/$m.u /mnt/$m.w
	mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/$m.u,workdir=/mnt/$m.w /mnt/$m
	for d in /dev /proc /tmp REPO; do mount --rbind $d /mnt/$m$d; done
	mount -t tmpfs -o mode=755 tmpfs /mnt/$m/run
	# what this machine itself may have of it
	chroot /mnt/$m sh -c 'rm -rf /etc/bastiond /etc/pam.d/bastiond /var/lib/bastiond /var/lib/bastion-collectord
		for user in $(getent passwd | grep -Eo "^(bastiond-[a-z]+|bastion-collector):" | tr -d :); do userdel $user; done'
	cp REPO/tests/system/systemctl /mnt/$m/usr/local/sbin/systemctl
done
mkdir /mnt/first/standby
mount --rbind /mnt/standby /mnt/first/standby
printf '#!/bin/sh\\n[ "$1" = standby ] && shift && exec chroot /standby sh -c "$*"\\n' >/mnt/first/usr/local/bin/ssh
chmod 755 /mnt/first/usr/local/bin/ssh
""".replace("REPO", labkit.REPO)
SCRIPT = """set -eux
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset MAKEFLAGS MFLAGS MAKELEVEL
cd {}
"""


class Machines(Namespaces):
    """The first, with bastion and collector, and the standby. To a Client it is a lab."""

    def __init__(self, lab, folder):
        super().__init__(OVERLAYS)
        self.lab, self.folder = lab, folder
        self.state, self.at = {"hosts": ["web1"]}, "first"
        self.bastiond, self.collector = labkit.free_port(), labkit.free_port()
        for name in ("alice", "bob"):
            os.makedirs(self.path("users", name))
            labkit.keygen(self.path("users", name, "key"))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def port(self, _):
        return self.bastiond

    def root(self, machine, path):
        """A file of a machine, as this one sees it."""
        return f"/proc/{self.pid}/root/mnt/{machine}{path}"

    def argv(self, *words):
        return super().argv("chroot", f"/mnt/{self.at}", *words)

    def run(self, script, machine="first", cwd=labkit.REPO):
        self.at = machine
        return self.sh(SCRIPT.format(cwd) + script, timeout=LONG)


@pytest.fixture(scope="module")
def machines(new_lab, tmp_path_factory):
    it = Machines(new_lab(people=False), str(tmp_path_factory.mktemp("deploy")))
    yield it
    it.stop()


# the configurations are the README's and the one that was installed, with the addresses of here; where the README copies to they must name
BASTION = """cat >/etc/bastiond/bastiond.conf <<END
{conf}END
bastionctl init
cp /var/lib/bastiond/recorder/client.crt {copies[0]}
cp /var/lib/bastiond/recorder/signer.pub {copies[1]}
"""
COLLECTOR = """cat >>/etc/bastiond/collectord.conf <<END
listen = {{ "127.0.0.1:{collector}" }}
END
bastion-collectord -I -f /etc/bastiond/collectord.conf
cp /var/lib/bastion-collectord/collector.crt /etc/bastiond/collector.crt
"""


def configuration(machines):
    """The README's, with the addresses of here."""
    text = re.sub("^    ", "", re.search(r"^    listen = .*?^    \}\n", readme(), re.M | re.S)[0], flags=re.M)
    for option, value in (("listen", f'{{ "127.0.0.1:{machines.bastiond}" }}'), ("address", '"127.0.0.1"'), ("port", machines.collector)):
        text, n = re.subn(rf"^( *{option} = ).*$", rf"\g<1>{value}", text, flags=re.M)
        assert n == 1, (option, text)
    return text


def values(machines):
    built = os.path.abspath(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")))
    lines = re.search(r"^    signer .*\n    collector .*\n    notify .*\n", readme(), re.M)[0]
    trust = "cp /var/lib/bastiond/recorder/signer.pub /var/lib/bastion-collectord/collector.crt . && cat >trust <<END\n" + lines + "END"
    return {"made": f"B={built}" + (" SAN=1" if labkit.sanitized() else ""), "target": machines.lab.port("target"), "trust": trust,
            "alice": machines.path("users", "alice", "key"), "bob": machines.path("users", "bob", "key"), "bastiond": machines.bastiond,
            "collector": machines.collector, "conf": configuration(machines),
            "copies": re.search(r"client\.crt` and `signer\.pub` to the collector as `(\S+)` and `(\S+)`,", readme()).groups()}


def lines_of(machines, steps):
    special = {"bastion-collectord -I -f /etc/bastiond/collectord.conf": COLLECTOR, "bastionctl init": BASTION}
    here = values(machines)
    return "\n".join((special.get(command) or line).format(**here) if command in special or line else command for command, line in steps)


def enter(machines, host, *words):
    """A user's client; the bastion's keys and codes are those of the machine that serves."""
    user = {"web1.jump": "alice"}.get(host) or host
    return Client(machines, user).run("bastion" if host == user else host, *words)


def served_by(machines, machine):
    """What users know of the bastion that this machine is."""
    state = machines.path("state")
    if os.path.islink(state):
        os.unlink(state)
    os.symlink(machines.root(machine, "/var/lib/bastiond"), state)
    keys = [labkit.read(os.path.join(state, "keys", f"ssh_host_{kind}_key.pub")).strip() for kind in ("ed25519", "ecdsa", "rsa")]
    labkit.write(machines.path("known_hosts"), "".join(f"[127.0.0.1]:{machines.bastiond},bastion,web*,[web*]:* {key}\n" for key in keys))


def asks_and_gets_in(machines, number):
    asked = enter(machines, "alice", "request web1 --login dba --for 1h --reason test")
    assert asked.returncode == 0 and f"request {number}" in asked.stdout.decode().lower(), asked
    approved = enter(machines, "bob", f"approve {number}")
    assert approved.returncode == 0, approved
    done = enter(machines, "web1.jump", "echo in; id -un")
    assert (done.returncode, done.stdout) == (0, b"in\ndba\n"), done


def test_readme_deploys(machines):
    """And people get in through it: with the PAM file, the module and the sandbox that were installed, the codes that were printed, and the line
    that `host trust` says."""
    out = machines.run(lines_of(machines, STEPS) + "\nbastionctl user list\n")
    assert re.search(r"^ +(TrustedUserCAKeys .*)$", readme(), re.M)[1] in out.splitlines() and re.search(r"alice.*human", out)
    assert re.search(r"^[0-9a-f]{32} +open", out, re.M), "the auditor's trust file believes the bastion's list of events"
    labkit.write(machines.lab.path("target", "ca.pub"), re.search(r"^ *(ssh-ed25519 \S+ bastiond-user-ca)$", out, re.M)[1] + "\n")
    served_by(machines, "first")
    for name, secret in re.findall(r"otpauth://totp/[^?]*:(\w+)\?secret=(\w+)&", out):
        step = int(time.time()) // STEP
        machines.run(f"bastionctl user totp confirm {name} {totp(secret, step - 1)} {totp(secret, step)}")
        labkit.write(machines.path("users", name, "totp"), secret + "\n", 0o600)
        labkit.write(machines.path("users", name, "totp.step"), str(step), 0o600)
    asks_and_gets_in(machines, 1)
    out = machines.run("cd /root\nbastion-replay verify --all --store /var/lib/bastion-collectord --trust trust || [ $? = 1 ]\n")
    assert re.search(r"^[0-9a-f]{32} +complete", out, re.M), out


def test_without_its_pam_stack(machines):
    """As on a machine whose /etc/pam.d was not copied: PAM would take its stack for others, and ask for a password that nobody has."""
    out = machines.run("mv /etc/pam.d/bastiond /root\nbastiond -t 2>&1\nmv /root/bastiond /etc/pam.d\nbastiond -t 2>&1\n")
    assert out.count("there is no /etc/pam.d/bastiond") == 1


def log(machines, unit):
    return labkit.read(machines.root("first", f"/var/log/{unit}.log"))


def by_the_page(machines, begins):
    """The commands of bastion-collectord(8) that begin so; what it leaves to words is a copy within this machine, where both are."""
    before = [log(machines, "bastion-collectord").count("reload: 1 recorders"), log(machines, "bastiond").count("collector vault: up")]
    script = page_commands("bastion-collectord.8", "# cd /var/lib/bastion-collectord\n" + begins)
    assert "systemctl reload bastion-collectord" in script
    to_the_bastion = "cp {} /etc/bastiond/collector.crt; systemctl reload bastiond"
    ours = {f"copy {name} to the bastion as its c1.crt; reload bastiond": to_the_bastion.format(name) for name in ("both.crt", "collector.crt")}
    ours["copy collector.crt to the auditors"] = "cp collector.crt /root"
    for line in script.splitlines()[1:]:
        machines.run(line[2:] if line.startswith("# ") else ours[line.strip()], cwd="/var/lib/bastion-collectord")
    until(lambda: log(machines, "bastion-collectord").count("reload: 1 recorders") > before[0], 20, what="the collector's reload")
    until(lambda: log(machines, "bastiond").count("collector vault: up") > before[1], 20, what="the recorder is connected again")
    bastion, crt = (labkit.read(machines.root("first", path)) for path in ("/etc/bastiond/collector.crt", "/var/lib/bastion-collectord/collector.crt"))
    assert bastion == crt
    now, mark, kept = crt.partition("-----BEGIN PUBLIC")
    return now, mark + kept


def test_the_collectors_keys_by_their_page(machines):
    """bastion-collectord(8): a moment in which the bastion trusts both, units that can be reloaded, and no public receipt key that gets lost, however
    often and in whatever order it is done."""
    first = labkit.read(machines.root("first", "/etc/bastiond/collector.crt"))
    was, keys = by_the_page(machines, "# mkdir -p old && mv receipt.key")
    assert was + keys[:keys.index("-----BEGIN PUBLIC", 1)] == first and keys.count("BEGIN PUBLIC") == 2
    assert not os.path.exists(machines.root("first", "/var/lib/bastion-collectord/old/receipt.key"))
    for _ in range(2):
        now, kept = by_the_page(machines, "# mkdir -p old && mv collector.crt")
        assert now not in (was, "") and kept == keys, "another certificate, and all receipt keys"
        was = now


MINUTES_LATER = """import sqlite3
with sqlite3.connect("/var/lib/bastiond/db/policy.db", timeout=20) as db:
    print(db.execute("SELECT min(held) FROM totp").fetchone()[0])
    db.execute("UPDATE totp SET held=held-25, last_counter=last_counter-25")
"""


def test_a_bare_machine_takes_over(machines):
    """bastiond(8), BACKUP AND STANDBY: a machine with what the README installs, the commands of the page, and the first one's end."""
    machines.run(lines_of(machines, [step for step in STEPS if step[0].startswith(("make install", "for role"))]), "standby")
    machines.run("rm -rf /etc/bastiond", "standby")     # which the page brings
    machines.run(page_commands("bastiond.8", "tar -C /var/lib/bastiond --exclude=./db -cf - "))
    machines.run(page_commands("bastiond.8", "bastionctl backup /var/backups/bastion.db\nrsync"))
    machines.run("systemctl stop bastiond")
    step = time.time() // STEP
    machines.run(page_commands("bastiond.8", "bastionctl restore"), "standby")
    # the codes of these minutes count as used: they go by
    spent = machines.run(f"""python3 -c '{MINUTES_LATER}'""", "standby")
    assert int(spent.split()[-1]) > step
    st = os.stat(machines.root("standby", "/var/lib/bastiond/db"))
    assert st.st_mode & 0o7777 == 0o700 and st.st_uid == int(machines.run("id -u bastiond-policy", "standby"))
    first = labkit.read(machines.path("known_hosts"))
    served_by(machines, "standby")
    assert labkit.read(machines.path("known_hosts")) == first and '"rows":[]' in machines.run("bastionctl grants --json", "standby").replace(" ", "")
    asks_and_gets_in(machines, 2)
    assert "fit the chain" in machines.run("bastionctl events verify", "standby")
    machines.run("systemctl stop bastiond", "standby")


def test_everything_is_lost_but_the_backups(machines):
    """The same page: the database's backup and the keys', on a machine that has neither."""
    machines.run(page_commands("bastiond.8", "tar -C /var/lib/bastiond --exclude=./db -cf /root/"))
    machines.run("rm -rf /var/lib/bastiond")
    machines.run(page_commands("bastiond.8", "mkdir -p /var/lib/bastiond\n"))
    assert "fit the chain" in machines.run("bastionctl events verify")
    machines.run("systemctl stop bastiond")
