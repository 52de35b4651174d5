"""`ssh alice@bastion` with a terminal: words, completion, editing, connect, and back."""
import pytest


@pytest.fixture
def console(deploy, terminals):
    it = terminals(deploy.terminal("bastion"))
    it.expect(rb"> ?$")
    return it


def test_words(console):
    console.line("hosts")
    console.expect(rb"web1")
    console.line("nonsense")
    console.expect(rb"nonsense")
    console.line("exit")
    assert console.wait() == 0


def test_completion_and_editing(console):
    console.send(b"gran\t\r")  # one word begins so
    console.expect(rb"deploy.*> ?$")
    console.send(b"nonsense\x15hostz\x7fs\r")
    console.expect(rb"web1")
    assert b"nonsense" not in console.seen.split(b"hostz")[-1]
    console.send(b"\x04")
    assert console.wait() == 0


def test_connect_and_back(console):
    console.line("connect web1 as dba")
    console.expect(rb"\$ $")
    console.line("echo $((6*7)); tty")
    console.expect(rb"\n42\r\n/dev/pts/\d+\r\n")
    console.resize(40, 100)
    console.line("stty size")
    console.expect(rb"40 100\r\n")
    console.line("exit")
    console.expect(rb"> ?$")
    console.line("help")
    console.expect(rb"request")
    console.line("exit")
    assert console.wait() == 0


def test_connect_without_a_login(lab, engineer, terminals):
    """Where there is one only it may be left out; where there are more, the answer names them; with --wait it is the request's."""
    user = engineer()
    console = terminals(user.terminal("bastion"))
    console.expect(rb"> ?$", timeout=60)
    console.line("connect WEB1")
    console.expect(rb"\$ $")
    console.line("id -un; exit")
    console.expect(rb"\ndba\r\n.*> ?$")
    console.line("connect nowhere")
    console.expect(rb"No host nowhere for you here.*> ?$")
    role = user.user.replace(".", "-")
    lab.ask("role add", role=role, host=["web*"], login=["app"], max=3600)
    lab.ask("role member add", role=role, user=user.user)
    console.line("connect web1")
    console.expect(rb"web1 has several logins for you: dba, app\. Say which: connect web1 as dba\r\n.*> ?$")
    lab.ask("role approver add", role=role, user="bob")
    lab.ask("cancel", as_uid=lab.state["users"][user.user], id=int(user.grant))
    lab.grant(user.user, login="app", span=3600)
    console.line("connect web1 --wait")
    console.expect(rb"\$ $")
    console.line("id -un; exit")
    console.expect(rb"\napp\r\n.*> ?$")
    console.line("exit")
    console.wait()


def test_connect_without_a_grant(engineer):
    """The line comes on the stream of the next prompt, before it: ssh keeps two in no order."""
    done = engineer(grant=False).run("bastion", options=("-tt",), stdin=b"connect web1 as dba\rexit\r")
    assert b"request web1" in done.stdout.split(b"connect web1 as dba")[-1].split(b"bastion> ")[0] and done.returncode == 0, done


def test_no_shell_escape(console):
    for text in ("!id", "$(id)", "`id`", "hosts | sh", "\x1b[2J"):
        console.line(text)
    console.line("exit")
    console.wait()
    assert b"uid=" not in console.seen
