"""etc/target/bastion-account, the program that makes and removes accounts at a target, run in a copy of this machine's /etc and /home: what it
makes, what it removes, and what it never touches."""
import json
import os
import time

from target_machine import SCRIPT, STATE, later, machine  # noqa: F401

# A name service that cannot be asked for groups, as sssd when it is broken.
NO_ANSWER = """#!/bin/sh
[ "$1" != DATABASE ] || exit 3
exec GETENT.real "$@"
"""
ONE, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


def test_made_and_removed(machine):
    end = later()
    assert machine.account(f"create ada 70001 {end} {int(time.time())}") == "ok"
    name, password, uid, gid, gecos, home, _ = machine.sh("getent passwd ada").split(":")
    assert (name, password, uid, gid, gecos, home) == ("ada", "x", "70001", "70001", "bastion-account 70001", "/home/ada")
    shadow = machine.sh("getent shadow ada").split(":")
    assert shadow[1] == "*" and 0 <= int(shadow[7]) * 86400 - end <= 86400
    assert machine.sh("stat -c %u:%a /home/ada").startswith("70001:7")
    assert machine.account("list") == f"ada 70001 {end} there -"
    row = {"name": "ada", "uid": 70001, "expiry": end, "state": "there", "bastion": None}
    assert json.loads(machine.account("list --json")) == row
    assert machine.account(f"create ada 70001 {end} {int(time.time())} {ONE}") == "ok"
    assert json.loads(machine.account("list --json", by_stdin=False)) == row | {"bastion": ONE}
    assert machine.account(f"remove ada 70001 {ONE}") == "gone"
    assert machine.sh("getent passwd ada; getent group ada; getent passwd 70001", check=False) == ""
    assert machine.sh("ls -A /home") == "" and machine.account("list") == ""
    assert machine.account("remove ada 70001") == "gone"     # an answer that was lost is asked for again


def test_a_uid_is_used_once(machine):
    end = later()
    assert machine.account(f"create bea 70010 {end}") == "ok"
    machine.account("remove bea 70010")
    assert machine.account(f"create bea 70010 {end}", 1) == "used 70010"
    assert machine.account(f"create cid 70010 {end}", 1) == "used 70010"
    # given up before it was made: a create that was under way does not come afterwards
    assert machine.account("remove dan 70013") == "gone"
    assert machine.account(f"create dan 70013 {end}", 1) == "used 70013"
    assert machine.account("list") == ""


def test_no_subordinate_uids(machine):
    assert machine.account(f"create cal 50001 {later()}") == "ok"   # where useradd gives some
    assert machine.sh("grep cal /etc/subuid /etc/subgid", check=False) == ""
    machine.account("remove cal 50001")


def test_a_name_with_power(machine):
    """What sudo gives rights to as a user or a group; not what is a command, an alias of hosts or a comment to it. A host may want it so."""
    rules = """%opsy,dev.ops,\\
  conti ALL=(ALL:ALL) NOPASSWD: /bin/evie # finn
User_Alias PEOPLE = gail, !hank
root ALL=(ivy : jack) /bin/kate lara mona, (nell) ALL
Host_Alias BOXES = otto
Cmnd_Alias TOOLS = /bin/pia quin
#includedir /etc/sudo.more
@include /etc/sudo.%h
@include more/%h/%h
@include "/etc/sudo.quoted" # theirs
User_Alias ADMINS = bob, ugo#temp
# a comment does not go on \\
vera ALL=(ALL) ALL
#-1, walt ALL=ALL
"a#b=c", xena, y\\=z, yves ALL=ALL
zora ALL=/bin/x ^a#b$, (zeno) ALL
%SysOps ALL=(ALL) ALL
Alice, #070017 ALL=(%#70018) ALL # 70016
Defaults>bea !lecture
Defaults@carl !lecture
"""
    machine.sh("mkdir -p /etc/sudoers.d /etc/sudo.more && printf '%s' \"$(cat)\" >/etc/sudoers.d/x && echo 'rita ALL=ALL' >/etc/sudo.more/y &&"
               "h=$(uname -n | cut -d. -f1) && mkdir -p /etc/sudoers.d/more/$h && echo 'sven ALL=ALL' >/etc/sudo.$h && echo 'tess ALL=ALL' >/etc/sudo.more/y~ &&"
               "echo 'wim ALL=ALL' >/etc/sudoers.d/more/$h/$h && echo 'wera ALL=ALL' >/etc/sudo.quoted", stdin=rules)
    # what they are to sudo is decided before anything is made: asked of the script's own function
    names = ("opsy dev.ops conti gail hank ivy jack nell rita sven wim wera bob ugo vera walt xena yves zora zeno sysops alice bea carl docker wheel root "
             "ops temp comment theirs evie finn kate lara mona otto pia quin tess").split()
    functions = machine.sh(f"sed -n '/^POWERFUL=/p; /^ALLOW=/p; /^answer()/,/^}}/p; /^rules_in()/,/^need_free()/p' {SCRIPT} | sed '$d'")
    asked = [f"{name} 70016" for name in names] + [f"nobodys {uid}" for uid in (70016, 70017, 70018, 7001)]
    said = machine.sh("eval \"$(cat)\"\nfiles=$(sudoers)\nsudoers() { answer \"$files\"; }\n" + "".join(f"powerful {words} && echo {words}\n" for words in asked) + ":",
                      stdin=functions).splitlines()
    assert said == asked[:names.index("ops")] + ["nobodys 70017", "nobodys 70018"]
    for name in ("opsy", "docker"):
        answer = machine.account(f"create {name} 70280 {later()}", 1)
        assert answer.startswith("refused ") and "sudo" in answer
        assert machine.sh(f"getent group {name}; ls {STATE} | grep {name}", check=False) == ""
    # the host says that they shall have them; what is no rule of sudo stays refused
    machine.sh("printf 'opsy\\ndocker\\n' >/etc/bastion-account.allow")
    assert machine.account(f"create docker 70280 {later()}", 1).startswith("refused ")
    assert machine.account(f"create opsy 70017 {later()}", 1).startswith("refused "), "of the number nobody said so"
    for uid, name in enumerate(("opsy", "lara"), 70281):
        assert machine.account(f"create {name} {uid} {later()}") == "ok"
        machine.account(f"remove {name} {uid}")
    # what is not understood is no "no": nobody gets an account whom the host did not name
    for path in ("/etc/sudo\\ more/y", '"/etc/sudo more/y"', "", "*"):
        machine.sh("cat >/etc/sudoers.d/x", stdin=f"@include {path}\n")
        answer = machine.account(f"create mona 70290 {later()}", 1)
        assert answer.startswith("failed ") and "not understood" in answer and "/etc/sudoers.d/x" in answer and "write mona" in answer
    machine.sh("rm /etc/sudoers.d/x; echo 'mona ALL=ALL' >'/etc/sudoers.d/a b'")
    assert "not understood" in machine.account(f"create mona 70290 {later()}", 1)
    machine.sh("rm -r '/etc/sudoers.d/a b' /etc/sudoers.d/more /etc/sudo.more /etc/sudo.quoted /etc/bastion-account.allow")


def test_a_name_service_that_fails_is_no_answer(machine):
    """That there is no such account is said by getent, not by its failure: nothing is made, nothing counts as gone."""
    machine.account(f"create kai 70310 {later()}")
    at = machine.sh("readlink -f $(command -v getent)")
    copy = f"/var/lib/{os.path.basename(at)}.real"
    machine.sh(f"cp {at} {copy}")
    for database in ("passwd", "group"):
        machine.sh(f"cat >/var/lib/getent.fails && chmod 755 /var/lib/getent.fails && mount --bind /var/lib/getent.fails {at}",
                   stdin=NO_ANSWER.replace("DATABASE", database).replace("GETENT.real", copy))
        try:
            assert machine.account(f"create lev 70311 {later()}", 1).startswith(f"failed getent {database} fails")
            if database == "passwd":
                assert machine.account(f"create kai 70310 {later()}", 1).startswith("failed getent")
                assert machine.account("remove kai 70310", 1).startswith("failed getent")
                assert machine.account("remove nobody_known 70312", 1).startswith("failed getent")
                assert machine.account("list", 1).startswith("failed getent")
        finally:
            machine.sh(f"umount {at}")
    assert machine.sh(f"ls {STATE}") == "kai" and machine.sh("getent passwd kai")
    assert machine.account("remove kai 70310") == "gone"


def test_two_bastions(machine):
    """Of different databases, with the same name and uid: neither gets, changes or removes what the other one made."""
    end = later()
    assert machine.account(f"create lou 70320 {end} {int(time.time())} {ONE}") == "ok"
    mark = machine.sh(f"cat {STATE}/lou")
    for by in (OTHER, "-", ""):
        answer = machine.account(f"create lou 70320 {later(9)} {int(time.time())} {by}", 1)
        assert answer.startswith("refused ") and "another bastion's" in answer and ONE in answer
    assert "another bastion's" in machine.account(f"create lou 70321 {end} {int(time.time())} {OTHER}", 1)
    for by in (OTHER, "-", ""):
        answer = machine.account(f"remove lou 70320 {by}", 1)
        assert answer.startswith("foreign ") and ONE in answer
    assert machine.account(f"remove lou 70321 {OTHER}") == "gone"   # of that uid there is none
    assert machine.sh(f"cat {STATE}/lou") == mark and machine.sh("getent passwd lou") and machine.account("list") == f"lou 70320 {end} there {ONE}"
    assert machine.account(f"create lou 70320 {end + 1} {int(time.time())} {ONE}") == "ok"
    for bad in ("x" * 32, ONE[:-1], ONE + "0", ONE.upper()):
        assert machine.account(f"remove lou 70320 {bad}", 1).startswith("refused ")
    # root of the host, by hand
    assert machine.account(f"create lou 70320 {end}", by_stdin=False) == "ok" and machine.account("list") == f"lou 70320 {end} there {ONE}"
    assert machine.account(f"remove lou 70320 {ONE}") == "gone" and machine.account("list") == ""
    assert machine.account(f"create lou 70320 {end} {int(time.time())} {OTHER}", 1).startswith("used ")
    machine.account(f"create lou 70322 {end} {int(time.time())} {ONE}")
    assert machine.account("remove lou 70322", by_stdin=False) == "gone"


def test_nobody_burns_anothers_uids(machine):
    """What one bastion gives up, or asks to remove, keeps no other one from its uids, and the file of what was given up has an end."""
    end = later()
    for uid in (70340, 70341):
        assert machine.account(f"remove mel {uid} {OTHER}") == "gone"
    assert machine.account(f"create mel 70340 {end} {int(time.time())} {OTHER}", 1) == "used 70341"
    assert machine.account(f"create mel 70340 {end} {int(time.time())} {ONE}") == "ok"
    assert machine.account(f"remove mel 70340 {OTHER}", 1).startswith("foreign ")
    assert machine.account(f"remove mel 70340 {ONE}") == "gone"
    assert machine.account(f"create mel 70340 {end} {int(time.time())} {OTHER}", 1).startswith("used ")
    # by root of the host: for all
    assert machine.account("remove mel 70341", by_stdin=False) == "gone"
    assert machine.account(f"create mel 70341 {end} {int(time.time())} {ONE}", 1).startswith("used ")
    # an hour later no `create` is under way any more
    file = f"{STATE}/.given-up"
    machine.sh(f"awk '{{ $3 -= 3601; print }}' {file} >{file}.x && mv {file}.x {file}")
    assert machine.account(f"remove mel 70342 {OTHER}") == "gone" and machine.account(f"remove mel 70342 {OTHER}") == "gone"
    assert machine.sh(f"cut -d' ' -f1,2 {file}") == f"70342 {OTHER}"
    machine.sh(f"seq 71000 71998 | sed 's/$/ {OTHER} {end}/' >>{file}")
    assert machine.account(f"remove mel 70343 {OTHER}", 1).startswith("failed 1000 uids")
    assert machine.account(f"remove mel 70343 {ONE}") == "gone"
    machine.sh(f"rm {file}; cp {STATE}/.used {STATE}/.keep; seq 1000 200999 >{STATE}/.used")
    assert machine.account(f"create mel 300344 {end} {int(time.time())} {ONE}", 1).startswith(f"failed {STATE}/.used has 200000")
    machine.sh(f"mv {STATE}/.keep {STATE}/.used")
    assert machine.account("list") == ""


def test_a_mark_from_before_bastions_had_names(machine):
    """It is that bastion's which knows name and uid, and from then on no other's."""
    end = later()
    for uid in (70330, 70331):
        machine.account(f"create max {uid} {end}")
        machine.sh(f"echo '{uid} {end} 1 there' >{STATE}/max")  # its form then
        assert machine.account("list") == f"max {uid} {end} there -"
        assert machine.account(f"create max 70339 {end} {int(time.time())} {ONE}", 1).startswith("refused ")
        if uid == 70330:
            assert machine.account(f"create max {uid} {end} {int(time.time())} {ONE}") == "ok"
            assert machine.account("list") == f"max {uid} {end} there {ONE}"
            assert "another bastion's" in machine.account(f"create max {uid} {end} {int(time.time())} {OTHER}", 1)
        assert machine.account(f"remove max {uid} {ONE}") == "gone" and machine.account("list") == ""


def test_a_try_that_fails_takes_no_uid(machine):
    end = later()
    with machine.broken("useradd"):
        assert machine.account(f"create gil 70290 {end}", 1).startswith("failed ")
    assert machine.account("list") == f"gil 70290 {end} making -"
    assert machine.sh("getent passwd gil; getent group gil; ls /home | grep gil", check=False) == ""
    assert machine.account(f"create gil 70290 {end}") == "ok"
    assert machine.account("remove gil 70290") == "gone" and machine.account("list") == ""


def test_a_full_disk_makes_no_other_number(machine):
    size = 4096 // 6 * 6
    machine.sh(f"mkdir -p {STATE} && mount -t tmpfs -o size=64k tmpfs {STATE}")
    try:
        machine.sh(f"yes 60000 | head -c {size} >{STATE}/.used; head -c 1000000 /dev/zero >{STATE}/.full", check=False)
        assert machine.account("remove ian 70300", 1).startswith("failed ")
        assert machine.account(f"create ian 70302 {later()}", 1).startswith("failed ")
        machine.sh(f"rm {STATE}/.full")
        assert machine.account("remove ian 70301") == "gone"
        assert machine.account(f"create ian 70301 {later()}", 1) == "used 70301"
        assert machine.account(f"create ian 70302 {later()}") == "ok" and machine.account("remove ian 70302") == "gone"
        assert machine.sh(f"sort -u {STATE}/.used").split() == ["60000", "70302"]
    finally:
        machine.sh(f"umount {STATE}")


def test_its_end_is_kept_by_the_target_alone(machine):
    machine.account(f"create fay 70030 {later()}")
    machine.account(f"create gus 70031 {later()}")
    assert machine.account("sweep", by_stdin=False) == ""
    end = later(60)
    assert machine.account(f"create fay 70030 {end}") == "ok"   # the end comes earlier,
    assert f"fay 70030 {end} there -" in machine.account("list").splitlines()
    machine.sh(f"sed -i 's/{end}/{end - 120}/' {STATE}/fay")    # and two minutes pass
    assert machine.account("sweep", by_stdin=False) == "gone fay 70030"
    assert machine.sh("getent passwd fay", check=False) == ""
    assert [line.split()[0] for line in machine.account("list").splitlines()] == ["gus"]
    end = later(7200)
    assert machine.account(f"create gus 70031 {end}") == "ok"                    # and later
    assert machine.account("list") == f"gus 70031 {end} there -"
    machine.account("remove gus 70031")


def test_a_renewal_that_comes_after_the_sweep(machine):
    """The timer removed it at the end of a grant, and the next grant begins there: that uid is used, and the next one is made at once."""
    machine.account(f"create hew 70032 {later(60)} {int(time.time())} {ONE}")
    machine.sh(f"awk '{{ $2 -= 120; print }}' {STATE}/hew >{STATE}/.edit && mv {STATE}/.edit {STATE}/hew")
    assert machine.account("sweep", by_stdin=False) == "gone hew 70032"
    end = later()
    assert machine.account(f"create hew 70032 {end} {int(time.time())} {ONE}", 1).startswith("used ")
    assert machine.account(f"remove hew 70032 {ONE}") == "gone"
    assert machine.account(f"create hew 70033 {end} {int(time.time())} {ONE}") == "ok"
    assert machine.account(f"remove hew 70033 {ONE}") == "gone"


def test_what_others_made_is_never_touched(machine):
    machine.sh("useradd -m hal && useradd -m -u 70041 ida && useradd -m joy && groupadd kim && mkdir /home/leo")
    before = machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort")
    end = later()
    for words, why in ((f"create hal 70040 {end}", "did not make"), (f"create ina 70041 {end}", "is ida's"), (f"create kim 70042 {end}", "group kim"),
                       (f"create leo 70043 {end}", "/home/leo is there"), ("remove ida 70041", "made by others"),
                       (f"create root 70044 {end}", "give rights"), (f"create root 70044 {end} {int(time.time())} {ONE}", "give rights")):
        answer = machine.account(words, 1)
        assert answer.startswith("refused ") and why in answer, (words, answer)
    assert machine.account("remove hal 70045") == "gone"    # of ours there is none
    assert machine.sh("cat /etc/passwd /etc/group /etc/shadow; find /home | sort") == before
    # ours was removed by hand, and another of that name made
    machine.account(f"create mia 70046 {end}")
    machine.sh("userdel -r mia && useradd -m mia && touch /home/mia/hers")
    assert machine.account("list").endswith("foreign -")
    assert "others removed or replaced it" in machine.account(f"create mia 70046 {end}", 1)
    assert machine.account("remove mia 70046") == "gone"
    assert machine.sh("ls /home/mia") == "hers" and machine.account("list") == ""


def test_a_subordinate_uid_is_nobodys(machine):
    machine.sh("echo hal:300000:65536 >>/etc/subuid")
    answer = machine.account(f"create nan 300001 {later()}", 1)
    assert answer.startswith("refused ") and "/etc/subuid" in answer
    assert machine.account("list") == ""


def test_bad_arguments(machine):
    machine.account("list")     # makes the folder
    before = machine.sh(f"cat /etc/passwd; ls -A {STATE}")
    for words in ("create oz 70050 {past}", "create oz 70050 {far}", "create oz 70050 {end} 1000000", "create ../oz 70050 {end}", "create -oz 70050 {end}",
                  "create oz 0 {end}", "create oz 999 {end}", "create oz 7e4 {end}", "create oz 070050 {end}", "create oz 70050 {end}s",
                  "create oz 99999999999999 {end}", "create O 70050 {end}", "create oz;id 70050 {end}", "create * 70050 {end}",
                  "create " + "o" * 33 + " 70050 {end}", "remove oz 0", "remove .. 70050"):
        assert machine.account(words.format(past=later(-1), far=later(500 * 86400), end=later()), 1).startswith("refused "), words
    assert machine.sh(f"cat /etc/passwd; ls -A {STATE}") == before


def test_usage(machine):
    for words in ("", "create", "create oz", "drop oz 70050", "remove oz", "list oz", "list --json oz", "sweep 1", "create oz 70050 1 2 3 4", "remove oz 70050 1 2"):
        assert machine.account(words, 2) == "", words


def test_broken_off_half_way(machine):
    """A power cut at any step: what is there afterwards is marked, can be made anew under the same uid, and can be removed."""
    end = later()
    steps = ("groupadd -g 70060 pam", "groupadd -g 70060 pam && useradd -u 70060 -g 70060 -M -d /home/pam pam",
             "groupadd -g 70060 pam && useradd -u 70060 -g 70060 -m -d /home/pam pam")
    for i, step in enumerate(steps):
        uid = 70060 + i
        machine.sh(f"umask 077; mkdir -p {STATE}; echo '{uid} {end} 1 making' >{STATE}/pam; echo {uid} >>{STATE}/.used")
        machine.sh(step.replace("70060", str(uid)) or ":")
        if i % 2:
            assert machine.account(f"create pam {uid} {end}") == "ok"
            assert machine.sh("stat -c %u /home/pam") == str(uid)
        assert machine.account(f"remove pam {uid}") == "gone"
        assert machine.sh("getent passwd pam; getent group pam; ls /home | grep pam", check=False) == "", step


def test_killed_at_any_moment(machine):
    """kill -9 while it makes an account and while it removes one, later each time: asked again it ends what it began, and nothing is left."""
    began = time.monotonic()
    machine.account(f"create rob 70080 {later()}")
    span = time.monotonic() - began
    machine.account("remove rob 70080")
    steps = 4
    for i in range(steps):
        uid, end = 70081 + i, later()
        cut = f"timeout -s KILL {span * (i + 1) / steps:.3f} sh {SCRIPT}"
        machine.sh(f"{cut} create rob {uid} {end}", check=False)
        if i % 2:
            if machine.run(f"create rob {uid} {end}").stdout.startswith("used "):
                # the kill came between the number, which is spent by that, and the mark: nothing was made, and the bastion takes the next one
                assert machine.account("list") == ""
                uid += 50
                machine.account(f"create rob {uid} {end}")
            assert machine.account(f"create rob {uid} {end}") == "ok"
            assert machine.account("list") == f"rob {uid} {end} there -"
            assert machine.sh("stat -c %u /home/rob") == str(uid)
        machine.sh(f"{cut} remove rob {uid}", check=False)
        assert machine.account(f"remove rob {uid}") == "gone"
        assert machine.account("list") == ""
        assert machine.sh(f"getent passwd rob {uid}; getent group rob {uid}; ls -d /home/rob", check=False) == ""
        assert machine.account(f"create rob {uid} {end}", 1).startswith("used ")
