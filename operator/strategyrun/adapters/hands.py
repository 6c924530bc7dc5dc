"""The hands of the controller: they carry out what was decided, and put what came of it into the cache."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from strategyrun.adapters.backoff import pause_after
from strategyrun.adapters.cache import Cache, Key, key_of
from strategyrun.adapters.kube import (
    BY_KIND,
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    TROUBLE,
    ApiError,
    ExistsError,
    Kube,
    NotFoundError,
    RefusedError,
)
from strategyrun.adapters.logs import about
from strategyrun.adapters.sources import Sources
from strategyrun.adapters.vetting import StarvedError
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain import naming
from strategyrun.domain.acts import (
    Act,
    ConfirmJob,
    Create,
    DeleteJob,
    DeleteReport,
    DeleteSnapshot,
    FindPod,
    FindTrouble,
    KeepReport,
    StopJob,
    Vet,
)
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.job import EVALUATE_CONTAINER, is_snapshot
from strategyrun.domain.job import report as build_report
from strategyrun.domain.network_policy import denies_all
from strategyrun.domain.observation import PodObservation
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import is_to_stop
from strategyrun.domain.report import LOG_LIMIT_BYTES, InvalidReportError, full_report
from strategyrun.domain.seen import Kept, Vain
from strategyrun.domain.strategyrun import ReportReference, StrategyRun
from strategyrun.domain.text import clean
from strategyrun.domain.verdict import Fault, Trouble, hindrance, refusal_reason

_EVENT_LIMIT = 1024
"""Bytes of a message that are kept; a kubelet's event has no more."""

log = logging.getLogger(__name__)


class Hands:
    """Do one act at a time. What they learn is in the cache afterwards, and the run is looked at again."""

    def __init__(
        self, kube: Kube, cache: Cache, queue: WorkQueue, sources: Sources, now: Callable[[], datetime]
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._queue = queue
        self._sources = sources
        self._now = now
        self._vettings: dict[Key, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what goes on aside."""
        for vetting in self._vettings.values():
            vetting.cancel()
        await asyncio.gather(*self._vettings.values(), return_exceptions=True)

    async def do(self, run: StrategyRun, act: Act) -> bool:
        """Do one thing; tell whether the next may follow."""
        key = key_of(run.namespace, run.uid)
        sight = self._cache.sight(key)
        match act:
            case Vet():
                self._vet_aside(run, key)
            case Create(manifest):
                return await self._create(run, manifest)
            case DeleteJob(name, uid):
                await self._delete_job(run, name, uid)
            case StopJob(name, uid):
                await self._stop_job(run, name, uid)
            case DeleteSnapshot(name):
                if snapshot_uid := sight.snapshots.get(name):
                    await self._kube.delete(CONFIG_MAPS, run.namespace, name, uid=snapshot_uid)
                    sight.snapshots.pop(name, None)
            case ConfirmJob(name, uid, pod_uid):
                await self._confirm_job(run, name, uid)
                sight.answered_for |= {pod_uid} if pod_uid else set()
                self._queue.add(key)
            case FindPod(job_uid):
                await self._find_pod(run, job_uid)
                self._queue.add(key)
            case FindTrouble(uid):
                sight.trouble = await self._find_trouble(run, uid)
                self._queue.add(key)
            case KeepReport():
                sight.kept = await self._keep(run, act)
                self._queue.add(key)
            case DeleteReport(name):
                await self._kube.delete(CONFIG_MAPS, run.namespace, name)
        return True

    async def _confirm_job(self, run: StrategyRun, name: str, uid: str | None) -> None:
        body = await self._kube.get(JOBS, run.namespace, name)
        if body is not None:
            self._cache.put_job(body, claimed_by=run)
        if body is None or (uid and body["metadata"]["uid"] != uid):
            self._cache.sight(key_of(run.namespace, run.uid)).gone.add(uid or name)

    async def _delete_job(self, run: StrategyRun, name: str, uid: str) -> None:
        key = key_of(run.namespace, run.uid)
        await self._kube.delete(JOBS, run.namespace, name, uid=uid)
        self._cache.drop_job(key, uid)
        self._queue.add(key)

    async def _stop_job(self, run: StrategyRun, name: str, uid: str) -> None:
        key = key_of(run.namespace, run.uid)
        pods = await self._look_at_pods(run)
        if is_to_stop(self._cache.sight(key).jobs.get(name), uid, pods):
            await self._delete_job(run, name, uid)
        else:  # news of it has come meanwhile
            self._queue.add(key)

    async def _look_at_pods(self, run: StrategyRun) -> list[PodObservation]:
        bodies = self._kube.list(PODS, namespace=run.namespace, selector=naming.selector(run.uid))
        return [self._cache.put_pod(body)[1] async for body in bodies]

    async def _find_pod(self, run: StrategyRun, job_uid: str) -> None:
        sight = self._cache.sight(key_of(run.namespace, run.uid))
        pods = await self._look_at_pods(run)
        if not any(job.uid == job_uid and job.has(pod) for job in sight.jobs.values() for pod in pods):
            sight.podless.add(job_uid)

    async def _find_trouble(self, run: StrategyRun, uid: str) -> Trouble:
        """Return the last warning about a Job or pod; without the right to read events there is none."""
        now, last = self._now(), dict[str, Any]()
        with suppress(RefusedError):
            selector = f"involvedObject.uid={uid},type=Warning"
            async for each in self._kube.list(EVENTS, namespace=run.namespace, fields=selector):
                last = max(each, last, key=_told_at)
        return Trouble(uid, now, _cut(last.get("reason")), _cut(last.get("message")))

    async def _keep(self, run: StrategyRun, act: KeepReport) -> Kept:
        """Keep the full report, or say why it cannot be had.

        Raises what passes, for a while: an answer does not wait for it for long.
        """
        try:
            text = await self._kube.log(run.namespace, act.pod_name, EVALUATE_CONTAINER, limit_bytes=LOG_LIMIT_BYTES)
            manifest = build_report(run, act.sha256, full_report(text, act.sha256))
            with suppress(ExistsError):  # named by its content
                await self._kube.create(manifest)
        except (*TROUBLE, InvalidReportError) as error:
            final = isinstance(error, NotFoundError | RefusedError | InvalidReportError)
            if not final and self._now() < act.until:
                raise
            return Kept(act.job_uid, lost=f"the full report could not be kept: {error}")
        return Kept(act.job_uid, ReportReference(config_map=manifest["metadata"]["name"], sha256=act.sha256))

    async def _create(self, run: StrategyRun, manifest: dict[str, Any]) -> bool:
        """POST an object, or take the one of its name if it may be it; after a refusal nothing may follow.

        The policy is there as a rule, and is asked for first: quota and admission refuse a POST before the API server
        finds its name taken. Raises what passes, and sees to it that the run's next status says so.
        """
        key, kind, name = key_of(run.namespace, run.uid), manifest["kind"], manifest["metadata"]["name"]
        found: dict[str, Any] | None = None
        if kind == "Job":
            self._cache.sight(key).gone.discard(name)
        try:
            if kind == "NetworkPolicy":
                found = await self._kube.get(NETWORK_POLICIES, run.namespace, name)
            body: dict[str, Any] | None = found or await self._kube.create(manifest)
        except ExistsError:
            body = found = await self._kube.get(BY_KIND[kind], run.namespace, name)
        except RefusedError as error:
            self._cache.sight(key).refused = Fault(refusal_reason(error.message), error.message)
            body = None
        except ApiError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                message = f"the API server does not take the {kind}: {error.message}"
                self._cache.sight(key).hindered = hindrance(message)
            raise
        if found is not None and (conflict := _conflict(found, manifest)):
            self._cache.sight(key).refused = Fault(Reason.NAME_CONFLICT, conflict)
            body = None
        if body is not None and kind == "ConfigMap":
            self._cache.put_snapshot(body)
        if body is not None and kind == "Job":
            self._cache.put_job(body, claimed_by=run)
        if body is None or kind == "Job":
            self._queue.add(key)
        return body is not None

    def _vet_aside(self, run: StrategyRun, key: Key) -> None:
        """Vet without holding a worker: others are not to wait for it, and once at a time is enough."""
        if key in self._vettings:
            return

        async def vet() -> None:
            sight = self._cache.sight(key)
            try:
                sight.vetted, sight.vain = await self._sources.vet(run), None
            except (*TROUBLE, StarvedError) as error:
                sight.vain = self._in_vain(run, sight.vain, str(error) or type(error).__name__)
                log.warning("the source cannot be checked, again soon: %s", sight.vain.why, extra=about(run))
            except Exception as error:  # a defect must neither end the operator nor go unnoticed
                sight.vain = self._in_vain(run, sight.vain, f"a defect of the operator: {error!r}")
                log.exception("defect while vetting, again soon", extra=about(run))
            finally:
                del self._vettings[key]
                self._queue.add(key)

        self._vettings[key] = asyncio.create_task(vet())

    def _in_vain(self, run: StrategyRun, before: Vain | None, why: str) -> Vain:
        inputs, now = inputs_hash(run), self._now()
        times = before.times + 1 if before and before.holds(inputs, now) else 1
        return Vain(inputs, times, now, timedelta(seconds=pause_after(times)), why)


def _conflict(found: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Say why what has an object's name already cannot be taken for it; whose a Job is, the cache knows."""
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if kind == "ConfigMap" and not is_snapshot(found, wanted):
        return f"{kind} {name} is not this run's snapshot"
    if kind == "NetworkPolicy" and not denies_all(found):
        return f"{kind} {name} does not deny all traffic of all runs"
    return None


def _told_at(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _cut(text: object) -> str:
    """Cut what whoever may write events says: the API server sets them no limit."""
    return clean(str(text or ""), _EVENT_LIMIT)
