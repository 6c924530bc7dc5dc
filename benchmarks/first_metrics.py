"""How long somebody new waits: from an empty cache to the metrics of the first sample, without a cluster.

It installs as `make local` does into a folder of its own, which goes afterwards, and runs a sample by the command that
was installed. Nothing that pip keeps is used, so the time has the downloads in it. The goal is 120 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from strategyrun.local.installation import CACHE_VARIABLE, PYTHON_VARIABLE

CHECKOUT = Path(__file__).parents[1]
GOAL_SECONDS = 120


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sample = CHECKOUT / "manifests" / "samples" / "turtle.yaml"
    arguments.add_argument("--sample", type=Path, default=sample, help=f"what to run (default: {sample.name})")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-metrics-") as cache:
        variables = {name: value for name, value in os.environ.items() if name not in (PYTHON_VARIABLE, "PYTHONPATH")}
        variables |= {CACHE_VARIABLE: cache, "PIP_NO_CACHE_DIR": "1"}
        command = [f"{cache}/bin/strategyrun", "run", str(asked.sample), "--output", "json"]
        installing, _ = timed(["make", "--no-print-directory", "local"], variables)
        running, told = timed(command, variables)
    total = installing + running
    sharpe = json.loads(told)["status"]["metrics"]["sharpe"]
    print(
        f"make local {installing:6.1f} s, first run of {asked.sample.stem} {running:5.1f} s, Sharpe ratio {sharpe:.4f}"
    )
    print(f"to the first metrics {total:6.1f} s; goal {GOAL_SECONDS} s: {'met' if total <= GOAL_SECONDS else 'MISSED'}")


def timed(command: list[str], variables: dict[str, str]) -> tuple[float, str]:
    """Return the seconds that a command took, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=CHECKOUT, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    main()
