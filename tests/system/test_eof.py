"""End of file travels in each direction by itself."""
import os

from harness import until


def test_end_of_input_reaches_the_command(deploy, target):
    assert deploy.run(target, "cat; echo after", stdin=b"one\n", check=True).stdout == b"one\nafter\n"


def test_output_goes_on_after_end_of_input(deploy, target):
    done = deploy.run(target, "cat >/dev/null; seq 200000", check=True)
    assert done.stdout.endswith(b"\n200000\n") and done.stdout.count(b"\n") == 200000


def test_end_of_output_reaches_the_client(deploy, target, home):
    """sshd sends it when standard error is closed as well; input goes on."""
    with deploy.start(target, f"echo out; exec >&- 2>&-; cat >{home}/heard") as process:
        assert process.stdout.read() == b"out\n"
        process.stdin.write(b"still heard\n")
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b"" # ssh keeps its own end open until it goes
    with open(f"{home}/heard", "rb") as f:
        assert f.read() == b"still heard\n"


def test_endless_output_ends_when_nobody_reads(deploy, target):
    with deploy.start(target, "yes") as process:
        assert process.stdout.read(4) == b"y\ny\n"
        process.stdout.close()
        process.stdin.close()
        assert process.wait(20) != 0


def test_a_command_that_ends_first_loses_nothing(deploy, target):
    done = deploy.run(target, "head -c 3000000 /dev/zero", check=True)
    assert len(done.stdout) == 3_000_000


def test_target_is_told_when_the_client_vanishes(deploy, target, home):
    with deploy.start(target, f"touch {home}/up; cat; touch {home}/down") as process:
        until(lambda: os.path.exists(f"{home}/up"))
        process.kill()
    until(lambda: os.path.exists(f"{home}/down"), what="the command at the target saw the end of its input")


def test_status_after_both_ends_of_file(deploy, target):
    """The client closes its channel when both ends are over; the status comes later and counts."""
    assert deploy.run(target, "exec >&- 2>&-; sleep 1; exit 7").returncode == 7
