"""A thousand StrategyRuns at once on simulated nodes, beside as many bare Jobs; and a restart among thousands of runs.

Everything is real but the containers: see tests/support/rig.py. The Jobs are the operator's own, created at once
and without anybody's care, so that their rate is what Kubernetes itself can do here. The controller manager has
more than its default client limits (20 requests a second), which alone would bound both at about 170 a minute.
Writes are counted by the API server. Everything shares this machine, this program too.
"""

import argparse
import os
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import kubernetes

from strategyrun.domain.crd import crd
from strategyrun.domain.naming import RUN_UID_LABEL
from strategyrun.domain.strategyrun import written_status
from support.cluster import JOB, POD, Cluster, Kind, Manifest
from support.definitions import installed
from support.namespaces import temporary_namespace
from support.plays import HELD, SCORED
from support.rig import Rig, running_rig, usage_of
from support.rig_operator import ON_RIG, KillableOperator
from support.runs import condition, strategy_run
from support.waiting import wait_until

PATIENCE_SECONDS = 900
_REQUESTS = re.compile(
    r'apiserver_request_total\{.*?group="(?P<group>[^"]*)",resource="(?P<resource>[^"]*)".*?'
    r'subresource="(?P<sub>[^"]*)",verb="(?P<verb>[A-Z]+)".*?\} (?P<count>\S+)'
)
_OURS = ("finlab-sandbox.dev/", "app.kubernetes.io/")
# Nobody but the operator writes these while a burst runs.
_OPERATORS_WRITES = {
    ("strategyruns/status", "PATCH"),
    ("jobs", "POST"),
    ("jobs", "DELETE"),
    ("configmaps", "POST"),
    ("configmaps", "DELETE"),
    ("networkpolicies", "POST"),
}


class Burst(NamedTuple):
    """Seconds from the first POST until the last one was answered and until everything had ended; and from each
    object's own POST until somebody wrote its status."""

    posted: float
    ended: float
    acknowledged: list[float]

    @property
    def per_minute(self) -> float:
        """Return how many ended in a minute."""
        return 60 * len(self.acknowledged) / self.ended


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="how many at once (default: 1000)")
    parser.add_argument("--slots", type=int, default=200, help="how many may be active (default: 200)")
    parser.add_argument("--finished", type=int, default=5000, help="finished runs at the restart (default: 5000)")
    arguments = parser.parse_args()
    with (
        running_rig(ON_RIG.profile.seccomp, nodes=10) as rig,
        installed(rig.cluster, crd()) as kind,
        tempfile.TemporaryDirectory() as folder,
        KillableOperator(rig.kubeconfig, kind, Path(folder) / "log", slots=arguments.slots) as operator,
    ):
        load = os.getloadavg()[0]
        print(
            f"{arguments.runs} at once, {arguments.slots} slots, {os.cpu_count()} CPUs, load average {load:.1f} before",
            flush=True,
        )
        with temporary_namespace(rig.cluster, "bench::runs", admission=False) as namespace:
            runs = _measure_runs(rig, kind, namespace, operator, arguments.runs)
            with temporary_namespace(rig.cluster, "bench::jobs", admission=False) as beside:
                jobs = _measure_jobs(rig, namespace, beside, arguments.runs)
            _print("runs a minute / bare Jobs a minute", f"{runs.per_minute / jobs.per_minute:.2f}", "")
            _measure_restart(rig, kind, namespace, operator, arguments.finished - arguments.runs)


def _measure_runs(rig: Rig, kind: Kind, namespace: str, operator: KillableOperator, count: int) -> Burst:
    runs = [strategy_run(f"{SCORED}-{number}", namespace, kind=kind) for number in range(count)]
    before, written = usage_of(operator.pid), _operators_writes(rig.cluster)
    burst = _burst(
        rig,
        runs,
        acknowledged=lambda run: written_status(run) is not None,
        ended=lambda run: condition(run, "Finished") == "True",
    )
    after, writes = usage_of(operator.pid), _operators_writes(rig.cluster) - written
    answered = rig.cluster.list(kind, namespace)
    failed = [run for run in answered if condition(run, "Succeeded") != "True"]
    if failed:
        raise RuntimeError(f"{len(failed)} of {count} runs did not succeed: {failed[0]['status']}")
    cpu = after.cpu_seconds - before.cpu_seconds
    _print("posted", f"{burst.posted:.1f} s", "")
    _print("acknowledged p50, p99", f"{_percentile(burst.acknowledged, 50):.2f} s", "")
    _print("", f"{_percentile(burst.acknowledged, 99):.2f} s", "at most 5 s")
    _print("all finished", f"{burst.ended:.1f} s", "")
    _print("finished per minute", f"{burst.per_minute:.0f}", "at least 400")
    held = [_seconds(attempt["createdAt"], attempt["finishedAt"]) for attempt in _attempts(answered)]
    _print("a slot is held for p50, p99", f"{_percentile(held, 50):.1f} s", "")
    _print("", f"{_percentile(held, 99):.1f} s", "")
    _print("operator's CPU", f"{cpu:.1f} s, {cpu / burst.ended:.2f} of one", "less than 1")
    _print("operator's memory", _mebibytes(after.resident_bytes), "at most 300 MiB")
    _print("writes per run", f"{writes.total() / count:.2f}", "at most 9")
    for name, number in writes.most_common():
        print(f"    {number / count:6.2f}  {name}")
    return burst


def _measure_jobs(rig: Rig, namespace: str, beside: str, count: int) -> Burst:
    model = rig.cluster.list(JOB, namespace)[0]["spec"]
    template = model["template"]
    labels = {name: value for name, value in template["metadata"]["labels"].items() if name.endswith("/run")}
    template["metadata"] = {"labels": labels, "annotations": template["metadata"]["annotations"]}
    chosen = ("template", "backoffLimit", "parallelism", "completions", "podReplacementPolicy")
    spec = {name: model[name] for name in chosen}
    jobs = [
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {"name": f"bare-{number}", "namespace": beside},
            "spec": spec,
        }
        for number in range(count)
    ]
    burst = _burst(
        rig,
        jobs,
        acknowledged=lambda job: "startTime" in job.get("status", {}),
        ended=lambda job: any(each["type"] == "Complete" for each in job.get("status", {}).get("conditions", [])),
    )
    _print("bare Jobs per minute", f"{burst.per_minute:.0f}", "")
    _print("bare Jobs acknowledged p99", f"{_percentile(burst.acknowledged, 99):.2f} s", "")
    return burst


def _measure_restart(rig: Rig, kind: Kind, namespace: str, operator: KillableOperator, more: int) -> None:
    """Let the operator come back to thousands of finished runs, each with its Job and pod, and a thousand live ones."""
    answered = _Answered(rig.cluster, kind, namespace)
    operator.kill()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(answered.copy, [f"done-{number}" for number in range(more)]))
        live = [strategy_run(f"{HELD}-{number}", namespace, kind=kind) for number in range(1000)]
        list(pool.map(rig.cluster.create, live))
    for what in ("restart to ready", "once more, with active runs"):
        begun = monotonic()
        operator.start()
        operator.wait_ready()
        seconds = monotonic() - begun
        wait_until(
            "every live run is seen to",
            lambda: [run for run in rig.cluster.list(kind, namespace) if written_status(run) is None],
            lambda unseen: not unseen,
            seconds=PATIENCE_SECONDS,
            every=1,
        )
        used = usage_of(operator.pid)
        total = len(rig.cluster.list(kind, namespace))
        _print(f"{what}, {total} runs", f"{seconds:.1f} s", "at most 10 s")
        _print("operator's memory then", _mebibytes(used.resident_bytes), "at most 300 MiB")
        operator.kill()


class _Answered:
    """A run that has its answer, with what it keeps for an hour: its Job, and the Job's pod."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str) -> None:
        self._cluster, self._kind, self._namespace = cluster, kind, namespace
        pods = {pod["metadata"]["ownerReferences"][0]["uid"]: pod for pod in cluster.list(POD, namespace)}
        jobs = {job["metadata"]["ownerReferences"][0]["uid"]: job for job in cluster.list(JOB, namespace)}
        runs = (run for run in cluster.list(kind, namespace) if condition(run, "Succeeded") == "True")
        self._run = next(run for run in runs if run["metadata"]["uid"] in jobs)
        self._job = jobs[self._run["metadata"]["uid"]]
        self._pod = pods[self._job["metadata"]["uid"]]

    def copy(self, name: str) -> None:
        """Put another of them beside it, of which no controller has anything to do."""
        run = self._cluster.create(strategy_run(name, self._namespace, kind=self._kind))
        self._end(self._kind, run, self._run)
        spec = {key: value for key, value in self._job["spec"].items() if key != "selector"}
        template = spec["template"]
        spec["template"] = {**template, "metadata": self._meta(template["metadata"], run)}
        meta = self._meta(self._job["metadata"], run, owner=run, name=name)
        job = self._cluster.create(
            {
                "apiVersion": JOB.api_version,
                "kind": JOB.kind,
                "metadata": meta,
                "spec": spec | {"managedBy": "example.com/nobody"},
            }
        )
        self._end(JOB, job, self._job)
        spec = {key: value for key, value in self._pod["spec"].items() if key != "nodeName"}
        meta = self._meta(self._pod["metadata"], run, owner=job, name=name)
        pod = self._cluster.create(
            {
                "apiVersion": POD.api_version,
                "kind": POD.kind,
                "metadata": meta,
                "spec": spec | {"schedulingGates": [{"name": "example.com/never"}]},
            }
        )
        self._end(POD, pod, self._pod)

    def _meta(self, model: Manifest, run: Manifest, *, owner: Manifest | None = None, name: str = "") -> Manifest:
        ours = {key: value for key, value in model["labels"].items() if key.startswith(_OURS)}
        meta = {"labels": ours | {RUN_UID_LABEL: run["metadata"]["uid"]}, "annotations": model.get("annotations", {})}
        if owner is None:
            return meta
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {key: owner["metadata"][key] for key in ("name", "uid")} | {"controller": True}
        return meta | {"name": name, "namespace": self._namespace, "ownerReferences": [reference]}

    def _end(self, kind: Kind, made: Manifest, model: Manifest) -> None:
        name, status = made["metadata"]["name"], {"status": model["status"]}
        self._cluster.merge(kind, name, self._namespace, status, subresource="status")


def _burst(
    rig: Rig,
    manifests: list[Manifest],
    *,
    acknowledged: Callable[[Manifest], bool],
    ended: Callable[[Manifest], bool],
) -> Burst:
    """Create everything as fast as eight hands can, and watch what becomes of it."""
    kind, namespace = Kind.of(manifests[0]), manifests[0]["metadata"]["namespace"]
    names = {manifest["metadata"]["name"] for manifest in manifests}
    posted: dict[str, float] = {}
    seen: dict[str, float] = {}
    over: dict[str, float] = {}
    since = rig.cluster.version(kind, namespace)
    watcher = Cluster(rig.kubeconfig, kubernetes.config.new_client_from_config(str(rig.kubeconfig)))  # type: ignore[no-untyped-call]

    def follow() -> None:
        for _, each in watcher.watch(kind, namespace, since=since, seconds=PATIENCE_SECONDS):
            name = each["metadata"]["name"]
            if name in names and acknowledged(each):
                seen.setdefault(name, monotonic())
            if name in names and ended(each):
                over.setdefault(name, monotonic())
            if len(over) == len(names):
                return

    def create(manifest: Manifest) -> None:
        posted[manifest["metadata"]["name"]] = monotonic()
        rig.cluster.create(manifest)

    following = threading.Thread(target=follow, name="watch")
    following.start()
    begun = monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, manifests))
    all_posted = monotonic() - begun
    following.join(PATIENCE_SECONDS)
    if len(over) < len(names):
        raise RuntimeError(f"{len(names) - len(over)} of {len(names)} did not end in {PATIENCE_SECONDS} s")
    return Burst(all_posted, max(over.values()) - begun, [seen[name] - posted[name] for name in names])


def _operators_writes(cluster: Cluster) -> Counter[str]:
    counted: Counter[str] = Counter()
    for found in _REQUESTS.finditer(cluster.request("GET", "/metrics", accept="*/*")):
        resource = "/".join(filter(None, [found["resource"], found["sub"]]))
        if (resource, found["verb"]) in _OPERATORS_WRITES:
            counted[f"{found['verb']} {resource}"] += int(float(found["count"]))
    return counted


def _attempts(runs: list[Manifest]) -> list[Manifest]:
    return [attempt for run in runs for attempt in run["status"]["attempts"]]


def _seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def _percentile(values: Iterable[float], percent: int) -> float:
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _print(what: str, figure: str, goal: str) -> None:
    print(f"  {what:<34} {figure:>22}   {f'(goal: {goal})' if goal else ''}", flush=True)


if __name__ == "__main__":
    main()
