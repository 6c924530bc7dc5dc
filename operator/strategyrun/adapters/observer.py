"""What the controller tells of itself, in one place: numbers, events, log lines and the facts behind the probes."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import pairwise
from socket import gethostname
from time import monotonic
from typing import Any, Protocol

from strategyrun.adapters.events import EventRecorder
from strategyrun.adapters.kube import TROUBLE, ConflictError, Kube, NotFoundError
from strategyrun.adapters.lease import Lease
from strategyrun.adapters.logs import about
from strategyrun.adapters.telemetry import Telemetry
from strategyrun.adapters.watches import Watches, version_of
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.strategyrun import KIND, Phase, StrategyRun, StrategyRunStatus

WATCHED = (KIND, "Job", "Pod")


class Work(Protocol):
    """What can be read of a controller at any time."""

    swept_at: float | None
    """Loop time of the last complete sweep; None before the first."""

    @property
    def queue(self) -> WorkQueue:
        """The keys that wait for a worker."""

    @property
    def unfinished(self) -> Counter[Phase]:
        """The runs that wait for their answer, by phase."""

    @property
    def troubled(self) -> int:
        """How many runs nothing brings on."""


_OF_LATE_SECONDS = 60.0
"""Twice as long as a write that fails waits for its next time."""

log = logging.getLogger(__name__)


class Observer:
    """One for each controller. Nothing here can fail a run or hold it up."""

    def __init__(self, kube: Kube, *, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or kube.clock.now
        self._unsure: dict[str, tuple[StrategyRun, StrategyRunStatus]] = {}
        """Status writes by run UID of which no answer came: the run's next version tells what became of them."""
        self.telemetry = Telemetry(kube.runs)
        self.events = EventRecorder(kube, gethostname(), count=self.telemetry.posted)
        self.watches = Watches(WATCHED)
        self.written_at: float | None = None
        """Loop time of the last status write that succeeded."""
        self._failed_at: tuple[float, float] | None = None
        """Loop time of the first and of the last write after that which did not."""
        kube.answered = self.telemetry.requested

    async def work(self) -> None:
        """Post events until cancelled."""
        await self.events.work()

    def saw(self, run: StrategyRun) -> None:
        """Take note of a new version of a run, wherever it comes from."""
        if unsure := self._unsure.pop(run.uid, None):
            before, status = unsure
            if run.status is not None and run.status.document() == status.document():
                self._written()
                self._recorded(before, status)
        self.events.saw(run, self._clock())

    def gone(self, uid: str) -> None:
        """Forget a run."""
        self._unsure.pop(uid, None)

    @contextmanager
    def writing(self, run: StrategyRun, status: StrategyRunStatus) -> Iterator[None]:
        """Watch over a status write."""
        try:
            yield
        except (ConflictError, NotFoundError):
            self.telemetry.wrote("Conflict")
            self._failed_at = None  # the API server takes writes, if not this one
            raise
        except TROUBLE:
            self.telemetry.wrote("Failed")
            self._unsure[run.uid] = run, status
            now = asyncio.get_running_loop().time()
            first, last = self._failed_at or (now, now)
            self._failed_at = (first if now - last <= _OF_LATE_SECONDS else now), now
            raise
        self.telemetry.wrote("Written")
        self._written()
        self._unsure.pop(run.uid, None)
        self._recorded(run, status)

    def writing_fails_for(self) -> float:
        """Return the seconds between the first and the last of the writes that all failed; 0 where none did of late.

        One that failed may be tried no more: it was heard all the same, or its run is gone.
        """
        now = asyncio.get_running_loop().time()
        first, last = self._failed_at or (now, now)
        return last - first if now - last <= _OF_LATE_SECONDS else 0.0

    def _written(self) -> None:
        self.written_at, self._failed_at = asyncio.get_running_loop().time(), None

    def _recorded(self, run: StrategyRun, status: StrategyRunStatus) -> None:
        self.telemetry.recorded(run, status)
        facts = about(run, status)
        before = run.status if run.status and run.status.inputs_hash == status.inputs_hash else None
        known = before.attempts[-1].number if before and before.attempts else 0
        for last, attempt in pairwise((None, *status.attempts)):
            if attempt and attempt.number > known:
                after = f" after {last.reason}" if last else ""
                log.info("attempt %s begins in the %s%s", attempt.number, attempt.executor, after, extra=facts)
        if status.reason == Reason.FALLING_BACK and not (before and before.fallback):
            log.warning("the sandbox could not start, the run turns to the fallback", extra=facts)
        if status.final:
            log.info("the run has its answer", extra=facts)

    @contextmanager
    def vetting(self) -> Iterator[None]:
        """Time a vetting."""
        began = monotonic()
        try:
            yield
        finally:
            self.telemetry.vetted(monotonic() - began)

    def watched(self, kind: str, event: str | None, body: dict[str, Any]) -> None:
        """Take note of what a watch tells."""
        self.telemetry.watched(kind, event)
        self.watches.told(kind, event, body)

    def sweep(self) -> "Sweep":
        """Begin to take note of a sweep."""
        return Sweep(self)

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        """Count a look at a run, and how it went."""
        outcome = "Defect"
        try:
            yield
            outcome = "Done"
        except TROUBLE:
            outcome = "Trouble"
            raise
        finally:
            self.telemetry.reconciled(outcome)

    def shows(self, work: Work, lease: Lease | None) -> None:
        """Let the metrics show what can be read at any time."""
        numbers = self.telemetry
        started = asyncio.get_running_loop().time()
        for phase in Phase:
            if not phase.final:
                numbers.runs.labels(phase).set_function(partial(_count, work, phase))
        for kind in WATCHED:
            numbers.watch_behind.labels(kind).set_function(partial(self.watches.behind, kind))
        numbers.troubled.set_function(lambda: work.troubled)
        numbers.workqueue_depth.set_function(lambda: len(work.queue))
        numbers.workqueue_oldest.set_function(lambda: work.queue.oldest)
        numbers.sweep_age.set_function(lambda: asyncio.get_running_loop().time() - (work.swept_at or started))
        numbers.lease_held.set_function(lambda: float(lease is None or lease.held))


def _count(work: Work, phase: Phase) -> float:
    return work.unfinished[phase]


class Sweep:
    """What one sweep finds."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._began = asyncio.get_running_loop().time()
        self._versions: dict[str, dict[str, int]] = {kind: {} for kind in WATCHED}

    def found(self, kind: str, body: dict[str, Any]) -> None:
        """Take note of an object."""
        uid, version = version_of(body)
        self._versions[kind][uid] = version

    def ended(self) -> None:
        """Take note that everything has been listed, and hold the watches to it."""
        self._observer.telemetry.swept(asyncio.get_running_loop().time() - self._began)
        for kind, versions in self._versions.items():
            self._observer.watches.listed(kind, versions, self._began)
