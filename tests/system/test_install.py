"""`make install`: below DESTDIR and nowhere else; units that systemd takes; samples, manual pages and README that agree."""
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import labkit

ROOT = labkit.REPO
UNITS = ("bastiond.service", "bastion-collectord.service", "bastiond-sync.service", "bastiond-sync.timer")
FILES = """etc/bastiond/bastiond.conf etc/bastiond/collectord.conf etc/pam.d/bastiond
usr/sbin/bastiond usr/sbin/bastion-collectord usr/bin/bastionctl usr/bin/bastion-replay
usr/share/bastiond/hooks/hook.conf usr/share/bastiond/hooks/notify-mail usr/share/bastiond/hooks/notify-webhook usr/share/bastiond/hooks/ticket_check
usr/share/bastiond/log/ask-witness usr/share/bastiond/monitoring/bastiond.rules.yml usr/share/bastiond/monitoring/grafana.json usr/share/bastiond/target/bastion-account
usr/share/bash-completion/completions/bastionctl usr/share/zsh/vendor-completions/_bastionctl
usr/share/man/man1/bastion-replay.1 usr/share/man/man1/bastionctl.1 usr/share/man/man5/bastion-record.5 usr/share/man/man5/bastiond.conf.5
usr/share/man/man8/bastion-account.8 usr/share/man/man8/bastion-collectord.8 usr/share/man/man8/bastiond.8 usr/share/man/man8/pam_bastion.8""".split()
TARGET_FILES = """usr/sbin/bastion-account usr/share/man/man8/bastion-account.8 usr/lib/systemd/system/bastion-account.service
usr/lib/systemd/system/bastion-account.timer usr/share/bastiond/bastion-account.cron""".split()


BUILT = os.environ.get("LAB_BIN", os.path.join(ROOT, "build"))


def make(*words, built=BUILT, **kw):
    # nothing of the make that runs the tests; and what is built as the tests are
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return labkit.run("make", "-s", "-C", ROOT, *words, f"B={built}", *(["SAN=1"] if labkit.sanitized() else []), env=env, timeout=120, **kw)


def tree(top):
    return {os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """By a root who hides what they make from others, as is usual: what is installed is for all."""
    top = tmp_path_factory.mktemp("install")
    make("install", f"DESTDIR={top}", "PREFIX=/usr", "SYSCONFDIR=/etc", umask=0o077)
    return str(top)


def hidden(top):
    return [path for path, _, _ in os.walk(top) if path != str(top) and os.stat(path).st_mode & 0o777 != 0o755]


def test_what_is_installed(installed):
    found = tree(installed)
    module = {name for name in found if name.endswith("/security/pam_bastion.so")}
    assert len(module) == 1 and found - module == {*FILES, *(f"usr/lib/systemd/system/{unit}" for unit in UNITS)}
    assert not [name for name in found if to_fill_in(installed, name)]
    for name in found:
        mode = os.stat(os.path.join(installed, name)).st_mode & 0o777
        program = "/bin/" in name or "/sbin/" in name or name.endswith(("ticket_check", "notify-mail", "notify-webhook", "ask-witness", "target/bastion-account"))
        assert mode == (0o755 if program else 0o644), (name, oct(mode))
    assert hidden(installed) == []


def to_fill_in(top, name):
    """What make puts in place of @NAME@ in a unit."""
    return re.findall(r"@[A-Z]+@", labkit.read(os.path.join(top, name))) if name.endswith((".service", ".timer")) else []


def test_a_changed_configuration_stays(installed):
    names = ("etc/bastiond/bastiond.conf", "etc/bastiond/collectord.conf", "etc/pam.d/bastiond", "usr/share/bastiond/hooks/hook.conf")
    before = {name: labkit.read(os.path.join(installed, name)) for name in names}
    for name in names:
        labkit.write(os.path.join(installed, name), "mine\n")
    make("install", f"DESTDIR={installed}", "PREFIX=/usr", "SYSCONFDIR=/etc")
    assert [name for name in names if labkit.read(os.path.join(installed, name)) != "mine\n"] == []
    for name in names:
        labkit.write(os.path.join(installed, name), before[name])


def test_what_a_target_gets(tmp_path):
    make("install-target", f"DESTDIR={tmp_path}", "PREFIX=/usr", umask=0o077)
    assert tree(tmp_path) == set(TARGET_FILES) and hidden(tmp_path) == []
    assert {os.stat(tmp_path / name).st_mode & 0o777 for name in TARGET_FILES if "sbin" not in name} == {0o644}


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local"])
def test_zsh_looks_where_its_completion_is(prefix):
    said = make("--eval=zshdir: ; @echo $(ZSHDIR)", "zshdir", f"PREFIX={prefix}").strip()
    assert said in labkit.run("zsh", "-fc", "print -l $fpath").splitlines()


def test_another_sysconfdir_is_in_the_programs_too(tmp_path):
    """Also if they were built before it was said: units and samples would be of one place, and programs would look at another."""
    copy = f"{tmp_path}/build"
    os.makedirs(copy)
    labkit.run("cp", "-as", f"{BUILT}/obj", *glob.glob(f"{BUILT}/*.a"), copy)
    for name in ("obj/common/release.o", "sysconfdir", "bastion-replay"):   # what is to be made anew is not written through a link
        labkit.run("cp", "-p", "--remove-destination", f"{BUILT}/{name}", f"{copy}/{name}")
    make(f"{copy}/bastion-replay", "SYSCONFDIR=/opt/there", built=copy)
    assert b"/opt/there/bastiond/trust\0" in open(f"{copy}/bastion-replay", "rb").read()
    assert b"/etc/bastiond/trust\0" in open(f"{BUILT}/bastion-replay", "rb").read()


def verify(units):
    return subprocess.run(["systemd-analyze", "verify", "--man=no", *units], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_units(installed, tmp_path):
    """With the programs where they say that they are, but for DESTDIR."""
    make("install-target", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    units = []
    for top in (installed, str(tmp_path)):
        for path in glob.glob(f"{top}/usr/lib/systemd/system/*"):
            units.append(labkit.write(f"{tmp_path}/{os.path.basename(path)}", labkit.read(path).replace("=/usr/", f"={top}/usr/")))
    assert len(units) == len(UNITS) + 2
    done = verify(units)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    # and it is systemd that looked
    path = f"{tmp_path}/bastiond.service"
    labkit.write(path, labkit.read(path).replace("Type=notify", "Type=notfy").replace("RestartSec=", "RestartSecs="))
    assert "notfy" in verify([path]).stderr


def test_units_keep_their_promises():
    """bastiond.8 names the type; and what is the way in is tried for ever, so that a name that does not resolve yet at boot ends nothing."""
    read = {name: labkit.read(os.path.join(ROOT, "etc", "systemd", f"{name}.service")) for name in ("bastiond", "bastion-collectord")}
    assert ".Ql Type=notify" in labkit.read(os.path.join(ROOT, "man", "bastiond.8"))
    assert re.search(r"^Type=notify$", read["bastiond"], re.M) and re.search(r"^NotifyAccess=main$", read["bastiond"], re.M)
    for name, unit in read.items():
        head, _, service = unit.partition("[Service]")
        assert re.search(r"^StartLimitIntervalSec=0$", head, re.M), name
        assert re.search(r"^Restart=on-failure$", service, re.M) and re.search(r"^RestartSec=5s$", service, re.M), name


def test_the_pages_say_how_a_unit_writes_elsewhere():
    """What a unit shuts is a directory that an option may name: -t is content with it, and the daemon cannot write there."""
    for name, page, option, place in (("bastiond", "bastiond.conf.5", "Ic state_dir", "/var/lib/bastiond"),
                                      ("bastion-collectord", "bastion-collectord.8", "Cm store", "/var/lib/bastion-collectord")):
        unit = labkit.read(os.path.join(ROOT, "etc", "systemd", f"{name}.service"))
        assert re.search(r"^ProtectSystem=strict$", unit, re.M) and re.search(rf"^StateDirectory={os.path.basename(place)}$", unit, re.M)
        text = re.search(rf"^\.It {option} No.*?(?=^\.It )", labkit.read(f"{ROOT}/man/{page}"), re.M | re.S)[0]
        assert place in text and f"systemctl edit {name}\n" in text and "[Service]\nReadWritePaths=" in text, name
    # and below /run it makes one, which the module is to be told
    text = re.search(r"^\.It Ic run_dir No.*?(?=^\.El)", labkit.read(f"{ROOT}/man/bastiond.conf.5"), re.M | re.S)[0]
    assert re.search(r"^RuntimeDirectory=bastiond$", labkit.read(os.path.join(ROOT, "etc", "systemd", "bastiond.service")), re.M)
    assert "[Service]\nRuntimeDirectory=" in text and "socket=RUN_DIR/pam.sock" in text and ".It Cm socket Ns = Ns Ar path\n" in labkit.read(f"{ROOT}/man/pam_bastion.8")
    assert re.search(r"`ReadWritePaths=`\s+by\s+`systemctl edit bastion-collectord`", labkit.read(f"{ROOT}/README.md"))


def test_pages_show_what_was_meant():
    """As a reader sees them: no option with a minus too many, and what is to be typed with its quotes."""
    shown = {path: labkit.run("mandoc", "-Tascii", "-O", "width=1000", path) for path in glob.glob(f"{ROOT}/man/*")}
    shown = {path: re.sub(r".\x08", "", text) for path, text in shown.items()}
    assert len(shown) >= 8 and not [(path, line) for path, text in shown.items() for line in text.splitlines() if re.search(r"---\w", line)]
    answers = re.findall(r"`(\{[^`']*\})'", shown[f"{ROOT}/man/bastiond.conf.5"].partition("ticket_check = ")[2].partition("ticket_check_every = ")[0])
    assert [json.loads(answer)["open"] for answer in answers] == [True, False]
    # of these quotes each is closed before another one opens
    assert not [(path, found) for path, text in shown.items() for found in re.findall(r"(?m)(?<!\S)\(?`[^'`\n]* `[^'`\n]*''", text)]


def test_what_the_pages_reload_can_be_reloaded():
    """systemd refuses a reload of a unit that says nothing of it. The signal must arrive, too: a main process that gave root up is out of the
    reach of a unit without CAP_KILL."""
    pages = "".join(labkit.read(path) for path in (*glob.glob(f"{ROOT}/man/*"), f"{ROOT}/README.md"))
    ours = set(re.findall(r"systemctl reload ([\w-]+)", pages)) - {"ssh"}      # which is the target's
    assert ours == {"bastiond", "bastion-collectord"}
    for name in ours:
        unit = labkit.read(os.path.join(ROOT, "etc", "systemd", f"{name}.service"))
        check, signal = re.findall(r"^ExecReload=(.*)$", unit, re.M)
        assert check == re.search(r"^ExecStartPre=(.*)$", unit, re.M)[1] and " -t " in check, name
        assert signal == ("" if re.search(r"^CapabilityBoundingSet=.*CAP_KILL", unit, re.M) else "+") + "/bin/kill -HUP $MAINPID", name


def test_one_port_and_one_file_of_auditors():
    """Who installs both samples and edits the addresses has a bastion that finds its collector."""
    texts = {os.path.relpath(path, ROOT): labkit.read(path) for path in (*glob.glob(f"{ROOT}/etc/*.conf"), *glob.glob(f"{ROOT}/man/*"), f"{ROOT}/README.md")}
    ports, files = {}, {}
    for name, text in texts.items():
        for section in re.findall(r"^(?:# )?\s*(?:break_glass_)?collector \w+ \{(.*?)\}", text, re.M | re.S):
            for port in re.findall(r"port = (\d+)", section):
                ports.setdefault(port, []).append(name)
        for port in re.findall(r"^#? ?listen = .*:(\d{4,5})\"", text, re.M):
            ports.setdefault(port, []).append(name)
        for path in re.findall(r"^\s*recipients = \"([^\"]+)\"", text, re.M):
            files.setdefault(path, []).append(name)
    assert list(ports) == ["7422"] and {"etc/bastiond.conf", "etc/collectord.conf", "README.md", "man/bastiond.conf.5"} <= set(ports["7422"]), ports
    assert list(files) == ["/etc/bastiond/auditors"] and {"etc/bastiond.conf", "README.md", "man/bastiond.conf.5"} <= set(files["/etc/bastiond/auditors"]), files


def test_what_a_copied_bastion_replay_needs():
    """README: packages of the libraries that the program is linked with; what a file that is copied alone does not bring."""
    program = os.path.join(os.environ.get("LAB_BIN", os.path.join(ROOT, "build")), "bastion-replay")
    needed = [name for name in re.findall(r"NEEDED.*\[(.*)\]", labkit.run("readelf", "-d", program)) if not re.match(r"lib(c|asan|ubsan)\.", name)]
    packages = {labkit.run("dpkg", "-S", f"*/{name}").partition(":")[0] for name in needed}
    sentence = re.search(r"`build/bastion-replay` is one file, which needs\s+Debian's packages (.*?) there,", labkit.read(f"{ROOT}/README.md"))[1]
    assert packages == set(re.findall(r"`(.*?)`", sentence)) and len(needed) >= 4


def test_the_pages_name_what_is_installed(installed):
    """A path below the prefix that a page or the README names is there; and none says where the prefix is that only one of both has."""
    named = set()
    for path in (*glob.glob(f"{ROOT}/man/*"), f"{ROOT}/README.md"):
        text = labkit.read(path)
        assert "/usr/share/bastiond" not in text, path
        named |= set(re.findall(r"\bshare/bastiond/[a-z/.-]*[a-z]", text))
    assert "share/bastiond/hooks" in named and not [name for name in named if not os.path.exists(f"{installed}/usr/{name}") and f"usr/{name}" not in TARGET_FILES]
