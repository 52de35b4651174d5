"""tests/lab itself: several at once, its variables, and nothing left behind."""
import os
import shutil
import subprocess
import tempfile

from harness import labkit

LAB = os.path.join(labkit.REPO, "tests", "lab")
WANTED = """LAB_HOST LAB_PORT LAB_TARGET LAB_LOGIN LAB_USER LAB_USER_KEY LAB_USER_TOTP LAB_APPROVER LAB_APPROVER_KEY LAB_APPROVER_TOTP
LAB_SERVICE LAB_SERVICE_KEY LAB_AUDITOR_KEY LAB_STORE LAB_CONF LAB_BIN""".split()


def test_a_long_directory_beside_another(lab):
    top = tempfile.mkdtemp(prefix="bastion-lab-")
    os.chmod(top, 0o711)
    directory = os.path.join(top, "d" * 120)
    try:
        labkit.run(LAB, "up", directory, "--users", "2", "--hosts", "3", "--set", "lease = 4s", timeout=120)
        script = f'eval "$({LAB} env {directory})"; for name in {" ".join(WANTED)}; do eval "[ -n \\"\\$$name\\" ]" || echo missing $name; done; ' \
                 'ssh -p $LAB_PORT -i $LAB_SERVICE_KEY -o IdentitiesOnly=yes -o UserKnownHostsFile=$LAB_KNOWN_HOSTS ' \
                 '$LAB_SERVICE@$LAB_LOGIN@$LAB_TARGET@$LAB_HOST echo in'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        assert done.stdout == "in\n", done.stdout + done.stderr
        other = labkit.Lab(directory)
        pids = [pid for pid, _ in other.state["pids"].values()]
        outside = list(other.state["temporary"])
        assert len({other.port("bastiond"), lab.port("bastiond")}) == 2 and outside
    finally:
        subprocess.run([LAB, "down", directory], timeout=60, check=False)
    assert os.listdir(top) == []
    shutil.rmtree(top)
    assert not any(os.path.exists(path) for path in outside)
    assert not any(os.path.exists(f"/proc/{pid}/exe") and directory in open(f"/proc/{pid}/cmdline").read() for pid in pids)
