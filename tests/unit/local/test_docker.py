"""What is told of a docker that is no use; what containers do is tested where there are some."""

import os
from pathlib import Path

import pytest

from strategyrun.local.docker import Docker
from strategyrun.local.engine import EngineError
from strategyrun.local.plan import Plan, Scratch, Step
from strategyrun.local.stop import Stop

PLAN = Plan("run", (Step("strategy", "", (), {}, 1000, (), tells_by_log=True),), {"tmp": Scratch(4096)}, 1 << 26, 600)
WORKS = """\
#!/bin/sh
echo "$*" >>"$0.asked"
case "$1" in
version) echo 27.0.1 ;;
image) echo sha256:00 ;;
%s
inspect) echo '{"ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
 "OOMKilled": false}' ;;
esac
"""
"""Has its daemon and the image; a container that runs has no end yet."""


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
    with pytest.raises(EngineError, match=r"its daemon does not answer: docker version: no answer in 0\.1 s"):
        Docker("finlab-sandbox:dev", b"{}", patience=0.1)


def test_a_daemon_that_is_not_there_is_not_told_as_a_missing_image(command: Path) -> None:
    """With what docker said itself."""
    command.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    with pytest.raises(EngineError, match=r"its daemon does not answer: docker version: Cannot connect") as error:
        Docker("finlab-sandbox:dev", b"{}")
    assert "image" not in str(error.value)


def test_a_missing_image_is_told_with_what_builds_it(command: Path) -> None:
    """In words that can be typed."""
    command.write_text("#!/bin/sh\n[ $1 = version ] && echo 27.0.1 && exit\necho 'No such image' >&2\nexit 1\n")
    with pytest.raises(EngineError, match=r"docker has no image finlab-sandbox:dev .*docker build --tag \S+:dev image"):
        Docker("finlab-sandbox:dev", b"{}")


def test_a_daemon_that_is_lost_while_a_step_runs_gives_no_end(command: Path) -> None:
    """The step may still run; what docker knows of it then is no answer."""
    command.write_text(WORKS % "wait) echo 'error during connect: EOF' >&2; exit 1 ;;")
    with pytest.raises(EngineError, match=r"^docker wait: error during connect: EOF$"):
        Docker("finlab-sandbox:dev", b"{}").run(PLAN, Stop())
    removed = [line.split()[-1] for line in Path(f"{command}.asked").read_text().splitlines() if line.startswith("rm ")]
    assert [name.rpartition("-")[2] for name in removed] == ["strategy", "hold"]


def test_an_interrupt_of_the_terminal_is_not_dockers(command: Path) -> None:
    """One that ends it half-way leaves a container that nobody knows."""
    command.write_text(f"#!/bin/sh\ncut -d' ' -f5 /proc/$$/stat >>$0.group\n{WORKS % ''}")
    Docker("finlab-sandbox:dev", b"{}").run(PLAN, Stop())
    groups = Path(f"{command}.group").read_text().split()
    assert len(groups) == len(Path(f"{command}.asked").read_text().splitlines())
    assert str(os.getpgrp()) not in groups
