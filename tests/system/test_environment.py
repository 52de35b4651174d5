"""LANG, LC_* and TERM come through; nothing else does, although the target would take it."""


def test_only_language_comes_through(deploy, target):
    options = ["-o", "SendEnv *"]
    sent = {"LANG": "de_DE.UTF-8", "LC_TIME": "C", "LC_MESSAGES": "C.UTF-8", "LD_PRELOAD_X": "bad", "GIT_TRACE": "1", "FOO": "bar",
            "BASH_ENV": "/tmp/x", "LCX": "no", "LANGUAGE": "no"}
    done = deploy.run(target, "env", options=options, env=sent, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
    assert {k: seen.get(k) for k in sent} == {k: (sent[k] if k in ("LANG", "LC_TIME", "LC_MESSAGES") else None) for k in sent}


def test_absurd_values_do_no_harm(deploy, target):
    done = deploy.run(target, "echo ok", env={"LC_ALL": "x" * 20000, "LC_NAME": "a\nb\x1b[2J"}, options=["-o", "SendEnv LC_*"])
    assert done.returncode in (0, 255)
    assert deploy.run(target, "echo ok", check=True).stdout == b"ok\n"
