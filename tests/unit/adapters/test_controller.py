"""What the controller makes of what it is told, before any worker looks at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import pytest
from kubernetes.aio import client

from strategyrun.adapters.controller import Controller
from strategyrun.adapters.kube import CONFIG_MAPS, JOBS, PODS, ApiError, ConflictError, Kube, RefusedError, Resource
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.vetting import Gate, Vetter
from strategyrun.domain import job, naming
from strategyrun.domain.inputs import inputs_hash
from strategyrun.domain.model import rfc3339
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.reconcile import QUOTA_POLL
from strategyrun.domain.status import accept, advance
from strategyrun.domain.strategyrun import Attempt, Executor, FallbackStatus, Phase, StrategyRun, StrategyRunStatus
from strategyrun.domain.vetting import Kind, Reading
from support.builders import NOW, Document, job_body, make_inputs, make_run, pod_body, run_body, terminated
from support.clock import run_virtually
from support.operator import UNSCHEDULABLE, with_slots

DATA_BY_MAP: Document = {"name": "prices", "configMapRef": {"name": "any", "key": "a.csv"}}


class Lists(Kube):
    """An API server of which all that can be asked is a list."""

    def __init__(
        self,
        *runs: Document,
        jobs: tuple[Document, ...] = (),
        pods: tuple[Document, ...] = (),
        maps: tuple[Document, ...] = (),
    ) -> None:
        super().__init__(client.Configuration(host="http://127.0.0.1:1"))
        self._held = {self.runs: runs, JOBS: jobs, PODS: pods, CONFIG_MAPS: maps}

    async def list(self, resource: Resource, **_: Any) -> AsyncIterator[Document]:
        """Yield what there is."""
        for body in self._held.get(resource, ()):
            yield body


class Overtaken(Lists):
    """An API server whose lists are older than the one run, as another operator or a user has left it since."""

    def __init__(self, old: Document, latest: Document, **others: tuple[Document, ...]) -> None:
        super().__init__(old, **others)
        self._latest = latest
        self.scene = Scene(self)
        self.done: list[str] = []
        """What was made or taken away that somebody may miss."""
        self.came_to_it = asyncio.Event()

    async def get(self, *_: Any, **__: Any) -> Document | None:
        """Return the run as it is."""
        self.came_to_it.set()
        return self._latest

    async def create(self, manifest: Document) -> Document:
        """Take an object; before the Job, the news of the run arrives."""
        if manifest["kind"] == "Job":
            self._take_note("the Job is made")
        self.scene.controller.on_run("MODIFIED", self._latest)
        return {**manifest, "metadata": manifest["metadata"] | {"uid": "new", "resourceVersion": "200"}}

    async def delete(self, resource: Resource, *_: Any, **__: Any) -> None:
        """Take an object away."""
        self._take_note(f"of {resource.plural} one is taken away")

    def _take_note(self, what: str) -> None:
        self.done.append(what)
        self.came_to_it.set()


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


def run_at(
    name: str, phase: Phase, reason: Reason, message: str = "", *, version: int = 100, **changes: Any
) -> Document:
    """Build a run of that name and UID that stands there."""
    run = make_run(name, uid=name)
    attempt = Attempt(number=1, job_name=naming.job_name(run, inputs_hash(run), 1), created_at=NOW)
    known = {"attempts": (attempt,) if phase.active else (), **changes}
    status = advance(accept(run, inputs_hash(run), NOW), run, NOW, phase, reason, message, **known)
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


ANSWERED = run_at("old", Phase.CANCELLED, Reason.CANCELLED)
OWNED = make_run("old", uid="old")
SNAPSHOT = job.snapshot(OWNED, make_inputs(OWNED))
SNAPSHOT["metadata"] |= {"uid": "s", "resourceVersion": "1"}


@pytest.mark.parametrize(
    ("old", "others"),
    [
        (run_at("old", Phase.STARTING, Reason.STARTING, "the pod is starting"), {}),
        (ANSWERED, {"jobs": (job_body(OWNED),)}),
        (ANSWERED, {"maps": (SNAPSHOT,)}),
    ],
    ids=["made", "job-taken-away", "snapshot-taken-away"],
)
def test_nothing_is_made_or_taken_away_on_an_old_sight(old: Document, others: dict[str, tuple[Document, ...]]) -> None:
    """An operator may start on an old list or be overtaken: what it decided is for a run that is another by now."""

    async def work() -> None:
        latest = run_body("old", uid="old", version=101, generation=2, params={"v": 2}, status=old["status"])
        async with Overtaken(old, latest, **others) as kube:
            await kube.scene.controller.prepare()
            working = asyncio.create_task(kube.scene.controller.run())
            await asyncio.wait_for(kube.came_to_it.wait(), 60)
            for _ in range(5):
                await asyncio.sleep(0)
            working.cancel()
            await asyncio.wait([working])
            assert kube.done == []

    asyncio.run(work())


class Takes(Lists):
    """An API server that takes the first status that it is given."""

    def __init__(self, *runs: Document, **others: tuple[Document, ...]) -> None:
        super().__init__(*runs, **others)
        self.taken: asyncio.Queue[Document] = asyncio.Queue()

    async def apply_status(self, document: Document) -> Document:
        """Show it to the test, and answer when nobody listens any more."""
        self.taken.put_nowait(document["status"])
        await asyncio.Event().wait()
        return {}


def first_status(kube: Takes) -> Document:
    """Let a controller work until it writes a status."""

    async def work() -> Document:
        async with kube:
            controller = Controller(kube, UNSCHEDULABLE, Observer(kube))
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            status = await asyncio.wait_for(kube.taken.get(), 60)
            working.cancel()
            await asyncio.wait([working])
            return status

    return asyncio.run(work())


def test_a_controller_goes_by_the_clock_of_the_api_server() -> None:
    """Whatever this machine thinks of the time."""

    class Dated(Takes):
        async def list(self, resource: Resource, **options: Any) -> AsyncIterator[Document]:
            self.clock.heard(format_datetime(NOW, usegmt=True), self.clock.steady(), self.clock.steady())
            async for body in super().list(resource, **options):
                yield body

    accepted_at = datetime.fromisoformat(first_status(Dated(run_body("new", uid="new")))["acceptedAt"])
    assert NOW <= accepted_at < NOW + timedelta(seconds=60)


def test_a_pod_of_an_earlier_release_does_not_speak_for_an_ended_job() -> None:
    """Nor one that nobody can tell from it: the cluster counts whole seconds, and nothing else will come."""
    begun = run_at("once", Phase.STARTING, Reason.STARTING)
    let_go = job_body(StrategyRun.parse(begun), conditions={"Failed": "BackoffLimitExceeded"})
    let_go["status"]["conditions"].append({"type": "Suspended", "status": "False"})
    let_go["status"]["startTime"] = rfc3339(NOW)
    taken_away = pod_body(let_go, phase="Failed", strategy=terminated(137), deleted=NOW)
    status = first_status(Takes(begun, jobs=(let_go,), pods=(taken_away,)))
    assert status["attempts"][0]["reason"] == Reason.JOB_VANISHED


def written(before: Document, after: Document, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Let a status be written; return the lines about it, each with the reason in its `run` field."""

    async def work() -> None:
        async with Lists() as kube:
            run, status = StrategyRun.parse(before), StrategyRun.parse(after).status
            assert status is not None
            with Observer(kube).writing(run, status):
                pass

    with caplog.at_level("INFO", logger="strategyrun"):
        asyncio.run(work())
    return [(record.getMessage(), record.__dict__["run"]["reason"]) for record in caplog.records]


def test_attempts_fallbacks_and_answers_have_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log of a night sees what became of a run, by its name."""
    lost = Attempt(number=1, job_name="j-1", created_at=NOW, finished_at=NOW, reason=Reason.NODE_LOST)
    again = Attempt(number=2, job_name="j-2", created_at=NOW, executor=Executor.SANDBOX)
    retrying = run_at("night", Phase.QUEUED, Reason.RETRYING, attempts=(lost,))
    starting = run_at("night", Phase.STARTING, Reason.STARTING, attempts=(lost, again))
    told = FallbackStatus(used=False, trigger=Reason.IMAGE_PULL_FAILED, message="")
    falling = run_at("night", Phase.QUEUED, Reason.FALLING_BACK, attempts=(lost, again), fallback=told)
    ended = run_at("night", Phase.CANCELLED, Reason.CANCELLED, attempts=(lost, again), fallback=told)
    assert written(retrying, starting, caplog) == [("attempt 2 begins in the Sandbox after NodeLost", "PodStarting")]
    caplog.clear()
    turns = ("the sandbox could not start, the run turns to the fallback", "FallingBack")
    assert written(starting, falling, caplog) == [turns]
    caplog.clear()
    assert written(falling, ended, caplog) == [("the run has its answer", "Cancelled")]


def test_trouble_with_a_run_says_which(caplog: pytest.LogCaptureFixture) -> None:
    """By the same field, also where nothing of it can be read."""

    async def act(scene: Scene) -> None:
        scene.controller.on_run("MODIFIED", run_body("odd", uid="odd", version=101, status={"phase": "Daydreaming"}))

    play(act)
    assert [record.__dict__["run"] for record in caplog.records] == [
        {"namespace": "research", "name": "odd", "uid": "odd"}
    ]


class Broken(Lists):
    """An API server that fails whoever asks for one object, until it is mended."""

    broken: ApiError | None = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "no")
    status: Document

    async def get(self, *_: Any, **__: Any) -> None:
        """Fail, or find nothing."""
        if self.broken:
            raise self.broken

    async def apply_status(self, document: Document) -> Document:
        """Take a status."""
        (run,) = self._held[self.runs]
        self.status = document["status"]
        return {**run, "metadata": run["metadata"] | {"resourceVersion": "101"}, "status": document["status"]}


@pytest.mark.parametrize("end", ["a look succeeds", "it is gone"])
def test_a_run_that_several_looks_cannot_bring_on_is_counted(end: str) -> None:
    """From the eighth on, which is within a minute."""
    attempt = Attempt(number=1, job_name="job", job_uid="job", created_at=NOW)
    stuck = run_at("stuck", Phase.STARTING, Reason.STARTING, attempts=(attempt,))

    async def work() -> None:
        async with Broken(stuck) as kube:
            controller = Scene(kube).controller
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            try:
                counts = []
                for seconds in (40, 15):
                    await asyncio.sleep(seconds)
                    counts.append(controller.troubled)
                assert counts == [0, 1]
                if end == "it is gone":
                    controller.on_run("DELETED", stuck)
                else:
                    kube.broken = None
                    await asyncio.sleep(61)
                assert not controller.troubled
            finally:
                working.cancel()
                await asyncio.wait([working])

    run_virtually(work())


@pytest.mark.parametrize(("edited", "seconds"), [(False, 31), (True, 1)], ids=["left alone", "edited"])
def test_a_source_that_cannot_be_checked_is_told_and_counted(*, edited: bool, seconds: float) -> None:
    """Told after three times, for the first may be a moment's; tried ever more seldom until it can be. An edit does not
    wait for the next time.
    """
    by_map = run_body("new", uid="new", source={"configMapRef": {"name": "code"}})
    other = run_body("new", uid="new", version=200, generation=2, source={"configMapRef": {"name": "other"}})

    async def work() -> None:
        def clock() -> datetime:
            return NOW + timedelta(seconds=asyncio.get_running_loop().time())

        async with Broken(by_map) as kube:
            controller = Controller(kube, UNSCHEDULABLE, Observer(kube, clock=clock), clock=clock)
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            try:
                await asyncio.sleep(0.5)
                assert kube.status["message"] == "the source is being checked"
                await asyncio.sleep(0.5)
                assert kube.status["message"] == "the source cannot be checked yet: 500: no"
                counts = [controller.troubled]
                await asyncio.sleep(80)
                counts.append(controller.troubled)
                kube.broken = None
                if edited:
                    controller.on_run("MODIFIED", other)
                await asyncio.sleep(seconds)
                counts.append(controller.troubled)
                assert (kube.status["reason"], counts) == ("SourceMissing", [0, 1, 0])
            finally:
                working.cancel()
                await asyncio.wait([working])

    run_virtually(work())


@pytest.mark.parametrize("lacks", [{"source": {"configMapRef": {"name": "any"}}}, {"datasets": [DATA_BY_MAP]}])
def test_what_an_operator_may_not_read_is_told_in_the_words_of_the_refusal(lacks: Document) -> None:
    """It is not the author's fault, and asking for ever would tell nobody."""

    async def work() -> None:
        async with Broken(run_body("new", uid="new", **lacks)) as kube:
            kube.broken = RefusedError(HTTPStatus.FORBIDDEN, "configmaps is forbidden")
            controller = Scene(kube).controller
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            try:
                await asyncio.sleep(1)
                assert (kube.status["phase"], kube.status["reason"]) == ("Queued", "PolicyDenied")
                assert kube.status["message"].endswith("may not read what the run names: configmaps is forbidden")
            finally:
                working.cancel()
                await asyncio.wait([working])

    run_virtually(work())


class Refusing(Lists):
    """An API server that takes no status of the run `stuck`, and has no other version of it."""

    def __init__(self, error: ApiError, *runs: Document) -> None:
        super().__init__(*runs)
        self._error = error
        self.asked = 0
        """How often it was to take that status."""
        self.taken: set[tuple[str, str]] = set()
        """Of the others' the name and the phase."""

    async def get(self, resource: Resource, namespace: str, name: str, **_: Any) -> Document | None:  # noqa: ARG002
        """Return a run as it was listed; there is nothing else."""
        runs = self._held[self.runs] if resource == self.runs else ()
        return next((run for run in runs if run["metadata"]["name"] == name), None)

    async def create(self, _: Document) -> Document:
        """Answer nothing."""
        await asyncio.Event().wait()
        return {}

    async def apply_status(self, document: Document) -> Document:
        """Refuse the one, and take the others."""
        name, status = document["metadata"]["name"], document["status"]
        if name == "stuck":
            self.asked += 1
            raise self._error
        self.taken.add((name, status["phase"]))
        version = int(document["metadata"]["resourceVersion"]) + 1
        (run,) = [each for each in self._held[self.runs] if each["metadata"]["name"] == name]
        run |= {"metadata": run["metadata"] | {"resourceVersion": str(version)}, "status": status}
        return run


@pytest.fixture
def vetted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find nothing in sources, and start no process: its time is not the virtual one."""

    async def vet(*_: object) -> tuple[Reading, Gate]:
        return Reading(Kind.POSITIONS), ()

    monkeypatch.setattr(Vetter, "vet", vet)


@pytest.mark.usefixtures("vetted")
def test_a_conflict_that_brings_no_news_is_trouble() -> None:
    """Nobody has changed the run, and the next try will not go better: it is tried ever more seldom, and counted."""

    async def work() -> None:
        async with Refusing(ConflictError(409, "said by a policy"), run_body("stuck", uid="stuck")) as kube:
            controller = Scene(kube).controller
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            await asyncio.sleep(55)
            working.cancel()
            await asyncio.wait([working])
            assert (kube.asked, controller.troubled) == (8, 1)

    run_virtually(work())


@pytest.mark.usefixtures("vetted")
def test_a_run_that_nothing_brings_on_keeps_no_slot_from_others() -> None:
    """It was the first in line, and would be let in for ever; the next one is, when it counts as in trouble."""
    error = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "a webhook does not answer")
    stuck, waits = (run_at(name, Phase.QUEUED, Reason.WAITING_FOR_SLOT) for name in ("stuck", "waits"))

    async def work() -> None:
        async with Refusing(error, stuck, waits) as kube:
            controller = Scene(kube).controller
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            await asyncio.sleep(60)
            assert ("waits", "Starting") in kube.taken
            working.cancel()
            await asyncio.wait([working])

    run_virtually(work())


def test_a_status_that_is_too_large_for_etcd_ends_the_run() -> None:
    """The API server makes a 500 of that, which would be tried for ever."""

    class Full(Takes):
        async def apply_status(self, document: Document) -> Document:
            if document["status"]["phase"] != "Failed":
                raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "etcdserver: request is too large")
            return await super().apply_status(document)

    status = first_status(Full(run_body("large", uid="large")))
    assert (status["phase"], status["reason"]) == ("Failed", "PolicyDenied")
