"""The client for scripts and notebooks: the asynchronous one, on an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

from strategyrun.adapters.runs import RunsApi
from strategyrun.client.asynchronous import Asked, AsyncClient, Connect, EngineName, upcoming
from strategyrun.client.board import Board
from strategyrun.client.errors import NotAskedError
from strategyrun.client.following import Progress
from strategyrun.client.loops import TidyLoop
from strategyrun.client.result import Result
from strategyrun.client.trial import Trial
from strategyrun.reporting.material import Material

T = TypeVar("T")

_GOODBYE_SECONDS = 15
_END_SECONDS = 45
"""Longer than an engine takes to cancel a run."""

_CLOSED = "this Client is closed; make another"


class _Loop:
    """An event loop in a thread, so that it works where another one runs already, as in a notebook."""

    def __init__(self) -> None:
        self._loop = TidyLoop()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._door = threading.RLock()
        """Held while something begins, and while the closing does: what has come in before is ended then."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="strategyrun-client", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        """Whether anything may begin."""
        return not self._closed and self.alive

    @property
    def alive(self) -> bool:
        """Whether the thread goes on."""
        return self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it and return what it returns; an interrupt cancels it, and waits until it has tidied up."""
        return _Caller(self).run(work)

    def start(self, work: Coroutine[Any, Any, T]) -> tuple[Future[T], Callable[[], None]]:
        """Begin it; return its future, and what cancels it.

        Raises NotAskedError in the loop's own thread, and where that has ended.
        """
        started: list[asyncio.Task[T]] = []

        async def task() -> T:
            started.append(asyncio.ensure_future(work))
            self._under_way.add(started[0])
            started[0].add_done_callback(self._under_way.discard)
            return await started[0]

        def cancel() -> None:
            self._loop.call_soon_threadsafe(self._loop.call_soon, lambda: [each.cancel() for each in started])

        try:
            self._require_another_thread()
            with self._door:
                if not self.open:
                    raise NotAskedError(_CLOSED)
                return asyncio.run_coroutine_threadsafe(task(), self._loop), cancel
        except NotAskedError:
            work.close()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what is under way, do the last thing when that has tidied up, and end the thread.

        Raises NotAskedError in the loop's own thread.
        """
        self._require_another_thread()
        with self._door:
            if not self.open:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._end(last), self._loop).result(_END_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_END_SECONDS)
            if not self.alive:
                self._loop.close()

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await _cancelled(self._under_way)  # which ends what it has begun itself, each in its order
        await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})
        await last()
        await self._loop.shutdown_asyncgens()
        await self._loop.let_go()

    def _require_another_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise NotAskedError("a Client waits for its loop, and cannot be asked in it; use AsyncClient there")


class _Caller:
    """The thread that waits for the loop's work, and meanwhile calls what it has lent to it.

    So the caller's own functions run in the caller's own thread, and may ask the client themselves.
    """

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it and return what it returns.

        An interrupt, or an error of a function that was called, cancels it, and waits until it has tidied up. Raises
        NotAskedError where the loop is closed meanwhile.
        """
        future, cancel = self._loop.start(work)
        future.add_done_callback(lambda _: self._calls.put(None))
        try:
            while (call := self._next_call()) is not None:
                call()
        except BaseException:
            if not future.done():
                with suppress(BaseException):
                    cancel()
                    future.result(_GOODBYE_SECONDS)
            raise
        if not self._loop.open and (future.cancelled() or not future.done()):
            raise NotAskedError(_CLOSED)
        return future.result()

    def _next_call(self) -> Callable[[], object] | None:
        """Wait; None where the work has ended, or the loop has.

        It turns round once a second: an interrupt that another thread was given wakes nobody here.
        """
        while True:
            with suppress(Empty):
                return self._calls.get(timeout=1)
            if not self._loop.alive:
                return None

    def told(self, progress: Progress | None) -> Progress | None:
        """Lend a function that is told of changes: the work does not wait for it."""
        return progress and (lambda result: self._calls.put(partial(progress, result)))

    async def read(self, items: Iterable[T]) -> AsyncGenerator[T, None]:
        """Lend an iterable: the work waits for its items, the loop goes on."""
        waiting = iter(items)
        while True:
            found: Future[T | None] = Future()
            self._calls.put(partial(_settle, found, waiting))
            if (item := await asyncio.wrap_future(found)) is None:
                return
            yield item


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
        """Close the client, as `close` does."""
        self.close()

    def close(self) -> None:
        """Close the connection; runs go on.

        What other threads wait for meanwhile is cancelled, and raises NotAskedError, as all does that is asked of it
        afterwards.
        """
        self._loop.close(self._client.close)

    def evaluate(
        self, code: str | Path, *, progress: Progress | None = None, timeout: float | None = None, **asked: Any
    ) -> Result:
        """Evaluate one strategy and return its answer; an interrupt cancels the run. See `AsyncClient.evaluate`."""
        caller = _Caller(self._loop)
        return caller.run(self._client.evaluate(code, progress=caller.told(progress), timeout=timeout, **asked))

    def evaluate_many(
        self,
        trials: Iterable[Asked],
        *,
        concurrency: int = 8,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Iterator[Result]:
        """Yield the answers of trials in the order in which they come. See `AsyncClient.evaluate_many`.

        The iterable is read, and progress is told, in the thread that reads the answers, while it waits for one.
        """
        caller = _Caller(self._loop)
        told = caller.told(progress)
        answers = self._client.evaluate_many(
            caller.read(trials), concurrency=concurrency, progress=told, timeout=timeout
        )
        return self._each(answers, caller)

    def submit(self, trial: Trial, *, name: str = "") -> Result:
        """Make a run and return it as it is now. See `AsyncClient.submit`."""
        return self._loop.run(self._client.submit(trial, name=name))

    def result(self, name: str) -> Result:
        """Return a run as it is now. See `AsyncClient.result`."""
        return self._loop.run(self._client.result(name))

    def results(self, *, selector: str = "", everywhere: bool = False) -> list[Result]:
        """Return the runs of the namespace, or of all. See `AsyncClient.results`."""
        return self._loop.run(self._client.results(selector=selector, everywhere=everywhere))

    def wait(
        self,
        *names: str,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """Wait for the answers of runs, however they end. See `AsyncClient.wait`."""
        caller = _Caller(self._loop)
        return caller.run(self._client.wait(*names, progress=caller.told(progress), timeout=timeout))

    def cancel(self, name: str) -> Result:
        """Ask for the end of a run. See `AsyncClient.cancel`."""
        return self._loop.run(self._client.cancel(name))

    def delete(self, *names: str, selector: str = "") -> list[str]:
        """Delete runs, and return the names of those that were there. See `AsyncClient.delete`."""
        return self._loop.run(self._client.delete(*names, selector=selector))

    def rerun(self, name: str) -> Result:
        """Ask for the same inputs once more, and return the run as it was. See `AsyncClient.rerun`."""
        return self._loop.run(self._client.rerun(name))

    def top(self, metric: str = "sharpe", *, selector: str = "", everything: bool = False) -> Board:
        """Rank the runs of the namespace by a metric. See `AsyncClient.top`."""
        return self._loop.run(self._client.top(metric, selector=selector, everything=everything))

    def report(self, name: str) -> Material:
        """Read what a report of a run is made of. See `AsyncClient.report`."""
        return self._loop.run(self._client.report(name))

    def log(self, name: str, container: str = "strategy", *, follow: bool = False) -> Iterator[str]:
        """Yield what a container of a run's last pod has printed. See `AsyncClient.log`."""
        return self._each(self._client.log(name, container, follow=follow), _Caller(self._loop))

    def _each(self, answers: AsyncGenerator[T, None], caller: _Caller) -> Iterator[T]:
        """Yield what the loop does; whoever stops reading ends it."""
        try:
            while (answer := caller.run(upcoming(answers))) is not None:
                yield answer
        finally:
            with suppress(NotAskedError):  # whoever closes the client ends it too
                self._loop.run(_close(answers))


async def _close(answers: AsyncGenerator[T, None]) -> None:
    """End it, unless it ends already: what was cancelled may take longer than an interrupt waits for."""
    if not answers.ag_running:  # type: ignore[attr-defined]  # typeshed leaves it out
        await answers.aclose()


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have tidied up."""
    ending = [*tasks]
    for each in ending:
        each.cancel()
    if ending:
        await asyncio.wait(ending, timeout=_GOODBYE_SECONDS)


def _settle(found: Future[T | None], waiting: Iterator[T]) -> None:
    """Answer with the next item, unless nobody waits for it any more."""
    if found.set_running_or_notify_cancel():
        found.set_result(next(waiting, None))
