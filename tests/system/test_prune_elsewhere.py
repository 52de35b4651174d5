"""Retention where there is more than one copy: nothing goes before the object store has it, and what went is not taken in again from another
collector."""
import glob
import os
import shutil

from harness import labkit, until
from test_evidence import read
from test_prune import DAY, NOW, Aged
from test_quorum import sync


def test_not_before_the_archive_has_it(new_lab, object_store):
    bucket, port = object_store.make_bucket("pruned"), labkit.free_port()
    away, there = ("\n".join(object_store.archive_section(bucket, **words)) for words in ({"port": port}, {}))
    aged = Aged(new_lab())
    aged.configure(f"retention = 90\n{away}")
    aged.restart()
    until(lambda: aged.log().count("due to be pruned and stays: the archive has not confirmed it") >= 3, what="all that are due stay")
    assert aged.there() == set(aged.dirs) and "notice: pruned" not in aged.log()
    aged.configure(f"retention = 90\n{there}")
    aged.restart()
    def confirmed(name):
        path = os.path.join(aged.dirs[name], "archived")
        # what never closed is put whole, too, when its bastion has been silent for so long
        end = max(os.listdir(made[name])).encode() if name in ("silent", "broken", "torn") else b"closed "
        return not os.path.exists(aged.dirs[name]) or (os.path.exists(path) and end in read(path))
    made = {name: glob.glob(aged.lab.path("made", "recordings", "*", rid))[0] for name, rid in aged.ids.items()}
    until(lambda: all(confirmed(name) for name in ("old", "long", "held", "silent", "broken", "torn")), deadline=60, what="the archive has them")
    aged.restart()      # the next look is at the start, not in an hour
    until(lambda: aged.there() == {"young", "written", "open", "mute", "touched", "lost", "taken"}, deadline=60, what="all that are due are gone")
    # and there it is whole
    reader = object_store.client("reader")
    day, rid = aged.dirs["old"].split("/")[-2:]
    assert reader.get(bucket, f"c1/recordings/{day}/{rid}/00000000.brec") == read(made["old"], "00000000.brec")
    day, rid = aged.dirs["broken"].split("/")[-2:]
    assert reader.get(bucket, f"c1/recordings/{day}/{rid}/00000069.brec") == read(made["broken"], "00000069.brec")
    # the archiver lives on without the files, and tells of the one whose end the store has and the disk has not
    alarms = [line for line in aged.log().splitlines() if "ALARM" in line]
    assert alarms and all(aged.ids["taken"] in line for line in alarms), alarms


def test_what_was_pruned_is_not_taken_in_again(new_lab):
    aged = Aged(new_lab(options=["quorum = 1"], collectors=2))
    lab, store = aged.lab, aged.lab.store("collector2")
    both = lab.path("both.pub")
    labkit.write(both, read(aged.signer).decode() + read(lab.path("state", "recorder", "signer.pub")).decode())

    def second(line):
        lab.write_configs()
        conf = labkit.read(lab.collector_conf("collector2"))
        labkit.write(lab.collector_conf("collector2"), f'{line}\n{conf}recorder c1 {{\n\tcertificate = "{lab.store("collector")}/collector.crt"\n'
                     f'\tsigner = "{both}"\n}}\n')
        lab.stop("collector2")
        lab.start("collector2")
        aged.hear()
    shutil.rmtree(aged.dirs["torn"])     # cannot be given whole, and is said to be so
    lab.start("collector")
    second("")
    done = sync(lab, "collector2")
    assert done.returncode == 0 and all(f"gave  {aged.ids[name]}" in done.stdout for name in ("old", "long", "young")), done
    second("")      # what the journal has is written once more at a start, and is as young as that
    for path in glob.glob(f"{store}/recordings/*/*/*.brec"):
        if os.path.basename(os.path.dirname(path)) in aged.ids.values():
            os.utime(path, (NOW - 100 * DAY,) * 2)
    second("retention = 90")
    gone = [f"{store}/recordings/{'/'.join(aged.dirs[name].split('/')[-2:])}" for name in ("old", "long", "written", "held")]
    until(lambda: not any(os.path.exists(path) for path in gone), deadline=60, what="the second collector has pruned")
    leaves = read(store, "log", "checkpoint").splitlines()[1]
    done = sync(lab, "collector2")
    assert done.returncode == 0 and "gave" not in done.stdout and "0 given" in done.stdout, done
    assert not any(os.path.exists(path) for path in gone) and read(store, "log", "checkpoint").splitlines()[1] == leaves
