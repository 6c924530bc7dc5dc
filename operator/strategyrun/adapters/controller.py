"""The shell round the decision: events fill a cache, workers observe, decide and act, a sweep finds the rest."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError

from strategyrun.adapters.backoff import is_trouble, patiently, pause_after
from strategyrun.adapters.cache import Cache, Key, Settled, key_of
from strategyrun.adapters.hands import Hands
from strategyrun.adapters.kube import (
    CONFIG_MAPS,
    JOBS,
    PODS,
    TROUBLE,
    ApiError,
    ConflictError,
    Kube,
    NotFoundError,
    Resource,
)
from strategyrun.adapters.logs import about
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.profiles import Profiles
from strategyrun.adapters.settings import Settings
from strategyrun.adapters.sources import Sources
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain import naming
from strategyrun.domain.acts import needs_current_run
from strategyrun.domain.model import complaint, milliseconds
from strategyrun.domain.reconcile import (
    QUOTA_POLL,
    decide,
    give_up,
    holds_slot,
    is_answered,
    met_quota,
    stands_in_line,
)
from strategyrun.domain.slots import Slots, Ticket
from strategyrun.domain.strategyrun import KIND, Phase, StrategyRun, StrategyRunStatus

WORKERS = 32
SWEEP_SECONDS = 60.0
_NEVER_TAKEN = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_TOO_LARGE = "request is too large"  # for etcd, of which the API server makes a 500

Found = TypeVar("Found")

log = logging.getLogger(__name__)


class Controller:
    """One per process. Two at once stay correct: names, preconditions and resource versions decide.

    `profiles` is where the API server keeps the SandboxProfiles; without it there is that of the settings alone.
    Time is the API server's, unless `clock` tells another.
    """

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        observer: Observer,
        *,
        profiles: Resource | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._kube = kube
        self._observer = observer
        self._clock = clock or kube.clock.now
        self.profiles = Profiles(kube, settings, resource=profiles, clock=self._clock, changed=self._look_again)
        self._slots = Slots(settings.queue.max_active_runs, per_namespace=settings.queue.max_active_runs_per_namespace)
        self._cache = Cache()
        self._queue = WorkQueue()
        self._hands = Hands(kube, self._cache, self._queue, Sources(kube, observer, self._now), self._now)
        self._failures: dict[Key, int] = {}
        self.swept_at: float | None = None
        """Loop time of the last complete sweep; None before the first."""

    @property
    def queue(self) -> WorkQueue:
        """The keys that wait for a worker."""
        return self._queue

    @property
    def unfinished(self) -> Counter[Phase]:
        """Count the runs that wait for their answer."""
        return self._cache.unfinished

    @property
    def troubled(self) -> int:
        """Count the runs that several looks in a row could not bring on, or whose source could not be checked."""
        return sum(map(is_trouble, self._failures.values())) + self._cache.unchecked(self._now())

    def on_run(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a StrategyRun."""
        meta = body["metadata"]
        key = key_of(meta["namespace"], meta["uid"])
        if event == "DELETED":
            self._forget(key)
            return
        try:
            run = self._cache.put_run(body)
        except ValidationError as error:
            # Another operator's answer: nothing that this one could write would be better.
            facts = {name: meta[name] for name in ("namespace", "name", "uid")}
            log.error("the status cannot be read: %s", complaint(error), extra={"run": facts})
            self._forget(key)
            return
        if run is None:
            return
        self._observer.saw(run)
        if self._settle(run):
            self._account_for_slot(key)  # another operator may have answered a run that holds a slot of this one's
        else:
            self._queue.add(key, urgent=run.status is None)

    def on_job(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a Job. One whose pod ended before it was deleted says whose answer that is."""
        if event == "DELETED":
            body["metadata"].pop("deletionTimestamp", None)  # that is over: nobody waits for it
        key, job = self._cache.put_job(body)
        if event == "DELETED" and not self._cache.sight(key).saw_end(job):
            self._cache.drop_job(key, job.uid)
        self._queue.add(key, urgent=True)

    def on_pod(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a pod. One that ended before it was deleted still has its story to tell."""
        key, pod = self._cache.put_pod(body)
        if event == "DELETED" and not pod.done:
            self._cache.drop_pod(key, pod.uid)
        self._queue.add(key, urgent=True)

    async def prepare(self) -> None:
        """Learn what there is, before anything is started.

        Raises what the API server keeps answering after about a minute.
        """
        await patiently("the first sweep", self.sweep)
        for key in self._cache.known:
            self._account_for_slot(key)

    async def run(self) -> None:
        """Work and sweep until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(WORKERS):
                    tasks.create_task(self._work())
                tasks.create_task(self._keep_sweeping())
                tasks.create_task(self.profiles.run())
                tasks.create_task(self._observer.work())
        finally:
            await self._hands.close()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except TROUBLE as error:
                log.warning("a sweep failed, the next comes in %s s: %s", SWEEP_SECONDS, error)

    async def sweep(self) -> None:
        """List everything that is ours: what an event should have told and did not, is found here."""
        await self.profiles.sweep()
        sweep = self._observer.sweep()
        known, jobs, pods = self._cache.known, self._cache.jobs(), self._cache.pods()
        async for body in self._kube.list(JOBS, selector=naming.SELECTOR):
            if job := self._readable(self._cache.put_job, body):
                jobs.discard((job[0], job[1].uid))
            sweep.found("Job", body)
        async for body in self._kube.list(PODS, selector=naming.SELECTOR):
            if pod := self._readable(self._cache.put_pod, body):
                pods.discard((pod[0], pod[1].uid))
            sweep.found("Pod", body)
        async for body in self._kube.list(CONFIG_MAPS, selector=naming.SELECTOR, metadata_only=True):
            self._cache.put_snapshot(body)
        async for body in self._kube.list(self._kube.runs):
            self.on_run(None, body)
            known.discard(key_of(body["metadata"]["namespace"], body["metadata"]["uid"]))
            sweep.found(KIND, body)
        for key, uid in jobs:
            self._cache.drop_job(key, uid)
        for key, uid in pods:
            self._cache.drop_pod(key, uid)
        for key in known:
            self._forget(key)
        for key in self._cache.restless:
            self._queue.add(key)
        self.swept_at = asyncio.get_running_loop().time()
        sweep.ended()

    def _readable(self, put: Callable[[dict[str, Any]], Found], body: dict[str, Any]) -> Found | None:
        """Keep an object; one that nobody can read is skipped, for the others do not wait for it."""
        try:
            return put(body)
        except (KeyError, TypeError, ValueError):
            meta = body["metadata"]
            log.exception("%s/%s: defect: the object cannot be read", meta.get("namespace"), meta.get("name"))
            return None

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                with self._observer.reconciling():
                    await self._reconcile(key)
                self._failures.pop(key, None)
            except TROUBLE as error:
                seconds = self._failed(key)
                log.warning("again in %s s: %s", seconds, error, extra=self._about(key))
            except Exception:  # a defect must neither end the operator nor go unnoticed
                seconds = self._failed(key)
                log.exception("defect, again in %s s", seconds, extra=self._about(key))
            finally:
                self._account_for_slot(key)
                self._queue.done(key)
            await asyncio.sleep(0)  # a look that finds nothing to do waits for nothing, and thousands may come in a row

    def _failed(self, key: Key) -> float:
        """Look at a run again, later each time, and return in how many seconds."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = pause_after(count)
        self._queue.add_after(key, seconds)
        return seconds

    async def _reconcile(self, key: Key) -> None:
        run = self._cache.run(key) or await self._recall(key)
        if run is None:
            return
        now = self._now()
        sight = self._cache.sight(key)
        seen = self._cache.see(
            run,
            profile=self.profiles.get(run.spec.profile),
            place=self._slots.place(_ticket(run), now),
            nonce=secrets.token_hex(16),
            in_contact_since=self._kube.contact.since,
        )
        sight.refused = sight.hindered = None
        decision = decide(seen, now)
        status = decision.status
        if status:
            self._cache.time_reason(run, status, now)
        if holds_slot(run, status, seen.jobs):
            self._slots.take(key, run.namespace)
        if status and (run.status is None or status.document() != run.status.document()):
            written = await self._write_status(run, status)
            if written is None:
                return
            run = written
        for act in decision.acts:
            if needs_current_run(act) and not await self._is_current(run):
                break
            if not await self._hands.do(run, act):
                break
        if decision.wake_at is not None:
            self._queue.add_after(key, (decision.wake_at - now).total_seconds())
        if latest := self._cache.run(key):
            self._settle(latest)

    def _settle(self, run: StrategyRun) -> bool:
        """Let go of a run that has its answer until its Jobs expire; tell whether nothing is to be done before."""
        settled = self._cache.settle(run, self._now()) if is_answered(run) else None
        if settled:
            self._await_expiry(key_of(run.namespace, run.uid), settled)
        return settled is not None

    def _await_expiry(self, key: Key, settled: Settled) -> None:
        if settled.expires_at:
            self._queue.add_after(key, (settled.expires_at - self._now()).total_seconds())

    async def _recall(self, key: Key) -> StrategyRun | None:
        """Read a settled run again if something of it is left; drop what is left of a run that is gone."""
        settled, sight = self._cache.settled(key), self._cache.sight(key)
        expired = settled and settled.expires_at and settled.expires_at <= self._now()
        if settled and (expired or sight.jobs or sight.snapshots):
            await self._read(key, settled.namespace, settled.name, jobs=bool(expired))
            return self._cache.run(key)
        self._cache.drop_sight(key)
        if settled:
            self._await_expiry(key, settled)
        return None

    async def _read(self, key: Key, namespace: str, name: str, *, jobs: bool = False) -> None:
        """Replace what is known of a run, and of its `jobs` too, by what the API server itself says."""
        body = await self._kube.get(self._kube.runs, namespace, name)
        if body is None or key_of(namespace, body["metadata"]["uid"]) != key:
            self._forget(key)
            return
        selector = naming.selector(body["metadata"]["uid"])
        found = [each async for each in self._kube.list(JOBS, namespace=namespace, selector=selector)] if jobs else []
        self._cache.unsettle(key)
        for each in found:
            self._cache.put_job(each)
        self.on_run(None, body)

    async def _write_status(self, run: StrategyRun, status: StrategyRunStatus) -> StrategyRun | None:
        """Write the whole status, computed from the version that was seen; a newer version means: look again.

        Return the run as it was seen, with what was written.

        One that the API server will never take ends the run: it would be tried for ever, with the run's slot held.
        """
        try:
            body = await self._apply_status(run, status)
        except (ConflictError, NotFoundError):
            key = key_of(run.namespace, run.uid)
            await self._read(key, run.namespace, run.name)
            if (latest := self._cache.run(key)) and latest.resource_version == run.resource_version:
                raise  # it is no news that is in the way
            self._queue.add_after(key, pause_after(1))
            return None
        except ApiError as error:
            if error.status not in _NEVER_TAKEN and _TOO_LARGE not in error.message:
                raise
            # Not in the API server's words: they repeat those of the strategy.
            log.error("the status is refused, the run is given up: code %s", error.status, extra=about(run))
            self.on_run(None, await self._apply_status(run, give_up(run, self._now(), error.message)))
            return None
        self.on_run(None, body)
        version = body["metadata"]["resourceVersion"]
        return run.model_copy(update={"status": status, "resource_version": version})

    async def _apply_status(self, run: StrategyRun, status: StrategyRunStatus) -> dict[str, Any]:
        document = {
            "apiVersion": run.api_version,
            "kind": KIND,
            "metadata": {"name": run.name, "namespace": run.namespace, "resourceVersion": run.resource_version},
            "status": status.document(),
        }
        with self._observer.writing(run, status):
            return await self._kube.apply_status(document)

    async def _is_current(self, run: StrategyRun) -> bool:
        """Whether the run still is what was decided on, whatever events have told since: a list may have been old, and
        another operator may have gone on.
        """
        body = await self._kube.get(self._kube.runs, run.namespace, run.name)
        if body is None or body["metadata"]["uid"] != run.uid:
            self._forget(key_of(run.namespace, run.uid))
            return False  # what it owns goes too
        if body["metadata"]["resourceVersion"] == run.resource_version:
            return True
        self.on_run(None, body)
        return False

    def _look_again(self) -> None:
        """Let every run that has no answer yet see what became of its profile."""
        for key in self._cache.restless:
            self._queue.add(key)

    def _forget(self, key: Key) -> None:
        """Drop a run that is gone; the worker that comes by gives up its slot."""
        self._failures.pop(key, None)
        if run := self._cache.run(key):
            self._observer.gone(run.uid)
        self._cache.forget_run(key)
        self._queue.add(key)

    def _account_for_slot(self, key: Key) -> None:
        """Let the run's recorded phase decide who holds a slot; what becomes free goes to the line.

        A run that nothing brings on does not stand in it: it would be let in first, and take nothing.
        """
        run = self._cache.run(key)
        status = run.status if run else None
        now = self._now()
        if run and holds_slot(run, status, self._cache.sight(key).jobs.values()):
            self._slots.take(key, run.namespace)
            return
        if run and status and stands_in_line(run) and not is_trouble(self._failures.get(key, 0)):
            freed = self._slots.wait(_ticket(run))
            if met_quota(status):
                self._slots.pause(run.namespace, now + QUOTA_POLL)
                asyncio.get_running_loop().call_later(QUOTA_POLL.total_seconds() + 1, self._wake_next)
        else:
            freed = self._slots.leave(key)
        if freed:
            self._wake_next()

    def _wake_next(self) -> None:
        """Let those begin for whom there is a slot."""
        for key in self._slots.next(self._now()):
            self._queue.add(key)

    def _now(self) -> datetime:
        return milliseconds(self._clock())

    def _about(self, key: Key) -> dict[str, dict[str, str]]:
        if run := self._cache.run(key):
            return about(run)
        namespace, _, uid = key.partition("/")
        return {"run": {"namespace": namespace, "uid": uid}}


def _ticket(run: StrategyRun) -> Ticket:
    return Ticket(key_of(run.namespace, run.uid), run.namespace, run.spec.priority, run.created_at)
