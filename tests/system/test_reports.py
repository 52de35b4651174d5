"""Reports for auditors, over ssh and by bastionctl: what users did is in them, in all three forms, and nobody else gets them."""
import csv
import io
import json

import pytest

from harness import Client, until

EVIL = "=cmd|' /C calc'!A0"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module")
def auditor(lab, fresh):
    name = fresh("reporter")
    lab.make_user(name, auditor=True)
    return Client(lab, name)


def test_a_login_its_request_and_its_use(lab, auditor, engineer):
    user = engineer(grant=False)
    lab.ask("request", as_uid=lab.state["users"][user.user], host="web1", login="dba", reason=EVIL, **{"for": 3600})
    number = lab.ask("requests", limit=1000)["rows"][-1]["id"]
    lab.ask("approve", as_uid=lab.state["users"]["bob"], id=number)
    assert lab.ctl("report", "grants", "--unused", "--user", user.user).count(user.user) == 1
    user.run("web1.jump", "true", check=True)
    until(lambda: lab.ctl_json("report", "grants", "--user", user.user)["rows"][0].get("time") is not None, 20, what="the session's end")
    said = auditor.run("bastion", "report", "logins", "--csv", "--user", user.user, check=True).stdout.decode()
    assert said.endswith("\r\n")
    assert [row["from"] for row in rows_of(said) if row["kind"] == "login.ok"] == ["127.0.0.1"]
    request = rows_of(lab.ctl("report", "requests", "--csv", "--user", user.user))
    assert len(request) == 1 and request[0]["verdicts"].startswith("bob yes 20") and request[0]["reason"] == "'" + EVIL
    as_json = json.loads(auditor.run("bastion", "report", "requests", "--json", "--user", user.user, check=True).stdout)["rows"]
    assert as_json[0]["reason"] == EVIL        # JSON is for programs: as it was
    grant = rows_of(lab.ctl("report", "grants", "--csv", "--user", user.user))[0]
    assert grant["sessions"] == "1" and grant["used"].endswith("Z")
    assert user.user in lab.ctl("report", "access", "--user", user.user)
    lab.ask("revoke", as_uid=lab.state["users"]["bob"], id=number)
    assert not lab.ctl_json("report", "access", "--user", user.user)["rows"]


def test_not_for_others(engineer):
    done = engineer(grant=False).run("bastion", "report", "logins")
    assert done.returncode == 3 and b"not for you" in done.stderr


def test_refusals_are_reported(lab, auditor, deploy):
    deploy.run("bastion", "user", "list")
    rows = json.loads(auditor.run("bastion", "report", "refused", "--json", "--user", "deploy", check=True).stdout)["rows"]
    assert any(row["kind"] == "word.refused" and row["what"] == "user list" for row in rows)
    assert "deploy" in lab.ctl("report", "services")
