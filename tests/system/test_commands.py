"""commands lists what was typed at a prompt and what ssh was given, and no password."""
import json

from harness import recording_of, replay


def test_commands_of_a_shell(lab, engineer, target, terminals):
    user = engineer()
    shell = terminals(user.terminal(target))
    shell.expect(rb"\$ $")
    shell.line("echo one-$((1+1))")
    shell.expect(rb"\none-2\r\n.*\$ $")
    shell.line("read -s -p 'Password: ' word; echo")
    shell.expect(rb"Password: $")
    shell.line("hunter2")
    shell.expect(rb"\$ $")
    shell.line("exit")
    shell.wait()
    text = replay(lab, "commands", recording_of(lab, user.user)).stdout.decode()
    assert "no boundary" in text.splitlines()[1]
    listed = [line.split(None, 2)[2] for line in text.splitlines()[2:]]
    assert listed == ["echo one-$((1+1))", "read -s -p 'Password: ' word; echo", "exit"]


def test_command_of_ssh(lab, engineer, target):
    user = engineer()
    user.run(target, "echo given", check=True)
    rows = [json.loads(line) for line in replay(lab, "commands", "--json", recording_of(lab, user.user)).stdout.splitlines()]
    assert [(row["prompt"], row["command"]) for row in rows] == [("", "echo given")]
