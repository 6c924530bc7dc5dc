"""The client without await, where no cluster is needed."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from strategyrun import Client, Result
from strategyrun.adapters.runs import RunsApi
from strategyrun.client import NotAskedError
from strategyrun.client.following import Progress
from support.answers import body
from support.few_runs import FewRuns, never
from support.waiting import wait_until

CODE = "x = 1"


def aside(work: Callable[[], Any]) -> Future[Any]:
    """Do it in a thread that holds up no test's end."""
    future: Future[Any] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future


def play(scene: Callable[[FewRuns, Client], None]) -> None:
    """Let a client meet a few runs, in a thread beside theirs."""

    async def work() -> None:
        runs = FewRuns()
        async with runs.serving() as connect:
            meeting = aside(lambda: scene(runs, Client("research", connect=connect)))
            await asyncio.wait_for(asyncio.wrap_future(meeting), 60)

    asyncio.run(work())


@contextmanager
def nothing_is_said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Neither now nor when what is left over is collected."""
    yield
    gc.collect()
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


WAYS: dict[str, Callable[[Client], object]] = {
    "evaluate": lambda client: client.evaluate(CODE),
    "evaluate_many": lambda client: [*client.evaluate_many([CODE])],
    "wait": lambda client: client.wait("one", "other"),
    "log": lambda client: [*client.log("one", follow=True)],
}


@pytest.mark.parametrize("way", WAYS)
def test_whoever_waits_for_a_client_that_another_thread_closes_is_told(
    way: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the words for what is asked of it later; what was made to be evaluated is cancelled, and the rest goes on."""
    evaluates = way.startswith("evaluate")

    def scene(runs: FewRuns, client: Client) -> None:
        if not evaluates:
            runs.runs = {name: body(name) for name in ("one", "other")}
        waiting = aside(lambda: WAYS[way](client))
        wait_until("it waits", lambda: "WATCH" in runs.asked and runs.runs, bool)
        client.close()
        with pytest.raises(NotAskedError, match="this Client is closed; make another"):
            waiting.result(30)
        assert {run["spec"].get("cancel", False) for run in runs.runs.values()} == {evaluates}

    with nothing_is_said(caplog, capfd):
        play(scene)


def test_a_client_may_be_closed_by_what_it_tells() -> None:
    """In the thread that waits."""

    def scene(runs: FewRuns, client: Client) -> None:
        with pytest.raises(NotAskedError, match="this Client is closed"):
            client.evaluate(CODE, progress=lambda _: client.close())
        assert [run["spec"].get("cancel") for run in runs.runs.values()] == [True]

    play(scene)


def test_what_goes_on_between_two_answers_is_cancelled_when_the_client_is_closed() -> None:
    """As where the loop is left."""

    def scene(runs: FewRuns, client: Client) -> None:
        answers = client.evaluate_many([CODE, Path("nowhere.py")])
        assert next(answers).reason == "SpecInvalid"
        wait_until("the other is there", lambda: runs.runs, bool)
        client.close()
        with pytest.raises(NotAskedError, match="this Client is closed"):
            next(answers)
        assert [run["spec"].get("cancel") for run in runs.runs.values()] == [True]

    play(scene)


ENDLESS = """
import asyncio, contextlib, threading
from strategyrun.client import Client, NotAskedError, synchronous

connecting = threading.Event()

async def connect():
    connecting.set()
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

def wait():
    try:
        client.results()
    except NotAskedError as error:
        print(error)

synchronous._GOODBYE_SECONDS = 1
client = Client("research", connect=connect)
threading.Thread(target=wait).start()
connecting.wait()
client.close()
"""


def test_nobody_waits_for_a_client_whose_thread_is_gone() -> None:
    """Though what it does there does not end when it is cancelled: the program comes to its own end."""
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "this Client is closed; make another\n")


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda client, progress: client.evaluate(CODE, progress=progress),
        lambda client, progress: [*client.evaluate_many([CODE], progress=progress)],
    ],
    ids=["evaluate", "evaluate_many"],
)
def test_an_interrupt_stays_one_where_tidying_up_takes_long(
    monkeypatch: pytest.MonkeyPatch, evaluate: Callable[[Client, Progress], object]
) -> None:
    """It is not waited for without end, and nothing else takes the interrupt's place."""
    monkeypatch.setattr("strategyrun.client.synchronous._GOODBYE_SECONDS", 1)

    def interrupt(_: Result) -> None:
        raise KeyboardInterrupt

    def scene(runs: FewRuns, client: Client) -> None:
        runs.instead["PATCH"] = never
        with client, pytest.raises(KeyboardInterrupt):
            evaluate(client, interrupt)

    play(scene)


def test_its_own_loop_cannot_wait_for_it() -> None:
    """What runs in its thread and asks it would wait for itself for ever: it is told so."""

    async def connect() -> RunsApi:
        client.results()
        raise AssertionError

    with Client("research", connect=connect) as client, pytest.raises(NotAskedError, match="use AsyncClient there"):
        client.results()


@pytest.mark.filterwarnings("error")
def test_a_client_that_is_closed_says_so() -> None:
    """Whatever is asked of it; closing it once more does nothing, and nothing is left over that nobody awaited."""
    client = Client("research", connect=nobody)
    begun = client.log("run")
    client.close()
    client.close()
    for ask in (
        client.results,
        lambda: client.evaluate("x = 1"),
        lambda: next(client.evaluate_many(["x = 1"])),
        lambda: next(begun),
    ):
        with pytest.raises(NotAskedError, match="this Client is closed; make another"):
            ask()
    gc.collect()


@pytest.mark.parametrize("asked", [{}, {"selector": " "}, {"names": ("a",), "selector": "b=c"}], ids=str)
def test_nothing_is_deleted_for_want_of_a_word(asked: dict[str, Any]) -> None:
    """Neither names nor labels is not all there is; both are not one of them. Nothing is sent."""
    with Client("research", connect=nobody) as client, pytest.raises(NotAskedError, match="give names, or a selector"):
        client.delete(*asked.get("names", ()), selector=asked.get("selector", ""))


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    """Wherever one may be said; nothing is sent."""
    with Client("research", connect=nobody) as client:
        for ask in (
            lambda: client.evaluate("x = 1", timeout=seconds),
            lambda: [*client.evaluate_many(["x = 1"], timeout=seconds)],
            lambda: client.wait("run", timeout=seconds),
        ):
            with pytest.raises(NotAskedError, match="timeout: must be more than 0 seconds"):
                ask()


async def nobody() -> RunsApi:
    """Connect to nothing."""
    raise AssertionError


def test_the_engine_of_this_machine_asks_no_kubeconfig(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no namespace to look up, and no word is said about a file that nobody needs."""
    monkeypatch.setattr("strategyrun.client.asynchronous.default_namespace", None)
    with Client(engine="local") as client:
        assert client.namespace == "local"
    assert caplog.text == ""


def test_its_types_are_there_for_whoever_uses_it() -> None:
    """A type checker reads a package that says so."""
    assert (files("strategyrun") / "py.typed").is_file()
