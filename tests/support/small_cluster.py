"""A small cluster in memory, in which everything that may go wrong does.

It is an API server, a Job controller, Kueue, a kubelet and a garbage collector. Between it and operators lie watches:
events of one object arrive in order, each object's as late as it likes. What is written to it is held to the truth.
"""

import copy
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from strategyrun.domain.inputs import digest
from strategyrun.domain.model import rfc3339
from strategyrun.domain.observation import observe_job, observe_pod
from strategyrun.domain.outcomes import STARTS_FALLBACK, Reason
from strategyrun.domain.reconcile import NODE_PATIENCE
from strategyrun.domain.strategyrun import KUEUE_LABEL, Attempt, Executor, Phase, StrategyRun, StrategyRunStatus
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

START, SECOND, HOUR = timedelta(seconds=120), timedelta(seconds=1), timedelta(hours=1)
"""What a pod has to start; the API server's clock is known to a second; clocks are wrong by an hour."""

INPUTS: dict[str, Document] = {
    "a": {"source": {"inline": CODE}, "params": {"v": 1}, "ttlSecondsAfterFinished": 60},
    "b": {"source": {"inline": CODE}, "params": {"v": 2}, "ttlSecondsAfterFinished": 0},
    "flawed": {"source": {"inline": "input()\n" + CODE}},
    "elsewhere": {"source": {"configMapRef": {"name": "code"}}},
}


NEVER_BEGAN = {Reason.START_TIMEOUT, Reason.MOUNT_FAILED, Reason.UNSCHEDULABLE, *STARTS_FALLBACK}
"""What an attempt ends with whose strategy has not begun."""

REACHED: Counter[str] = Counter()
"""What has happened in all histories together."""


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
    ended: datetime | None = None
    held: bool = False
    """Whether its controller holds it back; it follows `spec.suspend` later."""
    released: datetime | None = None
    """When its controller last let it go, if it ever held it back."""

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

    @property
    def in_queue(self) -> bool:
        """Whether Kueue has a say in it."""
        return KUEUE_LABEL in self.body["metadata"]["labels"]

    @property
    def suspended(self) -> bool:
        """Whether it is to be held back."""
        return bool(self.body["spec"].get("suspend"))

    @property
    def active(self) -> bool:
        """Whether it may have a pod now."""
        return not (self.conditions or self.held or self.suspended)

    def document(self) -> Document:
        """Write it as the API server does."""
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "message": JOB_MESSAGES[reason]}
            | ({"lastTransitionTime": rfc3339(self.ended)} if self.ended else {})
            for kind, reason in self.conditions.items()
        ]
        if self.held or self.released:
            conditions.append({"type": "Suspended", "status": str(self.held)})
        status = {"startTime": rfc3339(self.released)} if self.released else {}
        return {**self.body, "status": {"conditions": conditions, **status}}


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
    hangs: bool = False
    """Its node cannot end it."""
    preempted: bool = False
    """Its Job was held back: another pod will follow it."""
    outcome: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing runs in it and nothing will."""
        return self.outcome is not None

    def document(self) -> Document:
        """Write it as the API server does."""
        return pod_body(self.job.document(), uid=self.uid, created=self.created, **self.state)


Watch = dict[tuple[str, str], list[Any]]
"""Events on their way, per object."""


class Cluster:
    """The truth, and the log of how it came about."""

    def __init__(self) -> None:
        self.now = NOW
        self.set_by = timedelta(0)
        """How far its clock has been set, in all."""
        self.was_set = False
        self.wrong_by = [timedelta(0), timedelta(0)]
        """How far the clock of each operator's machine is ahead of the true time."""
        self.runs: dict[str, Document] = {}
        self.jobs: dict[str, Job] = {}
        self.pods: dict[str, Pod] = {}
        self.snapshots: dict[str, Document] = {}
        self.reports: set[str] = set()
        self.code: str | None = CODE
        self.inputs = ""
        self.queue: str | None = None
        """Kueue's, in which runs are made to stand."""
        self.log: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        """Everything that happened, per kind: to which object, and how it was seen then, None if it was deleted."""
        self.pending: dict[int, Watch] = {}
        """What each operator has not heard yet."""
        self.refusals: dict[str, str] = {}
        """What the API server says to whoever makes an object of a kind."""
        self.warnings: dict[str, tuple[str, str]] = {}
        """The last event about a Job or pod: reason and message."""
        self.past_jobs: list[Job] = []
        self.intents: dict[tuple[str, str, datetime], int] = {}
        """When each attempt of a run was first on record, by its Job's name and its beginning."""
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
        self.was_set = True
        self.now += by
        self.set_by += by

    # --- users

    def apply(self, inputs: str) -> None:
        """Create the run, or change what is asked."""
        self.inputs = inputs
        if not self.runs:
            body = run_body(uid=f"run-{self.version()}", **copy.deepcopy(INPUTS[inputs]))
            body["metadata"] |= {"creationTimestamp": rfc3339(self.now), "labels": self._labels()}
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

    def write_as_before(self) -> None:
        """Let the status be one of a version that did not say which rerun it answers."""
        body = self._only_run()
        if body.get("status", {}).pop("observedRerun", None):
            REACHED["written by an earlier version"] += 1
            self.touched(body)

    def put_in_queue(self, queue: str | None) -> None:
        """Let the run, and those that are made later, stand in Kueue's queue, or in none."""
        self.queue = queue
        for body in self.runs.values():
            body["metadata"]["labels"] = self._labels()
            self.touched(body)

    def _labels(self) -> Document:
        return {KUEUE_LABEL: self.queue} if self.queue else {}

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

    def delete_by_operator(self, name: str) -> None:
        """Delete a Job that an operator is done with."""
        self.deleted_by_operator.add(self.jobs[name].uid)
        self.delete_job(name)

    def delete_pod(self, pod: Pod) -> None:
        """Ask a pod to go."""
        if not pod.over:
            pod.spoilt = True
            if pod.state.get("strategy", waiting()).keys() & {"running"}:
                self.end(pod, "deleted", phase="Failed", strategy=terminated(137, finished=self.now), deleted=self.now)
        self._remove_pod(pod)

    # --- Kueue

    def suspend(self, job: Job, *, suspend: bool) -> None:
        """Ask the controller to hold a Job back, or to let it go."""
        REACHED["kueue preempts" if suspend else "kueue admits again" if job.released else "kueue admits"] += 1
        job.body["spec"]["suspend"] = suspend
        self.changed_job(job)

    # --- the Job controller, the kubelet, the garbage collector

    def hold_or_release(self, job: Job) -> None:
        """Let the Job controller do what it was asked for: what has ended counts, and what has not loses its pod."""
        pod = self.pods.get(job.pod_uid or "")
        if job.pod_uid and (pod is None or pod.over):
            self.finish_job(job)
        elif job.suspended:
            if pod is not None:
                pod.preempted = True
                self.delete_pod(pod)
            job.held, job.pod_uid = True, None
            self.changed_job(job)
        else:
            job.held, job.released = False, self.now
            self.changed_job(job)

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
        job.ended = self.now
        self.changed_job(job)

    def overrun_job(self, job: Job) -> None:
        """End a Job by its own deadline, which deletes its pod."""
        job.conditions = {"FailureTarget": "DeadlineExceeded"}
        self.changed_job(job)
        pod = self.pods.get(job.pod_uid or "")
        if pod is not None and not pod.over:
            pod.spoilt = True
            if pod.hangs:
                self.changed(pod, deleted=self.now)
            else:
                self._remove_pod(pod)

    def hang(self, pod: Pod, step: str) -> None:
        """Let a step hang in the kernel until its Job's deadline and after it."""
        pod.hangs = True
        if step == "evaluator":
            ended = terminated(0, started=self.now, finished=self.now)
            self.changed(pod, phase="Running", strategy=ended, evaluate=running(self.now))
        self.overrun_job(pod.job)

    def end_overrun(self) -> None:
        """Let the Job controller say of Jobs whose pods it has ended that they have failed."""
        for job in self.jobs.values():
            if job.conditions and not job.finished:
                job.conditions, job.ended = job.conditions | {"Failed": "DeadlineExceeded"}, self.now
                self.changed_job(job)

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
            if pod.job.uid not in live and not pod.hangs:
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
        ended = {attempt.job_uid for attempt in after.attempts if attempt.finished_at}
        for pod in self.pods.values():
            pod.spoilt = pod.spoilt or (pod.job.uid in ended and not pod.over)  # what goes on in it is no attempt's
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
            job.held = job.suspended
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
        known = self._vanished(StrategyRunStatus.model_validate(before)) if before else set()
        assert not (self._vanished(after) - known) & self.deleted_by_operator, "it took away what it was waiting for"
        for attempt in after.attempts:
            if attempt.finished_at and attempt.number not in _ended(before, status):
                self._check_end(attempt)
                self._check_retry(after, attempt, self.listed("run")[body["metadata"]["uid"]].spec.retry.limit)
        for attempt in after.attempts:
            if attempt.number in _begun(before, status):
                assert attempt.started_at, "it was forgotten that the strategy began"
                if self._job_of(attempt).released is None:
                    assert attempt.finished_at or after.phase is Phase.RUNNING, "what began waits to start"
                    assert attempt.reason not in NEVER_BEGAN, "what began is said not to have started"
        self._check_jobs(body["metadata"]["uid"], after.attempts)
        if after.fallback:
            sandboxed = [attempt for attempt in after.attempts if attempt.executor is Executor.SANDBOX]
            assert not any(attempt.started_at for attempt in sandboxed), "what began is run again behind weaker walls"
        if after.phase.value == "Succeeded":
            pod = self.past_pods[f"pod-{after.metrics.trades}"] if after.metrics else None
            assert pod is not None
            assert (pod.job.run_uid, pod.job.inputs_hash) == (body["metadata"]["uid"], after.inputs_hash)
            assert pod.job.uid == after.attempts[-1].job_uid
        return after

    def _check_jobs(self, run_uid: str, attempts: Sequence[Attempt]) -> None:
        """Hold attempts to Jobs that were made for them: names come back when inputs do."""
        for attempt in attempts:
            known = self.intents.setdefault((run_uid, attempt.job_name, attempt.created_at), int(self.version()))
            made = int(attempt.job_uid.removeprefix("job-")) if attempt.job_uid else None
            assert made is None or made > known, "an attempt was given the Job of an earlier evaluation"

    def _check_end(self, attempt: Attempt) -> None:
        """Hold what is said of the end of an attempt to what happened to its pod."""
        pods = [pod for pod in self.past_pods.values() if pod.job.uid == attempt.job_uid and not pod.preempted]
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
                job = self._job_of(attempt)
                overrun = job.conditions.get("FailureTarget") == "DeadlineExceeded"
                waited = self.now - (job.released or job.made)
                assert overrun or waited >= START - SECOND, "it was not given its time to start"
            case Reason.TIMEOUT | Reason.EVALUATOR_FAILED if "not ended the pod" in (attempt.message or ""):
                (hung,) = [pod for pod in pods if pod.hangs]
                assert self.now >= hung.state["deleted"] + NODE_PATIENCE - SECOND, "its node was not given its time"
                REACHED[f"{attempt.reason} of what hangs"] += 1
            case Reason.JOB_VANISHED:
                job = self._job_of(attempt)
                pod = self.pods.get(job.pod_uid or "")
                goes_on = job.active and self.jobs.get(job.name) is job and pod and not pod.over and not pod.spoilt
                assert not goes_on, "what goes on is said to have vanished"
            case Reason.EVICTED | Reason.NODE_LOST:
                assert [pod for pod in pods if "disruption" in pod.state], "nobody took it away"

    def _vanished(self, status: StrategyRunStatus) -> set[str | None]:
        return {attempt.job_uid for attempt in status.attempts if attempt.reason == Reason.JOB_VANISHED}

    def _job_of(self, attempt: Attempt) -> Job:
        (job,) = [job for job in self.past_jobs if job.uid == attempt.job_uid]
        return job

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


def _timeless(status: Document) -> Document:
    """Leave out the generation, which follows the spec, and the rerun, which an earlier version left out."""
    conditions = [{**each, "observedGeneration": 0} for each in status["conditions"]]
    return {**status, "observedGeneration": 0, "observedRerun": None, "conditions": conditions}


def _owner(body: Document) -> str:
    return str(body["metadata"]["ownerReferences"][0]["uid"])
