"""A machine with a checkout and a few harmless programs: what a script of hack/ does there is done to nothing else."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.cluster import CHECKOUT

TOOLS = (
    *("awk", "bash", "cat", "cp", "cut", "date", "dirname", "echo", "env", "find", "flock", "head", "id", "install"),
    *("ln", "mkdir", "mktemp", "mv", "readlink", "rm", "sed", "sha256sum", "sleep", "sort", "tail", "tar", "uname"),
    "xargs",
)


@dataclass(frozen=True)
class BareMachine:
    """Its folder is the checkout; in it are the scripts, the cache and all programs that they find."""

    checkout: Path

    @classmethod
    def at(cls, checkout: Path) -> "BareMachine":
        """Set it up in an empty folder."""
        shutil.copytree(CHECKOUT / "hack", checkout / "hack", ignore=shutil.ignore_patterns("__pycache__"))
        (checkout / "programs").mkdir()
        (checkout / "cache").mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None, name
            (checkout / "programs" / name).symlink_to(found)
        return cls(checkout)

    @property
    def cache(self) -> Path:
        """What the scripts keep."""
        return self.checkout / "cache"

    def program(self, name: str, text: str) -> Path:
        """Write a program, in the place of the one that has the name."""
        path = self.checkout / "programs" / name
        path.unlink(missing_ok=True)
        return written(path, text)

    def start(self, script: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a script with nothing of this machine in its PATH."""
        return subprocess.Popen(
            ["bash", str(self.checkout / "hack" / script), *words],
            env={"PATH": str(self.checkout / "programs"), "FINLAB_SANDBOX_CACHE": str(self.cache), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.checkout,
        )

    def run(self, script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        process = self.start(script, *words, **variables)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def written(path: Path, text: str) -> Path:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
