"""Words from a file or a pipe: in their order, to the end of the input, nothing lost, and a status that tells of refusals."""
import os
import re

import pytest

from harness import recording_of, replay


def fed(deploy, data, *options):
    """`ssh bastion <data`: what was printed, and the status."""
    done = deploy.run("bastion", options=options, stdin=data)
    return done.stdout.decode(), done.stderr.decode(), done.returncode


TERMINAL = {"plain": (), "terminal": ("-tt",)}


@pytest.fixture(params=TERMINAL)
def options(request):
    return TERMINAL[request.param]


def test_in_order(deploy, options):
    out, _, status = fed(deploy, b"hosts\n# a comment\n\ngrants\nhelp hosts\n", *options)
    assert status == 0
    where = [re.search(pattern, out, re.S) for pattern in (r"LONGEST", r"APPROVED BY", r"that you may ask for")]
    assert all(where), out
    assert [m.start() for m in where] == sorted(m.start() for m in where)


def test_first_refusal_is_the_status(deploy, options):
    out, err, status = fed(deploy, b"hosts\nrevoke 999999\nnonsense\nhosts\n", *options)
    assert status == 4
    assert len(re.findall(r"^web1\b", out.replace("\r", ""), re.M)) == 2 and "nonsense" in out + err


def test_last_line_without_an_end(deploy, options):
    out, _, status = fed(deploy, b"hosts\ngrants", *options)
    assert status == 0 and out.index("web1") < out.rindex("deploy")


@pytest.mark.parametrize("count", [300])
def test_nothing_is_lost(deploy, options, count):
    """Each line is answered once; much more is sent than a terminal's queue takes."""
    lines = "".join(f"no-such-word-{i:04d}\n" for i in range(count))
    out, err, status = fed(deploy, lines.encode() + b"hosts\n", *options)
    assert status == 2
    answers = [int(n) for n in re.findall(r"no-such-word-(\d{4})(?!\r?\n)", out + err)]
    assert sorted(answers) == list(range(count))
    assert "web1" in out


def test_no_input_is_the_help(deploy):
    out, _, status = fed(deploy, b"")
    assert status == 0 and "request" in out


def test_no_input_at_the_console(deploy):
    _, _, status = fed(deploy, b"", "-tt")
    assert status == 0


def test_exit_ends(deploy, options):
    out, _, status = fed(deploy, b"grants\nexit\nhosts\n", *options)
    assert status == 0 and "HOST" in out.upper() and not re.search(r"^web2\b", out.replace("\r", ""), re.M)


@pytest.mark.parametrize("line,says", [(b"x" * 5000, "long"), (b"ho\0sts", ""), (b"\xff\xfe\x1b[2J", ""), (b'hosts "', "quote")])
def test_lines_that_are_none(deploy, line, says):
    out, err, status = fed(deploy, line + b"\nhosts\n")
    assert status == 2 and says in err and "web1" in out and "\x1b" not in out + err


def test_connect_needs_a_terminal(deploy):
    _, err, status = fed(deploy, b"connect web1 as dba\n")
    assert status == 2 and "ssh -t" in err


def test_connect_and_on(lab, deploy, home):
    """What follows `connect` goes to the host, and is recorded there; the console goes on when the host's shell ended."""
    out, _, status = fed(deploy, f"connect web1 as dba\ntouch {home}/been\nexit\n".encode(), "-tt")
    assert os.path.exists(f"{home}/been") and status == 0, out
    assert f"touch {home}/been".encode() in replay(lab, "export", "--text", recording_of(lab, "deploy")).stdout


def test_a_client_that_reads_slowly(deploy):
    """Answers that nobody takes yet hold back the words behind them, and are whole."""
    with deploy.start("bastion") as process:
        process.stdin.write(b"help all\n" * 300 + b"hosts\n")
        process.stdin.close()
        out = process.stdout.read(100)
        while piece := process.stdout.read(4096):
            out += piece
    assert process.returncode == 0 and out.count(b"Words for root") + out.count(b"key add") >= 300 and b"web1" in out[-300:]
