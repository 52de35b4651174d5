"""ansible's ping and copy, as it comes: with its own multiplexing."""
import glob
import hashlib
import os
import shutil
import tempfile

import pytest


@pytest.fixture
def sockets():
    """A folder of its own: ansible names its sockets by the host alone. A short one, as a socket's path has 108 bytes."""
    path = tempfile.mkdtemp(prefix="ac", dir="/tmp")
    yield path
    shutil.rmtree(path)


def test_ping_and_copy(deploy, target, home, tmp_path, sockets):
    inventory = tmp_path / "inventory"
    inventory.write_text(f"{target} ansible_python_interpreter=/usr/bin/python3\n")
    data = tmp_path / "data"
    data.write_bytes(os.urandom(100000))
    env = {"HOME": str(tmp_path), "ANSIBLE_SSH_ARGS": f"-F {deploy.config} -o ControlMaster=auto -o ControlPersist=20s",
           "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"), "LC_ALL": "C.UTF-8"}

    def ansible(*words):
        """Its output goes to a file: the connection that it leaves to the next one keeps its standard error open, and a pipe would last as long."""
        said = tmp_path / "said"
        deploy.tool("sh", "-c", 'ansible "$@" >"$0" 2>&1 || { cat "$0"; exit 1; }', str(said), "-i", str(inventory), "all", *words, env=env, timeout=90)
        return said.read_text()
    try:
        assert '"pong"' in ansible("-m", "ping")
        ansible("-m", "copy", "-a", f"src={data} dest={home}/copy mode=0600")
        with open(f"{home}/copy", "rb") as f:
            assert hashlib.sha256(f.read()).digest() == hashlib.sha256(data.read_bytes()).digest()
    finally:
        left = glob.glob(f"{sockets}/*")
        for path in left:
            deploy.tool("ssh", "-F", deploy.config, "-O", "exit", "-o", f"ControlPath={path}", target)
    assert len(left) == 1, "one connection served both"
