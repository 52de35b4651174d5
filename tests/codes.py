"""One-time codes of a lab's users: each is handed out once, to whoever asks first. tests/askpass and tests/labkit.py use it.
A login starts tests/askpass anew, once or more: what hardly one of them needs is imported where it is used."""
import base64
import fcntl
import hashlib
import hmac
import os
import struct
import time

STEP = 30               # seconds that a code lives
YOUNG = STEP - 8        # seconds of a step in which the code of the one before lasts through a login
LOOK = 0.1              # seconds between two looks whether the next code is taken by now


def totp(secret, step):
    """The six digits of RFC 6238 (SHA-1) for a step of 30 s."""
    mac = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06d}"


def ahead(path):
    """By how many steps the token of `path` is ahead of this machine's clock, by the code of its last login: the bastion follows it
    (otp.h). 0 where that cannot be seen."""
    import contextlib   # pylint: disable=import-outside-toplevel
    import sqlite3      # pylint: disable=import-outside-toplevel
    home = os.path.dirname(os.path.abspath(path))
    database = os.path.join(os.path.dirname(os.path.dirname(home)), "state", "db", "policy.db")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT drift FROM totp JOIN users ON id=user_id WHERE name=?", (os.path.basename(home),)).fetchone()
    except sqlite3.Error:
        return 0
    return max(0, row[0]) if row else 0


def first_step(used, now, lead):
    """The first step after `used` whose code the bastion takes, now or when it is due: it takes those of its own clock's step and of
    the token's, and of the ones beside them."""
    step = int(now) // STEP
    first = step - 1 if now % STEP < YOUNG else step
    due = max(used + 1, first)
    return due if due <= step + 1 else max(due, first + lead)


def next_code(path):
    """A code for the secret in `path` that nobody has used: a code opens one login, so each step is handed out once,
    whoever asks. Who logs in often has a token that runs ahead a step each time; where the bastion does not follow, it
    waits for time to pass."""
    with open(path, encoding="ascii") as f:
        secret = f.read().strip()
    with open(path + ".step", "a+", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        used = int(f.read() or 0)
        while True:
            now, lead = time.time(), 0
            step = first_step(used, now, lead)
            if step > int(now) // STEP + 1:
                # the one handed out before is followed once it opened its login
                lead = ahead(path)
                step = first_step(used, now, lead)
            if step <= int(now) // STEP + lead + 1:
                break
            time.sleep(LOOK)
        f.truncate(0)
        f.write(str(step))
    if os.environ.get("LAB_OATHTOOL"):
        import subprocess   # pylint: disable=import-outside-toplevel
        return subprocess.run(["oathtool", "--totp", "--base32", "--now", f"@{step * STEP}", secret], capture_output=True, text=True, check=True).stdout.strip()
    return totp(secret, step)
