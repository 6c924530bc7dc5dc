"""What the image's own bytecode is worth: its imports, against the same imports with all bytecode written and warm.

It needs the engine and the sandbox's image, not the cluster. In one container of half a CPU, fresh interpreters import
the same modules: as the image has them, and with a PYTHONPYCACHEPREFIX that such an interpreter has filled before, the
standard library's included. The two are interleaved. A ratio above 1 is time that a run spends on compiling what the
image could have compiled.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from strategyrun.adapters.settings import load_settings

SANDBOX = load_settings(Path(__file__).parents[1] / "config" / "sandbox.yaml").profile.sandbox
CPUS = 0.5
GOAL = 1.05
SETS = {
    "harness": "numpy, pandas",
    "heavy": "numpy, pandas, scipy.stats, sklearn.linear_model, networkx, talib",
    "evaluator": "numpy",
}
INSIDE = """\
import json, os, resource, subprocess, sys, time

modules, rounds = sys.argv[1], int(sys.argv[2])
command = [sys.executable, "-P", "-s", "-c", "import " + modules]
warm = dict(os.environ, PYTHONPYCACHEPREFIX="/tmp/bytecode")


def measure(environment):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


sides = {"image": dict(os.environ), "warm": warm}
measured = {side: [] for side in sides}
for environment in sides.values():
    measure(environment)
for number in range(rounds):
    for side in sorted(sides, reverse=number % 2 == 1):
        measured[side].append(measure(sides[side]))
print(json.dumps(measured))
"""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=8, help="how often to measure each side (default: 8)")
    arguments.add_argument("--image", default=SANDBOX.image, help="the sandbox's image (default: %(default)s)")
    asked = arguments.parse_args()
    loads = [os.getloadavg()[0]]
    for name, modules in SETS.items():
        measured = _measure(asked.image, modules, asked.rounds)
        loads.append(os.getloadavg()[0])
        print(f"{name}: import {modules}")
        for side, timed in measured.items():
            walls, cpus = zip(*timed, strict=True)
            print(
                f"  {side:6} wall min {min(walls):.3f} s  median {median(walls):.3f} s  CPU median {median(cpus):.3f} s"
            )
        ratio = median(cpu for _, cpu in measured["image"]) / median(cpu for _, cpu in measured["warm"])
        print(f"  image / warm, by median CPU: {ratio:.2f} (goal: at most {GOAL})")
    print(f"\nload average: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} CPUs, {asked.rounds} rounds")


def _measure(image: str, modules: str, rounds: int) -> dict[str, Any]:
    command = ["docker", "run", "--rm", f"--cpus={CPUS}", "--network=none", "--read-only", "--tmpfs=/tmp:mode=1777"]
    done = subprocess.run(
        [*command, image, "python3", "-c", INSIDE, modules, str(rounds)], capture_output=True, text=True, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
