"""A shell on a terminal, by both ways: what is typed, what is shown, sizes, status."""


def test_shell_shows_what_is_typed(deploy, target, terminals):
    shell = terminals(deploy.terminal(target))
    shell.line("echo $((6*7)); tty")
    shell.expect(rb"\n42\r\n/dev/pts/\d+\r\n")
    shell.line("exit 7")
    assert shell.wait() == 7


def test_size_at_start_and_after_change(deploy, target, terminals):
    shell = terminals(deploy.terminal(target, rows=31, columns=97))
    shell.line("stty size")
    shell.expect(rb"\n31 97\r\n")
    shell.resize(50, 132)
    shell.line("until stty size | grep -qx '50 132'; do sleep 0.1; done; echo chan''ged")
    shell.expect(rb"changed")


def test_term_arrives(deploy, target, terminals):
    shell = terminals(deploy.terminal(target))
    shell.line("echo term=$TERM.")
    shell.expect(rb"\nterm=xterm\.\r\n")


def test_interrupt_key(deploy, target, terminals):
    shell = terminals(deploy.terminal(target))
    shell.expect(rb"\$ $")
    # What the key ends says `ready` and starts no other program: dash forgets an interrupt between vfork and exec, and waits for what it started
    shell.line("sh -c 'echo ready; read line; echo not-reached'")
    shell.expect(rb"\nready\r\n")
    shell.send(b"\x03")
    # typed ahead of the prompt a line may lose its first character: the key empties what was read, and bash makes the terminal its own again
    shell.expect(rb"\$ $")
    shell.line("echo status=$?")
    shell.expect(rb"status=130\r\n")
    assert b"\nnot-reached" not in shell.seen


def test_command_on_a_terminal(deploy, target, terminals):
    command = terminals(deploy.terminal(target, "test -t 0 && test -t 1 && test -t 2; exit $((10+$?))"))
    assert command.wait() == 10


def test_bytes_above_127_and_control_bytes(deploy, target, terminals):
    shell = terminals(deploy.terminal(target, "stty raw -echo; printf ready; dd bs=1 count=200 status=none | od -An -v -tx1 | tr -d ' \\n'; printf ."))
    shell.expect(rb"ready")
    # 0x7e after a return is ssh's own escape: a byte that is no return stands before it here
    data = bytes(range(56, 256))
    shell.send(data)
    shell.expect(data.hex().encode() + rb"\.")


def test_large_output_on_a_terminal(deploy, target, terminals):
    shell = terminals(deploy.terminal(target, "seq 100000"))
    assert shell.wait() == 0
    lines = shell.seen.split(b"\r\n")
    assert lines[:100000] == [b"%d" % n for n in range(1, 100001)]
