"""What the controller makes of what it is told, before any worker looks at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from kubernetes.aio import client

from strategyrun.adapters.controller import Controller
from strategyrun.adapters.kube import JOBS, PODS, Kube, Resource
from strategyrun.adapters.observer import Observer
from strategyrun.domain import naming
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import QUOTA_POLL
from strategyrun.domain.status import accept, advance
from strategyrun.domain.strategyrun import Attempt, Phase, StrategyRunStatus
from support.builders import NOW, Document, make_run, run_body
from support.operator import UNSCHEDULABLE, with_slots


class Lists(Kube):
    """An API server of which all that can be asked is a list."""

    def __init__(self, *runs: Document, jobs: tuple[Document, ...] = (), pods: tuple[Document, ...] = ()) -> None:
        super().__init__(client.Configuration(host="http://127.0.0.1:1"))
        self._held: dict[Resource, tuple[Document, ...]] = {self.runs: runs, JOBS: jobs, PODS: pods}

    async def list(self, resource: Resource, **_: Any) -> AsyncIterator[Document]:
        """Yield what there is."""
        for body in self._held.get(resource, ()):
            yield body


class Scene:
    """A controller with one slot that has learnt what there is, and whose workers are the test."""

    def __init__(self, kube: Kube) -> None:
        self.now = NOW
        settings = with_slots(UNSCHEDULABLE, 1)
        self.controller = Controller(kube, settings, Observer(kube, clock=self.clock), clock=self.clock)

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    async def woken(self) -> set[str]:
        """Return the names of all that somebody should look at, and look away."""
        keys = set()
        while len(self.controller.queue):
            key = await self.controller.queue.get()
            self.controller.queue.done(key)
            keys.add(key.partition("/")[2])
        return keys


def play(act: Callable[[Scene], Awaitable[None]], *runs: Document, **others: tuple[Document, ...]) -> None:
    """Let a controller learn what there is, then act."""

    async def work() -> None:
        async with Lists(*runs, **others) as kube:
            scene = Scene(kube)
            await scene.controller.prepare()
            await scene.woken()
            await act(scene)

    asyncio.run(work())


def run_at(name: str, phase: Phase, reason: Reason, *, version: int = 100, **changes: Any) -> Document:
    """Build a run of that name and UID that stands there."""
    run = make_run(name, uid=name)
    status = advance(accept(run, inputs_hash(run), NOW), run, NOW, phase, reason, "")
    attempt = Attempt(number=1, job_name=naming.job_name(run, inputs_hash(run), 1), created_at=NOW)
    status = status.model_copy(update={"attempts": (attempt,) if phase.active else (), **changes})
    return run_body(name, uid=name, version=version, status=StrategyRunStatus.document(status))


WAITS = run_at("waits", Phase.QUEUED, Reason.WAITING_FOR_SLOT)


def test_an_answer_by_another_operator_frees_the_slot() -> None:
    """The run is settled at once, since nothing of it is left here; who waits for its slot is looked at."""

    async def act(scene: Scene) -> None:
        answered = run_at("runs", Phase.CANCELLED, Reason.CANCELLED, version=101)
        scene.controller.on_run("MODIFIED", answered)
        assert await scene.woken() == {"waits"}

    play(act, run_at("runs", Phase.RUNNING, Reason.RUNNING), WAITS)


def test_whoever_waits_for_a_quota_is_looked_at_when_the_pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the next sweep: the run that was refused may wait for something else by then."""

    async def act(scene: Scene) -> None:
        loop = asyncio.get_running_loop()
        real, later = loop.time, QUOTA_POLL.total_seconds() + 1
        monkeypatch.setattr(loop, "time", lambda: real() + later)
        scene.now += timedelta(seconds=later)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await scene.woken() == {"refused"}

    play(act, run_at("refused", Phase.QUEUED, Reason.QUOTA_EXCEEDED), WAITS)


@pytest.mark.parametrize("others", ["jobs", "pods"])
def test_what_nobody_can_read_keeps_nobody_from_the_rest(others: str) -> None:
    """One object without an owner's kind, which no API server lets in: all others are found."""

    async def act(scene: Scene) -> None:
        assert scene.controller.swept_at is not None
        assert scene.controller.unfinished == {Phase.QUEUED: 1}

    owners = [{"controller": True}]
    meta = {"name": "broken", "namespace": "research", "uid": "u", "resourceVersion": "1", "ownerReferences": owners}
    play(act, WAITS, **{others: ({"metadata": meta},)})
