"""The clocks that tests of waiting stand on."""

import asyncio
import time

import pytest

from support.clock import NothingWillHappenError, pass_time, run_virtually, standing_clock


def test_an_hour_takes_no_time() -> None:
    """Sleeps end at their virtual moment, in their order."""

    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    async def work() -> tuple[float, ...]:
        return await asyncio.gather(sleep(3600), sleep(1), sleep(0.25))

    begun = time.monotonic()
    assert run_virtually(work()) == pytest.approx((3600, 1, 0.25))
    assert time.monotonic() - begun < 600


def test_waiting_for_ever_is_an_error() -> None:
    """A lost wake-up fails the test instead of hanging it."""
    with pytest.raises(NothingWillHappenError):
        run_virtually(asyncio.Event().wait())


def test_a_leap_ends_at_once_what_was_to_end_until_then() -> None:
    """Also what waited before it, and nothing that was to end later."""

    async def work() -> None:
        sooner, later = (asyncio.create_task(asyncio.sleep(seconds)) for seconds in (3600, 7200))
        asyncio.get_running_loop().call_soon(pass_time, 3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        await sooner
        assert not later.done()

    asyncio.run(work())


def test_a_clock_that_stands_moves_by_leaps_alone() -> None:
    """However long the test takes; afterwards it goes on as if nothing had been."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with standing_clock():
            seen = loop.time()
            assert loop.time() == seen
            pass_time(3600)
            assert loop.time() == seen + 3600
        assert begun < loop.time() < begun + 3600

    asyncio.run(work())
