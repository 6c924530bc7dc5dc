"""The probes, asked as a kubelet asks them."""

import asyncio
from socket import socket

import aiohttp
import pytest

from strategyrun.adapters.controller import SWEEP_SECONDS
from strategyrun.adapters.health import STALE_SECONDS, Sweeps, health_server


class Swept(Sweeps):
    """A controller as the probes see it."""

    swept_at: float | None = None


def ask(swept_ago: float | None, *, started_ago: float = 0, path: str) -> tuple[int, str]:
    """Start the server, let time pass, and ask."""

    async def work() -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        sweeps, port = Swept(), free_port()
        real = loop.time
        async with health_server(sweeps, port):
            loop.time = lambda: real() + started_ago  # type: ignore[method-assign]
            sweeps.swept_at = None if swept_ago is None else loop.time() - swept_ago
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
                seen = answer.status, await answer.text()
            loop.time = real  # type: ignore[method-assign]
        return seen

    return asyncio.run(work())


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_not_ready_before_the_first_sweep() -> None:
    """Nothing is known yet, so nothing is admitted."""
    assert ask(None, path="/readyz") == (503, "the first sweep is not done\n")


def test_ready_after_the_first_sweep() -> None:
    """And from then on, whatever the later ones do."""
    assert ask(0, path="/readyz") == (200, "ok\n")
    assert ask(10 * STALE_SECONDS, path="/readyz") == (200, "ok\n")


def test_a_start_may_take_its_time() -> None:
    """A slow API server at the start is no reason for a restart."""
    assert ask(None, path="/healthz") == (200, "starting\n")


def test_a_start_that_never_ends_is_unhealthy() -> None:
    """Five periods without a first sweep: a fresh start may mend it."""
    assert ask(None, started_ago=STALE_SECONDS + 1, path="/healthz")[0] == 503


@pytest.mark.parametrize(("age", "status"), [(SWEEP_SECONDS, 200), (STALE_SECONDS + 1, 503)], ids=["fresh", "stale"])
def test_healthy_while_sweeps_succeed(age: float, status: int) -> None:
    """One failed sweep is bad luck, five in a row are not."""
    seen, text = ask(age, path="/healthz")
    assert seen == status
    assert text == ("ok\n" if status == 200 else f"no sweep for {age:.0f} s\n")


def test_a_taken_port_is_an_error() -> None:
    """A second operator on the same port fails at its start."""

    async def work() -> None:
        port = free_port()
        async with health_server(Swept(), port):
            with pytest.raises(OSError, match=str(port)):
                async with health_server(Swept(), port):
                    pass

    asyncio.run(work())
