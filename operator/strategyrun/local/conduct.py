"""One run from its document to its status: the operator's decisions, with this machine in place of a cluster."""

import asyncio
import platform
import secrets
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strategyrun.adapters.vetting import Vetter
from strategyrun.domain.acts import Create, KeepReport, Vet
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.model import milliseconds
from strategyrun.domain.observation import JobObservation, PodObservation, observe_job, observe_pod
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import Decision, decide
from strategyrun.domain.report import InvalidReportError, full_report
from strategyrun.domain.sandbox import Profile
from strategyrun.domain.seen import Kept, Seen, Vetted
from strategyrun.domain.slots import Place
from strategyrun.domain.strategyrun import StrategyRun, StrategyRunStatus
from strategyrun.domain.verdict import Fault
from strategyrun.local.engine import Engine, EngineError
from strategyrun.local.plan import End, begun_pod_of, files_of, plan_of, pod_of, uid_of
from strategyrun.local.stop import Stop

NETWORK = "NetworkNamespace"
"""What keeps a strategy off the network here: it has none of its own, and no policy is needed."""


@dataclass
class Request:
    """What is to be run: a StrategyRun's document, and what its references mean here."""

    body: dict[str, Any]
    config_maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    dataset: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The document with its status, the full report (a gzip file) where there is one, and what the steps printed."""

    body: dict[str, Any]
    report: bytes | None = None
    logs: dict[str, bytes] = field(default_factory=dict)


def conduct(
    request: Request,
    engine: Callable[[], Engine],
    profile: Profile,
    *,
    stop: Stop | None = None,
    told: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Outcome:
    """Decide and act until the run has its answer, or waits for somebody.

    The engine is made only where a run gets as far. `told` gets the document with each status before the last one.
    Raises EngineError, NotRunnableError, and StoppedError where somebody has asked `stop` for it.
    """
    return _Conductor(request, engine, profile, stop or Stop(), told).conduct()


class _Conductor:
    """What a cluster would hold of the run."""

    def __init__(
        self,
        request: Request,
        engine: Callable[[], Engine],
        profile: Profile,
        stop: Stop,
        told: Callable[[dict[str, Any]], None],
    ) -> None:
        self._request = request
        self._make_engine = engine
        self._stop = stop
        self._told = told
        self._engine: Engine | None = None
        self._maps = dict(request.config_maps)
        self._ends: list[End] = []
        self._report: bytes | None = None
        run = _run(request.body, None)
        self._seen = Seen(
            run=run, profile=_here(profile, run.spec.profile), place=Place(0), nonce=secrets.token_hex(16)
        )

    def conduct(self) -> Outcome:
        while True:
            decision = decide(self._seen, _now())
            if decision.status is not None:
                if decision.status.final:
                    return self._outcome(decision.status)
                self._hold(decision.status)
            for act in decision.acts:
                self._stop.check()
                self._do(act)
            if not decision.acts and not self._wait(decision):
                return self._outcome(decision.status)

    def _do(self, act: object) -> None:
        match act:
            case Vet():
                self._seen = replace(self._seen, vetted=self._vet())
            case Create({"kind": "ConfigMap"} as manifest):
                self._maps[manifest["metadata"]["name"]] = files_of(manifest)
            case Create({"kind": "Job"} as manifest):
                job, pod = self._run_job(manifest)
                self._seen = replace(self._seen, jobs=(job,), pods=(pod,), nonce=secrets.token_hex(16))
            case KeepReport(job_uid=job_uid, sha256=wanted):
                self._seen = replace(self._seen, kept=self._keep(job_uid, wanted))

    def _vet(self) -> Vetted:
        run, now = self._seen.run, _now()
        reference = run.spec.source.config_map_ref
        if reference is None:
            code = (run.spec.source.inline or "").encode()
        elif (found := self._maps.get(reference.name, {}).get(reference.key)) is not None:
            code = found
        else:
            missing = f"the file has no ConfigMap {reference.name} with the key {reference.key}"
            return Vetted(inputs_hash(run), now, missing=Fault(Reason.SOURCE_MISSING, missing))
        try:
            reading, gate = asyncio.run(Vetter().vet(code))
        except RuntimeError as error:
            raise EngineError(f"the source could not be vetted: {error}") from error
        return Vetted(inputs_hash(run), now, code=code, reading=reading, gate=gate)

    def _run_job(self, manifest: dict[str, Any]) -> tuple[JobObservation, PodObservation]:
        now = _now().isoformat()
        meta = {"uid": uid_of(manifest["metadata"]["name"], now), "resourceVersion": "1", "creationTimestamp": now}
        job = {**manifest, "metadata": {**manifest["metadata"], **meta}}
        if self._engine is None:
            self._engine = self._make_engine()
        plan = plan_of(job, self._maps, self._request.dataset)
        told = {"node": platform.node(), "image_id": self._engine.about.image_id}
        begun = replace(
            self._seen, jobs=(observe_job(job),), pods=(observe_pod(begun_pod_of(job, plan, _now(), **told)),)
        )
        self._hold(decide(begun, _now()).status)
        self._ends = self._engine.run(plan, self._stop)
        return observe_job(job), observe_pod(pod_of(job, plan, self._ends, **told))

    def _keep(self, job_uid: str, wanted: str) -> Kept:
        """Hold the full report for whoever asked for it; a cluster's ConfigMap there is none."""
        log = next((end.log for end in self._ends if end.name == "evaluate"), b"")
        try:
            self._report = full_report(log, wanted)
        except InvalidReportError as error:
            return Kept(job_uid, lost=str(error))
        return Kept(job_uid)

    def _wait(self, decision: Decision) -> bool:
        """Wait as the decision says; False where only somebody's act would change anything."""
        if decision.wake_at is None or (self._seen.vetted and self._seen.vetted.missing):
            return False
        self._stop.wait(max(0.0, (decision.wake_at - _now()).total_seconds()))
        return True

    def _hold(self, status: StrategyRunStatus | None) -> None:
        """Hold a status that is not the last one, as an API server does, and tell it."""
        if status is not None:
            self._seen = replace(self._seen, run=_run(self._request.body, status))
            self._told({**self._request.body, "status": status.document()})

    def _outcome(self, status: StrategyRunStatus | None) -> Outcome:
        body = deepcopy(self._request.body)
        if status is not None:
            body["status"] = _as_local(status, self._engine).document()
        return Outcome(body, self._report, {end.name: end.log for end in self._ends})


def _here(profile: Profile, name: str) -> Profile:
    """Return the sandbox under the name that a run gives it: this machine has one, and no fallback from it."""
    sandbox = profile.sandbox.model_copy(update={"fallback": None, "allowed_namespaces": None})
    return profile.model_copy(update={"name": name, "sandbox": sandbox, "network": NETWORK})


def _as_local(status: StrategyRunStatus, engine: Engine | None) -> StrategyRunStatus:
    """Name the engine where a cluster names the class of its runtime."""
    provenance = status.provenance
    if provenance is None or provenance.isolation is None or engine is None:
        return status
    isolation = provenance.isolation.model_copy(update={"runtime_class": engine.about.name})
    return status.model_copy(update={"provenance": provenance.model_copy(update={"isolation": isolation})})


def _run(body: dict[str, Any], status: StrategyRunStatus | None) -> StrategyRun:
    """Read the run; nobody holds its Job back here, whatever queue it names."""
    return StrategyRun.parse(body).model_copy(update={"status": status, "kueue_queue": None})


def _now() -> datetime:
    return milliseconds(datetime.now(UTC))
