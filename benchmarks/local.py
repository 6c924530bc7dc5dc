"""What a local run costs beside the bare script: `strategyrun run` against the same Python on the same strategy.

It needs the sandbox's libraries (`make local`) and bubblewrap, no cluster and no image. Both sides import the same
libraries, read the same dataset and call the same function, the bare one without any wall, check or score. They are
interleaved, in both orders. The goal is 1.05 times the bare script and 0.3 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from strategyrun.domain.hardening import environment
from strategyrun.local.installation import DATASET, PYTHON_VARIABLE, installed
from support.local import sandbox_python

CHECKOUT = Path(__file__).parents[1]
FACTOR, SECONDS = 1.05, 0.3
STRATEGY = """\
def strategy(data, params):
    score = data.close * 0
    for window in range(2, 2 + params["windows"]):
        rolling = data.close.rolling(window)
        score = score + ((data.close - rolling.mean()) / rolling.std()).fillna(0)
    return (score > 0) * 0.2
"""
BARE = """\
import sys
from pathlib import Path
from finlab_sandbox.harness.market import read_market
from finlab_sandbox.harness.tables import Data

module = {}
exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"), module)
print(len(module["strategy"](Data.of(read_market(sys.argv[2])), {"windows": int(sys.argv[3])})))
"""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=5, help="how often to measure each side (default: 5)")
    arguments.add_argument("--windows", type=int, nargs="+", default=[10, 6000], help="sizes of the strategy's work")
    asked = arguments.parse_args()
    if (python := sandbox_python()) is None:
        sys.exit("the sandbox's libraries are not here: make local")
    os.environ[PYTHON_VARIABLE] = str(python)
    here = installed()
    with tempfile.TemporaryDirectory() as folder:
        strategy, bare, manifest = (Path(folder) / name for name in ("strategy.py", "bare.py", "run.json"))
        strategy.write_text(STRATEGY)
        bare.write_text(BARE)
        for windows in asked.windows:
            spec = {
                "source": {"inline": STRATEGY},
                "params": {"windows": windows},
                "evaluation": {"lookAhead": {"action": "Off"}},
            }
            kind = {"apiVersion": "finlab-sandbox.dev/v1alpha1", "kind": "StrategyRun", "metadata": {"name": "bench"}}
            manifest.write_text(json.dumps(kind | {"spec": spec}))
            variables = {each["name"]: each["value"] for each in environment()}
            sides = {
                "bare": (
                    [str(python), "-P", "-s", str(bare), str(strategy), str(here.datasets / DATASET), str(windows)],
                    variables | {"PYTHONPATH": str(here.package.parent)},
                ),
                "local": (
                    [sys.executable, "-m", "strategyrun.local", str(manifest), "-o", "json"],
                    {**os.environ, "PYTHONPATH": f"{CHECKOUT}/operator:{CHECKOUT}/image"},
                ),
            }
            report(windows, measure(sides, asked.rounds))


def measure(sides: dict[str, tuple[list[str], dict[str, str]]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return wall-clock and processor seconds of each round, by side."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side in sorted(sides, reverse=number % 2 == 1):
            command, variables = sides[side]
            before, began = os.times(), time.perf_counter()
            subprocess.run(command, env=variables, check=True, capture_output=True)
            wall, after = time.perf_counter() - began, os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
            if number:  # the first round warms files and bytecode
                found[side].append((wall, busy))
    return found


def report(windows: int, found: dict[str, list[tuple[float, float]]]) -> None:
    """Print the medians of both sides, and whether the goal is met."""
    for what, column in (("wall clock", 0), ("processor", 1)):
        bare, local = (median(each[column] for each in found[side]) for side in ("bare", "local"))
        allowed = FACTOR * bare + SECONDS
        print(
            f"{windows:5} windows, {what:10}: bare {bare:6.2f} s, local {local:6.2f} s, {local - bare:+.2f} s, "
            f"ratio {local / bare:.2f}; goal {allowed:.2f} s: {'met' if local <= allowed else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
