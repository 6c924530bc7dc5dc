"""The engine that is a cluster: a StrategyRun for each trial, and one watch for all their ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import Any

from strategyrun.adapters.runs import RunsApi, Selection
from strategyrun.client.errors import ClusterError, NoRunError, RefusedRunError, UnreachableError
from strategyrun.client.following import Follower, Listening, Progress
from strategyrun.client.result import Result
from strategyrun.client.translate import asking
from strategyrun.client.trial import Trial
from strategyrun.domain.strategyrun import GROUP

SESSION_LABEL = f"{GROUP}/session"
"""The same on all runs that one client has made."""

_CANCEL_SECONDS = 12
"""Longer than the ten that a webhook has where nobody gives it more: a run that is still being made is not there to be
cancelled. A request that takes longer is cut, and an API server makes nothing for somebody who has gone."""

_LOOK_AGAIN_SECONDS = 0.5


class ClusterEngine:
    """Makes runs in a namespace, and waits for them."""

    def __init__(self, api: RunsApi, namespace: str) -> None:
        self.session = token_hex(4)
        self._api = api
        self._namespace = namespace
        self._follower = Follower(api, Selection(namespace, labels=f"{SESSION_LABEL}={self.session}"))

    async def evaluate(self, trial: Trial, progress: Progress | None = None, seconds: float | None = None) -> Result:
        """Return the answer of a trial; whoever stops waiting cancels the run, and so does the time.

        So does an error of `progress`, which is raised. Raises ClusterError. A failure of the run is a result, and so
        are its deletion and the end of its time.
        """
        name = trial.new_name()
        meta, spec = trial.metadata(name), trial.spec()
        latest: Result | None = None
        listening = Listening(progress)

        def told(result: Result) -> None:
            nonlocal latest
            latest = replace(result, trial=trial)
            listening(latest)

        async def make() -> None:
            nonlocal latest
            made = await self.submit(meta, spec, lambda: latest.body if latest else None)
            latest = latest or made
            self._follower.exists(made)

        ended = self._follower.expect(name, told)
        making = asyncio.create_task(make())
        making.add_done_callback(_has_failed)  # whoever waits no more need not ask for its error
        try:
            async with asyncio.timeout(seconds) as limit:
                await asyncio.wait([making])
                making.result()
                await asyncio.wait([ended])
                return replace(ended.result(), trial=trial)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, ClusterError) and not listening.raised(error):
                raise
            lost = _has_failed(ended) and not listening.raised(ended.exception())
            left = None if (latest and latest.finished) or lost else await self._abandon(name, making)
            if not (isinstance(error, TimeoutError) and limit.expired()):
                raise
            if _has_come(ended) and not (left and ended.result().phase == "Cancelled"):  # just now, and not by us
                return replace(ended.result(), trial=trial)
            if left and left.outcome:  # the news of it was still on its way
                told(answer := replace(left, trial=trial, current=True))
                return answer
            if _is_refused(making):
                making.result()
            seen = left or latest or Result.unheard(name, self._namespace, trial)
            return Result.late(trial, seen, seconds, cancelled=left is not None)
        finally:
            making.cancel()
            ended.cancel()

    async def submit(
        self, meta: dict[str, Any], spec: dict[str, Any], heard: Callable[[], dict[str, Any] | None] = lambda: None
    ) -> Result:
        """Make a run, once; `meta` has its name and what else of metadata was asked for, `heard` is as of the API's.

        Raises ClusterError.
        """
        labels = {**(meta.get("labels") or {}), SESSION_LABEL: self.session}
        meta = {**meta, "namespace": self._namespace, "labels": labels}
        with asking(f"create StrategyRun {meta['name']}", self._namespace, makes=True):
            return Result.of(await self._api.submit(self._api.manifest(meta, spec), heard))

    async def change(self, name: str, verb: str, patch: dict[str, Any]) -> Result:
        """Merge a patch into a run. Raises ClusterError, whose message has the verb."""
        with asking(f"{verb} StrategyRun {name}", self._namespace):
            return Result.of(await self._api.change(self._namespace, name, patch))

    async def cancel(self, name: str) -> Result:
        """Ask for a run's end. Raises ClusterError."""
        return await self.change(name, "cancel", {"spec": {"cancel": True}})

    async def delete(self, name: str) -> bool:
        """Delete a run and all that is kept of it; False where there is none. Raises ClusterError."""
        try:
            with asking(f"delete StrategyRun {name}", self._namespace):
                await self._api.remove(self._namespace, name)
        except NoRunError:
            return False
        return True

    async def names(self, selector: str) -> list[str]:
        """Return the names of the runs that have these labels. Raises ClusterError."""
        with asking("list StrategyRuns", self._namespace):
            found = self._api.list(self._api.runs, namespace=self._namespace, selector=selector, metadata_only=True)
            return [each["metadata"]["name"] async for each in found]

    async def close(self) -> None:
        """Stop waiting."""
        await self._follower.close()

    async def _abandon(self, name: str, making: asyncio.Task[None]) -> Result | None:
        """Cancel a run whose answer nobody waits for any more, and return it; None where that was not possible.

        While it is still being made, or might be, it is looked for again, and an API server that stumbles asked again.
        """
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                while not _is_refused(making):
                    settled = _has_come(making)
                    try:
                        return await self.cancel(name)
                    except (NoRunError, UnreachableError) as error:
                        if settled and isinstance(error, NoRunError):
                            return None
                    if making.done():
                        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                    else:
                        await asyncio.wait([making], timeout=_LOOK_AGAIN_SECONDS)
        return None


def _has_come(awaited: asyncio.Future[Any]) -> bool:
    """Whether there is an answer, or an error in its place."""
    return awaited.done() and not awaited.cancelled()


def _is_refused(making: asyncio.Future[None]) -> bool:
    """Whether the API server will have no such run: one of its name is somebody else's."""
    return _has_come(making) and isinstance(making.exception(), RefusedRunError)


def _has_failed(awaited: asyncio.Future[Any]) -> bool:
    """Whether a client's error has come in place of an answer: the connection's, if it is nobody else's."""
    return _has_come(awaited) and isinstance(awaited.exception(), ClusterError)
