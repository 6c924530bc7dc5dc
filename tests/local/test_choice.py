"""Which engine is taken: the first that really makes a box."""

from dataclasses import replace
from pathlib import Path

import pytest

from strategyrun.local.bubblewrap import Bubblewrap
from strategyrun.local.command import choose
from strategyrun.local.engine import EngineError, EngineName
from strategyrun.local.installation import configured, installed
from support.local import sandbox_python


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that are found first."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FINLAB_SANDBOX_PYTHON", str(sandbox_python()))
    return tmp_path


def written(path: Path, text: str) -> None:
    """Write a program of a shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def old_bubblewrap(folder: Path, lacking: str) -> None:
    """Stand in for a bubblewrap that does not know an option, as it says so."""
    written(
        folder / "bwrap",
        f'[ "$1" = --version ] && echo bubblewrap 0.6.1 && exit\n'
        f'case "$*" in *{lacking}*) echo "bwrap: Unknown option {lacking}" >&2; exit 1;; esac',
    )


def test_a_bubblewrap_that_lacks_what_boxes_need_is_not_taken(programs: Path) -> None:
    """Docker is, where it works."""
    old_bubblewrap(programs, "--size")
    written(programs / "docker", "echo 27.0.1")
    assert choose(EngineName.AUTO, configured()).about.name == "docker 27.0.1"


def test_where_no_engine_works_each_says_why(programs: Path) -> None:
    """The version that is there, and the one that is needed."""
    old_bubblewrap(programs, "--size")
    written(programs / "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(EngineError, match=r"bubblewrap 0\.6\.1 is too old .* need 0\.8.* Cannot connect"):
        choose(EngineName.AUTO, configured())


def test_a_python_that_adds_otherwise_is_told() -> None:
    """What is not equal to the last bit is no secret: 3.12 corrects what rounding loses, and 3.11 does not."""
    here, seccomp = installed(), configured().seccomp
    old, new = (Bubblewrap(replace(here, version=version), seccomp).about.weaker for version in ((3, 11), (3, 12)))
    assert [each for each in old if each not in new] == [
        "this Python adds floats otherwise than the image's: the last digits may differ from a cluster's"
    ]
