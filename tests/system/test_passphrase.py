"""An auditor's identity may be a file with a passphrase, as `age -p` makes it: it is asked for on the terminal, and is shown nowhere."""
import os
import shlex
import signal
import termios

import pytest

from harness import Terminal, labkit, made_recording, meta_event, open_event


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("store")
    ident, = made_recording(tmp_path, [meta_event(), open_event(), {"t": 1, "ch": 1, "kind": "o", "text": "shown\\r\\n"}])
    making = Terminal(["age", "-p", "-o", str(tmp_path / "locked.age"), str(tmp_path / "identity")], dict(os.environ))
    for question in (rb"Enter passphrase[^:]*: $", rb"Confirm passphrase: $"):
        making.expect(question)
        making.line("correct horse")
    assert making.wait() == 0
    making.close()
    os.unlink(tmp_path / "identity")
    return tmp_path, ident


def question(store, ident, shell=None):
    program = os.path.join(os.environ.get("LAB_BIN", os.path.join(labkit.REPO, "build")), "bastion-replay")
    words = [program, "show", "--json", "--store", str(store), "--key", str(store / "locked.age"), "--trust", str(store / "trust"), ident]
    terminal = Terminal(["/bin/bash", "-mc", f"{shlex.join(words)}; {shell}"] if shell else words,
                        os.environ | {"XDG_STATE_HOME": str(store / "state")})
    terminal.expect(rb"Passphrase of [^:]*: $")
    return terminal


def asked(store, ident, passphrase):
    terminal = question(store, ident)
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


def echoes(terminal):
    return bool(termios.tcgetattr(terminal.fd)[3] & termios.ECHO)


@pytest.mark.parametrize("key, signo", [(b"half\x03", signal.SIGINT), (None, signal.SIGTERM)])
def test_whoever_gives_up_has_the_echo_again(store, key, signo):
    terminal = question(*store)
    assert not echoes(terminal)
    if key:
        os.write(terminal.fd, key)
    else:
        os.kill(terminal.pid, signo)
    assert terminal.wait() == -signo and echoes(terminal)
    terminal.close()


def test_stopped_and_asked_again(store):
    """By a shell, which has jobs."""
    terminal = question(*store, shell="stty -a; fg")
    os.write(terminal.fd, b"half\x1a")
    terminal.expect(rb"[^-]echo .*Passphrase of [^:]*: $")
    assert not echoes(terminal)
    terminal.line("")
    assert terminal.wait() == 3 and b"half" not in terminal.seen and echoes(terminal)
    terminal.close()
