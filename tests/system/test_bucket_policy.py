"""The policy that bastion-collectord(8) gives a bucket at AWS, judged as AWS says that it judges one: it lets the collector's puts through,
with either kind of lock, with a hold or without, and nothing else that anybody could shorten or remove a lock with."""
import fnmatch
import json
import os
import re

import pytest

from harness import labkit

MAN = labkit.read(os.path.join(labkit.REPO, "man", "bastion-collectord.8"))
COLLECTOR, OWNER = "arn:aws:iam::111122223333:user/collector", "arn:aws:iam::111122223333:root"
KEY = "arn:aws:s3:::evidence/c1/recordings/0/0.brec"


def policy(lock, holds):
    """As printed for AWS; with the changes that the page names for these two."""
    section = MAN.partition(".Ss AWS S3\n")[2].partition("\n.Ss ")[0]
    text = re.search(r"^\.Bd -literal\n(\{ \"Version\".*?)\n\.Ed", section, re.S | re.M).group(1)
    statements = json.loads(text)["Statement"]
    after = section.partition(text)[2]
    assert re.search(r"Dq bucket\n\.Ql s3:PutObjectRetention\nin the first two statements becomes\n\.Ql s3:GetObjectRetention", after)
    assert re.search(r"s3:PutObjectLegalHold\nstands beside\n\.Ql s3:PutObject\nin the first two statements", after)
    for statement in statements[:2]:
        actions = statement.get("Action") or statement["NotAction"]
        if lock == "bucket":
            actions[actions.index("s3:PutObjectRetention")] = "s3:GetObjectRetention"
        if holds:
            actions.append("s3:PutObjectLegalHold")
    return statements


def listed(value):
    return value if isinstance(value, list) else [value]


def condition(operator, key, wanted, context):
    """A key that is missing: no match, so that what asks for no match is true; IfExists is true."""
    have = context.get(key)
    if operator == "Null":
        return (have is None) == (wanted == "true")
    if operator.endswith("IfExists"):
        return have is None or condition(operator.removesuffix("IfExists"), key, wanted, context)
    if operator == "StringNotEquals":
        return have is None or have not in listed(wanted)
    if operator == "Bool":
        return have is not None and str(have).lower() == wanted
    if operator in ("NumericLessThan", "NumericGreaterThan"):
        return have is not None and (have < int(wanted) if operator == "NumericLessThan" else have > int(wanted))
    raise AssertionError(operator)


def meant(statement, who, action, resource, context):
    principal = statement["Principal"]
    return ((principal == "*" or who in listed(principal["AWS"])) and
            (any(fnmatch.fnmatchcase(action, one) for one in listed(statement["Action"])) if "Action" in statement else action not in listed(statement["NotAction"])) and
            any(fnmatch.fnmatchcase(resource, one) for one in listed(statement["Resource"])) and
            all(condition(operator, key, wanted, context) for operator, keys in statement.get("Condition", {}).items() for key, wanted in keys.items()))


def allowed(statements, actions, who=COLLECTOR, resource=KEY, **context):
    """All these actions, as one request wants them. The owner of a bucket is allowed what nobody denies."""
    context = {"aws:SecureTransport": "true"} | context
    for action in actions:
        effects = {one["Effect"] for one in statements if meant(one, who, action, resource, context)}
        if "Deny" in effects or (who == COLLECTOR and "Allow" not in effects):
            return False
    return True


def lock_of(mode, days):
    return {"s3:object-lock-mode": mode, "s3:object-lock-remaining-retention-days": days}


@pytest.mark.parametrize("holds", [False, True])
def test_puts_that_name_their_lock(holds):
    it = policy("header", holds)
    # ended an hour later than 90 days, it has 90 whole days left when it arrives
    for days in (90, 97, 400):
        assert allowed(it, ["s3:PutObject", "s3:PutObjectRetention"], **lock_of("COMPLIANCE", days)), days
        assert allowed(it, ["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"], **lock_of("COMPLIANCE", days)) == holds
    for mode, days in (("GOVERNANCE", 97), ("COMPLIANCE", 89), ("COMPLIANCE", 401)):
        for who in (COLLECTOR, OWNER):
            assert not allowed(it, ["s3:PutObject", "s3:PutObjectRetention"], who, **lock_of(mode, days)), (mode, days, who)
            assert not allowed(it, ["s3:PutObjectRetention"], who, **lock_of(mode, days)), (mode, days, who)


@pytest.mark.parametrize("holds", [False, True])
def test_puts_that_leave_the_lock_to_the_bucket(holds):
    it = policy("bucket", holds)
    assert allowed(it, ["s3:PutObject"])
    assert allowed(it, ["s3:PutObject", "s3:PutObjectLegalHold"]) == holds
    assert allowed(it, ["s3:GetObjectRetention"])       # for the proof
    assert not allowed(it, ["s3:PutObject", "s3:PutObjectRetention"], **lock_of("COMPLIANCE", 97))


@pytest.mark.parametrize("lock", ["header", "bucket"])
def test_nothing_else(lock):
    it = policy(lock, holds=True)
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:ListBucket", "s3:BypassGovernanceRetention", "s3:PutBucketPolicy",
                   "s3:PutBucketObjectLockConfiguration"):
        assert not allowed(it, [action]) and not allowed(it, [action], resource="arn:aws:s3:::evidence"), action
    assert not allowed(it, ["s3:PutObject"], resource="arn:aws:s3:::evidence/c2/recordings/0/0.brec")      # another collector's
    assert not allowed(it, ["s3:PutObject"], **{"aws:SecureTransport": "false"})
