"""What is told of a docker that is no use; what containers do is tested where there are some."""

from pathlib import Path

import pytest

from strategyrun.local.docker import Docker
from strategyrun.local.engine import EngineError


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is found as docker, to be written."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = tmp_path / "docker"
    path.touch(0o755)
    return path


def test_a_daemon_that_hangs_is_told_in_words(command: Path) -> None:
    """After a while, and not with a traceback."""
    command.write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(EngineError, match=r"docker version: no answer in 0\.1 s"):
        Docker("finlab-sandbox:dev", b"{}", patience=0.1)
