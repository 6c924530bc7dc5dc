"""Waiting for the ends of runs by one watch, however many they are."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from strategyrun.adapters.runs import RunsApi, Selection
from strategyrun.client.result import Result
from strategyrun.client.translate import asking

Progress = Callable[[Result], object]
"""Told each state of a run, the last one included; by the thread that waits, which for `AsyncClient` is its loop's."""

DELETED = "Deleted"
"""The reason of a run that somebody deleted while it was waited for."""


class Listening:
    """Tells `progress`, and knows afterwards which error was its own: it may be of any kind, a client's too."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._error: Exception | None = None

    def __call__(self, result: Result) -> None:
        """Tell it."""
        try:
            if self._progress:
                self._progress(result)
        except Exception as error:
            self._error = error
            raise

    def raised(self, error: BaseException | None) -> bool:
        """Whether it was whoever is told that raised this."""
        return error is not None and error is self._error


class _Waiter(NamedTuple):
    ended: asyncio.Future[Result]
    progress: Progress | None


class Follower:
    """Follows the runs of a selection from its first waiter on, until it is closed."""

    def __init__(self, api: RunsApi, selection: Selection) -> None:
        self._api = api
        self._selection = selection
        self._waiters: dict[str, list[_Waiter]] = defaultdict(list)
        self._known: set[str] = set()
        self._last: dict[str, Result] = {}
        """The runs that are waited for, as they were last seen."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Follow from the first waiter on."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following."""
        await self.close()

    def expect(self, name: str, progress: Progress | None = None) -> asyncio.Future[Result]:
        """Return the future of a run's answer.

        A run that is deleted is Cancelled, with the reason Deleted. The errors of the future are the connection's.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), progress)
        self._waiters[name].append(waiter)
        waiter.ended.add_done_callback(lambda _: self._forget(name, waiter))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        return waiter.ended

    def exists(self, seen: Result) -> None:
        """Say that a run was seen, so that its absence is told."""
        self._known.add(seen.name)
        if seen.name in self._waiters:
            self._last.setdefault(seen.name, seen)

    async def close(self) -> None:
        """Stop following; whoever still waits is cancelled."""
        for name in [*self._waiters]:
            for waiter in [*self._waiters[name]]:
                waiter.ended.cancel()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _forget(self, name: str, waiter: _Waiter) -> None:
        if not waiter.ended.cancelled():
            waiter.ended.exception()  # whoever waits no more need not ask for it
        waiters = self._waiters.get(name, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(name, None)
            self._last.pop(name, None)

    async def _follow(self) -> None:
        try:
            with asking("follow StrategyRuns", self._selection.namespace):
                async with aclosing(self._api.follow(self._selection, self._known)) as changes:
                    async for name, body in changes:
                        if name in self._waiters:
                            self._tell(name, body)
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            for waiters in [*self._waiters.values()]:
                for waiter in [*waiters]:
                    if not waiter.ended.done():
                        waiter.ended.set_exception(error)

    def _tell(self, name: str, body: dict[str, Any] | None) -> None:
        result = Result.of(body) if body else self._deleted(name)
        waiters = [*self._waiters.get(name, [])]
        if waiters:
            self._last[name] = result
        for waiter in waiters:
            if not waiter.ended.done():
                self._progress(waiter, result)

    def _deleted(self, name: str) -> Result:
        namespace = self._selection.namespace
        last = self._last.get(name) or Result.unheard(name, namespace)
        said = f"StrategyRun {name} in namespace {namespace} was deleted before its end"
        return Result.unanswered(last.body, DELETED, said)

    @staticmethod
    def _progress(waiter: _Waiter, result: Result) -> None:
        try:
            if waiter.progress:
                waiter.progress(result)
        except Exception as error:  # noqa: BLE001 - the caller's own function: its error is the caller's
            waiter.ended.set_exception(error)
            return
        if result.finished:
            waiter.ended.set_result(result)
