"""The target's end of file came long ago, and something from outside ends the session before its exit status did."""
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
