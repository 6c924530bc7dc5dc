"""Watches are held to what sweeps find."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from strategyrun.adapters.watches import LATE_SECONDS, Watches
from support.clock import run_virtually


def body(uid: str, version: int) -> dict[str, Any]:
    """Build as much of an object as is looked at."""
    return {"metadata": {"uid": uid, "resourceVersion": str(version)}}


def scene(work: Coroutine[Any, Any, None]) -> None:
    """Play it in virtual time."""
    run_virtually(work)


def test_a_watch_that_tells_everything_owes_nothing() -> None:
    """Before or after the sweep, and a later version counts too."""

    async def work() -> None:
        watches = Watches(["Pod"])
        watches.told("Pod", None, body("a", 5))
        watches.listed("Pod", {"a": 5, "b": 6}, 0)
        await asyncio.sleep(3)
        assert watches.behind("Pod") == 3
        watches.told("Pod", "ADDED", body("b", 7))
        assert watches.behind("Pod") == 0

    scene(work())


def test_a_watch_that_is_dead_falls_behind() -> None:
    """Its debt is as old as the first thing that it did not tell; an older version does not pay it."""

    async def work() -> None:
        watches = Watches(["Pod", "Job"])
        watches.told("Pod", None, body("a", 5))
        watches.listed("Pod", {"a": 6}, 0)
        await asyncio.sleep(20)
        watches.listed("Pod", {"a": 7, "b": 8}, 20)
        await asyncio.sleep(20)
        watches.told("Pod", "MODIFIED", body("a", 5))
        assert watches.behind("Pod") == 40 > LATE_SECONDS
        assert watches.behind("Job") == 0

    scene(work())


def test_what_is_gone_is_not_owed() -> None:
    """Whether the watch tells of the end or the next sweep does not find it."""

    async def work() -> None:
        watches = Watches(["Pod"])
        watches.listed("Pod", {"a": 5, "b": 6}, 0)
        await asyncio.sleep(1)
        watches.told("Pod", "DELETED", body("a", 9))
        watches.listed("Pod", {}, 1)
        assert watches.behind("Pod") == 0

    scene(work())


def test_what_is_told_while_a_sweep_lists_is_remembered() -> None:
    """An object that is newer than its page of the list was told of, and the next sweep knows that."""

    async def work() -> None:
        watches = Watches(["Pod"])
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        watches.told("Pod", "ADDED", body("a", 5))
        watches.listed("Pod", {}, began)
        watches.listed("Pod", {"a": 5}, began)
        assert watches.behind("Pod") == 0

    scene(work())


def test_what_is_deleted_while_a_sweep_lists_is_not_owed() -> None:
    """Nobody could ever tell of it again: it was told."""

    async def work() -> None:
        watches = Watches(["Pod"])
        began = asyncio.get_running_loop().time()
        watches.told("Pod", "ADDED", body("a", 5))
        await asyncio.sleep(1)
        watches.told("Pod", "DELETED", body("a", 6))
        watches.listed("Pod", {"a": 5}, began)
        await asyncio.sleep(1)
        assert watches.behind("Pod") == 0
        watches.listed("Pod", {}, 2)
        assert not watches._told["Pod"]

    scene(work())


def test_what_is_gone_is_forgotten() -> None:
    """An operator that runs for months does not remember every pod."""

    async def work() -> None:
        watches = Watches(["Pod"])
        watches.told("Pod", "ADDED", body("a", 5))
        await asyncio.sleep(1)
        watches.listed("Pod", {}, 1)
        assert not watches._told["Pod"]

    scene(work())
