"""How long four strategies take in the sandbox: against the same Python without it, and five at once against one.

It needs the engine and the sandbox's image, not the cluster. Every side has half a CPU:

sandbox   the strategy's container as the pod has it: the harness as its first process, its user, environment and
          limits, no network, no capabilities, a read-only root, its seccomp profile, with the documents that the
          operator writes
guarded   the same with the look-ahead check as it is by default
at once   five of the sandbox side, from the first start to the last end
true      the same container, with `true` in place of the harness: what starting and removing it takes
native    the same interpreter and libraries, started anew for each measurement in a container that was running
          before: no isolation, nothing to start but Python. It reads the same prices, calls the strategy and saves
          what it returned.

overhead = (sandbox - native) / true, of the least times; five at once / one alone, of the medians. All sides are
interleaved.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.hardening import STRATEGY_UID, environment
from strategyrun.domain.inputs import INPUT_KEY, build_inputs, digest
from strategyrun.domain.job import INPUT_VARIABLE
from strategyrun.domain.strategyrun import StrategyRun
from strategyrun.domain.vetting import vet

CHECKOUT = Path(__file__).parents[1]
CONFIG = CHECKOUT / "config"
SANDBOX = load_settings(CONFIG / "sandbox.yaml").profile.sandbox
WORKLOADS: dict[str, dict[str, Any]] = {
    "moving_average": {"fast": 50, "slow": 200},
    "rsi_macd": {"rsi": 14, "low": 45, "high": 75},
    "factor_graph": {"window": 126},
    "linear_regression": {"horizon": 21, "train": 756, "top": 2},
}
CPUS = 0.5
AT_ONCE = 5
SIDES = ("sandbox", "native", "true", "guarded", "at once")
OVERHEAD_GOAL = 2.0
AT_ONCE_GOAL = 2.5
PATIENCE_SECONDS = 300
HARNESS = """\
import os
from finlab_sandbox.harness.paths import Paths
from finlab_sandbox.harness.supervisor import supervise
code = supervise(Paths())
import resource
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
os.write(1, f"\\n{sum(each.ru_utime + each.ru_stime for each in used)}\\n".encode())
os._exit(code)
"""
NATIVE = """\
import json, sys
sys.path.insert(0, "/code")
from finlab_sandbox.harness.market import read_market
with open("/code/input.json") as file:
    document = json.load(file)
from strategy import strategy
strategy(read_market(document["dataset"]["path"]), document["params"]).to_pickle("/tmp/positions")
"""
MEASURE = """\
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run([sys.executable, "-P", "-s", "/code/native.py"])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, time.perf_counter() - began, used.ru_utime + used.ru_stime]))
"""


class Timed(NamedTuple):
    """Wall-clock seconds, and seconds of CPU (0 where they were not counted)."""

    wall: float
    cpu: float = 0.0


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=6, help="how often to measure each side (default: 6)")
    arguments.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; default: all")
    arguments.add_argument("--image", default=SANDBOX.image, help="the sandbox's image (default: %(default)s)")
    asked = arguments.parse_args()
    if unknown := set(asked.workloads) - set(WORKLOADS):
        arguments.error(f"there is no workload {', '.join(sorted(unknown))}")
    loads = [os.getloadavg()[0]]
    print(f"share of a CPU that a busy loop gets at --cpus {CPUS}: {_measured_quota(asked.image):.2f}")
    for name in asked.workloads or WORKLOADS:
        sides: dict[str, list[Timed]] = {side: [] for side in SIDES}
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), name, asked.image)
            with bench.native() as native:
                measures = [bench.sandbox, native, bench.true, bench.guarded, bench.at_once]
                for warm_up in measures[:3]:
                    warm_up()
                for number in range(asked.rounds):
                    pairs = list(zip(SIDES, measures, strict=True))
                    for side, measure in pairs if number % 2 else reversed(pairs):
                        sides[side].append(measure())
                    loads.append(os.getloadavg()[0])
        _print(name, sides)
    print(f"\nload average: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} CPUs, {asked.rounds} rounds")


class Bench:
    """One workload with its documents, and the ways to run it."""

    def __init__(self, folder: Path, name: str, image: str) -> None:
        self._folder = folder
        self._image = image
        code = (CHECKOUT / "benchmarks" / "workloads" / f"{name}.py").read_bytes()
        for mount, action in (("code", "Off"), ("guarded", "Warn")):
            spec = {
                "source": {"inline": code.decode()},
                "params": WORKLOADS[name],
                "evaluation": {"lookAhead": {"action": action}},
            }
            metadata = {"name": name, "namespace": "bench", "uid": name, "resourceVersion": "0"}
            metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
            manifest = {"apiVersion": "finlab-sandbox.dev/v1alpha1", "kind": "StrategyRun", "metadata": metadata}
            inputs = build_inputs(StrategyRun.parse(manifest | {"spec": spec}), code, vet(code).kind, SANDBOX)
            (folder / mount).mkdir()
            for file, content in inputs.files.items():
                (folder / mount / file).write_text(content)
        (folder / "code" / "native.py").write_text(NATIVE)
        folder.chmod(0o755)

    def sandbox(self) -> Timed:
        """Run it as the pod does."""
        return self._run("code")

    def guarded(self) -> Timed:
        """Run it as the pod does, with the look-ahead check."""
        return self._run("guarded")

    def true(self) -> Timed:
        """Run nothing in the pod's container."""
        began = perf_counter()
        _docker("run", *self._hardening("code"), self._image, "true")
        return Timed(perf_counter() - began)

    def at_once(self) -> Timed:
        """Run several as the pod does, until the last has ended."""
        began = perf_counter()
        started = [self._start("code") for _ in range(AT_ONCE)]
        ended = [_end(*each) for each in started]
        return Timed(perf_counter() - began, sum(ended))

    @contextmanager
    def native(self) -> Iterator[Any]:
        """Keep a container without isolation, and yield what runs the strategy as a fresh process in it."""
        name = f"finlab-bench-{token_hex(4)}"
        options = ["--detach", "--rm", f"--name={name}", f"--cpus={CPUS}", "--security-opt=seccomp=unconfined"]
        options += ["--user=0", "--network=host", f"--volume={self._folder}/code:/code:ro", *_environment()]
        _docker("run", *options, self._image, "sleep", "infinity")

        def measure() -> Timed:
            code, wall, cpu = json.loads(_docker("exec", name, "python3", "-c", MEASURE).splitlines()[-1])
            if code:
                raise RuntimeError(f"the native run ended with exit code {code}")
            return Timed(wall, cpu)

        try:
            yield measure
        finally:
            _docker("rm", "--force", name)

    def _run(self, mount: str) -> Timed:
        began = perf_counter()
        cpu = _end(*self._start(mount))
        return Timed(perf_counter() - began, cpu)

    def _start(self, mount: str) -> tuple["subprocess.Popen[str]", Path]:
        """Start the pod's container for the strategy; it prints the seconds of CPU when all is done."""
        document = self._folder / f"document-{token_hex(4)}"
        document.touch()
        document.chmod(0o666)
        options = [*self._hardening(mount), f"--volume={document}:/dev/termination-log"]
        command = ["docker", "run", *options, self._image, "python3", "-P", "-s", "-c", HARNESS]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), document

    def _hardening(self, mount: str) -> list[str]:
        pinned = digest((self._folder / mount / INPUT_KEY).read_bytes())
        memory = str(SANDBOX.limits.document()["memory"]).removesuffix("i").lower()
        return [
            *("--rm", f"--cpus={CPUS}", f"--memory={memory}", "--network=none", "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", f"--security-opt=seccomp={CONFIG / 'seccomp_profile.json'}"),
            *(f"--user={STRATEGY_UID}:{STRATEGY_UID}", "--tmpfs=/tmp:mode=1777,size=1g", "--tmpfs=/out:mode=1777"),
            *(f"--volume={self._folder / mount}:/code:ro", *_environment(), f"--env={INPUT_VARIABLE}={pinned}"),
        ]


def _end(process: "subprocess.Popen[str]", document: Path) -> float:
    """Wait for a container and return its seconds of CPU; what did not end well is no measurement."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    ended = json.loads(document.read_text() or "{}")
    if process.returncode or ended["reason"] != "Completed":
        raise RuntimeError(f"the sandbox ended with {process.returncode}, {ended or 'no document'}: {errors[-500:]}")
    if (found := ended["lookAhead"]) and found["checked"] < found["samples"]:
        raise RuntimeError(f"the look-ahead check was not made in full: {found['note']}")
    return float(output.split()[-1])


def _environment() -> list[str]:
    return [f"--env={each['name']}={each['value']}" for each in environment()]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _measured_quota(image: str) -> float:
    """Return what a process gets of a CPU: an engine that cannot set quotas would make all figures wrong."""
    busy = "import time\nwhile time.process_time() < 1: pass\nprint(1 / (time.perf_counter() - began))"
    code = f"import time\nbegan = time.perf_counter()\n{busy}"
    return float(_docker("run", "--rm", "--network=none", f"--cpus={CPUS}", image, "python3", "-c", code))


def _print(name: str, sides: dict[str, list[Timed]]) -> None:
    print(f"\n{name}")
    for side, timed in sides.items():
        walls, cpus = [each.wall for each in timed], [each.cpu for each in timed]
        print(f"  {side:8}  min {min(walls):6.2f} s  median {median(walls):6.2f} s  CPU {min(cpus):6.2f} s")
    least = {side: min(each.wall for each in timed) for side, timed in sides.items()}
    middle = {side: median(each.wall for each in timed) for side, timed in sides.items()}
    overhead = (least["sandbox"] - least["native"]) / least["true"]
    at_once = middle["at once"] / middle["sandbox"]
    print(f"  (sandbox - native) / true: {overhead:.2f} (goal: at most {OVERHEAD_GOAL})")
    print(f"  {AT_ONCE} at once / 1 alone: {at_once:.2f} (goal: at most {AT_ONCE_GOAL})")
    checked, unchecked = (min(each.cpu for each in sides[side]) for side in ("guarded", "sandbox"))
    print(f"  look-ahead check: {checked - unchecked:.2f} s of CPU")


if __name__ == "__main__":
    main()
