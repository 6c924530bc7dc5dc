"""The loop that tests of waiting stand on."""

import asyncio
import time

import pytest

from support.clock import NothingWillHappenError, run_virtually


def test_an_hour_takes_no_time() -> None:
    """Sleeps end at their virtual moment, in their order."""

    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    async def work() -> tuple[float, ...]:
        return await asyncio.gather(sleep(3600), sleep(1), sleep(0.25))

    begun = time.monotonic()
    assert run_virtually(work()) == pytest.approx((3600, 1, 0.25))
    assert time.monotonic() - begun < 5


def test_waiting_for_ever_is_an_error() -> None:
    """A lost wake-up fails the test instead of hanging it."""
    with pytest.raises(NothingWillHappenError):
        run_virtually(asyncio.Event().wait())
