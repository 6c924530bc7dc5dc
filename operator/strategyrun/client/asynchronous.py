"""The client, for programs with an event loop of their own."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar, get_args

from strategyrun.adapters.reports import kept_report
from strategyrun.adapters.runs import RunsApi, Selection, default_namespace
from strategyrun.client.board import Board, require
from strategyrun.client.cluster import ClusterEngine
from strategyrun.client.errors import NoRunError, NotAskedError, NotStartedError, RefusedRunError
from strategyrun.client.following import Follower, Listening, Progress
from strategyrun.client.result import NotFinishedError, Result
from strategyrun.client.translate import asking
from strategyrun.client.trial import Trial
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.strategyrun import RERUN_ANNOTATION
from strategyrun.reporting.material import CannotRenderError, Material

T = TypeVar("T")

EngineName = Literal["cluster", "local", "bubblewrap", "docker"]
"""A cluster, the first engine of this machine that works, or one of them by its name."""
Connect = Callable[[], Awaitable[RunsApi]]
"""Opens the connection, in the loop that will use it."""

_DELETIONS = 50
"""Requests at once."""
_NAMED_IN_ERRORS = 10
_BEFORE_RUNNING = frozenset({"Pending", "Queued", "Starting"})
_LOOK_AGAIN_SECONDS = 0.5

Asked = Trial | str | Path
"""A trial, or only its code."""


class Engine(Protocol):
    """What evaluates trials."""

    async def evaluate(self, trial: Trial, progress: Progress | None = None, seconds: float | None = None) -> Result:
        """Return the answer of a trial; whoever stops waiting stops the run, and so does the time."""

    async def close(self) -> None:
        """Let go of what is held."""


class AsyncClient:
    """Evaluates strategies, and looks after the runs of a namespace.

    `namespace` is that of the kubeconfig's context where it is not said. Nothing is connected before the first
    request. To be used as `async with`, or closed. Any `engine` but `cluster` evaluates on this machine, needs no
    kubeconfig, and keeps no runs: `local` is bubblewrap, else docker.
    """

    def __init__(
        self, namespace: str | None = None, *, engine: EngineName = "cluster", connect: Connect = RunsApi.connect
    ) -> None:
        if engine not in get_args(EngineName):
            raise NotAskedError(f"engine {engine!r}: must be one of {', '.join(get_args(EngineName))}")
        self._local = None if engine == "cluster" else _of_this_machine(engine)
        self.namespace = namespace or ("local" if self._local else default_namespace())
        self._connect = connect
        self._api: RunsApi | None = None
        self._engine: ClusterEngine | None = None
        self._connecting = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._under_way: set[asyncio.Task[Any]] = set()
        """What loops have begun: one that is left by `break` ends only when the event loop has the time."""

    async def __aenter__(self) -> Self:
        """Give the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client, as `close` does."""
        await self.close()

    async def close(self) -> None:
        """Cancel what `evaluate_many` has under way, and close the connection; runs that were submitted go on."""
        try:
            while left := (self._under_way & asyncio.all_tasks()) - {asyncio.current_task()}:
                await _end(left)
        finally:
            await self._stack.aclose()
            self._engine = None
            self._connecting = asyncio.Lock()  # a lock that was waited for belongs to its loop

    async def evaluate(
        self, code: str | Path, *, progress: Progress | None = None, timeout: float | None = None, **asked: Any
    ) -> Result:
        """Evaluate one strategy and return its answer; `asked` are the other fields of `Trial`.

        A failure of the strategy is a result, see `Result.raise_for_failure`. So are two ends without an answer, both
        Cancelled: of a run that somebody deletes (Deleted), and of one that has none after `timeout` seconds, waiting
        included (DeadlineExceeded; its message says where it could not be cancelled and may go on). Whoever cancels
        this call cancels the run, and so does an error of `progress`, which is raised. Raises ClusterError,
        RefusedRunError among them, and NotAskedError.
        """
        _require_time(timeout)
        return await (await self._evaluator()).evaluate(Trial(code, **asked), progress, timeout)

    async def evaluate_many(
        self,
        trials: Iterable[Asked] | AsyncIterable[Asked],
        *,
        concurrency: int = 8,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Result, None]:
        """Yield the answers of trials in the order in which they come, `concurrency` runs at a time.

        The iterable is read as places become free, after the answers that have come were given: an asynchronous one in
        this loop, any other in threads, so that it may take its time. Whoever stops reading cancels what is under way.
        A run that fails is a result, and so are a trial of which no run can be made, a run that somebody deletes, and
        one that has no answer after `timeout` seconds, each run's own. Raises ClusterError.
        """
        if concurrency < 1:
            raise NotAskedError(f"concurrency: must be at least 1, found {concurrency}")
        _require_time(timeout)
        engine = await self._evaluator()
        waiting = aiter(trials if isinstance(trials, AsyncIterable) else _in_threads(trials))
        reading: set[asyncio.Task[Asked | None]] = set()
        under_way: set[asyncio.Task[Result]] = set()
        exhausted = False
        try:
            while True:
                if not (exhausted or reading) and len(under_way) < concurrency:
                    reading.add(self._begin(upcoming(waiting)))
                if not (reading or under_way):
                    return
                await asyncio.wait({*reading, *under_way}, return_when=asyncio.FIRST_COMPLETED)
                for read in _ended(reading):
                    if (asked := await read) is None:
                        exhausted = True
                    else:
                        trial = asked if isinstance(asked, Trial) else Trial(asked)
                        under_way.add(self._begin(self._answer(engine, trial, progress, timeout)))
                for answered in _ended(under_way):
                    yield await answered
        finally:
            await _end([*reading, *under_way])

    async def submit(self, trial: Trial, *, name: str = "") -> Result:
        """Make a run and return it as it is now; without a `name` it gets one of its own. Raises ClusterError."""
        return await self.submit_manifest(trial.metadata(name or trial.new_name()), trial.spec())

    async def submit_manifest(self, meta: dict[str, Any], spec: dict[str, Any]) -> Result:
        """Make a run of a manifest's metadata and spec, in this client's namespace. Raises ClusterError."""
        return await (await self._started()).submit(meta, spec)

    async def result(self, name: str) -> Result:
        """Return a run as it is now. Raises ClusterError."""
        api = await self._connected()
        with asking(f"read StrategyRun {name}", self.namespace):
            body = await api.read(self.namespace, name)
        if body is None:
            raise NoRunError(f"there is no StrategyRun {name} in namespace {self.namespace}")
        return Result.of(body)

    async def results(self, *, selector: str = "", everywhere: bool = False) -> list[Result]:
        """Return the runs of the namespace, or of all, the oldest first. Raises ClusterError."""
        api = await self._connected()
        with asking("list StrategyRuns", self.namespace):
            namespace = None if everywhere else self.namespace
            found = [Result.of(body) async for body in api.list(api.runs, namespace=namespace, selector=selector)]
        return sorted(found, key=lambda result: (result.created_at or "", result.name))

    async def wait(
        self,
        *names: str,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """Wait for the answers of runs, however they end, and return them in the order of the names.

        The answer before a rerun or a change of the spec is none. A run that is deleted meanwhile is Cancelled, with
        the reason Deleted. Raises NoRunError where one is not there, NotFinishedError where some have not ended after
        `timeout` seconds, and other ClusterErrors; whatever it raises, the runs go on.
        """
        _require_time(timeout)
        latest = {name: Result.unheard(name, self.namespace) for name in names}
        ended: dict[str, Result] = {}

        def told(result: Result) -> None:
            latest[result.name] = result
            if result.finished:
                ended[result.name] = result
            if progress:
                progress(result)

        try:
            async with asyncio.timeout(timeout) as limit:
                for name in latest:
                    latest[name] = found = await self.result(name)
                    if found.finished:
                        told(found)
                await self._follow([found for found in latest.values() if found.name not in ended], told)
        except TimeoutError:
            if not limit.expired():
                raise
        if left := [latest[name] for name in latest if name not in ended]:
            raise _unfinished(timeout, [ended[name] for name in latest if name in ended], left)
        return [ended[name] for name in names]

    async def cancel(self, name: str) -> Result:
        """Ask for the end of a run; its phase becomes Cancelled. Raises ClusterError."""
        return await (await self._started()).cancel(name)

    async def delete(self, *names: str, selector: str = "") -> list[str]:
        """Delete the runs of these names, or with these labels, and all that is kept of them; one under way ends.

        Returns the names of those that were there. Raises NotAskedError unless it is told either names or labels, and
        ClusterError.
        """
        if bool(names) == bool(selector.strip()):
            raise NotAskedError("delete what? give names, or a selector")
        engine = await self._started()
        wanted = [*dict.fromkeys(names)] or await engine.names(selector)
        deleted: list[str] = []
        for at in range(0, len(wanted), _DELETIONS):
            some = wanted[at : at + _DELETIONS]
            answers = await asyncio.gather(*map(engine.delete, some), return_exceptions=True)
            for name, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                deleted.extend([name] if answer else [])
        return deleted

    async def rerun(self, name: str) -> Result:
        """Ask for the same inputs once more, and return the run as it was; `wait` waits for the answer to that.

        Raises ClusterError.
        """
        before = await self.result(name)
        patch: dict[str, Any] = {"metadata": {"annotations": {RERUN_ANNOTATION: token_hex(4)}}}
        if before.body.get("spec", {}).get("cancel"):
            patch["spec"] = {"cancel": None}
        await (await self._started()).change(name, "rerun", patch)
        return before

    async def top(self, metric: str = "sharpe", *, selector: str = "", everything: bool = False) -> Board:
        """Rank the runs of the namespace by a metric; `everything` has those too whose numbers do not compare.

        Raises NotAskedError for a metric that there is not, and ClusterError.
        """
        require(metric)
        return Board.of(await self.results(selector=selector), metric, everything=everything)

    async def report(self, name: str) -> Material:
        """Read what a report of a run is made of. Raises ClusterError, and NotAskedError where it is no run."""
        result = await self.result(name)
        api = await self._connected()
        content, absent = await kept_report(api, result.body)
        try:
            return Material.read(result.body, content, absent)
        except CannotRenderError as error:
            raise NotAskedError(str(error)) from error

    async def log(self, name: str, container: str = "strategy", *, follow: bool = False) -> AsyncGenerator[str, None]:
        """Yield what a container of a run's last pod has printed; untrusted text. Raises ClusterError.

        With `follow` pod and container are waited for, and then each line, until the container ends.
        """
        begun = False
        while not begun:
            result = await (self._with_pod(name) if follow else self.result(name))
            if not result.pod:
                raise NoRunError(f"StrategyRun {name} has no pod: it is {result.phase} ({result.reason})")
            try:
                async with aclosing(self._lines(result.pod, container, follow=follow)) as lines:
                    async for line in lines:
                        begun = True
                        yield line
            except NotStartedError:
                if not follow or result.finished:
                    raise
            else:
                begun = begun or not follow or result.phase not in _BEFORE_RUNNING
            if not begun:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def api(self) -> RunsApi:
        """Return the connection, for what has no method here. Raises UnreachableError."""
        return await self._connected()

    async def _follow(self, runs: list[Result], told: Progress) -> None:
        """Follow runs that are there until each has an answer."""
        if not runs:
            return
        api = await self._connected()
        selection = Selection(self.namespace, name=runs[0].name if len(runs) == 1 else "")
        async with Follower(api, selection) as follower:
            ends = [follower.expect(each.name, told) for each in runs]
            for each in runs:
                follower.exists(each)
            await asyncio.gather(*ends)

    async def _with_pod(self, name: str) -> Result:
        """Wait until a run has a pod, or will have none."""
        result = await self.result(name)
        if _knows_pod(result):
            return result
        api = await self._connected()
        with asking("follow StrategyRuns", self.namespace):
            async with aclosing(api.follow(Selection(self.namespace, name=name), {name})) as changes:
                async for _, body in changes:
                    if body is None:
                        break
                    if _knows_pod(result := Result.of(body)):
                        return result
        raise NoRunError(f"StrategyRun {name} in namespace {self.namespace} was deleted before it had a pod")

    async def _lines(self, pod: str, container: str, *, follow: bool) -> AsyncGenerator[str, None]:
        api = await self._connected()
        with asking(f"read the log of pod {pod}", self.namespace):
            async with aclosing(api.log_lines(self.namespace, pod, container, follow=follow)) as lines:
                async for line in lines:
                    yield line

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a part of a loop, which ends with the client."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _answer(self, engine: Engine, trial: Trial, progress: Progress | None, seconds: float | None) -> Result:
        listening = Listening(progress)
        try:
            return await engine.evaluate(trial, listening, seconds)
        except (NotAskedError, RefusedRunError) as error:
            if listening.raised(error):
                raise
            reason = error.reason if isinstance(error, RefusedRunError) else Reason.SPEC_INVALID
            return Result.refused(trial, self.namespace, reason, str(error))

    async def _evaluator(self) -> Engine:
        return self._local or await self._started()

    async def _connected(self) -> RunsApi:
        if self._local:
            raise NotAskedError("an engine of this machine keeps no runs: it evaluates, and gives the results")
        async with self._connecting:
            if self._api is None:
                with asking("connect", self.namespace):
                    self._api = await self._connect()
                self._stack.push_async_exit(self._api)
                self._stack.callback(self._disconnected)
            return self._api

    def _disconnected(self) -> None:
        self._api = None

    async def _started(self) -> ClusterEngine:
        api = await self._connected()
        if self._engine is None:
            self._engine = ClusterEngine(api, self.namespace)
            self._stack.push_async_callback(self._engine.close)
        return self._engine


def _of_this_machine(name: str) -> Engine:
    from strategyrun.client.local import LocalEngine  # noqa: PLC0415 - a cluster's client needs none of it

    return LocalEngine(name)


async def _in_threads(trials: Iterable[Asked]) -> AsyncGenerator[Asked, None]:
    """Read an iterable that may take its time, and may wait for this loop."""
    waiting = iter(trials)
    while (asked := await asyncio.to_thread(next, waiting, None)) is not None:
        yield asked


def _require_time(timeout: float | None) -> None:
    if timeout is not None and not timeout > 0:
        raise NotAskedError(f"timeout: must be more than 0 seconds, found {timeout:g}")


def _unfinished(seconds: float | None, ended: list[Result], left: list[Result]) -> NotFinishedError:
    named = [f"{each.name} ({each.phase}, {each.reason})" for each in left[:_NAMED_IN_ERRORS]]
    named += [f"{len(left) - len(named)} more"] if len(left) > len(named) else []
    return NotFinishedError(f"not ended within {seconds:g} s, and they go on: {', '.join(named)}", ended, left)


async def upcoming(items: AsyncIterator[T]) -> T | None:
    """Return the next item, None after the last: `anext` as a coroutine, which a task needs."""
    return await anext(items, None)


def _knows_pod(result: Result) -> bool:
    """Whether a run has a pod, or will have none; that of an answer of before is not its own any more."""
    return result.finished or bool(result.pod and not result.outcome)


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have tidied up. A second time would break off the cancelling of their runs."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ended(tasks: set[asyncio.Task[T]]) -> Iterator[asyncio.Task[T]]:
    """Take out what has ended, one by one, until nothing is left that has."""
    while ended := next((each for each in tasks if each.done()), None):
        tasks.discard(ended)
        yield ended
