"""`strategyrun run` as a user starts it, for tests: a process, its exit code, and the StrategyRun that it prints."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.cluster import CHECKOUT

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finlab-sandbox"
PATIENCE_SECONDS = 240


@dataclass(frozen=True)
class LocalRun:
    """What the command left."""

    exit_code: int
    body: dict[str, Any] | None
    told: str
    """Its standard error."""

    @property
    def status(self) -> dict[str, Any]:
        """The status of the run, which must be there."""
        assert self.body is not None, self.told
        status: dict[str, Any] = self.body["status"]
        return status


def sandbox_python() -> Path | None:
    """Return the Python with the sandbox's libraries, where `make local` or a developer has made one."""
    named = os.environ.get("FINLAB_SANDBOX_PYTHON")
    found = Path(named) if named else CACHE / "local" / "sandbox" / "bin" / "python3"
    return found if found.exists() else None


def run_local(file: Path, *arguments: str, before: Sequence[str] = (), **environment: str) -> LocalRun:
    """Run the command with the output as JSON."""
    done = call(str(file), "--output", "json", *arguments, before=before, **environment)
    return LocalRun(done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr)


def variables(**more: str) -> dict[str, str]:
    """Return the environment of a program that runs strategies on this machine."""
    known = {"FINLAB_SANDBOX_PYTHON": str(python)} if (python := sandbox_python()) else {}
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT}/operator:{CHECKOUT}/image", "COLUMNS": "100", **known, **more}


def call(*arguments: str, before: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without the others of the command line; `before` it stands who is to be its user."""
    return subprocess.run(
        [*before, sys.executable, "-m", "strategyrun.local", *arguments],
        cwd=CHECKOUT,
        env=variables(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def in_boxes(folder: Path) -> list[Path]:
    """Return the processes of this machine that run boxes out of a folder, or in them, by what they mount."""
    return [found for found in Path("/proc").glob("[0-9]*/mountinfo") if str(folder) in _text(found)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def manifest(folder: Path, source: str, **spec: Any) -> Path:
    """Write a StrategyRun with an inline source."""
    path = folder / "run.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "finlab-sandbox.dev/v1alpha1",
                "kind": "StrategyRun",
                "metadata": {"name": "run"},
                "spec": {"source": {"inline": source}, **spec},
            }
        )
    )
    return path
