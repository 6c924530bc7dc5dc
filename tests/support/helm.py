"""The real helm, and the chart of this checkout."""

import shutil
import subprocess
from pathlib import Path

from support.cluster import CHECKOUT

CHART = CHECKOUT / "charts" / "finlab-sandbox-operator"


class HelmError(Exception):
    """Helm's complaint."""


def helm(*arguments: str, kubeconfig: Path | None = None, seconds: float = 300) -> str:
    """Run helm and return what it prints; raises HelmError."""
    program = shutil.which("helm") or str(Path("~/.cache/finlab-sandbox/bin/helm").expanduser())
    target = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    done = subprocess.run([program, *arguments, *target], capture_output=True, text=True, check=False, timeout=seconds)
    if done.returncode:
        raise HelmError(done.stderr.strip())
    return done.stdout
