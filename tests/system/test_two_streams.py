"""A target that writes to both streams, and a client that takes its time: every byte of either, in bounded memory."""
import os
import time

import pytest

from harness import MEMORY_MAX, labkit, memory, recording_of, replay, sessions, until

BLOCK, BLOCKS = 4000, 5000      # on standard output, with a line on standard error behind each
POUR = f"""import os
for i in range({BLOCKS}):
    left = memoryview(bytes({BLOCK}))
    while left:
        left = left[os.write(1, left):]
    os.write(2, b"x\\n")
    if i % 50 == 0:
        open("{{mark}}", "w").write(str(i))
open("{{mark}}", "w").write("all")
"""


@pytest.mark.parametrize("reads", ["late", "at once"])
def test_every_byte_of_both(lab, deploy, target, home, reads):
    """Lines on standard error make libssh reopen the window, whatever of standard output is not read yet: the target must wait all the same."""
    before, mark = sessions(lab), f"{home}/mark"
    with open(f"{home}/pour.py", "w", encoding="ascii") as f:
        f.write(POUR.replace("{mark}", mark))
    with deploy.start(target, f"python3 {home}/pour.py") as process:
        pid, = until(lambda: sessions(lab) - before, what="the session")
        if reads == "late":
            stands(mark)
            used = cpu(pid)
            time.sleep(1)
            assert cpu(pid) - used < 0.5, "it turns in place while it waits for the client"
            assert memory(pid, "VmHWM") < MEMORY_MAX
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err[-500:]
    assert len(out) == BLOCK * BLOCKS and out.count(b"\0") == len(out)
    assert err == b"x\n" * BLOCKS
    replay(lab, "verify", recording_of(lab, "deploy"))


def cpu(pid):
    """Seconds that the process used."""
    words = labkit.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def stands(mark):
    """Waits until the target gets rid of nothing any more, long before it is done."""
    seen = [""]

    def same():
        seen.append(open(mark, encoding="ascii").read() if os.path.exists(mark) else "")
        return len(seen) > 15 and seen[-1] != "" and len(set(seen[-15:])) == 1
    until(same, deadline=30, pause=0.1, what="the target waits")
    assert seen[-1] != "all", "what the windows of client, bastion and target take is less than all"
