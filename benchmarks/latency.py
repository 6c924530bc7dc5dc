"""How long a verdict takes: a StrategyRun against a bare Job that runs the same strategy and scores nothing.

Both run benchmarks/workloads/moving_average.py in the same image, with the same limits, seccomp profile and mounts:
the Job is the operator's own with the scoring step taken off, so it has one container. Each is timed
from before its POST until a watch tells of its end: the run's condition Finished, the Job's condition
Complete. Pairs are interleaved, after one pair to warm up, and each measurement begins when the pods
of the one before are gone.
"""

import argparse
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.inputs import build_inputs
from strategyrun.domain.job import job, snapshot
from strategyrun.domain.strategyrun import Attempt, StrategyRun
from strategyrun.domain.vetting import Kind as SourceKind
from support.cluster import CHECKOUT, JOB, POD, STRATEGY_RUN, Cluster, Kind, Manifest
from support.journal import Journal
from support.namespaces import temporary_namespace
from support.waiting import wait_until

SOURCE = (CHECKOUT / "benchmarks" / "workloads" / "moving_average.py").read_text()
SAMPLE: dict[str, Any] = {
    "apiVersion": STRATEGY_RUN.api_version,
    "kind": STRATEGY_RUN.kind,
    "spec": {
        "source": {"inline": SOURCE},
        "params": {"fast": 50, "slow": 200},
        "evaluation": {"rebalance": "OnChange"},
    },
}
REJECTED = {
    "rejected code": "this is not Python",
    "vendor's backtest": "from finlab import backtest, data\nbacktest.sim(data.get('price:收盤價') > 10)\n",
}
SETTINGS = load_settings(CHECKOUT / "config" / "sandbox.yaml")
PATIENCE_SECONDS = 120


class Stage(NamedTuple):
    """What a measurement waits for next: a change of an object of that kind."""

    name: str
    kind: Kind
    over: Callable[[Manifest], bool]


class Timed(NamedTuple):
    """Seconds from the POST to the end, and of each stage."""

    seconds: float
    stages: dict[str, float]


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--pairs", type=int, default=12, help="how many pairs to measure (default: 12)")
    pairs = arguments.parse_args().pairs
    runs: list[Timed] = []
    jobs: list[Timed] = []
    rejections: dict[str, list[Timed]] = {title: [] for title in REJECTED}
    loads = [os.getloadavg()[0]]
    cluster = Cluster.connect()
    with temporary_namespace(cluster, "bench::latency") as namespace:
        bench = Bench(cluster, namespace)
        bench.time_run()
        bench.time_job()
        for number in range(pairs):
            pair = [(runs, bench.time_run), (jobs, bench.time_job)]
            for timed, measure in pair if number % 2 else reversed(pair):
                timed.append(measure())
            for title, timed in rejections.items():
                timed.append(bench.time_rejection(REJECTED[title]))
            loads.append(os.getloadavg()[0])
            print(f"pair {number + 1}: StrategyRun {runs[-1].seconds:.2f} s, Job {jobs[-1].seconds:.2f} s", flush=True)
    _print_all(runs, jobs, rejections, loads)


class Bench:
    """Measures one thing at a time, in a namespace of its own."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def time_run(self) -> Timed:
        """From the POST of a StrategyRun to its answer."""
        return self._time(
            self._run(SAMPLE["spec"]),
            Stage("pod asked for", POD, lambda _: True),
            Stage("strategy started", POD, lambda pod: bool(_state(pod, "initContainerStatuses").keys() - {"waiting"})),
            Stage("strategy ended", POD, lambda pod: "terminated" in _state(pod, "initContainerStatuses")),
            Stage("scored", POD, lambda pod: "terminated" in _state(pod, "containerStatuses")),
            Stage("answered", STRATEGY_RUN, lambda run: _condition(run, "Succeeded") == "True"),
        )

    def time_job(self) -> Timed:
        """From the POST of a bare Job to its completion."""
        inputs, bare = _bare_job(self._namespace)
        self._cluster.create(inputs)
        return self._time(
            bare,
            Stage("pod asked for", POD, lambda _: True),
            Stage("strategy started", POD, lambda pod: bool(_state(pod, "containerStatuses").keys() - {"waiting"})),
            Stage("strategy ended", POD, lambda pod: "terminated" in _state(pod, "containerStatuses")),
            Stage("completed", JOB, lambda bare: _condition(bare, "Complete") == "True"),
        )

    def time_rejection(self, source: str) -> Timed:
        """From the POST of a source that cannot work to its rejection."""
        rejected = Stage("rejected", STRATEGY_RUN, lambda run: _condition(run, "Finished") == "True")
        return self._time(self._run({"source": {"inline": source}}), rejected)

    def _run(self, spec: dict[str, Any]) -> Manifest:
        return SAMPLE | {"metadata": {"name": f"run-{token_hex(4)}", "namespace": self._namespace}, "spec": spec}

    def _time(self, manifest: Manifest, *stages: Stage) -> Timed:
        with ExitStack() as opened:
            kinds = {stage.kind for stage in stages}
            journals = {kind: opened.enter_context(Journal(self._cluster, kind, self._namespace)) for kind in kinds}
            moments = [perf_counter()]
            self._cluster.create(manifest)
            for stage in stages:
                journals[stage.kind].wait(stage.name, stage.over, seconds=PATIENCE_SECONDS)
                moments.append(perf_counter())
        self._cluster.delete(Kind.of(manifest), manifest["metadata"]["name"], self._namespace)
        wait_until("its pods are gone", lambda: self._cluster.list(POD, self._namespace), lambda pods: not pods)
        spans = (later - earlier for earlier, later in pairwise(moments))
        return Timed(moments[-1] - moments[0], dict(zip((stage.name for stage in stages), spans, strict=True)))


def _bare_job(namespace: str) -> tuple[Manifest, Manifest]:
    """Build the inputs and the Job, with nothing by which an operator would know them for its own."""
    metadata = {
        "name": "bare",
        "namespace": namespace,
        "uid": token_hex(16),
        "resourceVersion": "0",
        "creationTimestamp": datetime.now(UTC).isoformat(),
    }
    run = StrategyRun.parse(SAMPLE | {"metadata": metadata})
    inputs = build_inputs(run, SOURCE.encode(), SourceKind.POSITIONS, SETTINGS.profile.sandbox)
    attempt = Attempt(number=1, job_name="bare", created_at=run.created_at)
    built = job(run, attempt, inputs=inputs, nonce="none", profile=SETTINGS.profile)
    pod = built["spec"]["template"]["spec"]
    pod["containers"] = pod.pop("initContainers")
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "inputs"]
    documents = snapshot(run, inputs), built
    for document in documents:
        del document["metadata"]["ownerReferences"], document["metadata"]["labels"]
    del built["spec"]["template"]["metadata"]
    return documents


def _state(pod: Manifest, statuses: str) -> dict[str, Any]:
    found = pod["status"].get(statuses) or [{"state": {}}]
    state: dict[str, Any] = found[0]["state"]
    return state


def _condition(seen: Manifest, kind: str) -> str:
    conditions = seen.get("status", {}).get("conditions") or []
    return next((each["status"] for each in conditions if each["type"] == kind), "Unknown")


def _print_all(runs: list[Timed], jobs: list[Timed], rejections: dict[str, list[Timed]], loads: list[float]) -> None:
    for title, timed in {"StrategyRun, scored": runs, "bare Job": jobs, **rejections}.items():
        seconds = [each.seconds for each in timed]
        print(f"\n{title}: median {median(seconds):.2f} s, min {min(seconds):.2f} s, max {max(seconds):.2f} s")
        for name in timed[0].stages:
            print(f"  {median(each.stages[name] for each in timed):6.2f} s  {name}")
    print(f"\nload average: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} CPUs, {len(runs)} pairs")
    print(f"median StrategyRun / median bare Job: {_ratio(runs, jobs):.2f} (goal: at most 1.0)")
    for title, timed in rejections.items():
        print(f"slowest {title}: {max(each.seconds for each in timed):.2f} s (goal: below 1 s)")


def _ratio(these: Iterable[Timed], those: Iterable[Timed]) -> float:
    return median(each.seconds for each in these) / median(each.seconds for each in those)


if __name__ == "__main__":
    main()
