"""Something from outside ends the session between the ends of a command: behind the target's end of file, before its exit status; and behind that."""
import json

import pytest

from harness import labkit, recording_of, replay, until


@pytest.mark.parametrize("options", [(), ("-n",)], ids=["stdin", "-n"])
def test_an_end_from_outside_behind_the_eof(lab, engineer, target, options):
    """`make >log 2>&1`: the target's eof comes at once, its exit status much later, and the grant ends in between."""
    user = engineer()
    with user.start(target, "exec sleep 1000 >/dev/null 2>&1", options=options) as process:
        path = recording_of(lab, user.user, closed=False)

        def at_end():
            lines = replay(lab, "export", "--json", path, check=False).stdout.splitlines()
            return any((row["kind"], row.get("data")) == ("eof", "out") for row in map(json.loads, lines))
        until(at_end, deadline=20, pause=0.3, what="the target's end of file in the recording")
        assert process.poll() is None
        lab.ctl("revoke", user.grant, "--reason", "over", uid=lab.state["users"]["bob"])
        assert process.wait(10 * labkit.SLOW) == 255


def test_an_end_from_outside_behind_the_status(lab, engineer, target):
    """`service app start`: the command ended with 0, the daemon that it leaves keeps its standard error, and then the grant ends."""
    user = engineer()
    with user.start(target, "sleep 1000 >/dev/null & exit 0", options=("-n", "-o", "LogLevel=DEBUG1")) as process:
        lines = iter(process.stderr.readline, b"")
        assert any(b"rtype exit-status" in line for line in lines)
        lab.ctl("revoke", user.grant, "--reason", "done early", uid=lab.state["users"]["bob"])
        assert any(b"done early" in line for line in lines)
        assert process.wait(10 * labkit.SLOW) == 0
