"""The client where the API server, or the way to it, does what a real one seldom does."""

import asyncio
import gc
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web

from strategyrun import AsyncClient, Result, Trial
from strategyrun.adapters.runs import RunsApi
from strategyrun.client import (
    ClusterError,
    NoRunError,
    NotAskedError,
    NotFinishedError,
    RefusedRunError,
    UnreachableError,
)
from strategyrun.client.cluster import SESSION_LABEL
from strategyrun.client.following import Progress
from strategyrun.client.loops import run
from strategyrun.domain.strategyrun import RERUN_ANNOTATION
from support.answers import body, cancelled, failed, scored, status
from support.clock import pass_time
from support.cluster import Manifest
from support.few_runs import DEEP, FewRuns, Instead, deep, never, refusal, refused

CODE = "x = 1"
SECONDS = 600
"""The time of whoever waits, which a leap of the clock ends."""

T = TypeVar("T")
Play = Callable[[FewRuns, AsyncClient], Awaitable[None]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation has as long, and neither a request nor a watch a limit of its own that a leap would pass."""
    monkeypatch.setattr("strategyrun.client.cluster._CANCEL_SECONDS", SECONDS)
    monkeypatch.setattr("strategyrun.adapters.kube._TIMEOUT", aiohttp.ClientTimeout(None))
    monkeypatch.setattr("strategyrun.adapters.runs._WATCH_QUIET", None)


def play(scene: Play) -> None:
    """Let a client meet a few runs."""

    async def work() -> None:
        runs = FewRuns()
        async with runs.client() as client:
            await scene(runs, client)

    run(work())


async def out_of_time(runs: FewRuns, waiting: Coroutine[Any, Any, T], happened: Awaitable[object]) -> T:
    """Let the time of whoever waits be over when it watches and this has happened."""
    task = asyncio.create_task(waiting)
    await runs.until_asked("WATCH")
    await happened
    pass_time(SECONDS)
    return await task


async def too_late() -> web.Response:
    """Answer nothing, and let the time of whoever waits for it be over."""
    pass_time(SECONDS)
    return await never()


async def nobody() -> None:
    """Find no such run, and let the time of whoever looks for it be over."""
    pass_time(SECONDS)


@pytest.mark.parametrize(
    ("instead", "heard"),
    [
        ({"PATCH": refused}, "Pending (NotSeen): no operator has seen it yet"),
        ({"PATCH": too_late}, "Pending (NotSeen): no operator has seen it yet"),
        ({"POST": never, "PATCH": nobody}, "Pending (Unheard): nothing has been heard of it"),
    ],
    ids=["no right", "no answer", "not there yet"],
)
def test_a_run_that_cannot_be_cancelled_in_time_is_not_called_cancelled(
    instead: dict[str, Instead], heard: str
) -> None:
    """Whoever gave it the time learns that it may go on, and by which name."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        runs.instead, told = instead, asyncio.Event()
        evaluating = client.evaluate(CODE, timeout=SECONDS, progress=lambda _: told.set())
        happened = runs.until_asked("POST") if "POST" in instead else told.wait()
        result = await out_of_time(runs, evaluating, happened)
        assert (result.outcome, result.reason, result.finished) == ("Cancelled", "DeadlineExceeded", True)
        said = f"no answer within {SECONDS} s, and it could not be cancelled: it may go on; it was"
        assert result.message == f"{said} {heard}"
        assert runs.asked[-1] == f"PATCH {result.name}"

    play(scene)


@pytest.mark.parametrize(("code", "reason"), [(503, "ServiceUnavailable"), (409, "Conflict"), (500, "InternalError")])
def test_a_run_is_cancelled_though_the_api_server_stumbles(code: int, reason: str) -> None:
    """It is asked again, after a pause."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        asked: list[float] = []

        async def stumble() -> web.Response | None:
            asked.append(asyncio.get_running_loop().time())
            return refusal(code, reason) if len(asked) == 1 else None

        runs.instead["PATCH"] = stumble
        result = await out_of_time(runs, client.evaluate(CODE, timeout=SECONDS), runs.made())
        assert "so it was cancelled" in result.message
        assert runs.runs[result.name]["spec"]["cancel"] is True
        assert asked[1] - asked[0] > 0.4

    play(scene)


def test_a_run_that_is_cancelled_in_time_says_what_it_waited_for() -> None:
    """As it was then, and not when it was last told."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        waiting = status("Queued", "WaitingForSlot", message="all 4 slots are taken")
        runs.instead["PATCH"] = untold(runs, waiting)
        result = await out_of_time(runs, client.evaluate(CODE, timeout=SECONDS), runs.made())
        seen = "Queued (WaitingForSlot): all 4 slots are taken"
        assert result.message == f"no answer within {SECONDS} s, so it was cancelled; it was {seen}"
        assert runs.runs[result.name]["spec"]["cancel"] is True

    play(scene)


def test_an_answer_whose_news_comes_too_late_is_given_all_the_same() -> None:
    """What cancels it says that it has ended: it is an answer like any other, and the last that is told."""
    told: list[Result] = []

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        runs.instead["PATCH"] = untold(runs, scored(1.5))
        evaluating = client.evaluate(CODE, params={"n": 1}, timeout=SECONDS, progress=told.append)
        result = await out_of_time(runs, evaluating, runs.made())
        assert result.raise_for_failure().metrics.sharpe == 1.5
        assert result.trial is not None
        assert result.trial.params == {"n": 1}
        assert told[-1] == result

    play(scene)


def test_an_answer_that_comes_while_it_is_cancelled_is_given_all_the_same() -> None:
    """Though the run cannot be cancelled, and though the first request about it was not answered in time."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        had = asyncio.Event()

        async def end() -> web.Response:
            await runs.put(runs.asked[-1].removeprefix("PATCH "), scored(1.5))
            await had.wait()
            return await refused()

        runs.instead = {"POST": never, "PATCH": end}
        evaluating = client.evaluate(CODE, timeout=SECONDS, progress=lambda _: had.set())
        result = await out_of_time(runs, evaluating, runs.until_asked("POST"))
        assert result.raise_for_failure().metrics.sharpe == 1.5

    play(scene)


def test_a_run_is_cancelled_for_its_time_however_fast_its_operator_is() -> None:
    """The news of its end may be here before the answer to the request for it."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        had = asyncio.Event()

        async def end() -> web.Response:
            (name,) = runs.runs
            answered = web.json_response(runs.runs[name])
            await runs.put(name, cancelled())
            await had.wait()
            return answered

        def told(result: Result) -> None:
            if result.finished:
                had.set()

        runs.instead["PATCH"] = end
        result = await out_of_time(runs, client.evaluate(CODE, timeout=SECONDS, progress=told), runs.made())
        assert result.reason == "DeadlineExceeded"
        assert "so it was cancelled; it was Pending (NotSeen)" in result.message

    play(scene)


class Slow:
    """Makes a run after a webhook has taken its time, also where whoever asked for it has gone by then."""

    def __init__(self, runs: FewRuns) -> None:
        self.asked = threading.Event()
        self._looked_for = asyncio.Event()
        runs.instead = {"POST": self._make, "PATCH": self._look}

    async def _make(self) -> None:
        self.asked.set()
        while not self._looked_for.is_set():
            with suppress(asyncio.CancelledError):
                await self._looked_for.wait()

    async def _look(self) -> None:
        self._looked_for.set()


async def ends_cancelled(runs: FewRuns) -> None:
    """The one run is there, and nobody lets it go on."""
    async with asyncio.timeout(30):
        while not runs.runs:  # noqa: ASYNC110 - the server has its own time
            await asyncio.sleep(0.01)
    assert [run["spec"].get("cancel") for run in runs.runs.values()] == [True]


def test_a_run_that_is_still_being_made_is_cancelled_when_it_is_there() -> None:
    """Whoever cancels the call cancels the run, though there is nothing to cancel yet."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        slow = Slow(runs)
        evaluating = asyncio.create_task(client.evaluate(CODE))
        await asyncio.to_thread(slow.asked.wait)
        evaluating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await evaluating
        await ends_cancelled(runs)

    play(scene)


def test_a_run_that_is_still_being_made_when_its_time_is_over_is_cancelled_too() -> None:
    """And the answer says so."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        Slow(runs)
        result = await out_of_time(runs, client.evaluate(CODE, timeout=SECONDS), runs.until_asked("POST"))
        assert (result.reason, "so it was cancelled" in result.message) == ("DeadlineExceeded", True)
        await ends_cancelled(runs)

    play(scene)


def test_a_run_is_cancelled_though_the_loop_that_makes_it_ends() -> None:
    """Which cuts the request: the run may be there a moment later all the same."""
    runs = FewRuns()

    async def serve() -> None:
        slow = Slow(runs)
        async with runs.serving() as connect:

            async def evaluate() -> None:
                async with AsyncClient("research", connect=connect) as client:
                    await client.evaluate(CODE)

            async def leave() -> None:
                left.append(asyncio.create_task(evaluate()))
                await asyncio.to_thread(slow.asked.wait)

            left: list[asyncio.Task[None]] = []
            await asyncio.to_thread(run, leave())
            await ends_cancelled(runs)

    run(asyncio.wait_for(serve(), 60))


def test_a_run_that_is_refused_when_its_time_is_over_is_refused() -> None:
    """There is none, and what has its name may be somebody else's."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        looked_for = asyncio.Event()

        async def refuse() -> web.Response:
            await looked_for.wait()
            return refusal(422, "Invalid")

        async def look() -> None:
            looked_for.set()

        runs.instead = {"POST": refuse, "PATCH": look}
        with pytest.raises(RefusedRunError, match="Invalid: said by the test"):
            await out_of_time(runs, client.evaluate(CODE, timeout=SECONDS), runs.until_asked("POST"))

    play(scene)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "dropped"])
def test_a_loop_that_is_left_cancels_its_runs_before_the_connection_is_closed(*, kept: bool) -> None:
    """Whether or not anybody keeps what was read: it ends when the event loop has the time, and the client first."""

    async def work() -> None:
        runs, told = FewRuns(), set()
        all_told = asyncio.Event()

        def tell(result: Result) -> None:
            told.add(result.name)
            if len(told) == 3:
                all_told.set()

        async def answer() -> None:
            await all_told.wait()
            await runs.put(min(runs.runs), scored(1.5))

        async with runs.client() as client:
            answering = asyncio.create_task(answer())
            answers = client.evaluate_many([CODE] * 3, concurrency=3, progress=tell)
            async for _ in answers:
                break
            await answering
            if not kept:
                del answers
        assert [runs.runs[name]["spec"].get("cancel") for name in sorted(runs.runs)] == [None, True, True]

    run(work())


def untold(runs: FewRuns, written: Manifest) -> Instead:
    """Let the one run have this status before the request goes on its way, and no watch tell of it."""

    async def write() -> None:
        (name,) = runs.runs
        await runs.put(name, written, quietly=True)

    return write


def test_a_run_whose_answer_has_come_is_not_cancelled() -> None:
    """Also where whoever asked stops waiting in that moment."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        def told(result: Result) -> None:
            if result.finished:
                asyncio.get_running_loop().call_soon(evaluating.cancel)

        evaluating = asyncio.create_task(client.evaluate(CODE, progress=told))
        await runs.put(await runs.made(), scored(1.5))
        with pytest.raises(asyncio.CancelledError):
            await evaluating
        assert not any(asked.startswith("PATCH") for asked in runs.asked)

    play(scene)


ERRORS = [LookupError, NotAskedError, TimeoutError, UnreachableError]


def raising(error: type[Exception]) -> Progress:
    """Be told of a run, and raise."""

    def told(result: Result) -> None:
        raise error(result.name)

    return told


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_of_whoever_is_told_is_no_answer(error: type[Exception]) -> None:
    """Whatever its kind: it is raised, and makes of no trial one that was refused."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        with pytest.raises(error, match="trial-"):
            async for _ in client.evaluate_many([CODE], progress=raising(error)):
                pass
        assert [run["spec"].get("cancel") for run in runs.runs.values()] == [True]

    play(scene)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_of_whoever_is_told_cancels_the_run(error: type[Exception]) -> None:
    """Nobody waits for it any more, whatever the error is; it is raised when the run is cancelled."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        with pytest.raises(error, match="trial-"):
            await client.evaluate(CODE, progress=raising(error), timeout=SECONDS)
        assert [run["spec"].get("cancel") for run in runs.runs.values()] == [True]

    play(scene)


def test_an_error_of_whoever_is_told_of_the_answer_cancels_nothing() -> None:
    """It is the caller's own; the run has ended."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        def told(result: Result) -> None:
            if result.finished:
                raise LookupError(result.name)

        evaluating = asyncio.create_task(client.evaluate(CODE, progress=told))
        await runs.put(await runs.made(), scored(1.5))
        with pytest.raises(LookupError, match="trial-"):
            await evaluating
        assert not any(asked.startswith("PATCH") for asked in runs.asked)

    play(scene)


def test_an_error_of_the_connection_cancels_nothing() -> None:
    """Whoever cannot follow a run may ask for it by its name."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        runs.instead["LIST"] = broken
        with pytest.raises(ClusterError, match="follow StrategyRuns"):
            await client.evaluate(CODE)
        assert not any(asked.startswith("PATCH") for asked in runs.asked)

    play(scene)


def test_a_run_as_deep_as_the_api_server_takes_it_is_in_nobodys_way() -> None:
    """It is read like another one, and whoever waits for others in its namespace is told of theirs."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        for name in ("one", "other"):
            await runs.put(name)

        async def listed() -> web.Response:
            items = [body("deep", params={"x": DEEP}), *runs.runs.values()]
            return deep({"metadata": {"resourceVersion": "2"}, "items": items})

        async def told() -> web.Response:
            del runs.instead["WATCH"]
            for name in ("one", "other"):
                await runs.put(name, scored(1.5))
            return deep({"type": "MODIFIED", "object": body("deep", params={"x": DEEP})})

        runs.instead = {"LIST": listed, "WATCH": told}
        assert [result.name for result in await client.results()] == ["deep", "one", "other"]
        assert [result.succeeded for result in await client.wait("one", "other")] == [True, True]

    play(scene)


@pytest.mark.parametrize("page", ["<html>Log in to go on</html>", "[1]", ""])
def test_an_answer_that_is_not_the_api_servers_is_an_error_of_the_client(page: str) -> None:
    """A proxy may send a page of its own, and say that all is well."""

    async def stand_between() -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        runs.instead["LIST"] = stand_between
        with pytest.raises(UnreachableError, match=f"the API server does not list StrategyRuns .*: {re.escape(page)}"):
            await client.results()

    play(scene)


class Mute(FewRuns):
    """Its first answer to a POST is lost on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._handle(request)
        if request.method == "POST" and self.asked.count("POST") == 1:
            await self.lost.wait()
            assert request.transport
            request.transport.close()
        return answer


def test_a_run_that_was_heard_of_and_deleted_is_not_made_again() -> None:
    """Though the answer to its POST was lost: that it had arrived is known from the watch."""

    async def work() -> Result:
        runs = Mute()
        async with runs.client() as client:
            told = asyncio.Event()
            evaluating = asyncio.create_task(client.evaluate(CODE, progress=lambda _: told.set()))
            await told.wait()
            await runs.delete(next(iter(runs.runs)))
            runs.lost.set()
            result = await evaluating
        assert (runs.asked.count("POST"), runs.runs) == (1, {})
        return result

    assert run(work()).reason == "Deleted"


async def submitted_twice(runs: Mute, code: int, reason: str) -> Result:
    """Make a run whose POST arrives unheard, and whose repeat is refused in these words."""

    async def refuse_repeats() -> web.Response | None:
        return refusal(code, reason) if runs.asked.count("POST") > 1 else None

    runs.instead["POST"] = refuse_repeats
    async with runs.client() as client:
        await client.results()
        submitting = asyncio.create_task(client.submit(Trial(CODE, labels={"trial": "days-20"}), name="mine"))
        async with asyncio.timeout(30):
            while "mine" not in runs.runs:  # noqa: ASYNC110 - the server has its own time
                await asyncio.sleep(0.01)
        runs.runs["mine"]["metadata"]["labels"] |= {"team": "quant"}
        runs.lost.set()
        return await submitting


@pytest.mark.parametrize(("code", "reason"), [(409, "AlreadyExists"), (403, "Forbidden"), (422, "Invalid")])
def test_a_run_whose_post_had_arrived_is_found_however_its_repeat_is_refused(code: int, reason: str) -> None:
    """It may have taken the last place of a quota itself; and what a policy has added to it makes it no other."""
    runs = Mute()
    result = run(submitted_twice(runs, code, reason))
    assert (result.name, result.labels["trial"], result.labels["team"]) == ("mine", "days-20", "quant")
    assert runs.asked[-1] == "GET mine"


def test_a_stumble_while_it_is_looked_for_is_no_end() -> None:
    """It is asked again, as after any other."""
    runs = Mute()

    async def stumble() -> web.Response:
        del runs.instead["GET"]
        return refusal(503, "ServiceUnavailable")

    runs.instead["GET"] = stumble
    assert run(submitted_twice(runs, 409, "AlreadyExists")).name == "mine"


@pytest.mark.parametrize("there", [True, False], ids=["somebody else's", "none"])
@pytest.mark.parametrize(
    ("code", "reason", "words"), [(409, "AlreadyExists", "the name is taken"), (422, "Invalid", "said by the test")]
)
def test_a_repeat_is_refused_where_no_such_run_is_there(code: int, reason: str, words: str, *, there: bool) -> None:
    """The lost POST had not arrived: what has the name now, if anything has, came from elsewhere."""
    runs = Mute()

    async def look() -> web.Response:
        return web.json_response(body("mine")) if there else refusal(404, "NotFound")

    runs.instead["GET"] = look
    with pytest.raises(RefusedRunError, match=words):
        run(submitted_twice(runs, code, reason))


def test_a_conflict_over_a_quota_is_no_answer_to_a_post() -> None:
    """Runs that are made at the same time count on the same quota: one of them is told to try again."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        async def conflict() -> web.Response | None:
            return refusal(409, "Conflict") if runs.asked.count("POST") == 1 else None

        runs.instead["POST"] = conflict
        assert (await client.submit(Trial(CODE), name="mine")).name == "mine"
        assert runs.asked == ["POST", "POST"]

    play(scene)


DENIED = 'admission webhook "size.example" denied the request: too large'
LIMIT = "Request entity too large: limit is 3145728"


@pytest.mark.parametrize(
    ("code", "words", "reason"),
    [*((code, DENIED, "PolicyDenied") for code in (401, 404, 413, 418)), (413, LIMIT, "SpecInvalid")],
)
def test_a_refusal_is_of_its_trial_whatever_its_code(code: int, words: str, reason: str) -> None:
    """A policy chooses its own: the trial has a result, and the loop goes on."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        async def refuse() -> web.Response:
            return web.json_response({"reason": "", "message": words}, status=code)

        runs.instead["POST"] = refuse
        results = [result async for result in client.evaluate_many([CODE] * 2, concurrency=1)]
        assert [(result.phase, result.reason) for result in results] == [("Failed", reason)] * 2
        assert words in results[0].message

    play(scene)


def test_a_refusal_to_list_is_of_no_trial() -> None:
    """Whoever stands between, and wants to know who asks, knows nothing of the run, which may be there."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        async def refuse() -> web.Response:
            return refusal(407, "")

        runs.instead["LIST"] = refuse
        with pytest.raises(UnreachableError, match="follow StrategyRuns"):
            async for _ in client.evaluate_many([CODE]):
                pass

    play(scene)


def test_a_run_that_is_deleted_is_told_as_it_was_last_seen() -> None:
    """By its labels a loop knows which it was, and by its spec what it asked for."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        made = asyncio.create_task(client.evaluate(CODE, labels={"trial": "days-20"}, name="made"))
        await runs.delete(await runs.made())
        result = await made
        assert (result.reason, result.labels["trial"]) == ("Deleted", "days-20")
        assert result.body["spec"]["source"]["inline"] == CODE

        await runs.put("old", labels={"trial": "days-50"})
        waiting = asyncio.create_task(client.wait("old"))
        await runs.until_asked("WATCH", 2)
        await runs.put("old", status("Running", "StrategyRunning", attempts=[{"number": 1, "podName": "pod"}]))
        await runs.delete("old")
        (result,) = await waiting
        assert (result.reason, result.labels, result.pod) == ("Deleted", {"trial": "days-50"}, "pod")

    play(scene)


@pytest.mark.parametrize("looking", [True, False], ids=["while it is watched", "while nobody looks"])
def test_a_deletion_while_the_api_server_stumbles_ends_nobodys_waiting(looking: bool) -> None:
    """It is asked again, as where a watch breaks; who waits for another run notices nothing."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("gone", status("Running", "StrategyRunning"))
        await runs.put("going", status("Running", "StrategyRunning"))

        async def stumble() -> web.Response:
            del runs.instead["GET gone"]
            return refusal(500, "InternalError")

        async def drop() -> web.Response:
            del runs.instead["WATCH"], runs.runs["gone"]
            runs.instead["GET gone"] = stumble
            return refusal(503, "ServiceUnavailable")

        if not looking:
            runs.instead["WATCH"] = drop
        waiting = asyncio.create_task(client.wait("gone", "going", timeout=SECONDS))
        await runs.until_asked("WATCH")
        if looking:
            runs.instead["GET gone"] = stumble
            await runs.delete("gone")
        await runs.put("going", scored(1.5))
        assert [result.reason for result in await waiting] == ["Deleted", "Evaluated"]

    play(scene)


def test_many_tasks_on_a_fresh_client_share_one_connection() -> None:
    """And one session: all that they make has the same label. A client that was closed connects anew, in any loop."""
    runs = FewRuns()
    connected: list[RunsApi] = []

    async def work(client: AsyncClient) -> None:
        async with client:
            submitting = asyncio.gather(*(client.submit(Trial(CODE)) for _ in range(4)))
            made, _ = await asyncio.gather(submitting, client.results())
        assert len({run.labels[SESSION_LABEL] for run in made}) == 1

    async def twice() -> None:
        async with runs.serving() as connect:

            async def counted() -> RunsApi:
                await asyncio.sleep(0)
                connected.append(await connect())
                return connected[-1]

            client = AsyncClient("research", connect=counted)
            for _ in range(2):
                await asyncio.to_thread(run, work(client))

    run(asyncio.wait_for(twice(), 60))
    assert len(connected) == 2


def test_deleting_what_there_cannot_be_deletes_nothing() -> None:
    """A name that no run may have is asked nobody about: as a path it might mean another thing, or all."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        runs.instead["DELETE there"] = removed
        assert await client.delete("", "../pods", "Mine", "nowhere", "there") == ["there"]
        assert sorted(runs.asked) == ["DELETE nowhere", "DELETE there"]

    async def removed() -> web.Response:
        return web.json_response({})

    play(scene)


@pytest.mark.parametrize("name", ["", "there#else", "there?dryRun=All", "../pods", "Mine"])
def test_cancelling_what_there_cannot_be_cancels_nothing(name: str) -> None:
    """Nor does a rerun of it: of a name with a fragment the request would be about the run before it."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("there")
        for ask in (client.cancel, client.rerun):
            with pytest.raises(NoRunError):
                await ask(name)
        assert (runs.asked, runs.runs["there"]["spec"]) == ([], {})

    play(scene)


async def broken() -> web.Response:
    """Answer for good that there is no such thing."""
    return refusal(405, "MethodNotAllowed")


@pytest.mark.parametrize("silent", ["LIST", "GET slow"])
def test_what_was_read_as_ended_has_ended_and_reading_takes_of_the_time(silent: str) -> None:
    """Though the watch tells of nothing in time, or the next run cannot be read."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("good", scored(1.5))
        await runs.put("slow", status("Running", "StrategyRunning"))
        runs.instead[silent] = too_late
        with pytest.raises(NotFinishedError) as raised:
            await client.wait("good", "slow", timeout=SECONDS)
        assert [result.name for result in raised.value.ended] == ["good"]
        assert [result.name for result in raised.value.unfinished] == ["slow"]
        seen = "Running, StrategyRunning" if silent == "LIST" else "Pending, Unheard"
        assert str(raised.value) == f"not ended within {SECONDS} s, and they go on: slow ({seen})"

    play(scene)


def test_runs_that_have_all_ended_are_not_followed() -> None:
    """What was read is the answer, and is told; the order is that of the names."""
    told: list[str] = []

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("one", scored(1.5))
        await runs.put("two", failed("User"))
        found = await client.wait("two", "one", "two", progress=lambda result: told.append(result.name))
        assert [result.name for result in found] == ["two", "one", "two"]
        assert runs.asked == ["GET two", "GET one"]

    play(scene)
    assert told == ["two", "one"]


def test_an_answer_that_is_not_the_one_is_no_end() -> None:
    """Neither when it is read nor when the time is over: a rerun is asked for."""

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("again", scored(1.5))
        await client.rerun("again")
        with pytest.raises(NotFinishedError) as raised:
            await out_of_time(runs, client.wait("again", timeout=SECONDS), runs.until_asked("WATCH"))
        assert (raised.value.ended, [result.name for result in raised.value.unfinished]) == ([], ["again"])

    play(scene)


def test_who_follows_the_log_of_a_rerun_waits_for_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status still names the pod of before, until the operator has taken note."""
    pods: list[str] = []

    async def log_lines(_: RunsApi, _in: str, pod: str, *_container: str, **_how: bool) -> AsyncGenerator[str, None]:
        pods.append(pod)
        yield f"printed by {pod}"

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        await runs.put("again", scored(1.5, attempts=[{"number": 1, "podName": "before"}]))
        await client.rerun("again")
        following = asyncio.create_task(read(client))
        await runs.until_asked("WATCH")
        await runs.put("again", runs.runs["again"]["status"])
        rerun = runs.runs["again"]["metadata"]["annotations"][RERUN_ANNOTATION]
        attempts = [{"number": 1, "podName": "after"}]
        await runs.put("again", status("Running", "StrategyRunning", attempts=attempts, observedRerun=rerun))
        assert await following == ["printed by after"]

    async def read(client: AsyncClient) -> list[str]:
        return [line async for line in client.log("again", follow=True)]

    monkeypatch.setattr(RunsApi, "log_lines", log_lines)
    play(scene)
    assert pods == ["after"]


def test_an_error_of_the_connection_is_told_once() -> None:
    """However many runs are waited for: nothing is left over that nobody has asked for."""
    left_over: list[str] = []

    async def scene(runs: FewRuns, client: AsyncClient) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: left_over.append(context["message"]))
        runs.instead["LIST"] = broken
        names = ("one", "two", "three")
        for name in names:
            await runs.put(name)
        with pytest.raises(ClusterError, match="follow StrategyRuns"):
            await client.wait(*names)
        gc.collect()

    play(scene)
    assert left_over == []
