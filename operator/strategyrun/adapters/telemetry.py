"""The operator's numbers, for Prometheus. No label holds a word of a tenant's, and each has few values."""

from itertools import pairwise
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from strategyrun.adapters.kube import CONFIG_MAPS, EVENTS, JOBS, LEASES, NETWORK_POLICIES, NODES, PODS, Resource
from strategyrun.domain.outcomes import FAILURES, STARTS_FALLBACK, Reason
from strategyrun.domain.sandbox import PROFILE_PLURAL
from strategyrun.domain.strategyrun import Executor, Phase, StrategyRun, StrategyRunStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "finlab_sandbox"
OTHER: Final = "Other"
"""What a label says of a word that is none of ours."""

_STAGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1800)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_VETTING_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 8, 15, 30)
_SWEEP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Described(NamedTuple):
    """What a metric is, for the page that lists them all."""

    name: str
    """Without what Prometheus adds, as `_total`."""
    kind: str
    labels: tuple[str, ...]
    text: str


class Telemetry:
    """All metrics of one operator. Counters begin at 0 with the process, as Prometheus expects."""

    def __init__(self, runs: Resource) -> None:
        self.registry = CollectorRegistry()
        self.described: list[Described] = []
        """The operator's own metrics."""
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        profiles = Resource(runs.group, runs.version, PROFILE_PLURAL)
        self._known = {runs, profiles, CONFIG_MAPS, EVENTS, JOBS, LEASES, NETWORK_POLICIES, NODES, PODS}
        self._finished = self._counter(
            "runs_finished", "Evaluations that ended, once each.", "phase", "class", "reason", "executor"
        )
        self._stages = self._histogram(
            "run_stage_seconds",
            "Seconds of a stage: queue, schedule, start, run, lookAhead, evaluate, total.",
            _STAGE_BUCKETS,
            "stage",
        )
        self._fallbacks = self._counter(
            "fallbacks", "Evaluations that ended after the sandbox could not start.", "trigger", "used"
        )
        self._retries = self._counter("retries", "Further attempts, by what ended the one before.", "reason")
        self._writes = self._counter("status_writes", "Status writes: Written, Conflict, Failed.", "outcome")
        self._requests = self._histogram(
            "api_request_seconds",
            "Requests to the API server, without those of watches; code is empty where no answer came.",
            _REQUEST_BUCKETS,
            "verb",
            "resource",
            "code",
        )
        self._events = self._counter("events", "Warning events: Posted, Known, Dropped, Failed.", "outcome")
        self._watch_events = self._counter("watch_events", "Events that watches told.", "kind", "type")
        self._reconciles = self._counter("reconciles", "Looks at a run: Done, Trouble, Defect.", "outcome")
        self._sweeps = self._histogram("sweep_seconds", "Complete sweeps.", _SWEEP_BUCKETS)
        self._vettings = self._histogram("vetting_seconds", "Vetting of a source.", _VETTING_BUCKETS)
        self.runs = self._gauge("runs", "Runs without an answer.", "phase")
        self.troubled = self._gauge(
            "runs_in_trouble",
            "Runs that several looks in a row could not bring on, or whose source could not be checked.",
        )
        self.workqueue_depth = self._gauge("workqueue_depth", "Keys that wait for a worker.")
        self.workqueue_oldest = self._gauge("workqueue_oldest_seconds", "How long the oldest key has waited.")
        self.sweep_age = self._gauge("sweep_age_seconds", "Since the last complete sweep, or since the start.")
        self.watch_behind = self._gauge("watch_behind_seconds", "How long a watch has owed what a sweep found.", "kind")
        self.lease_held = self._gauge("lease_held", "1 where this operator may work.")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show every count that an alert may be about before it is first counted: Prometheus sees growth, not birth."""
        for row in FAILURES.values():
            for executor in ("", *Executor):
                self._finished.labels(Phase.FAILED, row.class_, row.reason, executor)
            self._retries.labels(row.reason)
        for reason in STARTS_FALLBACK:
            for used in ("true", "false"):
                self._fallbacks.labels(reason, used)
        for outcome in ("Written", "Conflict", "Failed"):
            self._writes.labels(outcome)
        for outcome in ("Done", "Trouble", "Defect"):
            self._reconciles.labels(outcome)
        for outcome in ("Posted", "Known", "Dropped", "Failed"):
            self._events.labels(outcome)

    def exposition(self) -> bytes:
        """Write all numbers in Prometheus' text format."""
        return generate_latest(self.registry)

    def recorded(self, run: StrategyRun, status: StrategyRunStatus) -> None:
        """Count what a status that has been written adds to the one before."""
        before = run.status if run.status and run.status.inputs_hash == status.inputs_hash else None
        if before and before.final:
            return
        counted = before.attempts[-1].number if before and before.attempts else 1
        for earlier, later in pairwise(status.attempts):
            if later.number > counted:
                self._retries.labels(_reason(earlier.reason)).inc()
        if status.final:
            self._ended(status)

    def _ended(self, status: StrategyRunStatus) -> None:
        class_ = status.failure.class_ if status.failure else ""
        self._finished.labels(status.phase, class_, _reason(status.reason), status.executor or "").inc()
        if status.fallback:
            self._fallbacks.labels(_reason(status.fallback.trigger), str(status.fallback.used).lower()).inc()
        timings = status.timings
        if timings:
            for stage, seconds in (
                ("queue", timings.queued),
                ("schedule", timings.scheduled),
                ("start", timings.started),
                ("run", timings.strategy),
                ("lookAhead", timings.look_ahead),
                ("evaluate", timings.evaluated),
            ):
                if seconds is not None:
                    self._stages.labels(stage).observe(seconds)
        if status.accepted_at and status.finished_at:
            self._stages.labels("total").observe((status.finished_at - status.accepted_at).total_seconds())

    def wrote(self, outcome: str) -> None:
        """Count a status write."""
        self._writes.labels(outcome).inc()

    def requested(self, method: str, path: str, code: str, seconds: float) -> None:
        """Count a request to the API server, by the words of RBAC."""
        verb, resource = self._words(method, path)
        self._requests.labels(verb, resource, code).observe(seconds)

    def posted(self, outcome: str) -> None:
        """Count what became of an event."""
        self._events.labels(outcome).inc()

    def watched(self, kind: str, event: str | None) -> None:
        """Count what a watch told; a listing tells of what exists."""
        self._watch_events.labels(kind, event or "LISTED").inc()

    def reconciled(self, outcome: str) -> None:
        """Count a look at a run."""
        self._reconciles.labels(outcome).inc()

    def swept(self, seconds: float) -> None:
        """Count a complete sweep."""
        self._sweeps.observe(seconds)

    def vetted(self, seconds: float) -> None:
        """Count a vetting."""
        self._vettings.observe(seconds)

    def _words(self, method: str, path: str) -> tuple[str, str]:
        for known in self._known:
            root = known.path().removesuffix(known.plural)
            if path.startswith(root):
                rest = path.removeprefix(root).split("/")
                inside = rest[2:] if rest[0] == "namespaces" and len(rest) > 2 else rest
                if inside[0] == known.plural:
                    resource = "/".join([known.plural, *inside[2:3]])
                    return _VERBS.get(method, "get" if len(inside) > 1 else "list"), resource
        return _VERBS.get(method, "get"), OTHER

    def _describe(self, kind: str, name: str, labels: tuple[str, ...], text: str) -> None:
        self.described.append(Described(f"{_PREFIX}_{name}", kind, labels, text))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._describe("counter", name, labels, text)
        return Counter(name, text, labels, namespace=_PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self._describe("gauge", name, labels, text)
        return Gauge(name, text, labels, namespace=_PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        self._describe("histogram", name, labels, text)
        return Histogram(name, text, labels, namespace=_PREFIX, buckets=buckets, registry=self.registry)


def _reason(word: str | None) -> str:
    return word if word in set(Reason) else OTHER
