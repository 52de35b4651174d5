"""How many times as slow as the machine that the deadlines were found on this one is, by the processor's time that a little of what tests do
takes, whatever runs beside it: measured once, at the first import, and handed on to the workers and to labs (labkit.SLOW) by the environment."""
import os
import resource
import time

ONCE = 0.16         # seconds of processor time that it took there, on a full machine
PATIENCE_MAX = 8


def spent():
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + child.ru_utime + child.ru_stime


def once():
    begin = spent()
    for _ in range(30):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    sum(i * i for i in range(300_000))
    return spent() - begin


if "BASTION_TESTS_PATIENCE" not in os.environ:
    os.environ["BASTION_TESTS_PATIENCE"] = f"{min(PATIENCE_MAX, max(1.0, min(once() for _ in range(3)) / ONCE)):.1f}"
