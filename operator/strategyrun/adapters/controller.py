"""The shell round the decision: events fill a cache, workers observe, decide and act, a sweep finds the rest."""

import asyncio
import base64
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from pydantic import ValidationError

from strategyrun.adapters.cache import Cache
from strategyrun.adapters.kube import (
    CONFIG_MAPS,
    JOBS,
    NETWORK_POLICIES,
    PODS,
    RUNS,
    ApiError,
    ConflictError,
    Kube,
    NotFoundError,
    RefusedError,
)
from strategyrun.adapters.settings import Settings
from strategyrun.adapters.vetting import vet_in_child
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain import naming
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.network_policy import POLICY_NAME
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import (
    Act,
    ConfirmJob,
    Create,
    DeleteJob,
    DeleteSnapshot,
    Reconciler,
    Vet,
    Vetted,
)
from strategyrun.domain.slots import Slots
from strategyrun.domain.strategyrun import GROUP, KIND, VERSION, StrategyRun, StrategyRunStatus

WORKERS = 16
SWEEP_SECONDS = 60.0
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

log = logging.getLogger(__name__)


class Controller:
    """One per process. Two at once stay correct: names, preconditions and resource versions decide."""

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._now = now
        self._reconciler = Reconciler(settings.sandbox, settings.seccomp)
        self._slots = Slots(settings.sandbox.max_active_runs)
        self._cache = Cache()
        self._queue = WorkQueue()
        self._failures: dict[str, int] = {}
        self.swept_at: float | None = None
        """Loop time of the last complete sweep; None before the first."""

    def on_run(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a StrategyRun."""
        uid = body["metadata"]["uid"]
        if event == "DELETED":
            self._cache.forget_run(uid)
            self._queue.add(uid)
        else:
            self._put_run(body)

    def on_job(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a Job."""
        uid = self._cache.put_job(body)
        if uid and event == "DELETED":
            self._cache.drop_job(uid, body["metadata"]["name"], body["metadata"]["uid"])
        if uid:
            self._queue.add(uid)

    def on_pod(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a pod. One that ended before it was deleted still has its story to tell."""
        uid = self._cache.put_pod(body)
        if event == "DELETED":
            self._cache.drop_pod(uid, body["metadata"]["uid"])
        self._queue.add(uid)

    async def run(self) -> None:
        """Sweep, then work and sweep until cancelled."""
        await self._sweep_until_done()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._keep_sweeping())

    async def _sweep_until_done(self) -> None:
        for seconds in _BACKOFF_SECONDS:
            try:
                await self.sweep()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("the first sweep failed, again in %s s: %s", seconds, error)
                await asyncio.sleep(seconds)
            else:
                return
        await self.sweep()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("a sweep failed, the next comes in %s s: %s", SWEEP_SECONDS, error)

    async def sweep(self) -> None:
        """List everything that is ours: what an event should have told and did not, is found here."""
        known = set(self._cache.runs)
        listed: set[str] = set()
        async for body in self._kube.list(RUNS):
            listed.add(body["metadata"]["uid"])
            self._put_run(body)
        for uid in known - listed:
            self._cache.forget_run(uid)
        await self._sweep_children()
        async for body in self._kube.list(NETWORK_POLICIES, selector=naming.SELECTOR, metadata_only=True):
            if body["metadata"]["name"] == POLICY_NAME:
                self._cache.protected.add(body["metadata"]["namespace"])
        for uid, run in self._cache.runs.items():
            if run.status is not None and run.status.phase.active:
                self._slots.take(uid)
            if run.status is None or not run.status.final or self._cache.sight(uid).untidy:
                self._queue.add(uid)
        self.swept_at = asyncio.get_running_loop().time()

    async def _sweep_children(self) -> None:
        known_jobs = {(uid, job.name, job.uid) for uid, job in self._cache.jobs()}
        known_pods = {(uid, pod.uid) for uid, pod in self._cache.pods()}
        async for body in self._kube.list(JOBS, selector=naming.SELECTOR):
            uid = self._cache.put_job(body)
            known_jobs.discard((uid or "", body["metadata"]["name"], body["metadata"]["uid"]))
        async for body in self._kube.list(PODS, selector=naming.SELECTOR):
            known_pods.discard((self._cache.put_pod(body), body["metadata"]["uid"]))
        async for body in self._kube.list(CONFIG_MAPS, selector=naming.SELECTOR, metadata_only=True):
            labels = body["metadata"].get("labels", {})
            self._cache.sight(labels.get(naming.RUN_UID_LABEL, "")).snapshots.add(body["metadata"]["name"])
        for uid, name, job_uid in known_jobs:
            self._cache.drop_job(uid, name, job_uid)
        for uid, pod_uid in known_pods:
            self._cache.drop_pod(uid, pod_uid)

    async def _work(self) -> None:
        while True:
            uid = await self._queue.get()
            try:
                await self._reconcile(uid)
                self._failures.pop(uid, None)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                count = self._failures[uid] = self._failures.get(uid, -1) + 1
                seconds = _BACKOFF_SECONDS[min(count, len(_BACKOFF_SECONDS) - 1)]
                log.warning("%s: again in %s s: %s", self._name(uid), seconds, error)
                self._queue.add_after(uid, seconds)
            except Exception:  # a defect must neither end the operator nor go unnoticed
                log.exception("%s: defect, again in %s s", self._name(uid), _BACKOFF_SECONDS[-1])
                self._queue.add_after(uid, _BACKOFF_SECONDS[-1])
            finally:
                self._settle_slot(uid)
                self._queue.done(uid)

    async def _reconcile(self, uid: str) -> None:
        run = self._cache.run(uid)
        if run is None:
            self._cache.forget_run(uid)
            return
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        seen = self._cache.see(run, slot=self._slots.free_for(uid), nonce=secrets.token_hex(16))
        decision = self._reconciler.decide(seen, now)
        if decision.status.phase.active:
            self._slots.take(uid)
        if run.status is None or decision.status.document() != run.status.document():
            written = await self._write_status(run, decision.status)
            if not written:
                return
        for act in decision.acts:
            await self._act(run, act)
        if decision.status.final:
            self._cache.sight(uid).vetted = None
        if decision.wake_at is not None:
            self._queue.add_after(uid, (decision.wake_at - now).total_seconds())

    async def _write_status(self, run: StrategyRun, status: StrategyRunStatus) -> bool:
        """Write the whole status, computed from the version that was seen; a newer version means: look again."""
        document = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {
                "name": run.name,
                "namespace": run.namespace,
                "uid": run.uid,
                "resourceVersion": run.resource_version,
            },
            "status": status.document(),
        }
        try:
            body = await self._kube.apply_status(document)
        except (ConflictError, NotFoundError):
            fresh = await self._kube.get(RUNS, run.namespace, run.name)
            if fresh is None or fresh["metadata"]["uid"] != run.uid:
                self._cache.forget_run(run.uid)
            else:
                self._put_run(fresh)
            self._queue.add(run.uid)
            return False
        self._put_run(body)
        if status.final:
            log.info("%s/%s: %s: %s", run.namespace, run.name, status.reason, status.message)
        return True

    async def _act(self, run: StrategyRun, act: Act) -> None:
        sight = self._cache.sight(run.uid)
        match act:
            case Vet():
                sight.vetted = await self._vet(run)
                self._queue.add(run.uid)
            case Create(manifest):
                await self._create(run, manifest)
            case DeleteJob(name, uid):
                await self._kube.delete(JOBS, run.namespace, name, uid=uid)
                self._cache.drop_job(run.uid, name, uid)
            case DeleteSnapshot(name):
                await self._kube.delete(CONFIG_MAPS, run.namespace, name)
                sight.snapshots.discard(name)
            case ConfirmJob(name, uid):
                body = await self._kube.get(JOBS, run.namespace, name)
                if body is not None:
                    self._cache.put_job(body, claimed_by=run.uid)
                if body is None or body["metadata"]["uid"] != uid:
                    sight.gone.add(uid)
                self._queue.add(run.uid)

    async def _create(self, run: StrategyRun, manifest: dict[str, Any]) -> None:
        sight, name = self._cache.sight(run.uid), manifest["metadata"]["name"]
        try:
            body: dict[str, Any] | None = await self._kube.create(manifest)
        except ConflictError:
            body = None
        except RefusedError as error:
            sight.refused = error.message
            self._queue.add(run.uid)
            return
        match manifest["kind"]:
            case "NetworkPolicy":
                self._cache.protected.add(run.namespace)
            case "ConfigMap":
                sight.snapshots.add(name)
            case "Job":
                body = body or await self._kube.get(JOBS, run.namespace, name)
                if body is not None:
                    self._cache.put_job(body, claimed_by=run.uid)
                    sight.refused = None
                self._queue.add(run.uid)

    async def _vet(self, run: StrategyRun) -> Vetted:
        wanted, source = inputs_hash(run), run.spec.source
        if source.inline is not None:
            code: bytes | None = source.inline.encode()
        else:
            reference = source.config_map_ref
            body = await self._kube.get(CONFIG_MAPS, run.namespace, reference.name) if reference else None
            code = _content(body, reference.key) if body and reference else None
            if code is None and reference:
                found = ", ".join(sorted([*(body.get("data") or {}), *(body.get("binaryData") or {})])) if body else ""
                missing = f"ConfigMap {reference.name} has no key {reference.key} (it has: {found or 'none'})"
                if body is None:
                    missing = f"there is no ConfigMap {reference.name} in namespace {run.namespace}"
                return Vetted(wanted, self._now(), missing=missing)
        return Vetted(wanted, self._now(), code=code or b"", flaws=await vet_in_child(code or b""))

    def _put_run(self, body: dict[str, Any]) -> None:
        try:
            run = self._cache.put_run(body)
        except ValidationError as error:
            meta = body["metadata"]
            log.error("%s/%s does not fit this operator's schema: %s", meta["namespace"], meta["name"], error)
            return
        if run is not None:
            self._queue.add(run.uid)

    def _settle_slot(self, uid: str) -> None:
        """Let the run's recorded phase decide who holds a slot; what becomes free goes to the line."""
        run = self._cache.run(uid)
        status = run.status if run else None
        if run and status and status.phase.active:
            self._slots.take(uid)
            return
        if run and status and status.reason == Reason.WAITING_FOR_SLOT:
            freed = self._slots.wait(uid, run.created_at)
        else:
            freed = self._slots.leave(uid)
        if freed:
            for next_uid in self._slots.next():
                self._queue.add(next_uid)

    def _name(self, uid: str) -> str:
        run = self._cache.run(uid)
        return f"{run.namespace}/{run.name}" if run else uid


def _content(config_map: dict[str, Any], key: str) -> bytes | None:
    if key in (config_map.get("data") or {}):
        return str(config_map["data"][key]).encode()
    if key in (config_map.get("binaryData") or {}):
        return base64.b64decode(config_map["binaryData"][key])
    return None
