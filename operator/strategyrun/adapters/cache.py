"""What the operator has seen of the cluster, by run. It may lag; it never proves absence."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from strategyrun.domain.observation import JobObservation, PodObservation, observe_job, observe_pod
from strategyrun.domain.reconcile import Seen, Vetted
from strategyrun.domain.strategyrun import StrategyRun


@dataclass
class Sight:
    """All that belongs to one run."""

    jobs: dict[str, JobObservation] = field(default_factory=dict)
    pods: dict[str, PodObservation] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    vetted: Vetted | None = None
    refused: str | None = None

    @property
    def untidy(self) -> bool:
        """Whether something of a finished run may still have to be deleted."""
        return bool(self.snapshots) or any(not job.finished for job in self.jobs.values())


class Cache:
    """Runs, and the Jobs, pods and snapshots that belong to them."""

    def __init__(self) -> None:
        self._runs: dict[str, StrategyRun] = {}
        self._sights: defaultdict[str, Sight] = defaultdict(Sight)
        self.protected: set[str] = set()
        """Namespaces whose deny-all policy exists."""

    def __len__(self) -> int:
        """Count the runs."""
        return len(self._runs)

    @property
    def runs(self) -> dict[str, StrategyRun]:
        """The runs by uid."""
        return dict(self._runs)

    def run(self, uid: str) -> StrategyRun | None:
        """Return a run as last seen."""
        return self._runs.get(uid)

    def put_run(self, body: dict[str, Any]) -> StrategyRun | None:
        """Keep a run unless a newer version is known; return it if it was news.

        Raises pydantic.ValidationError where the object does not fit the models.
        """
        run = StrategyRun.parse(body)
        known = self._runs.get(run.uid)
        if known and int(known.resource_version) >= int(run.resource_version):
            return None
        self._runs[run.uid] = run
        return run

    def forget_run(self, uid: str) -> None:
        """Drop a run and all that is known of it."""
        self._runs.pop(uid, None)
        self._sights.pop(uid, None)

    def put_job(self, body: dict[str, Any], *, claimed_by: str | None = None) -> str | None:
        """Keep a Job with the run that owns it, or with the run that wanted its name; return that uid."""
        job = observe_job(body)
        uid = claimed_by or job.run_uid
        if uid:
            self._sights[uid].jobs[job.name] = job
        return uid

    def drop_job(self, run_uid: str, name: str, job_uid: str) -> None:
        """Forget a Job, unless its name is another's by now."""
        jobs = self._sights[run_uid].jobs
        if name in jobs and jobs[name].uid == job_uid:
            del jobs[name]

    def put_pod(self, body: dict[str, Any]) -> str:
        """Keep a pod with its run; return the run's uid."""
        pod = observe_pod(body)
        self._sights[pod.run_uid].pods[pod.uid] = pod
        return pod.run_uid

    def drop_pod(self, run_uid: str, pod_uid: str) -> None:
        """Forget a pod."""
        self._sights[run_uid].pods.pop(pod_uid, None)

    def jobs(self) -> list[tuple[str, JobObservation]]:
        """Return every Job with the uid of its run."""
        return [(uid, job) for uid, sight in self._sights.items() for job in sight.jobs.values()]

    def pods(self) -> list[tuple[str, PodObservation]]:
        """Return every pod with the uid of its run."""
        return [(uid, pod) for uid, sight in self._sights.items() for pod in sight.pods.values()]

    def sight(self, uid: str) -> Sight:
        """Return what belongs to a run."""
        return self._sights[uid]

    def see(self, run: StrategyRun, *, slot: bool, nonce: str) -> Seen:
        """Put together all that a decision may look at."""
        sight = self._sights[run.uid]
        return Seen(
            run=run,
            jobs=tuple(sight.jobs.values()),
            pods=tuple(sight.pods.values()),
            snapshots=frozenset(sight.snapshots),
            vetted=sight.vetted,
            slot=slot,
            policy=run.namespace in self.protected,
            nonce=nonce,
            gone=frozenset(sight.gone),
            refused=sight.refused,
        )
