"""A namespace in which a test applies runs and looks at what the operator made of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.strategyrun import PLURAL, RERUN_ANNOTATION, written_status
from support import kubelet
from support.cluster import CONFIG_MAP, JOB, POD, RESOURCE_QUOTA, Cluster, Kind, Manifest
from support.operator import Call
from support.runs import strategy_run
from support.waiting import PATIENCE, wait_until

OURS = f"{naming.MANAGED_BY_LABEL}={naming.MANAGED_BY}"


class Bench:
    """A namespace, the runs in it, and what the operator made of them; `patience` is in seconds."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str, patience: float = PATIENCE) -> None:
        self.cluster = cluster
        self.kind = kind
        self.namespace = namespace
        self._patience = patience

    def apply(self, name: str = "run", *, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """Create a run."""
        run = strategy_run(name, self.namespace, kind=self.kind, **spec)
        return self.cluster.create(run | {"metadata": run["metadata"] | {"labels": labels or {}}})

    def edit(self, change: Manifest, name: str = "run") -> None:
        """Merge a change into a run."""
        self.cluster.merge(self.kind, name, self.namespace, change)

    def rerun(self, name: str = "run", value: str = "again") -> None:
        """Ask for the same inputs once more."""
        self.edit({"metadata": {"annotations": {RERUN_ANNOTATION: value}}}, name)

    def spend(self, resource: str, hard: int = 0) -> None:
        """Give the namespace a quota that is used up, and wait until it is in force."""
        meta = {"name": "few", "namespace": self.namespace}
        quota = {"apiVersion": RESOURCE_QUOTA.api_version, "kind": RESOURCE_QUOTA.kind, "metadata": meta}
        self.cluster.create(quota | {"spec": {"hard": {resource: str(hard)}}})
        wait_until(
            f"{resource} is used up",
            lambda: self.cluster.get(RESOURCE_QUOTA, "few", self.namespace).get("status", {}).get("used", {}),
            lambda used: resource in used and int(used[resource]) >= hard,
        )

    def allow(self, resource: str, hard: str) -> None:
        """Raise what the namespace may use."""
        self.cluster.merge(RESOURCE_QUOTA, "few", self.namespace, {"spec": {"hard": {resource: hard}}})

    def run(self, name: str = "run") -> Manifest:
        """Read a run."""
        return self.cluster.get(self.kind, name, self.namespace)

    def status(self, name: str = "run") -> Manifest:
        """Read what the operator wrote of a run."""
        return written_status(self.run(name)) or {}

    def wait(self, what: str, holds: Callable[[Manifest], object], name: str = "run") -> Manifest:
        """Wait until a run's status holds."""
        return wait_until(f"{name}: {what}", lambda: self.status(name), holds, seconds=self._patience)

    def wait_reason(self, reason: str, name: str = "run") -> Manifest:
        """Wait until a run has this reason."""
        return self.wait(reason, lambda seen: seen.get("reason") == reason, name)

    def wait_pod(self, name: str = "run", attempt: int = 1) -> Manifest:
        """Wait until an attempt of a run has its pod."""
        status = self.wait(f"attempt {attempt}", lambda seen: len(seen.get("attempts", [])) >= attempt, name)
        return kubelet.pod_of(self.cluster, self.namespace, status["attempts"][attempt - 1]["jobName"])

    def succeed(self, name: str = "run", **report: Any) -> Manifest:
        """Let a run's pod end well, and wait for the answer."""
        kubelet.succeed(self.cluster, self.wait_pod(name), **report)
        return self.wait_reason("Evaluated", name=name)

    def names(self, kind: Kind) -> list[str]:
        """List what the operator made in the namespace."""
        return [each["metadata"]["name"] for each in self.cluster.list(kind, self.namespace, labels=OURS)]

    def wait_names(self, kind: Kind, holds: Callable[[list[str]], object], *, seconds: float = PATIENCE) -> None:
        """Wait until what the operator made in the namespace holds."""
        wait_until(f"the {kind.kind}s are as expected", lambda: self.names(kind), holds, seconds=seconds)

    def wait_nothing_left(self) -> None:
        """Wait until no Job, no pod and no snapshot is left; the garbage collector takes its time."""
        for kind in (JOB, POD, CONFIG_MAP):
            self.wait_names(kind, lambda names: not names)


@contextmanager
def workbench(cluster: Cluster, kind: Kind, namespace: str, patience: float = PATIENCE) -> Iterator[Bench]:
    """Lend a namespace, and leave the next operator of this kind without work."""
    yield Bench(cluster, kind, namespace, patience)
    cluster.request("DELETE", f"/apis/{kind.api_version}/namespaces/{namespace}/{PLURAL}")


def owned(run: Manifest, kind: Kind, name: str, **fields: Any) -> Manifest:
    """Build an object that says it is the operator's and the run's."""
    meta = run["metadata"]
    owner = {
        "apiVersion": run["apiVersion"],
        "kind": run["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    labels = {
        naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
        naming.COMPONENT_LABEL: "strategy",
        naming.RUN_UID_LABEL: meta["uid"],
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner]},
        **fields,
    }


def count(calls: list[Call], verb: str, resource: str) -> int:
    """Count the requests of a kind."""
    return sum(call.verb == verb and call.resource == resource for call in calls)
