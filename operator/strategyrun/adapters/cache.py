"""What the operator has seen of the cluster, by run. It may lag; it never proves absence.

A run is known by its key: namespace and UID. Labels and owner references can be forged by whoever
may write a Job, a pod or a ConfigMap; the namespace cannot, so nobody reaches a run of another one.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from strategyrun.adapters.backoff import is_trouble
from strategyrun.domain.observation import JobObservation, PodObservation, controller_of, observe_job, observe_pod
from strategyrun.domain.reconcile import expiry
from strategyrun.domain.sandbox import Profile
from strategyrun.domain.seen import Kept, Seen, Vain, Vetted
from strategyrun.domain.slots import Place
from strategyrun.domain.strategyrun import KIND, Phase, StrategyRun, StrategyRunStatus
from strategyrun.domain.verdict import Fault, Pending, Trouble

Key = str


def key_of(namespace: str, uid: str) -> Key:
    """Write the key of a run."""
    return f"{namespace}/{uid}"


def namespace_of(key: Key) -> str:
    """Read the namespace from the key of a run."""
    return key.partition("/")[0]


class Settled(NamedTuple):
    """All that is kept of a run that has its answer and nothing to delete now: where to read it again, and when."""

    namespace: str
    name: str
    version: int
    expires_at: datetime | None
    """When the first of its Jobs has been kept for long enough."""


@dataclass
class Sight:
    """All that belongs to one run."""

    jobs: dict[str, JobObservation] = field(default_factory=dict)
    pods: dict[str, PodObservation] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    """UIDs of the ConfigMaps by name."""
    gone: set[str] = field(default_factory=set)
    podless: set[str] = field(default_factory=set)
    answered_for: set[str] = field(default_factory=set)
    vetted: Vetted | None = None
    vain: Vain | None = None
    reason_since: datetime | None = None
    kept: Kept | None = None
    refused: Fault | None = None
    hindered: Pending | None = None
    trouble: Trouble | None = None

    @property
    def untidy(self) -> bool:
        """Whether something of a finished run may still have to be deleted."""
        return bool(self.snapshots) or any(not job.finished for job in self.jobs.values())

    def saw_end(self, job: JobObservation) -> bool:
        """Whether a pod of a Job has been seen to end."""
        return any(pod.job_uid == job.uid and pod.done for pod in self.pods.values())


class Cache:
    """Runs, and the Jobs, pods and snapshots that belong to them."""

    def __init__(self) -> None:
        self._runs: dict[Key, StrategyRun] = {}
        self._settled: dict[Key, Settled] = {}
        self._sights: defaultdict[Key, Sight] = defaultdict(Sight)

    @property
    def known(self) -> set[Key]:
        """All runs."""
        return {*self._runs, *self._settled}

    @property
    def restless(self) -> set[Key]:
        """What somebody should look at: runs that are not settled, and what is left of runs that are or are gone."""
        return {*self._runs, *self._sights}

    @property
    def unfinished(self) -> Counter[Phase]:
        """Count the runs that have no answer, by phase."""
        statuses = (run.status for run in self._runs.values())
        return Counter(status.phase for status in statuses if status and not status.final)

    def unchecked(self, now: datetime) -> int:
        """Count the runs whose source cannot be checked and is tried again and again."""
        vain = (sight.vain for sight in self._sights.values() if sight.vain)
        return sum(is_trouble(each.times) and each.lasts(now) for each in vain)

    def run(self, key: Key) -> StrategyRun | None:
        """Return a run as last seen, unless it is settled."""
        return self._runs.get(key)

    def put_run(self, body: dict[str, Any]) -> StrategyRun | None:
        """Keep a run unless this version or a newer one is known; return it if it was news.

        Raises pydantic.ValidationError where the object does not fit the models.
        """
        meta = body["metadata"]
        if not self.is_news(key_of(meta["namespace"], meta["uid"]), int(meta["resourceVersion"])):
            return None
        return self.keep_run(StrategyRun.parse(body))

    def is_news(self, key: Key, version: int) -> bool:
        """Whether a version of a run is later than what is known of it."""
        run, settled = self._runs.get(key), self._settled.get(key)
        return not ((run and int(run.resource_version) >= version) or (settled and settled.version >= version))

    def keep_run(self, run: StrategyRun) -> StrategyRun:
        """Keep a run that is news."""
        key = key_of(run.namespace, run.uid)
        self._settled.pop(key, None)
        self._runs[key] = run
        return run

    def settle(self, run: StrategyRun, now: datetime) -> Settled | None:
        """Let go of a run that has its answer, unless something of it is to be deleted now.

        A cluster may hold thousands, each with its source; their Jobs stay for as long as they ask.
        """
        key = key_of(run.namespace, run.uid)
        sight = self._sights[key]
        ends = [end for job in sight.jobs.values() if (end := expiry(run, job))]
        if sight.untidy or any(end <= now for end in ends):
            return None
        self.forget_run(key)
        settled = self._settled[key] = Settled(
            run.namespace, run.name, int(run.resource_version), min(ends, default=None)
        )
        return settled

    def unsettle(self, key: Key) -> None:
        """Make room for a settled run to be put back."""
        self._settled.pop(key, None)

    def settled(self, key: Key) -> Settled | None:
        """Return where a settled run is to be read again."""
        return self._settled.get(key)

    def drop_sight(self, key: Key) -> None:
        """Forget what belongs to a run, or did."""
        self._sights.pop(key, None)

    def forget_run(self, key: Key) -> None:
        """Drop a run and all that is known of it."""
        self._runs.pop(key, None)
        self._settled.pop(key, None)
        self._sights.pop(key, None)

    def put_job(self, body: dict[str, Any], *, claimed_by: StrategyRun | None = None) -> tuple[Key, JobObservation]:
        """Keep a Job with the run that owns it, or with the run that wanted its name."""
        job = observe_job(body)
        return self.keep_job(job, claimed_by=claimed_by), job

    def keep_job(self, job: JobObservation, *, claimed_by: StrategyRun | None = None) -> Key:
        """Keep what a Job was seen to be, unless a later sight of it is known, or nobody needs it any more."""
        key = key_of(job.namespace, claimed_by.uid if claimed_by else job.run_uid or "")
        settled = self._settled.get(key)
        if not (settled and job.finished and (settled.expires_at or job.deleting)):
            jobs = self._sights[key].jobs
            if job.name not in jobs or jobs[job.name].version < job.version:
                jobs[job.name] = job
        return key

    def drop_job(self, key: Key, job_uid: str) -> None:
        """Forget a Job."""
        sight = self._sights[key]
        sight.jobs = {name: job for name, job in sight.jobs.items() if job.uid != job_uid}

    def put_pod(self, body: dict[str, Any]) -> tuple[Key, PodObservation]:
        """Keep a pod with its run."""
        pod = observe_pod(body)
        return self.keep_pod(pod), pod

    def keep_pod(self, pod: PodObservation) -> Key:
        """Keep what a pod was seen to be, as with a Job."""
        key = key_of(pod.namespace, pod.run_uid)
        if key not in self._settled:
            pods = self._sights[key].pods
            if pod.uid not in pods or pods[pod.uid].version < pod.version:
                pods[pod.uid] = pod
        return key

    def drop_pod(self, key: Key, pod_uid: str) -> None:
        """Forget a pod."""
        self._sights[key].pods.pop(pod_uid, None)

    def put_snapshot(self, body: dict[str, Any]) -> None:
        """Keep a ConfigMap with the run that owns it, if one does; its metadata is enough."""
        meta = body["metadata"]
        owner = controller_of(meta, KIND)
        if owner:
            self._sights[key_of(meta["namespace"], owner)].snapshots[meta["name"]] = meta["uid"]

    def jobs(self) -> set[tuple[Key, str]]:
        """Return the UID of every Job, with the key of its run."""
        return {(key, job.uid) for key, sight in self._sights.items() for job in sight.jobs.values()}

    def pods(self) -> set[tuple[Key, str]]:
        """Return the UID of every pod, with the key of its run."""
        return {(key, uid) for key, sight in self._sights.items() for uid in sight.pods}

    def sight(self, key: Key) -> Sight:
        """Return what belongs to a run."""
        return self._sights[key]

    def time_reason(self, run: StrategyRun, status: StrategyRunStatus, now: datetime) -> None:
        """Take note of since when a run has its reason: since now, unless the status before gave the same of the same
        inputs.
        """
        sight, before = self._sights[key_of(run.namespace, run.uid)], run.status
        same = before is not None and (before.reason, before.inputs_hash) == (status.reason, status.inputs_hash)
        if not (same and sight.reason_since and sight.reason_since <= now):  # a clock may have been set back
            sight.reason_since = now

    def see(
        self, run: StrategyRun, *, profile: Profile | None, place: Place, nonce: str, in_contact_since: datetime | None
    ) -> Seen:
        """Put together all that a decision may look at."""
        sight = self._sights[key_of(run.namespace, run.uid)]
        return Seen(
            run=run,
            jobs=tuple(sight.jobs.values()),
            pods=tuple(sight.pods.values()),
            snapshots=frozenset(sight.snapshots),
            vetted=sight.vetted,
            vain=sight.vain,
            profile=profile,
            place=place,
            nonce=nonce,
            in_contact_since=in_contact_since,
            gone=frozenset(sight.gone),
            podless=frozenset(sight.podless),
            answered_for=frozenset(sight.answered_for),
            reason_since=sight.reason_since,
            kept=sight.kept,
            refused=sight.refused,
            hindered=sight.hindered,
            trouble=sight.trouble,
        )
