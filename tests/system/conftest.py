"""Fixtures of the system tests. One lab serves the session; a test that breaks its daemons makes one of its own (new_lab)."""
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from harness import SLOW, WAYS, Client, Terminal, labkit
import objectstore

counter = itertools.count(1)
TEST_LIMIT = 400 * SLOW     # seconds for one test; what hangs is a failure like any other. LONG is less, so that a program which does is named
labs = []                   # that this process made and that are up
bad_ends = []               # what was wrong that no test could say


STAGES = ("alone", "patient", "calm")       # marks
SHARED = "BASTION_TESTS_SHARED"     # the variable that names the folder of all workers
STORE = "BASTION_TESTS_STORE"       # that of the object store, which runs beside each other may share: then it is not theirs to end


def is_worker(config):
    """Of pytest-xdist: it has the controller's environment."""
    return hasattr(config, "workerinput")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures time, or takes the whole machine: nothing runs beside it")
    config.addinivalue_line("markers", "patient: of those that measure time, one that waits for seconds, has seconds to spare, and hardly computes: "
                            "beside it run others of its kind and nothing else")
    config.addinivalue_line("markers", "calm: of those that measure time, one that hardly computes and whose bound is far away: beside it run two others "
                            "of its kind and nothing else")
    config.addinivalue_line("markers", "chained: of a file whose tests go on from what the ones before them left: a second try has the same lab")
    if not is_worker(config):
        os.environ[SHARED] = tempfile.mkdtemp(prefix="bastion-tests-", dir="/tmp")
        os.chmod(os.environ[SHARED], 0o711)
        os.environ["LAB_KEYS"] = os.path.join(os.environ[SHARED], "keys")
        # make check has runs beside each other, which then have a place for both
        os.environ.setdefault("LAB_PORTS", os.path.join(os.environ[SHARED], "ports"))
        os.environ.setdefault(STORE, os.path.join(os.environ[SHARED], "store"))
        for name in "LAB_KEYS", "LAB_PORTS":
            os.makedirs(os.environ[name], mode=0o700, exist_ok=True)
        os.environ["LAB_MEMORY"] = tempfile.mkdtemp(prefix="bastion-tests-", dir=labkit.memory())
        os.chmod(os.environ["LAB_MEMORY"], 0o711)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A stage of make check reads the files alone in which grep finds its mark (targets.mk)."""
    texts = {path: labkit.read(path) for path in {item.path for item in items}}
    for item in items:
        for mark in STAGES:
            if item.get_closest_marker(mark) and f"mark.{mark}" not in texts[item.path]:
                bad_ends.append(f"of {item.path}: it does not say mark.{mark}, which its {item.name} has: no stage of make check finds that")


def pytest_unconfigure(config):
    if is_worker(config):
        return
    path = os.environ[STORE]
    if os.path.dirname(path) == os.environ[SHARED] and os.path.exists(path):
        objectstore.ObjectStore(path).stop()
    for name in SHARED, "LAB_MEMORY":
        shutil.rmtree(os.environ[name], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A second try begins with labs of its own: in those of the first one its names are taken, and its events have happened. For that
    the file's fixtures end here, which pytest-rerunfailures forgets."""
    if getattr(item, "execution_count", 1) > 1 and not item.get_closest_marker("chained"):
        for definitions in item.session._fixturemanager._arg2fixturedefs.values():
            for one in definitions:
                if one.scope == "module":
                    one.finish(item._request)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """What a second try let pytest forget ends here, or it would run for ever: the lab of the session, if nobody asked for it again. One that
    ends badly fails the run, as no test is left that could fail, and the others end all the same."""
    for lab in list(labs):
        try:
            drop_lab(lab)
        except Exception as e:  # pylint: disable=broad-exception-caught
            bad_ends.append(f"at the end of the lab {lab.dir}: {e!r}")
    if is_worker(session.config):
        session.config.workeroutput["bad_ends"] = bad_ends
    elif bad_ends:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Of pytest-xdist, in the controller: a worker's exit status counts for nothing."""
    bad_ends.extend(getattr(node, "workeroutput", {}).get("bad_ends", []))


def pytest_terminal_summary(terminalreporter):
    # what the second try makes good is shown nowhere else
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"first try of {report.nodeid}")
        report.toterminal(terminalreporter._tw)     # pylint: disable=protected-access
        for name, text in report.sections:
            terminalreporter.write_sep("-", name)
            terminalreporter.write(text)
    for end in dict.fromkeys(bad_ends):
        terminalreporter.write_line(f"ERROR {end}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    # execnet now and then gives a worker's tests to another thread than the first, where there are no signals
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_):
        raise TimeoutError(f"not done after {TEST_LIMIT} s")
    before = signal.signal(signal.SIGALRM, late)
    # again every 5 s: the first may land in a wait that is part of the clean-up
    signal.setitimer(signal.ITIMER_REAL, TEST_LIMIT, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def make_lab(**kw):
    directory = tempfile.mkdtemp(prefix="bastion-lab-", dir="/tmp")
    try:
        labs.append(labkit.Lab.create(directory, **kw))
        return labs[-1]
    except labkit.LabError:
        if not os.environ.get("LAB_KEEP"):
            shutil.rmtree(directory, ignore_errors=True)
        raise


def sanitizer_reports(lab):
    """What the sanitizers said of any process of a lab: one that dies of it may be started again, and nobody else notices."""
    found = []
    for name in sorted(os.listdir(lab.path("log"))):
        with open(lab.path("log", name), encoding="utf-8", errors="replace") as f:
            found += [f"{name}: {line.strip()}" for line in f if "Sanitizer: " in line or ": runtime error: " in line]
    return found


def drop_lab(lab):
    try:
        reports = sanitizer_reports(lab) if labkit.sanitized() else []
    finally:
        end_lab(lab)
    assert not reports, "\n".join(reports[:20])


def end_lab(lab):
    labs.remove(lab)
    if os.environ.get("LAB_KEEP"):
        lab.stop_all()
        print(f"kept: {lab.dir}")
    else:
        lab.down()


@pytest.fixture(scope="session")
def lab():
    """The common instance. LAB_DIR names one that is up already."""
    if os.environ.get("LAB_DIR"):
        yield labkit.Lab(os.environ["LAB_DIR"])
        return
    it = make_lab()
    yield it
    drop_lab(it)


@pytest.fixture(scope="module")
def new_lab():
    """new_lab(options=['mfa_grace = 10m'], ...): instances for one file's tests, ended with it."""
    mine = []

    def make(**kw):
        mine.append(make_lab(**kw))
        return mine[-1]
    yield make
    for it in mine:
        drop_lab(it)


def made_once(name, make, find):
    """What the first who needs it makes, and all workers use, below the run's directory unless the name is a whole path: make(path), or find(path)."""
    path = os.path.join(os.environ[SHARED], name)
    with open(path + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            return find(path)
        try:
            return make(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise


@pytest.fixture(scope="session")
def object_store():
    """A real store with Object Lock, one for all tests of all workers: tests/objectstore.py. OBJECT_STORE_DIR names one that is up
    already. The first who needs it starts it; it ends with the run (pytest_unconfigure)."""
    if os.environ.get("OBJECT_STORE_DIR"):
        return objectstore.ObjectStore(os.environ["OBJECT_STORE_DIR"])
    return made_once(os.environ[STORE], objectstore.ObjectStore.create, objectstore.ObjectStore)


def rest(directory):
    """A lab that ended after three sessions."""
    lab = labkit.Lab.create(directory)
    try:
        user = Client(lab, "deploy")
        for _ in range(3):
            user.run("web1.name", "true", check=True)
    finally:
        lab.stop_all()
    return lab


@pytest.fixture(scope="session")
def resting():
    """A lab at rest with three recordings in its store, one for all tests of all workers: they change copies."""
    lab = made_once("resting", rest, labkit.Lab)
    yield lab
    reports = sanitizer_reports(lab) if labkit.sanitized() else []
    assert not reports, "\n".join(reports[:20])


@pytest.fixture
def demo_place():
    """Where a demo may be, whose users have to enter it."""
    path = tempfile.mkdtemp(prefix="bastion-demo-", dir="/tmp")
    os.chmod(path, 0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def free_for_all():
    """A directory in which anybody may make files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o777)
        yield path


@pytest.fixture
def busy():
    """Two busy loops a processor, each told to end by the end of its standard input."""
    loops = [subprocess.Popen(["/usr/bin/python3", "-c", "import select,sys\nwhile not select.select([sys.stdin],[],[],0)[0]:\n  sum(range(20000))"],
                              stdin=subprocess.PIPE) for _ in range(2 * os.cpu_count())]
    yield
    for loop in loops:
        loop.stdin.close()
        loop.wait()


@pytest.fixture(scope="session")
def fresh():
    """fresh("web"): a name that nobody used yet. A test's second try meets the common lab as the first one left it."""
    return lambda stem: f"{stem}{os.getpid()}x{next(counter)}"


@pytest.fixture
def engineer(lab, fresh):
    """engineer(): a user nobody used yet, with a grant for dba on web1: has fresh codes, can be revoked and locked."""
    def make(where=None, grant=True, host="web1", login="dba", span=8 * 3600, caps=()):
        where = where or lab
        name = fresh("eng")
        where.make_user(name, role="dba")
        client = Client(where, name)
        client.grant = where.grant(name, host, login, span, caps) if grant else None
        return client
    return make


@pytest.fixture
def allowed(lab):
    """allowed("sftp-read", ...): a service account with a running grant of these capabilities, and no other, for dba@web1."""
    made = []

    def make(*caps, where=None):
        where = where or lab
        name = f"cap{os.getpid()}x{next(counter)}"
        where.ask("role add", role=name, host=["web1"], login=["dba"], cap=list(caps), approvals=0)
        made.append((where, name))
        where.make_user(name, service=True, role=name)
        client = Client(where, name)
        client.grant = str(where.ask("request", as_uid=where.state["users"]["carol"], user=name, host="web1", login="dba", reason="lab",
                                     **{"for": 3600})["id"])
        return client
    yield make
    for where, name in made:
        where.ask("role remove", role=name)


@pytest.fixture(scope="session")
def deploy(lab):
    """The service account: key alone, no code to wait for. What is not about factors goes through it."""
    return Client(lab, "deploy")


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def target(way):
    """The host's name in a client's configuration, for both ways."""
    return f"web1.{way}"


@pytest.fixture
def home(lab):
    """A directory of the test's own at the target, in dba's home, by its path there (the same as here)."""
    path = tempfile.mkdtemp(dir=lab.path("target", "home", "dba"))
    os.chown(path, labkit.DBA_UID, labkit.DBA_UID)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def terminals():
    """terminals(client.terminal(...)): closed at the end of the test whatever happened."""
    opened = []

    def keep(terminal: Terminal):
        opened.append(terminal)
        return terminal
    yield keep
    for terminal in opened:
        terminal.close()
