#!/usr/bin/python3
"""The access decision, written a second time from doc/PROTOCOL.control and bastionctl(1) alone, and held against approvals/access.c.

usage: model.py DECIDE [RANDOM] [STRIDE]: every STRIDE-th of all combinations of a small world, then RANDOM large ones. A difference
is printed with its world, and the exit status is 1.
"""
import datetime
import functools
import ipaddress
import itertools
import json
import random
import re
import subprocess
import sys
import zoneinfo

NOW = 1800000000    # Friday 2027-01-15 08:00 UTC, 09:00 in Berlin
FOREVER = 2**63 - 1
SHELL, EXEC, READ, SCP, WRITE, FORWARD, COMMAND = 1, 2, 4, 8, 16, 32, 64
ALLOW, DENY, GROUP = range(3)
STATES = ["pending", "approved", "denied", "cancelled", "expired", "active", "ended", "revoked"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def refusal_numbers(header):
    """The numbers of msg_values.h are those of the messages; the model goes by name."""
    with open(header) as f:
        body = re.sub(r"/\*.*?\*/", "", f.read().split("enum way_refusal {")[1].split("}")[0], flags=re.S)
    names = re.findall(r"WAY_([A-Z_]+)\s*(?:=\s*(\d+))?\s*,", body)
    number, table = 0, {}
    for name, value in names:
        number = int(value) if value else number + 1
        table[name] = number
    return table


@functools.lru_cache(None)
def inside(hours, at):
    """Does the clock on the wall stand in one of the windows? None: nobody can say."""
    if hours == "":
        return True
    *parts, zone = re.match(r"^(.*?)(?: ([A-Za-z_/]+))?$", hours).groups() if re.search(r" [A-Z]", hours) else (hours, None)
    try:
        local = datetime.datetime.fromtimestamp(at, zoneinfo.ZoneInfo(zone or "UTC"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None
    for part in parts[0].split(","):
        m = re.match(r"^([a-z]{3})(?:-([a-z]{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)$", part.strip())
        if not m:
            return None
        first, last, *clock = m.groups()
        start, end = int(clock[0]) * 60 + int(clock[1]), int(clock[2]) * 60 + int(clock[3])
        day = DAYS.index(first)
        days = [day]
        while DAYS[day] != (last or first):
            day = (day + 1) % 7
            days.append(day)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if start < end and today in days and start <= minute < end:
            return True
        if start > end and ((today in days and minute >= start) or ((today - 1) % 7 in days and minute < end)):
            return True
    return False


@functools.lru_cache(None)
def change(hours, at):
    """When it is next otherwise: minute by minute, for the fifteen days in which a week's pattern shows."""
    now = inside(hours, at)
    if hours == "" or now is None:
        return FOREVER
    for minute in range(1, 15 * 1440):
        then = at - at % 60 + minute * 60
        if inside(hours, then) != now:
            return then
    return FOREVER


def comes_from(networks, source):
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(n) for n in networks.split() if ipaddress.ip_network(n).version == address.version)


def covers(role, host, login):
    name, labels, zones = role.get("hosts", ""), role.get("labels", ""), role.get("zones", "")
    if not name + labels + zones:
        return False
    if name and not any(re.fullmatch(p.replace("*", ".*"), "web1", re.I) for p in name.split()):
        return False
    if not set(labels.split()) <= set(host.get("labels", "").split()) or (zones and host.get("zone") not in zones.split()):
        return False
    return login is None or "*" in role["logins"].split() or login in role["logins"].split()


def allows(role, host, login):
    return role.get("kind", 0) == ALLOW and covers(role, host, login) and (login is None or login in host["logins"].split())


def own(world):
    """The login as roles have it: one's own name is @self where the host has that, and no such account anyway."""
    logins = world["host"]["logins"].split()
    if world["login"] not in ("alice", "@self"):
        return world["login"]
    return "alice" if "alice" in logins else "@self" if "@self" in logins else world["login"]


def denies_login(role, world):
    login = own(world)
    return any(covers(role, world["host"], name) for name in ({"alice", "@self"} if login == "@self" else {login}))


def may(world, mask, t):
    any_, command, forward = world.get("any", 0), world.get("command"), world.get("forward")
    if not any_ and command is None and forward is None:
        return mask != 0
    return bool(mask & any_ or (command is not None and mask & COMMAND and command in t.get("commands", "").split("\n")) or
                (forward is not None and mask & FORWARD and forward in t.get("forwards", "").split()))


def deny_roles(world):
    """Rules that deny now; the moment at which another begins."""
    now, soon = [], FOREVER
    for role in world["roles"]:
        if role.get("kind", 0) == DENY and denies_login(role, world) and comes_from(role.get("networks", ""), world["source"]):
            if inside(role.get("hours", ""), world["now"]) is False:
                soon = min(soon, change(role["hours"], world["now"]))
            else:
                now.append(role)
    return now, soon


def is_whole(t):
    state, granted = STATES[t["state"]], STATES[t["state"]] in ("approved", "active", "ended", "revoked")
    if granted:
        return t["given"] >= t["needed"] and t["start"] > 0 and t["start"] >= t.get("not_before", 0) and t["end"] == t["start"] + t["duration"]
    return t["start"] == t["end"] == 0 and not (state == "pending" and 0 < t["needed"] <= t["given"])


def user_refusal(u, source, now, N):
    if u.get("state", 0) != 0:
        return N["LOCKED"]
    if now >= u.get("until", FOREVER):
        return N["EXPIRED"]
    if u.get("kind", 0) == 1 and (not u.get("networks") or u.get("until", FOREVER) == FOREVER):
        return N["LOCKED"]
    return 0 if comes_from(u.get("networks", ""), source) else N["LOCKED"]


def decide(w, N):
    """(refusal, ticket, caps, until)"""
    no = user_refusal(w["user"], w["source"], w["now"], N)
    if no:
        return no, 0, 0, 0
    if not w["host"] or (not w["tickets"] and not any(allows(r, w["host"], None) for r in w["roles"])):
        return N["NO_HOST"], 0, 0, 0
    denies, soon = deny_roles(w)
    if any(r["caps"] == 127 for r in denies):
        return N["DENIED"], 0, 0, 0
    lost = functools.reduce(lambda a, r: a | r["caps"], denies, 0)
    last = None
    for t in w["tickets"]:
        if not is_whole(t) or STATES[t["state"]] not in ("approved", "active") or not t["start"] <= w["now"] < t["end"] or \
           w.get("only", 0) not in (0, t["id"]):
            continue
        hours = "" if t.get("glass") else t.get("hours", "")
        if not comes_from(t.get("networks", ""), w["source"]) or not inside(hours, w["now"]):
            last = N["NO_GRANT"]
        elif t.get("logins") and t.get("uses", 0) >= t["logins"] and not w.get("only"):
            last = N["EXPIRED"]
        elif not may(w, t["caps"], t):
            last = N["NO_GRANT"]
        elif not may(w, t["caps"] & ~lost, t):
            last = N["DENIED"]
        else:
            return 0, t["id"], t["caps"] & ~lost, min(t["end"], change(hours, w["now"]), w["user"].get("until", FOREVER), soon)
    if last:
        return last, 0, 0, 0
    if not w["tickets"]:
        return N["NO_GRANT"], 0, 0, 0
    newest = max(w["tickets"], key=lambda t: t["id"])
    later, newest = newest["start"] > w["now"], STATES[newest["state"]]
    if newest == "approved" and later:
        return N["PENDING"], 0, 0, 0
    return {"pending": N["PENDING"], "denied": N["DENIED"], "revoked": N["REVOKED"], "cancelled": N["NO_GRANT"]}.get(newest, N["EXPIRED"]), 0, 0, 0


def admits(w):
    """The role that admits a request, 0: none."""
    if not w["host"]:
        return 0
    fit = []
    for r in w["roles"]:
        plain = w["caps"] & ~(FORWARD | COMMAND)
        if allows(r, w["host"], own(w)) and not plain & ~r["caps"] and \
           set(w["forwards"].split()) <= set(r.get("forwards", "").split()) and \
           (r["caps"] & EXEC or set(filter(None, w["commands"].split("\n"))) <= set(r.get("commands", "").split("\n"))) and \
           w["for"] <= r.get("max", 3600) and (not r.get("ticket") or w["ref"]) and (r.get("no_reason") or w["reason"]) and \
           (not w["source"] or comes_from(r.get("networks", ""), w["source"])):
            fit.append(r)
    denies, _ = deny_roles(w)
    lost = functools.reduce(lambda a, r: a | r["caps"], denies, 0)
    if not fit or any(r["caps"] == 127 for r in denies) or w["caps"] & lost:
        return 0
    return min(fit, key=lambda r: (r.get("approvals", 1), r["id"]))["id"]


# --- worlds

HOST = {"labels": "tier=web env=prod", "logins": "dba www", "zone": "production"}
ROLE = {"id": 1, "hosts": "web*", "logins": "dba", "caps": 23}
DENIES = [None, {"caps": 127}, {"caps": 127, "hours": "fri 20:00-21:00"}, {"caps": 127, "hours": "mon-fri 09:00-10:00 Europe/Berlin"},
          {"caps": 127, "logins": "www"}, {"caps": EXEC}, {"caps": 127, "networks": "192.0.2.0/24"}, {"caps": 127, "hours": "never"},
          {"caps": 127, "zones": "test office"}, {"caps": 127, "zones": "production", "hosts": ""}]
USES = [{}, {"any": SHELL}, {"any": EXEC, "command": "id"}, {"any": EXEC, "command": "ls"}, {"forward": "db1:5432"}, {"any": READ | WRITE}]
RIGHTS = [{"caps": SHELL}, {"caps": EXEC}, {"caps": READ | COMMAND, "commands": "id\nuptime"}, {"caps": FORWARD | SHELL, "forwards": "db1:5432"}]
HOURS = ["", "mon-fri 08:00-18:00", "sat 00:00-24:00", "fri 09:00-09:30 Europe/Berlin", "fri 09:00-09:30 Mars/Olympus"]


def ticket(number, state, ends, **more):
    granted = STATES[state] in ("approved", "active", "ended", "revoked")
    end = NOW + ends if granted else 0
    return {"id": number, "role": 1, "state": state, "duration": 3600, "needed": 1, "given": int(granted), "start": end - 3600 if granted else 0, "end": end} | more


def small_worlds():
    for us, source, host, member, deny, state, ends, rights, use, hours in itertools.product(
            ({}, {"state": 1}, {"until": NOW}, {"until": NOW + 60}, {"kind": 1}, {"kind": 1, "networks": "10.0.0.0/8", "until": NOW + 90}),
            ("10.0.0.9", "192.0.2.1"), (HOST, None), (0, 1), DENIES, range(-1, 8), (0, 1000, 4000), RIGHTS, USES, HOURS):
        roles = [ROLE] if member else []
        if deny:
            roles = roles + [{"id": 2, "kind": DENY, "hosts": "*", "logins": "*"} | deny]
        yield {"user": us, "source": source, "host": host, "login": "dba", "now": NOW, "roles": roles,
               "tickets": [] if state < 0 else [ticket(7, state, ends, hours=hours, **rights)]} | use


def random_world(rng):
    def some(*options):
        return rng.choice(options)

    def role(number):
        kind = some(ALLOW, ALLOW, ALLOW, DENY, GROUP)
        return {"id": number, "kind": kind, "hosts": some("", "*", "web*", "db*", "w*1"), "labels": some("", "", "tier=web", "tier=web env=test"),
                "zones": some("", "", "production", "test cloud"), "logins": some("dba", "dba www", "*", "www", "@self", "alice", "@self dba"),
                "caps": some(127, 1, 2, 23, 64, 96) if kind == DENY else rng.randrange(1, 128), "forwards": some("", "db1:5432", "db1:5432 db2:1"),
                "commands": some("", "id", "ls\nid"), "hours": some(*HOURS, "sun 20:00-02:00,fri 07:00-08:30"), "approvals": rng.randrange(4),
                "networks": some("", "", "10.0.0.0/8", "192.0.2.0/24 2001:db8::/32"), "max": some(60, 3600, 7200), "ticket": some(0, 0, 1), "no_reason": some(0, 1)}

    def one(number):
        t = ticket(number, rng.randrange(8), some(-5, 0, 1, 1800, 3600, 7000), hours=some(*HOURS), networks=some("", "", "10.0.0.0/8"),
                   caps=rng.randrange(1, 128), forwards=some("", "db1:5432"), commands=some("", "id"), role=rng.randrange(1, 4))
        return t | some({}, {}, {}, {"needed": 2}, {"given": 0}, {"duration": 1}, {"logins": 2, "uses": rng.randrange(4)}, {"glass": 1}, {"not_before": NOW})

    w = {"user": some({}, {}, {}, {"state": 2}, {"until": NOW + 30}, {"networks": "10.0.0.0/8"}), "now": NOW + some(0, 0, 1799, -1, 86400),
         "source": some("10.0.0.9", "::ffff:10.1.1.1", "2001:db8::9", "192.0.2.7", ""), "login": some("dba", "www", "root", "alice", "@self"),
         "host": some(None, HOST, HOST, HOST, {"labels": "", "logins": "dba", "zone": ""}, HOST | {"logins": "dba @self"}, HOST | {"logins": "alice @self"}),
         "roles": [role(i + 1) for i in range(rng.randrange(7))], "tickets": [one(n) for n in rng.sample(range(1, 30), rng.randrange(8))]}
    if rng.random() < 0.3:
        del w["tickets"]
        return w | {"for": some(30, 3600, 7200), "ref": some("", "OPS-1"), "reason": some("", "x"), "caps": some(0, 1, 2, 20, 32, 64, 127),
                    "forwards": some("", "", "db1:5432"), "commands": some("", "", "id", "id\nrm")}
    if w["tickets"] and rng.random() < 0.2:
        w["only"] = rng.choice(w["tickets"])["id"]
    return w | some(*USES)


def differences(program, worlds, N):
    """Number of worlds, of those that were allowed, and the differing ones."""
    done = subprocess.run([program], input="".join(json.dumps(w) + "\n" for w in worlds), capture_output=True, text=True, check=True)
    lines, yes, bad = done.stdout.splitlines(), 0, []
    assert len(lines) == len(worlds)
    for w, line in zip(worlds, lines):
        got = [int(v) for v in line.split()]
        if "for" in w:
            want, got = [admits(w)], got
            yes += want[0] > 0
        else:
            want, got = list(decide(w, N)), [got[0], got[1], got[3], got[4]]
            yes += want[0] == 0
        if want != got:
            bad.append((w, want, got))
    return len(worlds), yes, bad


def chunks(items, size):
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def main(program, count=20000, stride=1, seed=1):
    N, rng = refusal_numbers(__file__.rsplit("/", 3)[0] + "/common/msg_values.h"), random.Random(int(seed))
    for name, worlds in (("small world", itertools.islice(small_worlds(), 0, None, int(stride))),
                         ("random", (random_world(rng) for _ in range(int(count))))):
        total = yes = 0
        for chunk in chunks(worlds, 5000):
            n, allowed, bad = differences(program, chunk, N)
            total, yes = total + n, yes + allowed
            for world, want, got in bad[:3]:
                print(f"difference: {json.dumps(world)}\n  model {want}, program {got}")
            if bad:
                return 1
        print(f"{name}: {total} decisions, {yes} of them yes, 0 differences")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
