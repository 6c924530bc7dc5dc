"""What profiles there are and what was measured of them; what follows is written to their status."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from strategyrun.adapters.kube import NODES, TROUBLE, Kube, NotFoundError, Resource
from strategyrun.adapters.measuring import measure
from strategyrun.adapters.settings import Settings
from strategyrun.domain.canary import Measurement
from strategyrun.domain.model import complaint, milliseconds
from strategyrun.domain.profile_status import Sighting, assess, usable
from strategyrun.domain.sandbox import (
    NODE_LABEL_PREFIX,
    NODE_READY,
    PROFILE_KIND,
    Profile,
    SandboxProfile,
    SandboxProfileStatus,
)

RETRY_SECONDS = 30
"""How soon a profile that is not ready is measured again."""

log = logging.getLogger(__name__)


@dataclass
class _Known:
    """One profile: the resource, what pods told of it, and what follows from both."""

    resource: SandboxProfile
    measured: Measurement | None = None
    measured_of: tuple[int, bool] | None = None
    """Generation and readiness of nodes that the measurement speaks of."""
    due: float = 0.0
    """Loop time from which it is to be measured again."""
    status: SandboxProfileStatus | None = None
    profile: Profile | None = None


class Profiles:
    """The profiles of the API server, or the one of the configuration where there is no such resource."""

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        *,
        resource: Resource | None,
        clock: Callable[[], datetime],
        changed: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._resource = resource
        self._clock = clock
        self._changed = changed
        self._known: dict[str, _Known] = {}
        self._nodes: dict[str, frozenset[str]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        """Of the last sight of each object, by kind and name."""
        self._wake = asyncio.Event()

    def get(self, name: str) -> Profile | None:
        """Return a profile with what is in the way of its pods; None where there is none that could be used."""
        if self._resource is None:
            return self._settings.profile if name == self._settings.profile.name else None
        known = self._known.get(name)
        return known.profile if known else None

    def on_profile(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of a SandboxProfile, unless a later version of it is known."""
        name = body["metadata"]["name"]
        if not self._is_news(PROFILE_KIND, event, body["metadata"]):
            return
        if event == "DELETED":
            self._known.pop(name, None)
        else:
            try:
                resource = SandboxProfile.parse(body)
            except ValidationError as error:
                log.error("profile %s cannot be read: %s", name, complaint(error))
                self._known.pop(name, None)
            else:
                self._known.setdefault(name, _Known(resource)).resource = resource
        self._refresh(gone=name not in self._known)

    def on_node(self, event: str | None, body: dict[str, Any]) -> None:
        """Take note of the seccomp files that a node holds, as with a profile."""
        meta = body["metadata"]
        if not self._is_news("Node", event, meta):
            return
        labels = (meta.get("labels") or {}).items()
        held = frozenset(key for key, value in labels if key.startswith(NODE_LABEL_PREFIX) and value == NODE_READY)
        if event == "DELETED":
            self._nodes.pop(meta["name"], None)
        elif self._nodes.get(meta["name"]) != held:
            self._nodes[meta["name"]] = held
        else:
            return
        self._refresh()

    def _is_news(self, kind: str, event: str | None, meta: dict[str, Any]) -> bool:
        """Whether this version comes after what is known: a page of a list may be older than what a watch has told."""
        known = kind, meta["name"]
        last = self._versions.get(known, 0)
        version = int(meta.get("resourceVersion") or last)  # what a sweep misses has none
        if version <= last and event != "DELETED":
            return False
        self._versions[known] = version
        return True

    async def sweep(self) -> None:
        """List what events may have failed to tell."""
        if self._resource is None:
            return
        nodes, profiles = set(self._nodes), set(self._known)
        async for body in self._kube.list(NODES, metadata_only=True):
            nodes.discard(body["metadata"]["name"])
            self.on_node(None, body)
        async for body in self._kube.list(self._resource):
            profiles.discard(body["metadata"]["name"])
            self.on_profile(None, body)
        for name in nodes:
            self.on_node("DELETED", {"metadata": {"name": name}})
        for name in profiles:
            self.on_profile("DELETED", {"metadata": {"name": name}})

    async def run(self) -> None:
        """Measure what is due and write what was found, until cancelled."""
        if self._resource is None:
            return
        while True:
            self._wake.clear()
            for name in list(self._known):
                try:
                    await self._measure_if_due(name)
                    await self._write(name)
                except TROUBLE as error:
                    log.warning("profile %s: again in %s s: %s", name, RETRY_SECONDS, error)
                except Exception:  # a defect here must not end the operator: runs go on with what is known
                    log.exception("profile %s: defect, again in %s s", name, RETRY_SECONDS)
            pause = min((known.due for known in self._known.values()), default=0.0) - asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause, 1.0), RETRY_SECONDS)):
                    await self._wake.wait()

    def _refresh(self, *, gone: bool = False) -> None:
        """Draw the conclusions anew; tell of what changed for runs, and wake the writer."""
        before = {name: known.profile for name, known in self._known.items()}
        for known in self._known.values():
            seen = self._see(known)
            known.status = assess(seen, self._now())
            known.profile = usable(seen, known.status)
        if gone or before != {name: known.profile for name, known in self._known.items()}:
            self._changed()
        self._wake.set()

    def _see(self, known: _Known) -> Sighting:
        resource = known.resource
        seccomp = self._settings.seccomp.get(resource.spec.seccomp_profile)
        ready = sum(seccomp.node_label in held for held in self._nodes.values()) if seccomp else 0
        return Sighting(resource, seccomp, ready, len(self._nodes), known.measured)

    async def _measure_if_due(self, name: str) -> None:
        known = self._known.get(name)
        if known is None:
            return
        seen = self._see(known)
        subject, loop = (seen.profile.generation, seen.nodes_ready > 0), asyncio.get_running_loop()
        if seen.seccomp is None or (known.measured_of == subject and loop.time() < known.due):
            return
        known.due = loop.time() + RETRY_SECONDS  # for the next one, where this one fails
        known.measured_of = subject
        profile = Profile(name=name, sandbox=seen.profile.spec, seccomp=seen.seccomp)
        known.measured = await measure(
            self._kube,
            profile,
            namespace=self._settings.canary_namespace,
            hardened=seen.nodes_ready > 0,
            at=self._now(),
        )
        if known.measured.trouble is None and known.measured.seccomp.holds is not None:
            known.due = loop.time() + self._settings.canary.every_seconds
        log.info("profile %s: %s: %s", name, known.measured.network.value, known.measured.network_message)
        self._refresh()

    async def _write(self, name: str) -> None:
        """Write the status where it differs from the stored one."""
        known = self._known.get(name)
        if known is None or known.status is None or self._resource is None or known.status == known.resource.status:
            return
        document = {
            "apiVersion": f"{self._resource.group}/{self._resource.version}",
            "kind": PROFILE_KIND,
            "metadata": {"name": name},
            "status": known.status.document(),
        }
        with suppress(NotFoundError):
            self.on_profile(None, await self._kube.apply(f"{self._resource.path(name=name)}/status", document))

    def _now(self) -> datetime:
        return milliseconds(self._clock())
