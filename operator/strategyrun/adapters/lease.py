"""A lease that one operator holds, so that two do not do the same work twice.

Nothing is safe because of it: two operators at once stay correct. It saves requests, and it tells which
operator's numbers count.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from strategyrun.adapters.kube import LEASES, TROUBLE, ConflictError, ExistsError, Kube, NotFoundError

NAME = "finlab-sandbox-operator"
TTL_SECONDS = 30
RENEW_SECONDS = 10.0
_RETRY_SECONDS = 2.0
_GIVE_UP_SECONDS = 22.0
"""Without a renewal. Sooner than anybody may take the lease, with time left to end the work."""
_LAST_TRY_SECONDS = 3.0
"""For one renewal more where all that time has passed: a process that was stopped has asked nobody."""
_RELEASE_SECONDS = 5.0
HOST_MARK = "/"
"""Between the pod's name and what tells its processes apart: they follow each other, so the next may have the lease."""

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """The lease could not be renewed in time, or somebody else has it; a fresh start waits for it again."""


class Lease:
    """The right to work. `holder` names this process among all that may ever want it."""

    def __init__(self, kube: Kube, namespace: str, holder: str, *, name: str = NAME) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._seen: tuple[str, float] | None = None
        self.holder = holder
        self.held_since: float | None = None
        """Loop time; None while it is not ours."""
        self.holder_seen = ""
        """Who holds the lease, as last read; empty: nobody."""

    @property
    def held(self) -> bool:
        """Whether the lease is ours."""
        return self.held_since is not None

    @asynccontextmanager
    async def hold(self, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[None]]:
        """Wait until the lease is ours and keep it until the block ends; then let go, so that the next need not wait.

        A stop flag ends the wait, with the lease not held. The task that is given ends with LeaseLostError when
        the lease is lost.
        """
        try:
            await self._acquire(stop)
            renewing = asyncio.create_task(self._renew())
            try:
                yield renewing
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
        finally:
            await self._release()  # whether or not it seems ours: a request may be heard whose answer never came

    async def _acquire(self, stop: asyncio.Event) -> None:
        told = ""
        while not self.held and not stop.is_set():
            try:
                if await self._try():
                    self.held_since = asyncio.get_running_loop().time()
            except TROUBLE as error:
                log.warning("lease %s/%s: again in %s s: %s", self._namespace, self._name, _RETRY_SECONDS, error)
            if not self.held:
                if self.holder_seen != told:
                    told = self.holder_seen
                    log.info("waiting for lease %s/%s, held by %s", self._namespace, self._name, told)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_SECONDS):
                        await stop.wait()
        if self.held:
            log.info("holding lease %s/%s as %s", self._namespace, self._name, self.holder)

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(RENEW_SECONDS if loop.time() - renewed < RENEW_SECONDS else _RETRY_SECONDS)
            ours, trouble, began = False, "somebody changes it all the time", loop.time()
            try:
                async with asyncio.timeout_at(max(renewed + _GIVE_UP_SECONDS, began + _LAST_TRY_SECONDS)):
                    ours = await self._try()
            except TROUBLE as error:
                trouble = str(error) or type(error).__name__
            if ours:
                renewed = began
                continue
            if self.holder_seen != self.holder:
                trouble = f"held by {self.holder_seen or 'nobody'}"
            elif loop.time() - renewed < _GIVE_UP_SECONDS:
                continue
            self.held_since = None
            raise LeaseLostError(f"lease {self._namespace}/{self._name} is lost: {trouble}")

    async def _try(self) -> bool:
        """Take or renew the lease if it is free, run out or ours; tell whether the API server has stored that."""
        found = await self._kube.get(LEASES, self._namespace, self._name)
        try:
            if found is None:
                stored = await self._kube.create(self._manifest({}, {}))
            elif self._may_take(found):
                stored = await self._kube.replace(self._manifest(found["metadata"], found["spec"]))
            else:
                return False
        except (ConflictError, ExistsError, NotFoundError):
            return False  # somebody was faster; who, the next look tells
        self._note(stored)
        return True

    def _may_take(self, found: dict[str, Any]) -> bool:
        seen_at = self._note(found)
        if self.holder_seen in ("", self.holder) or self._was_here(self.holder_seen):
            return True
        ttl = float(found["spec"].get("leaseDurationSeconds") or TTL_SECONDS)
        return asyncio.get_running_loop().time() - seen_at > ttl

    def _was_here(self, holder: str) -> bool:
        """Whether a holder is the process before this one in the same pod: a container starts when the last is dead."""
        host, mark, _ = self.holder.partition(HOST_MARK)
        return bool(mark) and holder.startswith(host + mark)

    def _note(self, found: dict[str, Any]) -> float:
        """Remember a version of the lease and return when it was first seen, on this process's own clock.

        Other clocks may be wrong.
        """
        version, now = found["metadata"]["resourceVersion"], asyncio.get_running_loop().time()
        if self._seen is None or self._seen[0] != version:
            self._seen = version, now
        self.holder_seen = found["spec"].get("holderIdentity") or ""
        return self._seen[1]

    def _manifest(self, meta: dict[str, Any], spec: dict[str, Any], *, release: bool = False) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        ours = spec.get("holderIdentity") == self.holder
        version = {"resourceVersion": meta["resourceVersion"]} if meta else {}
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace, **version},
            "spec": {
                "holderIdentity": "" if release else self.holder,
                "leaseDurationSeconds": 1 if release else TTL_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions if ours or not meta else transitions + 1,
            },
        }

    async def _release(self) -> None:
        self.held_since = None
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                while not await self._try_to_release():
                    pass
        except TROUBLE as error:
            log.warning("lease %s/%s is not released and runs out: %s", self._namespace, self._name, error)

    async def _try_to_release(self) -> bool:
        """Let go of the lease, and tell whether it is not ours any more."""
        found = await self._kube.get(LEASES, self._namespace, self._name)
        if found and found["spec"].get("holderIdentity") == self.holder:
            try:
                await self._kube.replace(self._manifest(found["metadata"], found["spec"], release=True))
            except ConflictError:
                return False  # a renewal that was cancelled on its way has come after all
        return True
