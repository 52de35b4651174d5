"""The content keys of a sealed segment are gone from the session's memory; so are they from the recorder's, which never had them."""
import os
import struct
import sys
import time

import pytest

from harness import Client, Terminal, labkit, recordings, role, sessions, until

sys.path.insert(0, os.path.join(labkit.REPO, "tests"))
import brec_independent as brec
from test_reload import reload

# one try: what it may catch is rare, and a second try would hide it
pytestmark = pytest.mark.flaky(reruns=0)


@pytest.fixture(scope="module")
def own(new_lab):
    return new_lab(options=['segment_bytes = "64KiB"'])


HUGE = 1 << 32          # bytes: AddressSanitizer's own map of the memory, which has none of its bytes


def memory(pid):
    """Everything that the process can write to."""
    out = []
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if "w" not in rights:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            if end - start > HUGE:
                continue
            try:
                mem.seek(start)
                out.append(mem.read(end - start))
            except OSError:
                continue
    return b"".join(out)


def secrets(lab, path, number):
    """File key, group key and stream keys of a segment, by the auditor's identity."""
    with open(os.path.join(path, f"{number:08d}.brec"), "rb") as f:
        header = brec.Header(f.read())
    salt = header.id + struct.pack(">I", header.epoch)
    _, stanzas = header.groups[0]
    file_key = brec.unwrap(stanzas, brec.load_identities(lab.path("auditor.key")))
    group = brec.hkdf(file_key, salt, b"brec/v1 group\0")
    return [file_key, group] + [brec.hkdf(group, salt, b"brec/v1 stream" + bytes([stream])) for stream in range(3)]


def of_the_newest(lab, path, session):
    """The session's memory, if it has the stream keys of the newest segment: the next one may begin while it is read."""
    last = max(int(name[:8]) for name in os.listdir(path) if name.endswith(".brec") and os.path.getsize(f"{path}/{name}"))
    held = memory(session)
    return held if all(key in held for key in secrets(lab, path, last)[2:]) else None


def shell(lab):
    user = Client(lab, "deploy")
    terminal = Terminal(user.argv("web1.name", options=("-tt",)), user.env)
    terminal.line("stty -echo; echo $((6*7))")
    terminal.expect(rb"\n42\r\n")
    return terminal


def test_old_keys_are_gone(own):
    terminal = shell(own)
    path = until(lambda: recordings(own, "deploy"), what="a recording")[-1]
    (session,), recorder = sessions(own), role(own, "rec")
    until(lambda: os.path.exists(f"{path}/00000000.brec") and os.path.getsize(f"{path}/00000000.brec"))
    first = secrets(own, path, 0)
    held = memory(session)
    # the scan can see: the keys that are in use are there
    assert all(key in held for key in first[2:]), "the stream keys of the segment being written are in memory"
    relayed = memory(recorder)
    assert len(relayed) > 1 << 20 and not any(key in relayed for key in first)
    terminal.line("seq 30000; echo do''ne")
    terminal.expect(b"done")
    until(lambda: os.path.exists(f"{path}/00000001.brec"), what="a second segment")
    held = until(lambda: of_the_newest(own, path, session), what="the stream keys of the segment being written are in memory")
    for name, key in zip(("file key", "group key", "metadata", "input", "output"), first):
        assert key not in held, f"the first segment's {name} is still in memory"
    terminal.line("exit")
    assert terminal.wait() == 0
    terminal.close()


def test_keys_of_a_silent_session_go_with_time(own):
    """segment_time seals what stands, without a further byte from anybody."""
    own.state["options"].append('segment_time = "5s"')
    own.write_configs()
    reload(own)
    terminal = shell(own)
    start = time.monotonic()
    path = until(lambda: recordings(own, "deploy"), what="a recording")[-1]
    # one that is over may still wait until its end is stored
    (session,) = until(lambda: len(found := sessions(own)) == 1 and found, what="one session")
    until(lambda: os.path.exists(f"{path}/00000001.brec"), deadline=30, what="a second segment")
    assert time.monotonic() - start < 40, "it is sealed after 5 s, not the usual 60"
    held = memory(session)
    assert not any(key in held for key in secrets(own, path, 0))
    terminal.line("exit")
    assert terminal.wait() == 0
    terminal.close()
