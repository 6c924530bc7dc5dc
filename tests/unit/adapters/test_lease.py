"""Who may take the lease without waiting for its end, and who leaves it to others."""

import asyncio
from typing import Any

import pytest

from strategyrun.adapters.kube import ConflictError, Kube
from strategyrun.adapters.lease import HOST_MARK, Lease
from support.clock import pass_time


class Held(Kube):
    """An API server that has one lease, and stores what replaces it."""

    def __init__(self, holder: str) -> None:
        self.spec = {"holderIdentity": holder, "leaseDurationSeconds": 30, "leaseTransitions": 4}

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Read it."""
        return {"metadata": {"resourceVersion": "7"}, "spec": self.spec}

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store it."""
        self.spec = manifest["spec"]
        return {"metadata": {"resourceVersion": "8"}, "spec": self.spec}


@pytest.mark.parametrize(
    ("before", "taken"),
    [(f"pod-a{HOST_MARK}1", True), (f"pod-b{HOST_MARK}1", False), (f"pod-a1{HOST_MARK}1", False), ("pod-a-1", False)],
)
def test_the_next_process_of_a_pod_takes_over_at_once(before: str, taken: bool) -> None:
    """A container starts when the last one is dead; another pod's may be alive."""
    kube = Held(before)

    async def work() -> bool:
        stop, lease = asyncio.Event(), Lease(kube, "system", f"pod-a{HOST_MARK}2")
        asyncio.get_running_loop().call_later(0.2, stop.set)
        async with lease.hold(stop):
            return lease.held

    assert asyncio.run(work()) is taken


class Distant(Held):
    """One whose answers take a moment."""

    def __init__(self) -> None:
        super().__init__("")
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        """Who is to hold it, for each time that it was replaced."""

    async def get(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Read it, later."""
        await asyncio.sleep(0)
        return await super().get(*arguments, **options)

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store it, and say so."""
        self.asked.put_nowait(manifest["spec"]["holderIdentity"])
        return await super().replace(manifest)


def test_who_was_stopped_for_long_asks_once_more_before_it_gives_up() -> None:
    """A stall of the machine, and nobody took the lease meanwhile."""
    kube = Distant()

    async def work() -> None:
        async with Lease(kube, "system", "pod-a").hold(asyncio.Event()) as renewing:
            assert await kube.asked.get() == "pod-a"
            await asyncio.sleep(0)  # the renewal begins its wait
            pass_time(25)
            again = asyncio.create_task(kube.asked.get())
            await asyncio.wait([renewing, again], return_when=asyncio.FIRST_COMPLETED)
            assert again.done()

    asyncio.run(work())


class Touched(Held):
    """One that a renewal on its way changes before the first release comes."""

    def __init__(self) -> None:
        super().__init__("")
        self.late = 1

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store it, unless it is a release and the renewal comes first."""
        if self.late and not manifest["spec"]["holderIdentity"]:
            self.late -= 1
            raise ConflictError(409, "the object has been modified")
        return await super().replace(manifest)


class Slow(Held):
    """One that stores, and does not answer."""

    def __init__(self) -> None:
        super().__init__("")
        self.stored = asyncio.Event()

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store it; only a release is answered."""
        stored = await super().replace(manifest)
        if manifest["spec"]["holderIdentity"]:
            self.stored.set()
            await asyncio.Event().wait()
        return stored


def test_who_is_ended_while_it_asks_for_the_lease_does_not_keep_it() -> None:
    """What was asked for may have been stored: the next operator need not wait for the end of its time."""
    kube = Slow()

    async def work() -> None:
        async with Lease(kube, "system", "pod-a").hold(asyncio.Event()):
            pass

    async def end() -> None:
        working = asyncio.create_task(work())
        await kube.stored.wait()
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()

    asyncio.run(end())
    assert kube.spec["holderIdentity"] == ""


def test_a_renewal_that_comes_late_does_not_keep_the_lease() -> None:
    """What was cancelled may have been sent: the next operator need not wait for the end of its time."""
    kube = Touched()

    async def work() -> None:
        async with Lease(kube, "system", "pod-a").hold(asyncio.Event()):
            assert kube.spec["holderIdentity"] == "pod-a"

    asyncio.run(work())
    assert (kube.spec["holderIdentity"], kube.late) == ("", 0)
