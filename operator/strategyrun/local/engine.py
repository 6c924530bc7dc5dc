"""What can run a plan on this machine, and which of them is taken."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from strategyrun.local.plan import End, Files, Plan
from strategyrun.local.stop import Stop


class EngineName(StrEnum):
    """What to run a strategy with."""

    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    DOCKER = "docker"


class EngineError(Exception):
    """The engine itself does not work; the message is one line that says what to do."""


@dataclass(frozen=True)
class About:
    """What an engine is, for people and for provenance."""

    name: str
    """With its version."""
    image_id: str
    weaker: tuple[str, ...]
    """What of it is less than in a pod, each in a sentence."""


class Engine(Protocol):
    """Runs the steps of a plan, one after the other, in boxes."""

    about: About

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Return the ends of the steps, up to the first that failed, and leave no process however it ends.

        Raises EngineError, and StoppedError where `stop` was asked for.
        """


@contextmanager
def laid_out(plan: Plan) -> Iterator[Path]:
    """Make a folder for a run: `files/VOLUME/`, and an empty folder `NAME` for what an engine puts there."""
    with tempfile.TemporaryDirectory(prefix="finlab-sandbox-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for volume, content in plan.volumes.items():
            if isinstance(content, Files):
                target = folder / "files" / volume
                target.mkdir(parents=True)
                for file, data in content.content.items():
                    (target / file).write_bytes(data)
                    (target / file).chmod(0o444)
                target.chmod(0o755)
        yield folder


def program(name: str) -> str | None:
    """Return the path of a program, None where it is not installed."""
    return shutil.which(name)
