"""What `make local` says and does on machines that have neither bubblewrap nor root."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.cluster import CHECKOUT

TOOLS = ("bash", "dirname", "cat", "cut", "sha256sum", "date", "mkdir", "ln", "id", "env", "awk")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which everything but the engine is installed, and whose scripts find a few programs alone."""
    for name in ("requirements-local.lock", "pyproject.toml", "image/requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "config").mkdir()
    shutil.copy(CHECKOUT / "config" / "sandbox.yaml", tmp_path / "config")
    (tmp_path / "hack").mkdir()
    for name in ("local.sh", "common.sh"):
        shutil.copy(CHECKOUT / "hack" / name, tmp_path / "hack")
    written(tmp_path / "hack" / "image.sh", 'echo "$*" >built')
    (tmp_path / "programs").mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "programs" / name).symlink_to(found)
    (tmp_path / "programs" / "id").unlink()
    written(tmp_path / "programs" / "id", "echo 1000")
    inputs = b"".join((tmp_path / name).read_bytes() for name in ("pyproject.toml", "hack/local.sh"))
    digest = subprocess.run(["sha256sum"], input=inputs, capture_output=True, check=True).stdout[:12].decode()
    (tmp_path / "cache" / "local").mkdir(parents=True)
    (tmp_path / "cache" / "local" / "inputs").write_text(f"{digest}-{tmp_path}")
    return tmp_path


def written(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def make_local(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing of this machine in its PATH."""
    variables = {"PATH": str(checkout / "programs"), "FINLAB_SANDBOX_CACHE": str(checkout / "cache")}
    words = ["bash", str(checkout / "hack" / "local.sh")]
    return subprocess.run(words, env=variables, capture_output=True, text=True, check=False, cwd=checkout)


def test_docker_alone_gets_its_image(checkout: Path) -> None:
    """Before it says that all is ready."""
    written(checkout / "programs" / "docker", "exit 0")
    done = make_local(checkout)
    assert (done.returncode, "ready" in done.stderr) == (0, True), done.stderr
    assert (checkout / "built").read_text() == "finlab-sandbox:dev image .\n"


def test_no_engine_is_not_ready(checkout: Path) -> None:
    """Both that could be had are named."""
    done = make_local(checkout)
    assert done.returncode == 1
    assert "please install bubblewrap, or docker" in done.stderr
    assert "ready" not in done.stderr


def test_bubblewrap_needs_no_image(checkout: Path) -> None:
    """Docker is not asked."""
    written(checkout / "programs" / "bwrap", "exit 0")
    assert "ready" in make_local(checkout).stderr
    assert not (checkout / "built").exists()
