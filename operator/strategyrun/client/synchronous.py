"""The client for scripts and notebooks: the asynchronous one, on an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from strategyrun.adapters.runs import RunsApi
from strategyrun.client.asynchronous import AsyncClient, Connect, EngineName
from strategyrun.client.board import Board
from strategyrun.client.following import Progress
from strategyrun.client.loops import TidyLoop
from strategyrun.client.result import Result
from strategyrun.client.trial import Trial
from strategyrun.reporting.material import Material

T = TypeVar("T")

_GOODBYE_SECONDS = 15


class _Loop:
    """An event loop in a thread, so that it works where another one runs already, as in a notebook."""

    def __init__(self) -> None:
        self._loop = TidyLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="strategyrun-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it and return what it returns; an interrupt cancels it, and waits until it has tidied up."""
        started: list[asyncio.Task[T]] = []

        async def task() -> T:
            started.append(asyncio.ensure_future(work))
            return await started[0]

        future = asyncio.run_coroutine_threadsafe(task(), self._loop)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                self._loop.call_soon_threadsafe(lambda: [each.cancel() for each in started])
                with suppress(BaseException):
                    future.result(_GOODBYE_SECONDS)
            raise

    def close(self) -> None:
        """End the thread."""
        if self._thread.is_alive():
            for last in (self._loop.shutdown_asyncgens(), self._loop.let_go()):
                asyncio.run_coroutine_threadsafe(last, self._loop).result(_GOODBYE_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_GOODBYE_SECONDS)
            self._loop.close()


class Client:
    """Evaluates strategies, and looks after the runs of a namespace: `AsyncClient` without await.

    To be used as `with Client() as client:`, or closed.
    """

    def __init__(
        self, namespace: str | None = None, *, engine: EngineName = "cluster", connect: Connect = RunsApi.connect
    ) -> None:
        self._client = AsyncClient(namespace, engine=engine, connect=connect)
        self._loop = _Loop()

    @property
    def namespace(self) -> str:
        """Where the runs are."""
        return self._client.namespace

    def __enter__(self) -> Self:
        """Give the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; runs go on."""
        self.close()

    def close(self) -> None:
        """Close the connection; runs go on."""
        self._loop.run(self._client.close())
        self._loop.close()

    def evaluate(self, code: str | Path, *, progress: Progress | None = None, **asked: Any) -> Result:
        """Evaluate one strategy and return its answer; an interrupt cancels the run. See `AsyncClient.evaluate`."""
        return self._loop.run(self._client.evaluate(code, progress=progress, **asked))

    def evaluate_many(
        self, trials: Iterable[Trial | str | Path], *, concurrency: int = 8, progress: Progress | None = None
    ) -> Iterator[Result]:
        """Yield the answers of trials in the order in which they come. See `AsyncClient.evaluate_many`."""
        answers = self._client.evaluate_many(trials, concurrency=concurrency, progress=progress)
        try:
            while (result := self._loop.run(_next(answers))) is not None:
                yield result
        finally:
            self._loop.run(_close(answers))

    def submit(self, trial: Trial, *, name: str = "") -> Result:
        """Make a run and return it as it is now. See `AsyncClient.submit`."""
        return self._loop.run(self._client.submit(trial, name=name))

    def result(self, name: str) -> Result:
        """Return a run as it is now. See `AsyncClient.result`."""
        return self._loop.run(self._client.result(name))

    def results(self, *, selector: str = "", everywhere: bool = False) -> list[Result]:
        """Return the runs of the namespace, or of all. See `AsyncClient.results`."""
        return self._loop.run(self._client.results(selector=selector, everywhere=everywhere))

    def wait(self, *names: str, progress: Progress | None = None, after: dict[str, str] | None = None) -> list[Result]:
        """Wait for the answers of runs, however they end. See `AsyncClient.wait`."""
        return self._loop.run(self._client.wait(*names, progress=progress, after=after))

    def cancel(self, name: str) -> Result:
        """Ask for the end of a run. See `AsyncClient.cancel`."""
        return self._loop.run(self._client.cancel(name))

    def rerun(self, name: str) -> Result:
        """Ask for the same inputs once more, and return the run as it was. See `AsyncClient.rerun`."""
        return self._loop.run(self._client.rerun(name))

    def top(self, metric: str = "sharpe", *, selector: str = "", everything: bool = False) -> Board:
        """Rank the runs of the namespace by a metric. See `AsyncClient.top`."""
        return self._loop.run(self._client.top(metric, selector=selector, everything=everything))

    def report(self, name: str) -> Material:
        """Read what a report of a run is made of. See `AsyncClient.report`."""
        return self._loop.run(self._client.report(name))


async def _next(answers: AsyncIterator[Result]) -> Result | None:
    return await anext(answers, None)


async def _close(answers: AsyncGenerator[Result, None]) -> None:
    await answers.aclose()
