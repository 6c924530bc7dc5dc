"""What `make local` says and does on machines that have neither bubblewrap nor root."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.bare_machine import BareMachine, written
from support.cluster import CHECKOUT


@pytest.fixture
def machine(tmp_path: Path) -> BareMachine:
    """Return one on which everything but the engine is installed."""
    machine = BareMachine.at(tmp_path)
    for name in ("requirements-local.lock", "pyproject.toml", "image/requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "config").mkdir()
    shutil.copy(CHECKOUT / "config" / "sandbox.yaml", tmp_path / "config")
    written(tmp_path / "hack" / "image.sh", 'echo "$*" >built')
    machine.program("id", "echo 1000")
    inputs = b"".join((tmp_path / name).read_bytes() for name in ("pyproject.toml", "hack/local.sh"))
    digest = subprocess.run(["sha256sum"], input=inputs, capture_output=True, check=True).stdout[:12].decode()
    (machine.cache / "local").mkdir()
    (machine.cache / "local" / "inputs").write_text(f"{digest}-{tmp_path}")
    return machine


def test_docker_alone_gets_its_image(machine: BareMachine) -> None:
    """Before it says that all is ready."""
    machine.program("docker", "exit 0")
    done = machine.run("local.sh")
    assert (done.returncode, "ready" in done.stderr) == (0, True), done.stderr
    assert (machine.checkout / "built").read_text() == "finlab-sandbox:dev image .\n"


def test_no_engine_is_not_ready(machine: BareMachine) -> None:
    """Both that could be had are named."""
    done = machine.run("local.sh")
    assert done.returncode == 1
    assert "please install bubblewrap, or docker" in done.stderr
    assert "ready" not in done.stderr


def test_bubblewrap_needs_no_image(machine: BareMachine) -> None:
    """Docker is not asked."""
    machine.program("bwrap", "exit 0")
    assert "ready" in machine.run("local.sh").stderr
    assert not (machine.checkout / "built").exists()
