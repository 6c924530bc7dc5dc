"""Who may take the lease without waiting for its end, and who leaves it to others."""

import asyncio
from typing import Any

import pytest

from strategyrun.adapters.kube import ConflictError, Kube
from strategyrun.adapters.lease import HOST_MARK, Lease


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
