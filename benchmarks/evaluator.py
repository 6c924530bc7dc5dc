"""How long the trusted evaluation takes: to start, to compute, to write the report document.

The inputs are 20 symbols on 5785 days with other weights every day, the largest usual run, and 1000 symbols as well
with --large. The whole is the time from the start of the process to its last line, imports and all; of one symbol on
one day that is the start, as there is nothing to compute. The parts are measured once more in the same process. Rounds
are interleaved. They are measured inside the sandbox's image on as many CPUs as --cpus says, and with --mount the
checkout's package lies over the one in the image; with --native they are measured in this interpreter.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import finlab_sandbox
from strategyrun.adapters.settings import load_settings
from support.sandbox import EVALUATION

SANDBOX = load_settings(Path(__file__).parents[1] / "config" / "sandbox.yaml").profile.sandbox
CPUS = 0.5  # what the goals are for
PACKAGE = Path(finlab_sandbox.__file__).parent
GOALS = {("1 x 1", "whole"): 0.35, ("20 x 5785", "score"): 0.05, ("20 x 5785", "report document"): 0.1}
PROBE = """
import gc, json, os, sys, time
gc.disable()
folder = sys.argv[1]
sys.path[:0] = sys.argv[2:]
from finlab_sandbox.evaluate.step import Paths, evaluate
paths = Paths(folder, folder + "/positions.bin", folder + "/report.json")
evaluate(paths, nonce="n")
with open("/proc/self/stat") as file:
    ticks = int(file.read().rpartition(")")[2].split()[19])  # since boot, when this process was started
whole = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
cpu = time.process_time()

from finlab_sandbox.evaluate import document, printing
from finlab_sandbox.evaluate.market import read_manifest, read_market
from finlab_sandbox.evaluate.positions import parse, read_bytes
from finlab_sandbox.evaluate.score import score
from finlab_sandbox.evaluate.verdict import rules_of
with open(folder + "/evaluation.json") as file:
    evaluation = json.load(file)
moments, spent = [time.perf_counter()], [time.process_time()]
dataset = evaluation["dataset"]["path"]
market = read_market(dataset, read_manifest(dataset), evaluation["price"])
positions = parse(read_bytes(paths.positions), market.calendar, len(market.symbols))
moments.append(time.perf_counter())
spent.append(time.process_time())
found = score(positions, market, rules_of(evaluation))
moments.append(time.perf_counter())
spent.append(time.process_time())
built = document.build(found, market.symbols, market.calendar)
printing.frame(built, "0" * 64)
moments.append(time.perf_counter())
spent.append(time.process_time())
parts = {"whole": whole, "whole, CPU": cpu}
for at, name in enumerate(("read", "score", "report document")):
    parts[name] = moments[at + 1] - moments[at]
    parts[name + ", CPU"] = spent[at + 1] - spent[at]
sys.stderr.write(json.dumps(parts))
"""
MAKE = """
import json, sys
import numpy as np
folder, days, symbols = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(0)
dates = np.arange(10_000, 10_000 + days, dtype="<i4")
prices = np.exp(np.cumsum(random.normal(0, 0.01, (days, symbols)), axis=0))
weights = random.random((days, symbols))
weights /= weights.sum(axis=1, keepdims=True)
np.save(folder + "/dates.npy", dates.astype("datetime64[D]"))
np.save(folder + "/close.npy", prices)
names = [f"S{number:04d}" for number in range(symbols)]
manifest = {"schema": 1, "symbols": names, "fields": ["close"], "sha256": "0" * 64, "rows": days * symbols}
with open(folder + "/manifest.json", "w") as file:
    json.dump(manifest, file)
with open(folder + "/positions.bin", "wb") as file:
    file.write(b"FLBPOS1\\n" + np.array([days, symbols], "<u4").tobytes() + dates.tobytes())
    file.write(np.arange(symbols, dtype="<i4").tobytes() + weights.astype("<f8").tobytes())
"""


class Machine:
    """Where the evaluator runs: this interpreter, or a container of an image."""

    def __init__(self, image: str | None, cpus: float, *, mount: bool) -> None:
        self._image = image
        self._cpus = cpus
        self._mount = mount

    def run(self, folder: Path, script: str) -> str:
        """Run a script on a folder: what it said on its error output."""
        return subprocess.run(self._command(folder, script), capture_output=True, check=True, text=True).stderr

    def _command(self, folder: Path, script: str) -> list[str]:
        if self._image is None:
            return [sys.executable, "-I", "-c", script, str(folder), str(PACKAGE.parent)]
        command = ["docker", "run", "--rm", f"--cpus={self._cpus}", "--network=none", "--read-only"]
        command += ["--user=2000", f"--volume={folder}:{folder}", "--entrypoint=python3"]
        if self._mount:
            command.append(f"--volume={PACKAGE}:/opt/venv/lib/python3.13/site-packages/finlab_sandbox:ro")
        return [*command, self._image, "-P", "-s", "-c", script, str(folder)]


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=9, help="how many rounds to measure (default: 9)")
    arguments.add_argument("--image", default=SANDBOX.image, help="the sandbox's image (default: %(default)s)")
    arguments.add_argument("--native", action="store_true", help="measure in this interpreter instead of the image")
    arguments.add_argument("--cpus", type=float, default=CPUS, help="CPUs of the container (default: %(default)s)")
    arguments.add_argument("--mount", action="store_true", help="mount the checkout's package over the image's")
    arguments.add_argument("--large", action="store_true", help="1000 symbols as well")
    options = arguments.parse_args()
    machine = Machine(None if options.native else options.image, options.cpus, mount=options.mount)
    goals = {} if options.native or options.cpus != CPUS else GOALS
    cases = {"1 x 1": (1, 1), "20 x 5785": (5785, 20)} | ({"1000 x 5785": (5785, 1000)} if options.large else {})
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    loads = [os.getloadavg()[0]]
    with TemporaryDirectory() as temporary:
        folders = {case: make(Path(temporary) / case.replace(" ", ""), *shape) for case, shape in cases.items()}
        for number in range(options.rounds + 1):
            for case, folder in folders.items():
                measured = measure(machine, folder)
                if number:  # the first round warms up
                    for name, value in measured.items():
                        seconds[case, name].append(value)
            loads.append(os.getloadavg()[0])
    where = "native" if options.native else f"in {options.image} on {options.cpus:g} CPUs"
    print(f"{where}, {options.rounds} rounds; seconds, min and median")
    for (case, name), values in seconds.items():
        aim = f"  (goal: at most {goals[case, name]})" if (case, name) in goals else ""
        print(f"  {case:12} {name:24} {min(values):10.4f} {median(values):10.4f}{aim}")
    print(f"load average: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} CPUs")


def measure(machine: Machine, folder: Path) -> dict[str, float]:
    """One evaluation in a new interpreter, by parts."""
    parts: dict[str, float] = json.loads(machine.run(folder, PROBE))
    return parts


def make(folder: Path, days: int, symbols: int) -> Path:
    """A dataset, positions and inputs, in a folder that any user may write to."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    subprocess.run([sys.executable, "-c", MAKE, str(folder), str(days), str(symbols)], check=True)
    dataset = {"name": "prices", "path": str(folder)}
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION | {"dataset": dataset}))
    (folder / "input.json").write_text("{}")
    (folder / "strategy.py").write_text("")
    return folder


if __name__ == "__main__":
    main()
