"""git push, fetch and clone."""


def test_push_and_fetch(deploy, target, home, tmp_path):
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"))}
    env |= {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words, cwd=tmp_path):
        return deploy.tool("git", *words, env=env, cwd=cwd)
    deploy.run(target, f"git init -q --bare {home}/r.git", check=True)
    git("init", "-q", "-b", "main", "work")
    work = tmp_path / "work"
    for i in range(20):
        (work / f"f{i}").write_text(f"{i}\n" * 5000)
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("push", "-q", f"{target}:{home}/r.git", "main", cwd=work)
    git("clone", "-q", "-b", "main", f"{target}:{home}/r.git", "other")
    assert (tmp_path / "other" / "f19").read_text() == "19\n" * 5000
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=work)
    git("push", "-q", f"{target}:{home}/r.git", "main", cwd=work)
    git("fetch", "-q", cwd=tmp_path / "other")
    assert git("log", "-1", "--format=%s", "origin/main", cwd=tmp_path / "other").stdout == b"second\n"
