"""The client and the commands on a real API server, where the test plays the operator."""

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from typer.testing import CliRunner

from strategyrun import AsyncClient, Client, Result, Trial
from strategyrun.adapters.runs import RunsApi, Seen, Selection
from strategyrun.cli.program import application
from strategyrun.cli.session import connection
from strategyrun.client import (
    ForbiddenError,
    LostConnectionError,
    NoRunError,
    NotAskedError,
    NotFinishedError,
    PlatformError,
    RefusedRunError,
    RunCancelledError,
    RunError,
    SandboxError,
    UnreachableError,
    UserError,
)
from strategyrun.client.cluster import SESSION_LABEL
from strategyrun.client.loops import run
from strategyrun.domain.strategyrun import PLURAL, written_status
from support.answers import FAILED, answer, cancelled, failed, scored, status
from support.bench import Bench
from support.cluster import SERVICE_ACCOUNT, Cluster, Manifest
from support.cuttable import Cuttable
from support.operator import configuration_of, resource_of
from support.waiting import PATIENCE, wait_until

CODE = "def strategy(data, params):\n    return data.close > 0\n"

Connect = Callable[[], Awaitable[RunsApi]]
Command = Callable[..., Any]


class Stage:
    """A namespace whose runs the test answers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.namespace = bench.namespace

    def connect(self, **options: Any) -> Connect:
        """Return what opens a connection to the runs of the bench's own group; `url` is another way to the server."""
        made, url, token = options.get("api", RunsApi), options.get("url"), options.get("token")

        async def connect() -> RunsApi:
            configuration = await configuration_of(self.bench.cluster, token=token)
            if url:
                configuration.host = url
            api: RunsApi = made(configuration, runs=resource_of(self.bench.kind))
            return api

        return connect

    def client(self, **options: Any) -> Client:
        """Return a client of the namespace."""
        return Client(self.namespace, connect=self.connect(**options))

    def names(self) -> list[str]:
        """List the runs."""
        return [each["metadata"]["name"] for each in self.bench.cluster.list(self.bench.kind, self.namespace)]

    def unanswered(self) -> list[str]:
        """List the runs without an answer."""
        found = self.bench.cluster.list(self.bench.kind, self.namespace)
        return [each["metadata"]["name"] for each in found if written_status(each) is None]

    def answer(self, name: str, written: Manifest) -> None:
        """Write a run's status."""
        answer(self.bench.cluster, self.bench.kind, self.namespace, name, written)

    def answer_next(self, written: Manifest, but: set[str] | None = None) -> str:
        """Wait for a run without an answer, give it one and return its name."""
        waiting = wait_until(
            "a run waits for its answer", lambda: [n for n in self.unanswered() if n not in (but or set())], bool
        )
        self.answer(waiting[0], written)
        return waiting[0]

    def delete(self, name: str) -> None:
        """Delete a run."""
        self.bench.cluster.delete(self.bench.kind, name, self.namespace)

    def label(self, name: str, labels: dict[str, str]) -> None:
        """Put labels on a run."""
        self.bench.edit({"metadata": {"labels": labels}}, name)

    def submit(self, name: str, written: Manifest | None = None, **spec: Any) -> None:
        """Make a run, with its answer."""
        self.bench.apply(name, source=CODE, **spec)
        if written:
            self.answer(name, written)


@pytest.fixture
def stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give the test the operator's part; a cancellation has as long as a test waits for anything."""
    monkeypatch.setattr("strategyrun.client.cluster._CANCEL_SECONDS", PATIENCE)
    return Stage(bench)


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Run what happens at the same time."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_an_evaluation_is_a_run_and_its_answer_a_typed_result(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """Metrics are numbers by name, the trial is the one that was asked for, and each change was told."""
    told: list[str] = []
    with stage.client() as client:
        done = aside.submit(
            client.evaluate,
            CODE,
            params={"fast": 3},
            evaluation={"fees_bps": 5},
            progress=lambda r: told.append(r.phase),
        )
        wait_until("the new run was told", lambda: [*told], bool)
        name = stage.answer_next(status("Running", "StrategyRunning"))
        wait_until("the running run was told", lambda: [*told], lambda seen: "Running" in seen)
        stage.answer(name, scored(1.5))
        result = done.result(PATIENCE)
    assert result.succeeded
    assert result.ranks
    assert result.metrics.sharpe == 1.5
    assert result.metrics.trades == 12
    assert result.trial is not None
    assert result.trial.params == {"fast": 3}
    assert result.raise_for_failure() is result
    spec = stage.bench.run(name)["spec"]
    assert spec["params"] == {"fast": 3}
    assert spec["evaluation"]["feesBps"] == 5
    assert [phase for phase, _ in groupby(told)] == ["Pending", "Running", "Succeeded"], "some may be told twice"


@pytest.mark.parametrize(
    ("written", "error"),
    [
        (failed("User"), UserError),
        (failed("Sandbox"), SandboxError),
        (failed("Platform"), PlatformError),
        (cancelled(), RunCancelledError),
    ],
    ids=["user", "sandbox", "platform", "cancelled"],
)
def test_a_failure_is_a_result_and_on_request_an_error(
    stage: Stage, aside: ThreadPoolExecutor, written: Manifest, error: type[RunError]
) -> None:
    """The error's class says who has to act, and it has the result."""
    with stage.client() as client:
        done = aside.submit(client.evaluate, CODE)
        stage.answer_next(written)
        result = done.result(PATIENCE)
    with pytest.raises(error) as raised:
        result.raise_for_failure()
    assert raised.value.result is result


def test_many_come_as_they_end_and_never_more_than_asked_for_at_once(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """Of five trials two run; the first that is answered is the first that comes."""
    trials = [Trial(CODE, params={"n": n}, name=f"n{n}") for n in range(5)]
    come: list[Result] = []

    def read() -> None:
        with stage.client() as client:
            come.extend(client.evaluate_many(trials, concurrency=2))

    reading = aside.submit(read)
    answered: list[str] = []
    first = wait_until("two runs wait", stage.unanswered, lambda names: len(names) == 2)
    answered.append(next(name for name in first if name.startswith("n1-")))
    stage.answer(answered[0], scored(1.0))
    wait_until("the first answer was read", lambda: len(come), bool)
    while len(answered) < 5:
        waiting = wait_until("the next run waits", stage.unanswered, bool)
        assert len(stage.names()) <= len(answered) + 2
        answered.append(max(waiting))
        stage.answer(answered[-1], scored(1.0))
        wait_until("its answer was read", lambda: len(come), lambda count: count >= len(answered))
    reading.result(PATIENCE)
    assert [result.name for result in come] == answered
    assert {result.trial.params["n"] for result in come if result.trial} == {*range(5)}


def test_trials_may_be_made_of_the_answers_before_them(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """A generator may ask the client itself: it runs in the thread that reads the answers, and so does progress."""
    threads: set[threading.Thread] = set()
    best: list[float | None] = []

    def read() -> list[Result]:
        with stage.client() as client:

            def trials() -> Iterator[Trial]:
                for n in range(3):
                    threads.add(threading.current_thread())
                    best.append(next((place.value for place in client.top()), None))
                    yield Trial(CODE, params={"n": n})

            def told(result: Result) -> None:
                threads.add(threading.current_thread())
                assert client.result(result.name).name == result.name

            threads.add(threading.current_thread())
            return [*client.evaluate_many(trials(), concurrency=1, progress=told)]

    reading = aside.submit(read)
    for sharpe in (1.0, 2.0, 3.0):
        stage.answer_next(scored(sharpe))
    assert [result.metrics.sharpe for result in reading.result(PATIENCE)] == [1.0, 2.0, 3.0]
    assert best == [None, 1.0, 2.0]
    assert len(threads) == 1


def test_an_answer_does_not_wait_for_the_next_trial(stage: Stage) -> None:
    """Whoever thinks long about a trial, in a generator of either kind, holds nothing back."""
    asked = threading.Event()

    def slow() -> Iterator[Trial]:
        yield Trial(CODE)
        assert asked.wait(PATIENCE)

    async def slowly() -> AsyncIterator[Trial]:
        yield Trial(CODE)
        await asyncio.to_thread(asked.wait, 30)

    async def work() -> None:
        async with AsyncClient(stage.namespace, connect=stage.connect()) as client:
            for trials in (slow(), slowly()):
                asked.clear()
                answers = client.evaluate_many(trials)
                first = asyncio.ensure_future(anext(answers))
                ended = await asyncio.to_thread(stage.answer_next, scored(1.0))
                assert (await first).name == ended
                asked.set()
                assert [result async for result in answers] == []

    run(asyncio.wait_for(work(), PATIENCE))


def test_answers_that_have_come_are_given_before_the_next_trial_is_asked_for(stage: Stage) -> None:
    """So that whoever makes the next trial of them has them all, however long the last one was looked at."""
    ended: list[str] = []
    given: list[str] = []
    had: list[int] = []

    async def trials() -> AsyncIterator[Trial]:
        for _ in range(3):
            had.append(len(given))
            yield Trial(CODE)

    def told(result: Result) -> None:
        ended.extend([result.name] if result.finished else [])

    async def work() -> None:
        async with AsyncClient(stage.namespace, connect=stage.connect()) as client:
            answers = client.evaluate_many(trials(), concurrency=2, progress=told)
            first = asyncio.ensure_future(anext(answers))
            await asyncio.to_thread(wait_until, "two wait", stage.unanswered, lambda names: len(names) == 2)
            await asyncio.to_thread(stage.answer_next, scored(1.0))
            given.append((await first).name)
            await asyncio.to_thread(stage.answer_next, scored(1.0))
            await asyncio.to_thread(wait_until, "both have ended", lambda: ended, lambda names: len(names) == 2)
            given.append((await anext(answers)).name)
            last = asyncio.ensure_future(anext(answers))
            await asyncio.to_thread(stage.answer_next, scored(1.0))
            given.append((await last).name)

    run(asyncio.wait_for(work(), PATIENCE))
    assert given == ended
    assert had == [0, 0, 2]


def test_whoever_is_told_may_cancel(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """By the client that tells."""
    with stage.client() as client:
        done = aside.submit(client.evaluate, CODE, progress=lambda result: client.cancel(result.name))
        wait_until("it is to be cancelled", lambda: [stage.bench.run(n) for n in stage.names()], wants_cancel)
        stage.answer_next(cancelled())
        assert done.result(PATIENCE).outcome == "Cancelled"


def wants_cancel(runs: list[Manifest]) -> bool:
    """Tell whether somebody has asked for the end of a run."""
    return any(each["spec"].get("cancel") for each in runs)


def test_an_error_of_whoever_is_told_ends_the_evaluation(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """It is the caller's, and what was started is cancelled."""

    def told(result: Result) -> None:
        raise LookupError(result.name)

    with stage.client() as client:
        done = aside.submit(client.evaluate, CODE, progress=told)
        with pytest.raises(LookupError, match="trial-"):
            done.result(PATIENCE)
    assert wants_cancel([stage.bench.run(name) for name in stage.names()])


def test_an_answer_that_is_written_while_the_connection_is_broken_is_not_lost(
    stage: Stage, aside: ThreadPoolExecutor
) -> None:
    """The watch begins again with a list."""
    server = asyncio.run(configuration_of(stage.bench.cluster)).host
    with Cuttable(server) as way, stage.client(url=way.url) as client:
        seen = threading.Event()
        done = aside.submit(client.evaluate, CODE, progress=lambda _: seen.set())
        assert seen.wait(PATIENCE)
        way.cut()
        stage.answer_next(scored(2.0))
        way.mend()
        assert done.result(PATIENCE).metrics.sharpe == 2.0
        assert way.accepted > 1


def test_a_run_that_was_deleted_while_nobody_looked_is_told(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """Else its evaluation would never return. It is a result: somebody did not want the run any more."""
    server = asyncio.run(configuration_of(stage.bench.cluster)).host
    with Cuttable(server) as way, stage.client(url=way.url) as client:
        seen = threading.Event()
        done = aside.submit(client.evaluate, CODE, progress=lambda _: seen.set())
        assert seen.wait(PATIENCE)
        way.cut()
        name = stage.names()[0]
        stage.delete(name)
        wait_until("the run is gone", stage.names, lambda names: not names)
        way.mend()
        result = done.result(PATIENCE)
    assert (result.name, result.outcome, result.reason) == (name, "Cancelled", "Deleted")
    assert result.trial is not None
    with pytest.raises(RunCancelledError, match=f"StrategyRun {name} .* was deleted before its end"):
        result.raise_for_failure()


def test_one_deleted_run_of_many_is_a_result_and_the_others_go_on(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """It says which trial, and that nobody will answer it; nothing that is under way is cancelled for it."""
    trials = [Trial(CODE, name=name, labels={"trial": name}) for name in ("gone", "good")]
    with stage.client() as client:
        reading = aside.submit(lambda: [*client.evaluate_many(trials)])
        both = wait_until("both wait", stage.unanswered, lambda names: len(names) == 2)
        gone, good = sorted(both)
        stage.delete(gone)
        stage.answer(good, scored(1.0))
        found = {result.trial.name: result for result in reading.result(PATIENCE) if result.trial}
    assert (found["gone"].name, found["gone"].outcome, found["gone"].reason) == (gone, "Cancelled", "Deleted")
    assert {name: result.labels["trial"] for name, result in found.items()} == {"gone": "gone", "good": "good"}
    assert found["good"].succeeded
    assert not stage.bench.run(good)["spec"].get("cancel")


def test_a_namespace_that_is_not_there_ends_the_loop(stage: Stage) -> None:
    """It is no deletion of a run: every trial would end so."""
    with Client("nowhere", connect=stage.connect()) as client, pytest.raises(NoRunError, match="nowhere"):
        list(client.evaluate_many([CODE, CODE]))


def test_a_run_without_an_answer_in_time_is_cancelled_and_says_what_it_waited_for(stage: Stage) -> None:
    """Whoever gave it the time has a result, and can tell a full cluster from an operator that is not there."""
    with stage.client() as client:
        stage.submit("other")
        result = client.evaluate(CODE, timeout=20)
        assert (result.outcome, result.reason, result.finished) == ("Cancelled", "DeadlineExceeded", True)
        assert result.message == (
            "no answer within 20 s, so it was cancelled; it was Pending (NotSeen): no operator has seen it yet"
        )
        assert result.trial is not None
        assert result.body["spec"]["source"]["inline"] == CODE
    assert {name: stage.bench.run(name)["spec"].get("cancel", False) for name in stage.names()} == {
        result.name: True,
        "other": False,
    }


def test_the_time_of_each_trial_is_its_own(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """One that has no answer makes room for the next, which has all its time."""
    trials = [Trial(CODE, name=name) for name in ("late", "good")]
    with stage.client() as client:
        reading = aside.submit(lambda: [*client.evaluate_many(trials, concurrency=1, timeout=40)])
        names = wait_until("the other one waits", stage.names, lambda names: len(names) == 2)
        stage.answer(min(names), scored(1.0))
        found = [(result.trial.name, result.reason) for result in reading.result(PATIENCE) if result.trial]
    assert found == [("late", "DeadlineExceeded"), ("good", "Evaluated")]


def test_an_api_server_that_stays_away_is_given_up_after_a_while(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """The error says that the runs go on."""

    class Impatient(RunsApi):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.patience = 1.0

    server = asyncio.run(configuration_of(stage.bench.cluster)).host
    with Cuttable(server) as way, stage.client(url=way.url, api=Impatient) as client:
        seen = threading.Event()
        done = aside.submit(client.evaluate, CODE, progress=lambda _: seen.set())
        assert seen.wait(PATIENCE)
        way.cut()
        with pytest.raises(LostConnectionError, match="the runs go on"):
            done.result(PATIENCE)


def test_a_lost_answer_to_a_post_makes_no_second_run(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """The name and the session's label tell that the first one had arrived."""

    class Forgetful(RunsApi):
        posts = 0

        async def exchange(self, method: str, path: str, **rest: Any) -> bytes:
            answered = await super().exchange(method, path, **rest)
            if method == "POST":
                Forgetful.posts += 1
                raise aiohttp.ServerDisconnectedError("the answer is lost")
            return answered

    with stage.client(api=Forgetful) as client:
        done = aside.submit(client.evaluate, CODE)
        stage.answer_next(scored(1.0))
        assert done.result(PATIENCE).succeeded
    assert Forgetful.posts == 1
    assert len(stage.names()) == 1


def test_a_name_that_somebody_else_has_is_refused(stage: Stage) -> None:
    """It is not taken for one's own."""
    stage.submit("taken")
    with stage.client() as client, pytest.raises(RefusedRunError, match=r"create StrategyRun taken .* name is taken"):
        client.submit(Trial(CODE), name="taken")


def test_what_does_not_fit_is_refused_with_the_field(stage: Stage) -> None:
    """A misspelt field is an error, never ignored."""
    with stage.client() as client:
        with pytest.raises(RefusedRunError, match="feeBps"):
            client.evaluate(CODE, evaluation={"fee_bps": 5})
        with pytest.raises(RefusedRunError, match="timeoutSeconds"):
            client.evaluate(CODE, timeout_seconds=100_000)
    assert stage.names() == []


def test_one_refused_trial_of_many_is_a_result_and_the_others_go_on(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """It says which trial, whose fault, and why in the API server's words; nothing of it is in the cluster."""
    bad = {
        "empty": Trial(""),
        "long": Trial("#" * (128 << 10) + "#"),
        "field": Trial(CODE, evaluation={"fee_bps": 5}),
        "value": Trial(CODE, timeout_seconds=100_000),
        "file": Trial(Path("nowhere.py")),
        "json": Trial(CODE, params={"n": float("nan")}),
    }
    trials = [replace(trial, name=name) for name, trial in bad.items()] + [Trial(CODE, name="good")]
    with stage.client() as client:
        reading = aside.submit(lambda: [*client.evaluate_many(trials)])
        stage.answer_next(scored(1.0))
        found = {result.trial.name: result for result in reading.result(PATIENCE) if result.trial}
    assert found.pop("good").succeeded
    assert {name: (result.outcome, result.reason) for name, result in found.items()} == dict.fromkeys(
        bad, ("User", "SpecInvalid")
    )
    assert "spec.source.inline" in found["empty"].message
    assert "spec.source.inline" in found["long"].message
    assert "feeBps" in found["field"].message
    assert "timeoutSeconds" in found["value"].message
    assert "nowhere.py cannot be read" in found["file"].message
    with pytest.raises(UserError, match="params: must be JSON"):
        found["json"].raise_for_failure()
    assert len(stage.names()) == 1


def test_whoever_stops_waiting_cancels_what_was_started(stage: Stage) -> None:
    """Both runs under way, and nothing that had ended."""

    async def work() -> None:
        async with AsyncClient(stage.namespace, connect=stage.connect()) as client:
            trials = [Trial(CODE, name=f"n{n}") for n in range(4)]
            answers = client.evaluate_many(trials, concurrency=2)
            first = asyncio.ensure_future(anext(answers))
            ended = await asyncio.to_thread(stage.answer_next, scored(1.0))
            assert (await first).name == ended
            await asyncio.to_thread(wait_until, "another runs", stage.unanswered, bool)
            await answers.aclose()

    run(work())
    runs = stage.bench.cluster.list(stage.bench.kind, stage.namespace)
    wanted = {each["metadata"]["name"]: each["spec"].get("cancel", False) for each in runs}
    answered = {each["metadata"]["name"] for each in runs if written_status(each)}
    assert wanted == {name: name not in answered for name in wanted}
    assert len(wanted) >= 2


def test_an_interrupt_of_an_evaluation_cancels_its_run(stage: Stage) -> None:
    """As a task that is cancelled is."""

    async def work() -> None:
        async with AsyncClient(stage.namespace, connect=stage.connect()) as client:
            task = asyncio.create_task(client.evaluate(CODE))
            await asyncio.to_thread(wait_until, "the run is there", stage.names, bool)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(work())
    assert stage.bench.run(stage.names()[0])["spec"]["cancel"] is True


def test_an_interrupt_of_a_script_cancels_what_it_started(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """A real one, of evaluate and of evaluate_many; the client is of use afterwards."""
    with stage.client() as client:
        ways: tuple[Callable[[], object], ...] = (
            lambda: client.evaluate(CODE),
            lambda: [*client.evaluate_many([CODE])],
        )
        for number, evaluate in enumerate(ways, 1):
            interrupting = aside.submit(interrupt, stage, number)
            with pytest.raises(KeyboardInterrupt):
                evaluate()
            interrupting.result(PATIENCE)
            assert [stage.bench.run(name)["spec"].get("cancel") for name in stage.names()] == [True] * number
        assert len(client.results()) == 2


def interrupt(stage: Stage, number: int) -> None:
    """Press Ctrl-C when there are so many runs; which thread takes the signal is the kernel's choice."""
    wait_until("the run is there", stage.names, lambda names: len(names) == number)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_waiting_by_name(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """Those that have ended, that end later, and that are not there."""
    stage.submit("ended", scored(1.0))
    stage.submit("later")
    with stage.client() as client:
        done = aside.submit(client.wait, "later", "ended")
        stage.answer("later", failed("User"))
        assert [(result.name, result.outcome) for result in done.result(PATIENCE)] == [
            ("later", "User"),
            ("ended", "Succeeded"),
        ]
        with pytest.raises(NoRunError, match="there is no StrategyRun nowhere"):
            client.wait("nowhere")


def test_who_waits_for_a_run_that_is_deleted_is_told(stage: Stage, command: Command, aside: ThreadPoolExecutor) -> None:
    """The others are waited for; the exit code is that of a run which somebody cancelled."""
    stage.submit("going")
    stage.submit("gone")
    told: list[str] = []
    with stage.client() as client:
        done = aside.submit(client.wait, "gone", "going", progress=lambda result: told.append(result.name))
        wait_until("both are told", lambda: {*told}, lambda names: names == {"gone", "going"})
        stage.delete("gone")
        stage.answer("going", scored(1.0))
        assert [(result.name, result.reason) for result in done.result(PATIENCE)] == [
            ("gone", "Deleted"),
            ("going", "Evaluated"),
        ]
    assert command("wait", "gone").exit_code == 2


def test_who_waits_no_longer_is_told_which_have_not_ended(stage: Stage) -> None:
    """The error has the answers that have come; the runs go on."""
    stage.submit("ended", scored(1.0))
    stage.submit("slow", status("Running", "StrategyRunning"))
    with stage.client() as client, pytest.raises(NotFinishedError) as raised:
        client.wait("slow", "ended", timeout=20)
    assert str(raised.value) == "not ended within 20 s, and they go on: slow (Running, StrategyRunning)"
    assert [result.name for result in raised.value.ended] == ["ended"]
    assert [result.name for result in raised.value.unfinished] == ["slow"]
    assert not stage.bench.run("slow")["spec"].get("cancel")


def test_what_was_deleted_is_gone_and_nothing_else(stage: Stage) -> None:
    """By names or by labels; who names nothing, or what is not there, deletes nothing."""
    for name in ("a", "b", "c", "d"):
        stage.submit(name)
        stage.label(name, {"night": "first" if name in "bc" else "second"})
    with stage.client() as client:
        for nothing in ((), ("",), ("nowhere", ""), ("a/status",), ("../pods",)):
            with suppress(NotAskedError):
                assert client.delete(*nothing) == []
        for selector in ("", " ", "night=third"):
            with suppress(NotAskedError):
                assert client.delete(selector=selector) == []
        assert sorted(stage.names()) == ["a", "b", "c", "d"]
        assert client.delete("a", "nowhere", "a") == ["a"]
        assert sorted(client.delete(selector="night=first")) == ["b", "c"]
    assert stage.names() == ["d"]


def test_what_a_trial_asks_of_its_run_reaches_it(stage: Stage) -> None:
    """What is kept of it, for how long, and the labels by which it is found; the client's own label is among them."""
    with stage.client() as client:
        made = client.submit(
            Trial(CODE, report="Discard", ttl_seconds_after_finished=0, retry_limit=0, labels={"night": "first"})
        )
        assert made.labels["night"] == "first"
        assert [result.name for result in client.results(selector="night=first")] == [made.name]
        with pytest.raises(RefusedRunError, match="report"):
            client.submit(Trial(CODE, report="Burn"))
        with pytest.raises(RefusedRunError, match="labels"):
            client.submit(Trial(CODE, labels={"night": "not a value"}))
    spec = stage.bench.run(made.name)["spec"]
    assert (spec["report"], spec["ttlSecondsAfterFinished"], spec["retry"]) == ("Discard", 0, {"limit": 0})
    assert {*made.labels} == {"night", SESSION_LABEL}


def test_a_rerun_is_waited_for_whoever_asked_for_it(stage: Stage, command: Command, aside: ThreadPoolExecutor) -> None:
    """The annotation changes no generation: the status says which value of it it answers."""
    stage.submit("again", scored(1.0))
    stage.bench.rerun("again")
    assert command("wait", "again", "--timeout", "0.5").exit_code == 124
    told: list[Result] = []
    with stage.client() as client:
        done = aside.submit(client.wait, "again", progress=told.append)
        wait_until("the answer of before was told", lambda: len(told), bool)
        stage.answer("again", status("Running", "StrategyRunning", inputsHash="b" * 64))
        stage.answer("again", scored(3.0, inputsHash="b" * 64))
        assert done.result(PATIENCE)[0].metrics.sharpe == 3.0
    assert command("wait", "again").exit_code == 0


def test_a_rerun_of_a_run_that_was_cancelled_is_waited_for(stage: Stage, aside: ThreadPoolExecutor) -> None:
    """It is wanted again, and its end of before is told as none."""
    stage.submit("again", cancelled(), cancel=True)
    with stage.client() as client:
        client.rerun("again")
        run = stage.bench.run("again")
        assert run["metadata"]["annotations"]["finlab-sandbox.dev/rerun"]
        assert not run["spec"]["cancel"]
        told: list[Result] = []
        done = aside.submit(client.wait, "again", progress=told.append)
        wait_until("the answer of before was told", lambda: len(told), bool)
        stage.answer("again", scored(3.0))
        assert done.result(PATIENCE)[0].metrics.sharpe == 3.0
    assert {(result.outcome, result.finished) for result in told} == {("Cancelled", False), ("Succeeded", True)}


def test_what_is_followed_is_told_at_first_and_then_each_change(stage: Stage) -> None:
    """By labels and by name; a deletion is a change, and what never was there is told too."""
    stage.submit("one")

    async def work() -> list[tuple[str, bool]]:
        seen = []
        async with await stage.connect()() as api:
            async for name, found in api.follow(Selection(stage.namespace), {"never"}):
                seen.append((name, found is not None))
                if len(seen) == 2:
                    await asyncio.to_thread(stage.submit, "two")
                if name == "two" and found:
                    await asyncio.to_thread(stage.bench.cluster.delete, stage.bench.kind, "two", stage.namespace)
                if name == "two" and not found:
                    return seen
        raise AssertionError

    seen = run(asyncio.wait_for(work(), PATIENCE))
    assert seen[:2] == [("one", True), ("never", False)]
    assert ("two", True) in seen
    assert seen[-1] == ("two", False)


@pytest.fixture
def nobody(cluster: Cluster, stage: Stage) -> str:
    """Return the token of somebody without any right."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody", "namespace": stage.namespace},
    }
    cluster.create(account)
    wait_until("the account is there", lambda: cluster.find(SERVICE_ACCOUNT, "nobody", stage.namespace), bool)
    path = f"/api/v1/namespaces/{stage.namespace}/serviceaccounts/nobody/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answered = json.loads(cluster.request("POST", path, body=request))
    token: str = answered["status"]["token"]
    return token


def test_a_missing_right_is_named(stage: Stage, nobody: str) -> None:
    """With verb and namespace, for each thing that is asked for."""
    with stage.client(token=nobody) as client:
        for ask, words in (
            (lambda: client.evaluate(CODE), "no right to create StrategyRun trial-"),
            (client.results, "no right to list StrategyRuns"),
            (lambda: client.result("x"), "no right to read StrategyRun x"),
            (lambda: client.cancel("x"), "no right to cancel StrategyRun x"),
            (lambda: client.delete("x"), "no right to delete StrategyRun x"),
            (lambda: client.delete(selector="a=b"), "no right to list StrategyRuns"),
        ):
            with pytest.raises(ForbiddenError, match=f"{words}.* in namespace {stage.namespace}"):
                ask()


def test_an_api_server_that_is_not_there_is_not_waited_for(stage: Stage) -> None:
    """The first question has its answer at once."""
    with stage.client(url="https://127.0.0.1:1") as client, pytest.raises(UnreachableError, match="does not answer"):
        client.evaluate(CODE)


@pytest.fixture
def command(stage: Stage) -> Iterator[Command]:
    """The command line in this process, on the bench's own group."""
    kept = connection.set(stage.connect())

    def work(*arguments: str) -> Any:
        return CliRunner().invoke(application(), [*arguments, "-n", stage.namespace], catch_exceptions=False)

    yield work
    connection.reset(kept)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ([scored(1.0)], 0),
        ([scored(1.0), failed("User")], 10),
        ([failed("User"), failed("Sandbox")], 20),
        ([failed("Sandbox"), failed("Platform"), cancelled()], 30),
        ([scored(1.0), cancelled()], 40),
        ([cancelled(), failed("User")], 10),
    ],
    ids=["succeeded", "user", "sandbox", "platform", "cancelled", "user before cancelled"],
)
def test_the_exit_code_of_wait_is_the_class(stage: Stage, command: Command, written: list[Manifest], code: int) -> None:
    """Of several runs, that of the one which no strategy can mend."""
    names = [f"run-{number}" for number in range(len(written))]
    for name, each in zip(names, written, strict=True):
        stage.submit(name, each)
    done = command("wait", *names)
    assert done.exit_code == code, done.stderr
    assert all(name in done.stdout for name in names)


def test_a_wait_that_is_over_too_early_says_what_the_run_waits_for(stage: Stage, command: Command) -> None:
    """Exit code 124, and the same words as explain."""
    waiting = status("Queued", "WaitingForSlot", queue={"position": 3, "reason": "all 4 slots are taken"})
    stage.submit("slow", waiting)
    done = command("wait", "slow", "--timeout", "20")
    assert done.exit_code == 124
    assert "slow: Queued (WaitingForSlot, position 3): All places are taken" in done.stderr
    explained = command("explain", "slow")
    assert explained.exit_code == 0
    assert "Position in the line: 3 (all 4 slots are taken)." in explained.stdout
    assert f"strategyrun wait slow -n {stage.namespace}" in explained.stdout


def test_submit_watches_from_file_to_answer(
    stage: Stage, command: Command, aside: ThreadPoolExecutor, tmp_path: Any
) -> None:
    """A folder becomes a run for each strategy, with the parameters of the command line."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(CODE)
    (tmp_path / "_helper.py").write_text("")
    answering = aside.submit(lambda: stage.answer_next(failed("User"), but={stage.answer_next(scored(1.0))}))
    done = command(
        "submit", str(tmp_path), "-p", "fast=20", "-p", "name=text", "-e", "lookAhead.action=Fail", "--watch"
    )
    answering.result(PATIENCE)
    assert done.exit_code == 10, done.stderr
    runs = stage.bench.cluster.list(stage.bench.kind, stage.namespace)
    assert sorted(each["metadata"]["name"].partition("-")[0] for each in runs) == ["one", "two"]
    assert all(each["spec"]["params"] == {"fast": 20, "name": "text"} for each in runs)
    assert all(each["spec"]["evaluation"]["lookAhead"]["action"] == "Fail" for each in runs)
    last = {line.partition(":")[0]: line.partition(": ")[2] for line in done.stderr.splitlines()}
    assert sorted(said.partition(")")[0] for said in last.values()) == ["Failed (StrategyError", "Succeeded (Evaluated"]
    assert "StrategyError" in done.stdout


def test_a_refused_strategy_keeps_none_of_the_others_back(
    stage: Stage, command: Command, aside: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Each refusal is told with its file and the run of it, the others are followed to their ends, and the exit code
    says that not all is well."""
    run = "kind: StrategyRun\nmetadata: {name: first}\nspec: {source: {inline: x = 1}}\n---\n"
    (tmp_path / "a.py").write_text("#" * (128 << 10) + "#")
    (tmp_path / "b.py").write_bytes(b"\xff")
    (tmp_path / "c.py").write_text(CODE)
    (tmp_path / "d.yaml").write_text("a: [")
    (tmp_path / "e.yaml").write_text("kind: StrategyRun\nmetadata: {namespace: elsewhere}\nspec: {}\n")
    (tmp_path / "f.yaml").write_text(run + "kind: StrategyRun\nspec: text\n")
    (tmp_path / "g.yaml").write_text(run + "kind: StrategyRun\nmetadata: {name: second}\nspec: {sauce: {}}\n")
    answering = aside.submit(lambda: stage.answer_next(scored(1.0), but={stage.answer_next(scored(1.0))}))
    done = command("submit", str(tmp_path), "--watch")
    answering.result(PATIENCE)
    assert done.exit_code == 2
    said = [line.removeprefix(f"error: {tmp_path}/") for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split()[0].rstrip(":") for line in said] == ["d.yaml", "f.yaml", "a.py", "b.py", "e.yaml", "g.yaml"]
    assert "spec.source.inline" in said[2]
    assert said[4].startswith("e.yaml: e: metadata.namespace is elsewhere")
    assert said[5].startswith("g.yaml: second: cannot create StrategyRun second")
    assert sorted(name.partition("-")[0] for name in stage.names()) == ["c", "first"]
    assert all(f"{made} submitted to" in done.stdout for made in stage.names())
    assert "Evaluated" in done.stdout
    mended = command("submit", str(tmp_path / "c.py"), "--dataset", "s3:bucket")
    assert (mended.exit_code, mended.stderr.count("\n")) == (2, 1)


def test_submit_says_what_is_kept_and_by_which_labels_it_is_found(
    stage: Stage, command: Command, tmp_path: Path
) -> None:
    """The labels of manifests too; a later command takes them all by these."""
    (tmp_path / "one.py").write_text(CODE)
    kept = ("--report", "Discard", "--ttl", "60", "--retry-limit", "0", "-l", "night=1", "--label", "by=me")
    assert command("submit", str(tmp_path / "one.py"), "--name", "one", *kept).exit_code == 0
    run = stage.bench.run("one")
    spec, labels = run["spec"], run["metadata"]["labels"]
    assert (spec["report"], spec["ttlSecondsAfterFinished"], spec["retry"]) == ("Discard", 60, {"limit": 0})
    assert (labels["night"], labels["by"]) == ("1", "me")
    (tmp_path / "two.yaml").write_text(
        "kind: StrategyRun\nmetadata: {name: two, labels: {by: you}}\nspec: {source: {inline: x = 1}}\n"
    )
    assert command("submit", str(tmp_path / "two.yaml"), "-l", "night=1").exit_code == 0
    assert stage.bench.run("two")["metadata"]["labels"].items() >= {"night": "1", "by": "you"}.items()
    assert "must be name=value" in command("submit", str(tmp_path / "one.py"), "-l", "night").stderr
    deleted = command("delete", "--selector", "night=1")
    assert (deleted.exit_code, sorted(deleted.stdout.splitlines())) == (0, ["one deleted", "two deleted"])
    assert stage.names() == []


def test_delete_takes_what_is_named(stage: Stage, command: Command) -> None:
    """It says what was not there after it has deleted the others, and never takes all for want of a word."""
    for name in ("one", "two"):
        stage.submit(name)
    for nothing in ((), ("--selector", ""), ("one", "-l", "a=b")):
        asked = command("delete", *nothing)
        assert (asked.exit_code, asked.stderr) == (2, "error: delete what? give names, or a selector\n")
    none = command("delete", "-l", "night=1")
    assert (none.exit_code, none.stderr) == (0, f"no run in namespace {stage.namespace} has the labels night=1\n")
    done = command("delete", "nowhere", "one")
    assert (done.exit_code, done.stdout) == (2, "one deleted\n")
    assert done.stderr == f"error: there is no StrategyRun nowhere in namespace {stage.namespace}\n"
    assert stage.names() == ["two"]


def test_submit_takes_manifests(command: Command, tmp_path: Any) -> None:
    """With their own names; a name that is taken is one clear line."""
    manifest = {"apiVersion": "finlab-sandbox.dev/v1alpha1", "kind": "StrategyRun", "metadata": {"name": "mine"}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(manifest | {"spec": {"source": {"inline": CODE}}}))
    done = command("submit", str(path), "-o", "name")
    assert (done.exit_code, done.stdout) == (0, "strategyrun.finlab-sandbox.dev/mine\n")
    again = command("submit", str(path))
    assert again.exit_code == 2
    assert "cannot create StrategyRun mine" in again.stderr
    assert again.stderr.count("\n") == 1


def test_submit_says_what_a_manifest_and_a_strategy_may_be_told(stage: Stage, command: Command, tmp_path: Path) -> None:
    """Both take other parameters; a strategy takes the rest too, and a manifest has it itself."""
    (tmp_path / "one.py").write_text(CODE)
    (tmp_path / "two.yaml").write_text(
        "kind: StrategyRun\nmetadata: {name: two}\nspec: {source: {inline: x = 1}, params: {fast: 1, slow: 2}}\n"
    )
    both = command("submit", str(tmp_path), "-p", "fast=3")
    assert both.exit_code == 0, both.stderr
    assert {name.partition("-")[0]: stage.bench.run(name)["spec"]["params"] for name in stage.names()} == {
        "one": {"fast": 3},
        "two": {"fast": 3, "slow": 2},
    }
    alone = command("submit", str(tmp_path / "one.py"), "--name", "three", "--fallback", "Never")
    assert alone.exit_code == 0, alone.stderr
    assert stage.bench.run("three")["spec"]["fallback"] == {"policy": "Never"}
    refused = command("submit", str(tmp_path / "two.yaml"), "--fallback", "Never")
    assert refused.exit_code == 2
    assert "only --param and --label change it" in refused.stderr


def test_list_in_every_form(stage: Stage, command: Command) -> None:
    """Tables for people, documents that kubectl would read, names for pipes."""
    stage.submit("good", scored(1.25))
    stage.submit("fell-back", scored(0.5, executor="Fallback"))
    table = command("list").stdout.splitlines()
    assert table[0].split()[:4] == ["NAME", "PHASE", "REASON", "EXECUTOR"]
    assert {line.split()[0]: line.split()[4] for line in table[1:]} == {"good": "1.25", "fell-back": "0.50"}
    assert "Fallback" in command("list", "-o", "wide").stdout
    documents = json.loads(command("list", "-o", "json").stdout)
    assert {each["metadata"]["name"] for each in documents["items"]} == {"good", "fell-back"}
    assert yaml.safe_load(command("list", "-o", "yaml").stdout) == documents
    assert sorted(command("list", "-o", "name").stdout.split()) == [
        "strategyrun.finlab-sandbox.dev/fell-back",
        "strategyrun.finlab-sandbox.dev/good",
    ]


@pytest.mark.usefixtures("command")
def test_a_shell_can_complete_the_names_of_runs(stage: Stage) -> None:
    """Of the namespace that was said before."""
    stage.submit("good", scored(1.0))
    stage.submit("gone", failed("User"))
    stage.submit("other")
    words = f"strategyrun explain -n {stage.namespace} go"
    question = {"_STRATEGYRUN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "4"}

    def offered() -> list[str]:
        return sorted(CliRunner().invoke(application(), [], env=question, prog_name="strategyrun").stdout.split())

    wait_until("they are offered: a shell is not kept waiting for long", offered, ["gone", "good"].__eq__)


def test_top_leaves_out_what_does_not_compare(stage: Stage, command: Command) -> None:
    """Said in one line; --all shows it, marked and without a rank."""
    stage.submit("third", scored(0.5))
    stage.submit("first", scored(2.0))
    stage.submit("fell-back", scored(9.0, executor="Fallback"))
    stage.submit("peeks", scored(8.0, lookAhead={"samples": 5, "checked": 5, "changed": 5}))
    own = {"source": "SelfReported", "values": {"sharpe": 99.0}}
    stage.submit("boasts", status("Succeeded", "SelfReported", kind="Result", selfReported=own))
    stage.submit("broken", failed("User"))
    done = command("top", "--metric", "sharpe", "-o", "json")
    board = json.loads(done.stdout)
    assert [(each["rank"], each["name"]) for each in board["places"]] == [(1, "first"), (2, "third")]
    assert board["leftOut"] == {"Fallback": 1, "LookAhead": 1, "SelfReported": 1, "failed": 1}
    everything = command("top", "--all")
    lines = [line.split() for line in everything.stdout.splitlines()[1:]]
    assert [(line[0], line[1]) for line in lines] == [
        ("-", "boasts"),
        ("-", "fell-back"),
        ("-", "peeks"),
        ("1", "first"),
        ("2", "third"),
    ]
    assert "left out: 1 failed" in everything.stderr


def test_compare_says_what_differs_and_whether_it_may(stage: Stage, command: Command) -> None:
    """In what was asked for, in what came out; other costs are another measure."""
    stage.submit("one", scored(1.0), params={"fast": 10})
    stage.submit("two", scored(1.5), params={"fast": 20})
    stage.submit("free", scored(1.5), params={"fast": 20}, evaluation={"feesBps": 0})
    found = json.loads(command("compare", "one", "two", "-o", "json").stdout)
    assert found["comparable"]
    assert found["inputs"] == {"params.fast": [10, 20]}
    assert found["metrics"]["sharpe"] == [1.0, 1.5]
    assert "not comparable: they were scored by different rules" in command("compare", "one", "free").stdout


def test_rerun_answers_in_the_form_that_was_asked_for(stage: Stage, command: Command) -> None:
    """With the run as it is now, also where nobody watches."""
    stage.submit("again", scored(1.0))
    assert command("rerun", "again").stdout == "again runs again\n"
    assert command("rerun", "again", "-o", "name").stdout == "strategyrun.finlab-sandbox.dev/again\n"
    (body,) = json.loads(command("rerun", "again", "-o", "json").stdout)["items"]
    assert body["metadata"]["annotations"] == stage.bench.run("again")["metadata"]["annotations"]


def test_cancel_asks_for_the_end(stage: Stage, command: Command) -> None:
    """And says where there was nothing to end."""
    stage.submit("going")
    stage.submit("done", scored(1.0))
    said = command("cancel", "going")
    assert (said.exit_code, said.stdout) == (0, "going is being cancelled\n")
    assert stage.bench.run("going")["spec"]["cancel"] is True
    assert command("cancel", "done").stdout == "done had ended before: Succeeded\n"
    missing = command("cancel", "nowhere")
    assert missing.exit_code == 2
    assert "cancel StrategyRun nowhere" in missing.stderr


def test_logs_of_a_run_without_its_pod_are_the_last_lines(stage: Stage, command: Command) -> None:
    """Where nothing was kept, it says that there is no pod."""
    stage.submit("gone", failed("User", attempts=[attempt("pod-that-went")]))
    done = command("logs", "gone")
    assert done.exit_code == 0
    assert done.stdout == "last words\n"
    assert "these are the last lines" in done.stderr
    stage.submit("early")
    assert "has no pod: it is Pending" in command("logs", "early").stderr


def test_who_follows_a_log_waits_for_the_pod_and_its_container(stage: Stage) -> None:
    """Neither of them there, then a pod without a node, then a run whose answer says that nothing more will come."""
    stage.submit("early")
    meta = {"name": "pending", "namespace": stage.namespace}
    containers = [{"name": "strategy", "image": "none"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    stage.bench.cluster.create(pod | {"spec": {"schedulerName": "nobody", "containers": containers}})

    asked: Counter[str] = Counter()

    class Counted(RunsApi):
        async def follow(self, *arguments: Any) -> AsyncGenerator[Seen, None]:
            asked["run"] += 1
            async for seen in super().follow(*arguments):
                yield seen

        async def log_lines(self, *arguments: Any, **options: Any) -> AsyncGenerator[str, None]:
            asked["log"] += 1
            async for line in super().log_lines(*arguments, **options):
                yield line

    async def work() -> None:
        async with AsyncClient(stage.namespace, connect=stage.connect(api=Counted)) as client:
            reading = asyncio.ensure_future(read(client))
            await asyncio.to_thread(wait_until, "the run is followed", lambda: asked["run"], bool)
            starting = status("Starting", "PodStarting", attempts=[attempt("pending")])
            await asyncio.to_thread(stage.answer, "early", starting)
            await asyncio.to_thread(wait_until, "its log is asked for again", lambda: asked["log"], lambda n: n > 1)
            assert not reading.done()
            await asyncio.to_thread(stage.answer, "early", failed("User", attempts=[attempt("pending")]))
            assert await reading == []

    async def read(client: AsyncClient) -> list[str]:
        return [line async for line in client.log("early", follow=True)]

    run(asyncio.wait_for(work(), PATIENCE))


def attempt(pod: str) -> Manifest:
    """Build an attempt that had a pod."""
    return {"number": 1, "jobName": "job", "podName": pod, "createdAt": "2026-01-01T00:00:00.000Z"}


def test_the_doctor_sees_what_there_is(command: Command) -> None:
    """A line for each part; on this group's CRD everything that can be asked is answered.

    The cluster's operator may not be ready for a moment, where much is asked of the API server.
    """
    found = wait_until(
        "the doctor finds the operator ready",
        lambda: {each["part"]: each for each in json.loads(command("doctor", "-o", "json").stdout)},
        lambda found: found["operator"]["level"] == "ok",
    )
    assert found["cluster"]["level"] == "ok"
    assert "Kubernetes v1." in found["cluster"]["said"]
    assert found["crd"]["level"] == "ok"
    assert found["permissions"]["level"] == "ok"
    assert set(found) >= {"cluster", "crd", "permissions", "namespace", "operator", "profile", "network"}


def test_the_doctor_names_missing_rights(stage: Stage, nobody: str) -> None:
    """And what needs them; it exits as for a sandbox that does not work."""
    kept = connection.set(stage.connect(token=nobody))
    try:
        done = CliRunner().invoke(application(), ["doctor", "-n", stage.namespace], catch_exceptions=False)
    finally:
        connection.reset(kept)
    assert done.exit_code == 20
    assert "fail permissions you may not create, get, list, watch strategyruns" in done.stdout
    assert "warn permissions you may not get pods/log: needed for logs" in done.stdout
    assert "warn namespace   cannot be seen: " in done.stdout


def test_the_doctor_misses_no_right_of_somebody_who_has_them_here_alone(
    cluster: Cluster, stage: Stage, nobody: str
) -> None:
    """A role of the namespace is enough to submit, to wait and to read."""
    group = stage.bench.kind.api_version.split("/")[0]
    rules = [
        {"apiGroups": [group], "resources": [PLURAL], "verbs": ["create", "get", "list", "watch", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"]},
    ]
    meta = {"name": "edit", "namespace": stage.namespace}
    version = "rbac.authorization.k8s.io/v1"
    cluster.create({"apiVersion": version, "kind": "Role", "metadata": meta, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "nobody", "namespace": stage.namespace}
    role = {"apiGroup": version.split("/", maxsplit=1)[0], "kind": "Role", "name": "edit"}
    cluster.create(
        {"apiVersion": version, "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [subject]}
    )

    def said() -> str:
        kept = connection.set(stage.connect(token=nobody))
        try:
            return CliRunner().invoke(application(), ["doctor", "-n", stage.namespace], catch_exceptions=False).stdout
        finally:
            connection.reset(kept)

    wait_until("the doctor misses nothing", said, lambda text: "ok   permissions you may submit, watch" in text)


def test_every_class_of_failure_has_a_reason_to_try() -> None:
    """So that the tests above try them all."""
    assert set(FAILED) == {"User", "Sandbox", "Platform"}
