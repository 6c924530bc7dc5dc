"""A Warning event for a run that fails, and one if it falls back: `kubectl describe` and `kubectl get events` tell."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from strategyrun.adapters.budget import TokenBucket
from strategyrun.adapters.kube import TROUBLE, ExistsError, Kube, NotFoundError, RefusedError
from strategyrun.domain.news import event, news
from strategyrun.domain.strategyrun import StrategyRun

NEWS_FOR = timedelta(minutes=10)
"""What is older is no news: an operator that starts again does not tell of it."""

_IN_MIND = 4096
_WAITING = 1000
_FOR_EACH_RUN = (25, 1 / 300)
_FOR_ALL = (100, 10.0)
"""Burst and rate a second. What goes beyond is dropped: the status says all that an event says."""

Outcome = Literal["Posted", "Known", "Dropped", "Failed"]

log = logging.getLogger(__name__)


class EventRecorder:
    """Posts events while `work` runs. What is on record is told of, so a crash neither loses nor doubles an event."""

    def __init__(self, kube: Kube, instance: str, *, count: Callable[[Outcome], None]) -> None:
        self._kube = kube
        self._instance = instance
        self._count = count
        self._told: OrderedDict[str, None] = OrderedDict()
        """Names of the last events."""
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._bucket = TokenBucket(*_FOR_ALL)
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WAITING)

    def saw(self, run: StrategyRun, now: datetime) -> None:
        """Take note of a run as the API server holds it; tell of what is new, once."""
        for each in news(run):
            if now - each.at <= NEWS_FOR:
                self._tell(run, event(run, each, self._instance), now.timestamp())

    def _tell(self, run: StrategyRun, manifest: dict[str, Any], at: float) -> None:
        name = manifest["metadata"]["name"]
        if name in self._told:
            return
        _remember(self._told, name, None)
        bucket = self._buckets.get(run.uid) or TokenBucket(*_FOR_EACH_RUN)
        _remember(self._buckets, run.uid, bucket)
        if not (bucket.allow(at) and self._bucket.allow(at)) or self._waiting.full():
            self._count("Dropped")
            return
        self._waiting.put_nowait(manifest)

    async def work(self) -> None:
        """Post what is to be told, until cancelled."""
        while True:
            manifest = await self._waiting.get()
            try:
                self._count(await self._post(manifest))
            except Exception:  # an event is never worth the operator
                log.exception("defect: an event is lost")
                self._count("Failed")

    async def _post(self, manifest: dict[str, Any]) -> Outcome:
        try:
            await self._kube.create(manifest)
        except ExistsError:
            return "Known"
        except (NotFoundError, RefusedError) as error:  # the namespace is going, or there is no such right
            log.info("an event is refused: %s", error.message)
            return "Failed"
        except TROUBLE as error:
            log.warning("an event is lost: %s", error)
            return "Failed"
        return "Posted"


def _remember(known: OrderedDict[str, Any], key: str, value: object) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _IN_MIND:
        known.popitem(last=False)
