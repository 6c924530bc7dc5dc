"""Liveness, readiness and metrics over HTTP. Probes answer from facts about the work, not from the loop's pulse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web

from strategyrun.adapters.controller import SWEEP_SECONDS
from strategyrun.adapters.lease import Lease
from strategyrun.adapters.observer import Observer, Work
from strategyrun.adapters.telemetry import CONTENT_TYPE
from strategyrun.adapters.watches import LATE_SECONDS

STALE_SECONDS = 5 * SWEEP_SECONDS
"""What does not mend itself for so long, a fresh start may mend."""

UNREADY_SECONDS = 60.0
"""Of a key that nobody looks at, or of status writes that all fail."""


class Fact(NamedTuple):
    """Something that a probe asks about."""

    name: str
    holds: bool
    said: str


@dataclass
class Health:
    """The facts of one operator. Times are those of the running loop."""

    work: Work
    observer: Observer
    lease: Lease | None = None
    _started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def live(self) -> list[Fact]:
        """Return what a fresh start would mend. Who waits for the lease is in good health."""
        if self.lease and not self.lease.held:
            return [self._leased(self.lease, standby=True)]
        begun_at = (self.lease and self.lease.held_since) or self._started
        stalled = self.work.queue.stalled
        return [
            Fact("sweep", _now() - (self.work.swept_at or begun_at) <= STALE_SECONDS, self._swept()),
            Fact("queue", stalled <= STALE_SECONDS, f"nobody takes a key for {stalled:.0f} s"),
            *self._watches(STALE_SECONDS),
        ]

    def ready(self) -> list[Fact]:
        """Return what has to hold for runs to be worked on without delay."""
        facts = [self._leased(self.lease)] if self.lease else []
        facts.append(Fact("sweep", self.work.swept_at is not None, self._swept()))
        failing = self.observer.writing_fails_for()
        said = f"all fail for {failing:.0f} s" if failing else "they do not all fail"
        waits = self.work.queue.oldest
        return [
            *facts,
            Fact("queue", waits <= UNREADY_SECONDS, f"the oldest key waits for {waits:.0f} s"),
            *self._watches(LATE_SECONDS),
            Fact("writes", failing <= UNREADY_SECONDS, said if self.observer.written_at or failing else "none yet"),
        ]

    def _leased(self, lease: Lease, *, standby: bool = False) -> Fact:
        said = f"held by {lease.holder_seen or 'nobody'}"
        return Fact("lease", standby or lease.held, "held" if lease.held else f"not held; {said}")

    def _swept(self) -> str:
        swept_at = self.work.swept_at
        return "the first is not done" if swept_at is None else f"the last ended {_now() - swept_at:.0f} s ago"

    def _watches(self, limit: float) -> list[Fact]:
        watches = self.observer.watches
        ages = {kind: watches.behind(kind) for kind in watches.kinds}
        return [
            Fact(f"watch {kind}", age <= limit, f"{age:.0f} s behind" if age else "tells what a sweep finds")
            for kind, age in ages.items()
        ]


@asynccontextmanager
async def health_server(health: Health, port: int) -> AsyncIterator[None]:
    """Serve /healthz, /readyz and /metrics; `?verbose` names the facts that hold too.

    Raises OSError where the port is taken.
    """

    def probe(facts: Callable[[], list[Fact]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return _answer(facts(), verbose="verbose" in request.query)

        return answer

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=health.observer.telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def last(_: web.Request, response: web.StreamResponse) -> None:
        response.force_close()  # a connection that waits for its next request would hold up the end of the process

    application = web.Application()
    application.on_response_prepare.append(last)
    application.router.add_get("/healthz", probe(health.live))
    application.router.add_get("/readyz", probe(health.ready))
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


def _answer(facts: list[Fact], *, verbose: bool) -> web.Response:
    """Answer with the facts that do not hold, or with ok."""
    holds = all(fact.holds for fact in facts)
    shown = [fact for fact in facts if verbose or not fact.holds]
    lines = [f"{'ok' if fact.holds else 'failed'}: {fact.name}: {fact.said}" for fact in shown]
    return web.Response(status=200 if holds else 503, text="\n".join([*lines, *(["ok"] if holds else [])]) + "\n")


def _now() -> float:
    return asyncio.get_running_loop().time()
