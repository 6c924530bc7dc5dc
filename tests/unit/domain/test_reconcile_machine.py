"""Any history: the decision against a small cluster in which everything that may go wrong does.

The cluster is a model of an API server, a Job controller, a kubelet and a garbage collector. The
operator is the real decision with an executor that does what the adapters do; there are two of them at
once. Between them and the cluster lie watches: events of one object arrive in order, each object's as
late as it likes, twice, or never until the next relist. An operator may end after any of its writes, lose
the answer to one, or be overtaken there by the other; one that starts again may see an older list first.
Clocks are wrong: those of the operators' machines, and at times the API server's is set.
"""

import copy
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from strategyrun.adapters.clock import ServerClock
from strategyrun.domain.inputs import digest, inputs_hash
from strategyrun.domain.model import rfc3339
from strategyrun.domain.observation import JobObservation, PodObservation, observe_job, observe_pod
from strategyrun.domain.outcomes import STARTS_FALLBACK, Reason
from strategyrun.domain.reconcile import (
    NOWHERE,
    ConfirmJob,
    Create,
    DeleteJob,
    DeleteReport,
    DeleteSnapshot,
    FindPod,
    FindTrouble,
    KeepReport,
    Kept,
    Seen,
    Vet,
    Vetted,
    decide,
    needs_current_run,
)
from strategyrun.domain.slots import Place
from strategyrun.domain.strategyrun import Attempt, Executor, Phase, ReportReference, StrategyRun, StrategyRunStatus
from strategyrun.domain.verdict import Fault, Trouble, refusal_reason
from strategyrun.domain.vetting import vet
from support.builders import (
    CODE,
    JOB_MESSAGES,
    NOW,
    PLATFORM_REASONS,
    PROFILE,
    Document,
    last_words,
    pod_body,
    report_text,
    run_body,
    running,
    terminated,
    waiting,
)

if TYPE_CHECKING:
    from strategyrun.domain.sandbox import Profile

SHARES, SEEDS = 4, 50
"""Two thousand histories in all, in shares that the workers of a test run take on."""
SETTINGS = settings(max_examples=10, stateful_step_count=50, deadline=None, database=None)
ATTEMPTS_LIMIT = 4
SETTLING_ROUNDS = 200

START, SECOND, HOUR = timedelta(seconds=120), timedelta(seconds=1), timedelta(hours=1)
"""What a pod has to start; the API server's clock is known to a second; clocks are wrong by an hour."""

INPUTS: dict[str, Document] = {
    "a": {"source": {"inline": CODE}, "params": {"v": 1}},
    "b": {"source": {"inline": CODE}, "params": {"v": 2}, "ttlSecondsAfterFinished": 0},
    "flawed": {"source": {"inline": "input()\n" + CODE}},
    "elsewhere": {"source": {"configMapRef": {"name": "code"}}},
}


class OperatorEndedError(Exception):
    """The operator was killed."""


class NoAnswerError(Exception):
    """A request was carried out, and its answer was lost."""


class NewerVersionError(Exception):
    """The object has changed since it was read, or is gone."""


class RefusedError(Exception):
    """The API server does not take an object."""


@dataclass
class Job:
    """A Job of the cluster and what its controller knows."""

    body: Document
    run_uid: str
    inputs_hash: str
    attempt: int
    made: datetime
    pod_uid: str | None = None
    conditions: dict[str, str] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.body["metadata"]["uid"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def snapshot(self) -> str:
        """Name of the ConfigMap that its pod mounts."""
        volumes = self.body["spec"]["template"]["spec"]["volumes"]
        (name,) = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
        return str(name)

    @property
    def finished(self) -> bool:
        """Whether its controller is done with it."""
        return bool(self.conditions.keys() & {"Complete", "Failed"})

    def document(self) -> Document:
        """Write it as the API server does."""
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "message": JOB_MESSAGES[reason]}
            for kind, reason in self.conditions.items()
        ]
        return {**self.body, "status": {"conditions": conditions}}


@dataclass
class Pod:
    """A pod of the cluster and what really happened in it."""

    uid: str
    job: Job
    created: datetime
    state: Document = field(default_factory=dict)
    read: dict[str, str] | None = None
    """Hashes of the files that it mounted."""
    spoilt: bool = False
    """Somebody took it away before it ended by itself."""
    outcome: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing runs in it and nothing will."""
        return self.outcome is not None

    def document(self) -> Document:
        """Write it as the API server does."""
        return pod_body(self.job.document(), uid=self.uid, **self.state)


Watch = dict[tuple[str, str], list[Any]]
"""Events on their way, per object."""


class Cluster:
    """The truth, and the log of how it came about."""

    def __init__(self) -> None:
        self.now = NOW
        self.set_by = timedelta(0)
        """How far its clock has been set, in all."""
        self.wrong_by = [timedelta(0), timedelta(0)]
        """How far the clock of each operator's machine is ahead of the true time."""
        self.runs: dict[str, Document] = {}
        self.jobs: dict[str, Job] = {}
        self.pods: dict[str, Pod] = {}
        self.snapshots: dict[str, Document] = {}
        self.reports: set[str] = set()
        self.code: str | None = CODE
        self.inputs = ""
        self.log: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        """Everything that happened, per kind: to which object, and how it was seen then, None if it was deleted."""
        self.pending: dict[int, Watch] = {}
        """What each operator has not heard yet."""
        self.refusals: dict[str, str] = {}
        """What the API server says to whoever makes an object of a kind."""
        self.warnings: dict[str, tuple[str, str]] = {}
        """The last event about a Job or pod: reason and message."""
        self.past_jobs: list[Job] = []
        self.profile: Profile | None = PROFILE
        self.deletions_linger = False
        """Somebody puts finalizers on Jobs."""
        self.deleted_by_operator: set[str] = set()
        self.past_pods: dict[str, Pod] = {}
        self._count = count(1)

    def version(self) -> str:
        """Return the next resourceVersion, UID or nonce."""
        return str(next(self._count))

    @property
    def steady(self) -> float:
        """Seconds that have passed."""
        return (self.now - self.set_by - NOW).total_seconds()

    def set_clock(self, by: timedelta) -> None:
        """Set the API server's clock."""
        self.now += by
        self.set_by += by

    # --- users

    def apply(self, inputs: str) -> None:
        """Create the run, or change what is asked."""
        self.inputs = inputs
        if not self.runs:
            body = run_body(uid=f"run-{self.version()}", **copy.deepcopy(INPUTS[inputs]))
            body["metadata"]["creationTimestamp"] = rfc3339(self.now)
            self.runs[body["metadata"]["uid"]] = body
        else:
            body = self._only_run()
            kept = {name: body["spec"][name] for name in ("timeoutSeconds", "retry") if name in body["spec"]}
            body["spec"] = copy.deepcopy(INPUTS[inputs]) | kept
            body["metadata"]["generation"] += 1
        self.touched(body)

    def change(self, **fields: Any) -> None:
        """Change what is no input."""
        body = self._only_run()
        body["spec"] |= fields
        body["metadata"]["generation"] += 1
        self.touched(body)

    def annotate(self, value: str) -> None:
        """Ask again."""
        body = self._only_run()
        body["metadata"]["annotations"] = {"finlab-sandbox.dev/rerun": value}
        self.touched(body)

    def delete_run(self, *, foreground: bool) -> None:
        """Delete the run; in the foreground it stays visible until its Jobs have gone."""
        body = self._only_run()
        if foreground and any(job.run_uid == body["metadata"]["uid"] for job in self.jobs.values()):
            body["metadata"] |= {"deletionTimestamp": rfc3339(self.now)}
            body["metadata"]["generation"] += 1
            self.touched(body)
        else:
            self._remove_run(body["metadata"]["uid"])

    def delete_job(self, name: str) -> None:
        """Delete a Job at once or when its finalizers have gone; its pods go in the background."""
        job = self.jobs[name]
        if self.deletions_linger:
            job.body["metadata"].setdefault("deletionTimestamp", rfc3339(self.now))
            self.changed_job(job)
            return
        del self.jobs[name]
        if job.pod_uid in self.pods and not self.pods[job.pod_uid].over:
            self.pods[job.pod_uid].spoilt = True
        self.emit("job", job.uid, None)

    def delete_pod(self, pod: Pod) -> None:
        """Ask a pod to go."""
        if not pod.over:
            pod.spoilt = True
            if pod.state.get("strategy", waiting()).keys() & {"running"}:
                self.end(pod, "deleted", phase="Failed", strategy=terminated(137, finished=self.now), deleted=self.now)
        self._remove_pod(pod)

    # --- the Job controller, the kubelet, the garbage collector

    def start_pod(self, job: Job) -> None:
        """Create the one pod that a Job gets, or say why not."""
        if message := self.refusals.get("Pod"):
            self.warnings[job.uid] = ("FailedCreate", message)
            self.now += timedelta(seconds=5)
            return
        pod = Pod(uid=f"pod-{self.version()}", job=job, created=self.now)
        job.pod_uid = pod.uid
        self.pods[pod.uid] = self.past_pods[pod.uid] = pod
        self.changed(pod, strategy=waiting(), phase="Pending")

    def can_mount(self, pod: Pod) -> bool:
        """Whether the snapshot that a pod mounts is there."""
        return pod.job.snapshot in self.snapshots

    def mount_and_run(self, pod: Pod) -> None:
        """Start the strategy on what the snapshot holds now."""
        files = self.snapshots[pod.job.snapshot]["data"]
        names = {"code": "strategy.py", "input": "input.json", "evaluation": "evaluation.json"}
        pod.read = {name: digest(files[file].encode()) for name, file in names.items()}
        self.changed(pod, phase="Pending", strategy=running(self.now))

    def end(self, pod: Pod, outcome: str, **state: Any) -> None:
        """Let a pod end."""
        pod.outcome = outcome
        self.changed(pod, **state)

    def score(self, pod: Pod) -> None:
        """Let strategy and evaluator do their work; the report carries a number of its own."""
        hashes = {**(pod.read or {}), "dataset": "d" * 64, "positions": "e" * 64, "report": digest(pod.uid.encode())}
        report = report_text(pod.job.body, hashes=hashes, metrics={"trades": int(pod.uid.removeprefix("pod-"))})
        self.end(
            pod,
            "scored",
            phase="Succeeded",
            strategy=terminated(0, started=self.now, finished=self.now),
            evaluate=terminated(0, message=report, started=self.now, finished=self.now),
        )

    def forge(self, pod: Pod) -> None:
        """Let a report come that somebody else wrote."""
        report = report_text(pod.job.body, nonce="another", metrics={"trades": int(pod.uid.removeprefix("pod-"))})
        end = terminated(0, message=report, started=self.now, finished=self.now)
        strategy = terminated(0, started=self.now, finished=self.now)
        self.end(pod, "forged", phase="Succeeded", strategy=strategy, evaluate=end)

    def fail(self, pod: Pod) -> None:
        """Let the strategy raise."""
        state = terminated(1, message=last_words(), started=self.now, finished=self.now)
        self.end(pod, "raised", phase="Failed", strategy=state)

    def evict(self, pod: Pod) -> None:
        """Drain the node."""
        pod.spoilt = True
        state = terminated(137, started=self.now, finished=self.now)
        taken = {"disruption": "EvictionByEvictionAPI", "disrupted": self.now, "deleted": self.now}
        self.end(pod, "evicted", phase="Failed", strategy=state, **taken)

    def lose(self, pod: Pod) -> None:
        """Lose the node: what runs there is unknown, and the pod is only marked."""
        pod.spoilt = True
        self.changed(pod, disruption="DeletionByTaintManager", disrupted=self.now, deleted=self.now)

    def finish_job(self, job: Job) -> None:
        """Let the Job controller count its pod."""
        pod = self.pods.get(job.pod_uid or "")
        if job.finished or job.pod_uid is None or (pod is not None and not pod.over):
            return
        if pod is not None and pod.outcome in ("scored", "forged"):
            job.conditions = {"Complete": "CompletionsReached"}
        else:
            job.conditions = {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
        self.changed_job(job)

    def overrun_job(self, job: Job) -> None:
        """End a Job by its own deadline, which deletes its pod."""
        job.conditions = {"FailureTarget": "DeadlineExceeded"}
        self.changed_job(job)
        pod = self.pods.get(job.pod_uid or "")
        if pod is not None and not pod.over:
            pod.spoilt = True
            self._remove_pod(pod)

    def collect(self) -> None:
        """Delete what has lost its owner, or has one that is being deleted in the foreground."""
        linger, self.deletions_linger = self.deletions_linger, False
        owners = {uid for uid, body in self.runs.items() if "deletionTimestamp" not in body["metadata"]}
        for name, job in list(self.jobs.items()):
            if job.run_uid not in owners or "deletionTimestamp" in job.body["metadata"]:
                self.delete_job(name)
        for name, snapshot in list(self.snapshots.items()):
            if _owner(snapshot) not in owners:
                self.delete_snapshot(name)
        live = {job.uid for job in self.jobs.values()}
        for pod in list(self.pods.values()):
            if pod.job.uid not in live:
                self._remove_pod(pod)
        for uid in self.runs.keys() - owners:
            self._remove_run(uid)
        self.deletions_linger = linger

    # --- the API server

    def listed(self, kind: str, behind: int = 0) -> dict[str, Any]:
        """List what there is of a kind, or was so many changes ago."""
        events = self.log[kind]
        then = dict(events[: max(0, len(events) - behind)])
        return {uid: seen for uid, seen in then.items() if seen is not None}

    def watch(self, operator: int, behind: int = 0) -> None:
        """Let an operator hear of everything since it listed."""
        self.pending[operator] = {}
        for kind, events in self.log.items():
            for uid, seen in events[max(0, len(events) - behind) :]:
                self.pending[operator].setdefault((kind, uid), []).append(seen)

    def write_status(self, uid: str, version: str, status: Document) -> StrategyRun:
        """Write a status that was computed from a version."""
        body = self.runs.get(uid)
        if body is None or body["metadata"]["resourceVersion"] != version:
            raise NewerVersionError
        after = self._check_status(body, status)
        body["status"] = json.loads(json.dumps(status, allow_nan=False))
        REACHED[status["reason"]] += 1
        REACHED["JobVanished"] += any(attempt.reason == Reason.JOB_VANISHED for attempt in after.attempts[-1:])
        return self.touched(body)

    def create(self, manifest: Document, run: StrategyRun) -> None:
        """POST an object for what a run has on record; a name that is taken is no error to whoever asks."""
        meta = manifest["metadata"]
        if message := self.refusals.get(manifest["kind"]):
            raise RefusedError(message)
        if manifest["kind"] == "ConfigMap" and meta["name"] not in self.snapshots:
            self.snapshots[meta["name"]] = copy.deepcopy(manifest)
            self.emit("snapshot", meta["name"], _owner(manifest))
        if manifest["kind"] == "Job" and meta["name"] not in self.jobs:
            assert run.status, "a Job before any status"
            assert run.status.attempts, "a Job before any attempt"
            attempt = run.status.attempts[-1]
            body = copy.deepcopy(manifest)
            body["metadata"] |= {"uid": f"job-{self.version()}", "creationTimestamp": rfc3339(self.now)}
            job = Job(body, run.uid, run.status.inputs_hash, attempt.number, self.now)
            self._check_new_job(job)
            self.jobs[job.name] = job
            self.past_jobs.append(job)
            self.changed_job(job)

    def delete_snapshot(self, name: str) -> None:
        """Delete a ConfigMap; absence is success."""
        if self.snapshots.pop(name, None) is not None:
            self.emit("snapshot", name, None)

    def touched(self, body: Document) -> StrategyRun:
        """Give a run a new version and tell of it."""
        body["metadata"]["resourceVersion"] = self.version()
        run = StrategyRun.parse(copy.deepcopy(body))
        self.emit("run", run.uid, run)
        return run

    def changed_job(self, job: Job) -> None:
        """Give a Job a new version and tell of it."""
        job.body["metadata"]["resourceVersion"] = self.version()
        self.emit("job", job.uid, observe_job(job.document()))

    def changed(self, pod: Pod, **state: Any) -> None:
        """Give a pod a new version and tell of it."""
        pod.state = {**pod.state, **state, "version": int(self.version())}
        self.emit("pod", pod.uid, observe_pod(pod.document()))

    def emit(self, kind: str, uid: str, seen: Any) -> None:
        """Put an event on its way."""
        self.log[kind].append((uid, seen))
        for watch in self.pending.values():
            watch.setdefault((kind, uid), []).append(seen)

    # --- what must hold

    def _check_status(self, body: Document, status: Document) -> StrategyRunStatus:
        before = body.get("status")
        after = StrategyRunStatus.model_validate(status)
        assert after.message, "it does not say why"
        if before and before["phase"] in ("Succeeded", "Failed"):
            if before["inputsHash"] == status["inputsHash"]:
                assert _timeless(before) == _timeless(status), "an answer was changed for the same inputs"
            else:
                assert status["history"][0]["inputsHash"] == before["inputsHash"], "an answer was lost"
        if after.phase is Phase.RUNNING:
            assert after.attempts[-1].started_at, "it runs, and when it began is not on record"
        told = {kept.config_map for kept in (after.report, *(past.report for past in after.history)) if kept}
        assert told <= self.reports, "a status speaks of a report that is not there"
        known = _vanished(StrategyRunStatus.model_validate(before)) if before else set()
        assert not (_vanished(after) - known) & self.deleted_by_operator, "it took away what it was waiting for"
        for attempt in after.attempts:
            if attempt.finished_at and attempt.number not in _ended(before, status):
                self._check_end(attempt)
                self._check_retry(after, attempt, self.listed("run")[body["metadata"]["uid"]].spec.retry.limit)
        for attempt in after.attempts:
            if attempt.number in _begun(before, status):
                assert attempt.started_at, "it was forgotten that the strategy began"
                assert attempt.finished_at or after.phase is Phase.RUNNING, "what began waits to start"
                assert attempt.reason not in NEVER_BEGAN, "what began is said not to have started"
        if after.fallback:
            sandboxed = [attempt for attempt in after.attempts if attempt.executor is Executor.SANDBOX]
            assert not any(attempt.started_at for attempt in sandboxed), "what began is run again behind weaker walls"
        if after.phase.value == "Succeeded":
            pod = self.past_pods[f"pod-{after.metrics.trades}"] if after.metrics else None
            assert pod is not None
            assert (pod.job.run_uid, pod.job.inputs_hash) == (body["metadata"]["uid"], after.inputs_hash)
            assert pod.job.uid == after.attempts[-1].job_uid
        return after

    def _check_end(self, attempt: Attempt) -> None:
        """Hold what is said of the end of an attempt to what happened to its pod."""
        pods = [pod for pod in self.past_pods.values() if pod.job.uid == attempt.job_uid]
        there = [pod for pod in pods if pod.uid in self.pods and pod.job.name in self.jobs and not pod.spoilt]
        if any(pod.outcome in ("scored", "raised") for pod in there):
            assert attempt.reason not in PLATFORM_REASONS, "what ended by itself would be run again"
        match attempt.reason:
            case Reason.EVALUATED:
                assert [pod.outcome for pod in pods] == ["scored"]
            case Reason.TAMPERED:
                assert [pod.outcome for pod in pods] == ["forged"]
            case Reason.STRATEGY_ERROR:
                assert [pod.outcome for pod in pods] == ["raised"]
            case Reason.START_TIMEOUT | Reason.IMAGE_PULL_FAILED | Reason.MOUNT_FAILED:
                (job,) = [job for job in self.past_jobs if job.uid == attempt.job_uid]
                overrun = job.conditions.get("FailureTarget") == "DeadlineExceeded"
                assert overrun or self.now - job.made >= START - SECOND, "it was not given its time to start"
            case Reason.EVICTED | Reason.NODE_LOST:
                assert [pod for pod in pods if "disruption" in pod.state], "nobody took it away"

    def _check_retry(self, after: StrategyRunStatus, ended: Attempt, limit: int) -> None:
        """Hold what follows the end of an attempt to the limit; a quota is waited for without end."""
        if ended.reason == Reason.QUOTA_EXCEEDED:
            assert after.phase is Phase.QUEUED, "it did not wait for the quota"
        elif ended.reason in PLATFORM_REASONS:
            reasons = PLATFORM_REASONS - {Reason.QUOTA_EXCEEDED}
            failures = sum(attempt.reason in reasons for attempt in after.attempts)
            assert (after.phase is Phase.QUEUED) == (failures <= limit), "not as many attempts as were asked for"

    def _check_new_job(self, job: Job) -> None:
        body = self.runs.get(job.run_uid)
        if body is None:
            return  # its owner went a moment ago: the garbage collector takes it
        status = StrategyRunStatus.model_validate(body["status"])
        REACHED["second attempt"] += job.attempt == 2
        REACHED["inputs came back"] += any(
            (job.run_uid, job.name) == (past.run_uid, past.name) for past in self.past_jobs
        )
        assert not status.final, "a Job for a run that has its answer"
        assert status.attempts[-1].job_name == job.name, "a Job that is not on record"
        for earlier in status.attempts[:-1]:
            allowed = PLATFORM_REASONS | {"Suspended"} | ({status.fallback.trigger} if status.fallback else set())
            assert earlier.reason in allowed, "an attempt after an end that calls for none"
            assert status.fallback is None or status.fallback.trigger in STARTS_FALLBACK
            witnesses = [pod for pod in self.pods.values() if pod.job.uid == earlier.job_uid and not pod.spoilt]
            assert not any(pod.outcome == "raised" for pod in witnesses), "a strategy's failure was tried again"

    def _remove_run(self, uid: str) -> None:
        del self.runs[uid]
        self.emit("run", uid, None)

    def _remove_pod(self, pod: Pod) -> None:
        if not pod.over:
            pod.spoilt, pod.outcome = True, "deleted"
        self.pods.pop(pod.uid, None)
        self.emit("pod", pod.uid, None)

    def _only_run(self) -> Document:
        (body,) = self.runs.values()
        return body


def _begun(before: Document | None, status: Document) -> set[int]:
    """Return of which attempts it was on record that they began, if the inputs are the same."""
    if before is None or before["inputsHash"] != status["inputsHash"]:
        return set()
    return {attempt["number"] for attempt in before["attempts"] if "startedAt" in attempt}


def _ended(before: Document | None, status: Document) -> set[int]:
    """Return which attempts had ended before, if the inputs are the same."""
    if before is None or before["inputsHash"] != status["inputsHash"]:
        return set()
    return {attempt["number"] for attempt in before["attempts"] if "finishedAt" in attempt}


def _vanished(status: StrategyRunStatus) -> set[str | None]:
    return {attempt.job_uid for attempt in status.attempts if attempt.reason == Reason.JOB_VANISHED}


def _timeless(status: Document) -> Document:
    """Leave out the generation, which follows the spec."""
    conditions = [{**each, "observedGeneration": 0} for each in status["conditions"]]
    return {**status, "observedGeneration": 0, "conditions": conditions}


class Operator:
    """What the adapters do with the decisions: a cache, acts in order, and nothing else in memory."""

    def __init__(self, cluster: Cluster, number: int, behind: int = 0) -> None:
        self.cluster = cluster
        self.number = number
        self.clock = ServerClock(wall=self._wall, steady=lambda: self.cluster.steady)
        self.relist(behind)
        self.vetted: dict[str, Vetted] = {}
        self.gone: set[str] = set()
        self.podless: set[str] = set()
        self.kept: dict[str, Kept] = {}
        self.refused: dict[str, Fault] = {}
        self.trouble: dict[str, Trouble] = {}
        self.writes = 0
        self.after_write: Callable[[int], None] = lambda _: None

    def relist(self, behind: int = 0) -> None:
        """See everything as it is, or as it was so many changes of each kind ago: those are on their way then."""
        self.runs: dict[str, StrategyRun] = self.cluster.listed("run", behind)
        self.jobs: dict[str, JobObservation] = self.cluster.listed("job", behind)
        self.pods: dict[str, PodObservation] = self.cluster.listed("pod", behind)
        self.snapshots: dict[str, str] = self.cluster.listed("snapshot", behind)
        self.cluster.watch(self.number, behind)
        self.hear_time()

    def _wall(self) -> float:
        return NOW.timestamp() + self.cluster.steady + self.cluster.wrong_by[self.number].total_seconds()

    def hear_time(self) -> None:
        """Take note of the date of an answer, which comes at once; renewing a lease brings one every few seconds."""
        self.clock.heard(format_datetime(self.cluster.now), self.cluster.steady, self.cluster.steady)

    def hear(self, kind: str, uid: str, seen: Any) -> None:
        """Take note of an event; what ended before it was deleted still has its story to tell."""
        match kind, seen:
            case "run", None:
                self.runs.pop(uid, None)
            case "run", run:
                known = self.runs.get(uid)
                if known is None or int(known.resource_version) < int(run.resource_version):
                    self.runs[uid] = run
            case "job", None:
                if not any(pod.job_uid == uid and pod.done for pod in self.pods.values()):
                    self.jobs.pop(uid, None)
            case "job", job:
                self._see_job(job)
            case "pod", None:
                if uid in self.pods and not self.pods[uid].done:
                    del self.pods[uid]
            case "pod", pod:
                if uid not in self.pods or self.pods[uid].version < pod.version:
                    self.pods[uid] = pod
            case "snapshot", None:
                self.snapshots.pop(uid, None)
            case "snapshot", owner:
                self.snapshots[uid] = owner

    def _see_job(self, job: JobObservation) -> None:
        known = next((each for each in self.jobs.values() if each.name == job.name), None)
        if known is None or known.version < job.version:
            self.jobs = {uid: each for uid, each in self.jobs.items() if each.name != job.name} | {job.uid: job}

    def reconcile(self, uid: str, *, slot: bool = True, reads_back: bool = True) -> None:
        """Decide on a run and carry it out; `reads_back` says whether a POST shows the Job to the cache."""
        run = self.runs.get(uid)
        if run is None:
            return
        seen = Seen(
            run=run,
            jobs=tuple(job for job in self.jobs.values() if job.run_uid == uid),
            pods=tuple(pod for pod in self.pods.values() if pod.run_uid == uid),
            snapshots=frozenset(name for name, owner in self.snapshots.items() if owner == uid),
            vetted=self.vetted.get(uid),
            profile=self.cluster.profile,
            place=Place(0) if slot else NOWHERE,
            nonce=f"nonce-{self.cluster.version()}",
            gone=frozenset(self.gone),
            podless=frozenset(self.podless),
            kept=self.kept.get(uid),
            refused=self.refused.pop(uid, None),
            trouble=self.trouble.get(uid),
        )
        decision = decide(seen, self.clock.now())
        if decision.status is not None and decision.status != run.status:
            try:
                run = self.cluster.write_status(uid, run.resource_version, decision.status.document())
            except NewerVersionError:
                self.hear_time()
                self._read_run(uid)
                return
            self._written()
            self.hear("run", uid, run)
        for act in decision.acts:
            assert not (run.deleting and isinstance(act, Create)), "created for a run that is being deleted"
            if needs_current_run(act) and not self._is_current(run):
                break
            if not self._carry_out(act, run, reads_back):
                break

    def _is_current(self, run: StrategyRun) -> bool:
        """Whether the run still is what was decided on."""
        latest = self.cluster.listed("run").get(run.uid)
        if latest is None or latest.resource_version == run.resource_version:
            return True
        self.hear("run", run.uid, latest)
        return False

    def _carry_out(self, act: Any, run: StrategyRun, reads_back: bool) -> bool:
        """Do one thing; tell whether the next may follow."""
        cluster = self.cluster
        match act:
            case Vet():
                self.vetted[run.uid] = self._vet(run)
            case Create(manifest):
                return self._create(run, manifest, reads_back)
            case DeleteJob(name, uid):
                if name in cluster.jobs and cluster.jobs[name].uid == uid:
                    cluster.deleted_by_operator.add(uid)
                    cluster.delete_job(name)
                self._written()
            case DeleteSnapshot(name):
                cluster.delete_snapshot(name)
                self._written()
            case ConfirmJob(name, uid):
                if self._read_job(name) != uid:
                    self.gone.add(uid)
            case FindPod(uid):
                pods = [pod for pod in cluster.listed("pod").values() if pod.job_uid == uid]
                for pod in pods:
                    self.hear("pod", pod.uid, pod)
                if not pods:
                    self.podless.add(uid)
            case FindTrouble(uid):
                self.trouble[run.uid] = Trouble(uid, self.clock.now(), *cluster.warnings.get(uid, ("", "")))
            case KeepReport() | DeleteReport():
                self._carry_out_of_report(act, run)
        return True

    def _create(self, run: StrategyRun, manifest: Document, reads_back: bool) -> bool:
        try:
            self.cluster.create(manifest, run)
        except RefusedError as error:
            message = str(error)
            self.refused[run.uid] = Fault(refusal_reason(message), message)
            return False
        self._written()
        if manifest["kind"] == "Job" and reads_back:
            self._read_job(manifest["metadata"]["name"])
        return True

    def _carry_out_of_report(self, act: KeepReport | DeleteReport, run: StrategyRun) -> None:
        match act:
            case KeepReport(job_uid, _, sha256):
                name = f"report-{sha256[:8]}"
                self.cluster.reports.add(name)
                self._written()
                self.kept[run.uid] = Kept(job_uid, ReportReference(config_map=name, sha256=sha256))
            case DeleteReport(name):
                self.cluster.reports.discard(name)
                self._written()

    def _vet(self, run: StrategyRun) -> Vetted:
        source, wanted = run.spec.source.inline, inputs_hash(run)
        code = self.cluster.code if source is None else source
        if code is None:
            missing = Fault(Reason.SOURCE_MISSING, "there is no ConfigMap code")
            return Vetted(wanted, self.clock.now(), missing=missing)
        return Vetted(wanted, self.clock.now(), code=code.encode(), reading=vet(code.encode()))

    def _written(self) -> None:
        self.hear_time()
        self.writes += 1
        self.after_write(self.writes)

    def _read_run(self, uid: str) -> None:
        self.hear("run", uid, self.cluster.listed("run").get(uid))

    def _read_job(self, name: str) -> str | None:
        job = self.cluster.jobs.get(name)
        if job is None:
            return None
        self._see_job(self.cluster.listed("job")[job.uid])
        return job.uid


def _owner(body: Document) -> str:
    return str(body["metadata"]["ownerReferences"][0]["uid"])


NEVER_BEGAN = {Reason.START_TIMEOUT, Reason.MOUNT_FAILED, Reason.UNSCHEDULABLE, *STARTS_FALLBACK}
"""What an attempt ends with whose strategy has not begun."""

small = st.integers(0, 3)
operators = st.sampled_from([0, 0, 1])

REACHED: Counter[str] = Counter()
"""What has happened in all histories together."""

LOOKS = [
    *("none", "calm", "calm", "calm", "early", "after news of jobs", "after news of pods"),
    *("without a slot", "operator ends after a write", "answer is lost", "overtaken after a write"),
]
DISTURBANCES = ("operator ends after a write", "answer is lost", "overtaken after a write")
HAPPENINGS = [
    *INPUTS,
    *("other time limit", "other retries", "rerun", "other code", "run deleted", "run deleted in the foreground"),
    *("no image", "job overrun", "evict", "lose", "drained later", "time", "garbage collected"),
    *("no image", "no image", "not mounted"),
    *("edited and taken back", "job deleted", "pod deleted", "deletions linger"),
    *("suspended", "resumed", "cancelled", "profile gone", "profile back"),
    *("quota spent", "quota spent for a while", "refused by policy", "nothing refused", "not mounted"),
    *("arrives", "arrives twice", "never arrives", "sweep", "restart", "restart on an old list"),
    *("an operator's clock is set", "the API server's clock is set"),
]
QUOTA, POLICY = "exceeded quota: runs", "admission webhook denied the request"
REFUSED_KINDS = ["Job", "Pod", "ConfigMap", "NetworkPolicy"]


class Histories(RuleBasedStateMachine):
    """One run at a time, and everything that may happen to it.

    There are two rules, so that every second event lets things go on: what is disturbed has got somewhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.operators = [Operator(self.cluster, number) for number in range(2)]
        self.operator = self.operators[0]
        """The one whose turn it is."""
        self.cluster.apply("a")
        self._calm = False

    @rule(
        ending=st.sampled_from(["score", "score", "fail", "evict", "lose", "forge"]),
        how=st.sampled_from(LOOKS),
        number=small,
        who=operators,
    )
    def things_go_on(self, ending: str, how: str, number: int, who: int) -> None:
        """Let the cluster do its next work, and an operator look, as a rule after everything has arrived."""
        self.operator = self.operators[who]
        self._work(ending)
        if how == "none":
            return
        if how != "early":
            self._things_arrive(only=how.removeprefix("after news of ") if how.startswith("after") else "")
        self._look(how, number)

    @rule(what=st.sampled_from(HAPPENINGS), number=small, who=operators)
    def something_happens(self, what: str, number: int, who: int) -> None:
        """Let users, the cluster, a watch or an operator do what nobody expects."""
        self.operator = self.operators[who]
        if what in INPUTS:
            self.cluster.apply(what)
        elif self.cluster.runs:
            self._happens_to_the_run(what, number)
        self._happens_to_jobs_and_pods(what, number)
        self._happens_to_the_cluster(what, number)
        self._happens_to_the_operator(what, number)

    def _happens_to_the_run(self, what: str, number: int) -> None:
        cluster = self.cluster
        match what:
            case "other time limit":
                cluster.change(timeoutSeconds=60 + number)
            case "other retries":
                cluster.change(retry={"limit": number % ATTEMPTS_LIMIT})
            case "edited and taken back":
                before = cluster.inputs
                cluster.apply("b" if before == "a" else "a")
                self._things_arrive()
                self._look()
                cluster.apply(before)
            case "suspended" | "resumed":
                cluster.change(suspend=what == "suspended")
            case "cancelled" if number == 0:
                cluster.change(cancel=True)
            case "rerun":
                cluster.annotate(str(number % 2))
            case "run deleted":
                cluster.delete_run(foreground=False)
            case "run deleted in the foreground":
                cluster.delete_run(foreground=True)

    def _happens_to_jobs_and_pods(self, what: str, number: int) -> None:
        cluster = self.cluster
        over = [pod for pod in cluster.pods.values() if pod.outcome in ("raised", "scored")]
        match what:
            case "no image":
                for pod in self._waiting_pods():
                    cluster.changed(pod, strategy=waiting("ErrImagePull", "not found"))
                    self._things_arrive()
                    cluster.now += timedelta(seconds=[1, 1, 130, 130][number])
                    self._look()
            case "not mounted":
                for pod in self._waiting_pods():
                    cluster.warnings[pod.uid] = ("FailedMount", "the volume is not there")
                    self._things_arrive()
                    cluster.now += timedelta(seconds=[6, 6, 130, 130][number])
                    self._look()
                    self._look()
            case "job overrun":
                for job in self._active_jobs():
                    cluster.overrun_job(job)
            case "evict" | "lose":
                self._end_a_strategy(what, number)
            case "drained later" if over:
                later = cluster.now + timedelta(seconds=1)
                cluster.changed(_pick(over, number), disruption="EvictionByEvictionAPI", disrupted=later, deleted=later)
            case "job deleted" if cluster.jobs:
                cluster.delete_job(_pick(list(cluster.jobs), number))
            case "pod deleted" if cluster.pods:
                cluster.delete_pod(_pick(list(cluster.pods.values()), number))

    def _happens_to_the_cluster(self, what: str, number: int) -> None:
        cluster = self.cluster
        match what:
            case "other code":
                cluster.code = [None, CODE, CODE + "#", CODE][number]
            case "quota spent" | "refused by policy":
                cluster.refusals[REFUSED_KINDS[number]] = QUOTA if what == "quota spent" else POLICY
            case "quota spent for a while":
                cluster.refusals["Job"] = QUOTA
                for _ in range(number):
                    self._things_arrive()
                    self._look()
                cluster.refusals.clear()
            case "nothing refused":
                cluster.refusals.clear()
            case "profile gone" | "profile back":
                cluster.profile = PROFILE if what == "profile back" else None
            case "time":
                cluster.now += timedelta(seconds=[1, 11, 45, 130][number])
            case "garbage collected":
                cluster.collect()
            case "deletions linger":
                cluster.deletions_linger = not cluster.deletions_linger
            case "the API server's clock is set":
                cluster.set_clock(HOUR if cluster.set_by < timedelta(0) else -HOUR)
                REACHED[what] += 1

    def _happens_to_the_operator(self, what: str, number: int) -> None:
        pending = self.cluster.pending[self.operator.number]
        match what:
            case "arrives" | "arrives twice" if pending:
                self._deliver(_pick(list(pending), number), 1 + number, twice=what == "arrives twice")
            case "never arrives" if pending:
                del pending[_pick(list(pending), number)]
            case "sweep":
                self.operator.relist()
            case "restart":
                self._restart()
            case "restart on an old list":
                self._restart(behind=2 << number)
            case "an operator's clock is set":
                self.cluster.wrong_by[self.operator.number] = [HOUR, -HOUR, HOUR, timedelta(0)][number]
                REACHED[what] += 1

    def _restart(self, behind: int = 0) -> None:
        number = self.operator.number
        self.operator = self.operators[number] = Operator(self.cluster, number, behind)

    def _look(self, how: str = "calm", number: int = 0) -> None:
        """Reconcile every run; `number` says how many writes go well before the operator ends, an answer is lost, or
        the other operator does its own."""
        self.operator.hear_time()
        last = self.operator.writes + 1 + number
        self.operator.after_write = lambda write: self._disturb(how) if write == last and how in DISTURBANCES else None
        try:
            for _ in range(2 if how in DISTURBANCES else 1):
                for uid in list(self.operator.runs):
                    self.operator.reconcile(uid, slot=how != "without a slot", reads_back=number % 2 == 0)
        except OperatorEndedError:
            self._restart()
        except NoAnswerError:
            pass
        self.operator.after_write = lambda _: None

    def _disturb(self, how: str) -> None:
        """Let something come between a write and what was to follow."""
        REACHED[how] += 1
        match how:
            case "operator ends after a write":
                raise OperatorEndedError
            case "answer is lost":
                raise NoAnswerError
            case "overtaken after a write":
                self.cluster.refusals.clear()
                overtaken = self.operator
                self.operator = self.operators[1 - overtaken.number]
                self._things_arrive()
                self._look()
                self.operator = overtaken
                self._things_arrive()

    # --- what must hold

    @invariant()
    def at_most_one_job_can_run_for_the_same_inputs(self) -> None:
        """Of the Jobs of a run and its inputs all but one are over."""
        alive = Counter((job.run_uid, job.inputs_hash) for job in self.cluster.jobs.values() if self._can_run(job))
        assert not [inputs for inputs, number in alive.items() if number > 1]

    @invariant()
    def a_pod_that_is_waited_for_can_mount_its_inputs(self) -> None:
        """The snapshot of the attempt on record is there until its strategy has begun."""
        for job in self.cluster.jobs.values():
            body = self.cluster.runs.get(job.run_uid, {})
            attempts = body.get("status", {}).get("attempts", [])
            on_record = attempts and attempts[-1]["jobName"] == job.name and "finishedAt" not in attempts[-1]
            if on_record and "deletionTimestamp" not in body["metadata"] and self._can_run(job):
                assert job.snapshot in self.cluster.snapshots

    def teardown(self) -> None:
        """Once nothing disturbs any more, every run soon gets its answer, and nothing is left of it: nobody waits for
        as long as a clock is wrong.
        """
        self._calm = True
        self.cluster.profile = PROFILE
        self.cluster.refusals.clear()
        if self.cluster.runs:
            self.cluster.change(suspend=False)
        for _ in range(SETTLING_ROUNDS):
            if self._settled():
                break
            self._calm_round()
        else:
            raise AssertionError(f"no answer: {self.cluster.runs}")

    def _calm_round(self) -> None:
        self._work("score")
        self.cluster.collect()
        self._all_look()
        self.cluster.now += timedelta(seconds=1)

    def _all_look(self) -> int:
        """Let each operator list and look; return how much they have written by then."""
        for operator in self.operators:
            self.operator = operator
            operator.relist()
            self._look()
        return sum(operator.writes for operator in self.operators)

    def _settled(self) -> bool:
        before = sum(operator.writes for operator in self.operators)
        written = self._all_look() - before
        tidy = not self.cluster.snapshots and not any(self._can_run(job) for job in self.cluster.jobs.values())
        return self._answered() and tidy and not written

    def _answered(self) -> bool:
        runs = self.cluster.runs.values()
        phases = {body.get("status", {}).get("phase") for body in runs}
        return phases <= {"Succeeded", "Failed", "Cancelled"} and not any(
            "deletionTimestamp" in body["metadata"] for body in runs
        )

    def _things_arrive(self, *, only: str = "") -> None:
        pending = self.cluster.pending[self.operator.number]
        for key in list(pending):
            if only in ("", f"{key[0]}s"):
                self._deliver(key, len(pending[key]))

    def _work(self, ending: str) -> None:
        """Do what comes next: ask for something, create a pod, start it, end it, count it."""
        cluster = self.cluster
        if self._answered() and not self._calm:
            cluster.apply("ab"[len(cluster.past_jobs) % 2])
        elif new := [job for job in self._active_jobs() if job.pod_uid is None]:
            cluster.start_pod(new[0])
        elif ready := [pod for pod in self._waiting_pods() if cluster.can_mount(pod)]:
            cluster.mount_and_run(ready[0])
        elif self._running_pods():
            self._end_a_strategy(ending, 0)
        else:
            for job in list(cluster.jobs.values()):
                cluster.finish_job(job)
            cluster.now += timedelta(seconds=5)

    def _end_a_strategy(self, how: str, index: int) -> None:
        if pods := self._running_pods():
            getattr(self.cluster, how)(_pick(pods, index))
            REACHED[how] += 1

    def _active_jobs(self) -> list[Job]:
        return [job for job in self.cluster.jobs.values() if not job.conditions]

    def _can_run(self, job: Job) -> bool:
        pod = self.cluster.pods.get(job.pod_uid or "")
        started_and_gone = job.pod_uid is not None and pod is None
        return not job.conditions and not started_and_gone and not (pod and pod.over)

    def _waiting_pods(self) -> list[Pod]:
        return [pod for pod in self._pods() if "waiting" in pod.state["strategy"]]

    def _running_pods(self) -> list[Pod]:
        return [pod for pod in self._pods() if "running" in pod.state["strategy"]]

    def _pods(self) -> Iterator[Pod]:
        return (pod for pod in self.cluster.pods.values() if not pod.over)

    def _deliver(self, key: tuple[str, str], how_many: int, *, twice: bool = False) -> None:
        pending = self.cluster.pending[self.operator.number]
        events = pending.pop(key)
        arriving, rest = events[:how_many], events[how_many:]
        for seen in [*arriving, *arriving[-1:]] if twice else arriving:
            self.operator.hear(*key, seen)
        if rest:
            pending[key] = rest


def _pick(choices: list[Any], index: int) -> Any:
    return choices[index % len(choices)]


@pytest.mark.parametrize("share", range(SHARES))
def test_any_history_ends_well(share: int) -> None:
    """Histories of 50 events, with the invariants after each of them and an answer at the end of each.

    That they get where they are meant to get is checked too: a machine that stands still always ends well.
    """
    REACHED.clear()
    for number in range(share * SEEDS, (share + 1) * SEEDS):  # many short searches: a long one varies what it has found
        run_state_machine_as_test(seed(number)(Histories), settings=SETTINGS)
    expected = {
        *("Evaluated", "StrategyError", "CodeRejected", "SourceMissing", "StartTimeout", "Retrying"),
        *("score", "fail", "evict", "lose", *DISTURBANCES, "inputs came back"),
        *("QuotaExceeded", "PolicyDenied", "MountFailed", "Tampered"),
        *("an operator's clock is set", "the API server's clock is set"),
        *("second attempt", "JobVanished", "Suspended", "Cancelled", "FallingBack", "ProfileMissing"),
    }
    missed = expected - {what for what, times in REACHED.items() if times}
    assert not missed, REACHED


def test_a_history_that_nobody_has_seen_ends_well() -> None:
    """Other ones each time; one that does not says what its seed was."""
    number = secrets.randbelow(1 << 32)
    try:
        run_state_machine_as_test(seed(number)(Histories), settings=SETTINGS)
    except Exception as error:
        error.add_note(f"seed {number}")
        raise
