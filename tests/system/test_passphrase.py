"""An auditor's identity may be a file with a passphrase, as `age -p` makes it: it is asked for on the terminal, and is shown nowhere."""
import os

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event


@pytest.fixture
def store(tmp_path):
    ident, = made_recording(tmp_path, [meta_event(), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "shown\\r\\n"}])
    making = Terminal(["age", "-p", "-o", str(tmp_path / "locked.age"), str(tmp_path / "identity")], dict(os.environ))
    for question in (rb"Enter passphrase[^:]*: $", rb"Confirm passphrase: $"):
        making.expect(question)
        making.line("correct horse")
    assert making.wait() == 0
    making.close()
    os.unlink(tmp_path / "identity")
    return tmp_path, ident


def asked(store, ident, passphrase):
    program = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")
    terminal = Terminal([program, "show", "--json", "--store", str(store), "--key", str(store / "locked.age"), "--trust", str(store / "trust"), ident],
                        os.environ | {"XDG_STATE_HOME": str(store / "state")})
    terminal.expect(rb"Passphrase of [^:]*: $")
    terminal.line(passphrase)
    status = terminal.wait()
    seen = terminal.seen
    terminal.close()
    assert passphrase.encode() not in seen
    return status, seen


def test_passphrase(store):
    store, ident = store
    status, seen = asked(store, ident, "correct horse")
    assert status == 0 and b'"user":"alice"' in seen
    status, seen = asked(store, ident, "wrong horse")
    assert status == 3 and b"alice" not in seen
