"""How much of the API server is used, and how its answer 429 is obeyed: the real client against a real HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

import pytest
from aiohttp import web

from strategyrun.adapters.budget import Budget, TokenBucket
from strategyrun.adapters.kube import CONFIG_MAPS, LEASES, ApiError, Kube
from support.answering import answering
from support.clock import run_virtually

Result = TypeVar("Result")
MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """Two tokens a second, three at once."""
    bucket = TokenBucket(3, 2)
    assert [bucket.allow(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.allow(0.5), bucket.allow(0.6), bucket.allow(1.0)] == [True, False, True]
    assert [bucket.allow(1000) for _ in range(4)] == [True, True, True, False]


def test_a_reservation_says_when_the_token_comes() -> None:
    """Each in its turn, however many ask at once."""
    bucket = TokenBucket(1, 4)
    assert [bucket.reserve(10) for _ in range(4)] == [0, 0.25, 0.5, 0.75]


def test_requests_come_at_the_rate_after_the_burst() -> None:
    """One hundred in the time of ninety, and never more at once than there are places."""

    async def work() -> tuple[float, int]:
        loop, budget = asyncio.get_running_loop(), Budget(places=7, per_second=10, burst=10)
        inside = most = 0

        async def request() -> None:
            nonlocal inside, most
            async with budget.place():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.1)
                inside -= 1

        began = loop.time()
        await asyncio.gather(*(request() for _ in range(100)))
        return loop.time() - began, most

    seconds, most = run_virtually(work())
    assert 9 <= seconds < 10
    assert most <= 7


def test_a_pause_holds_everybody_and_lets_them_go_one_by_one() -> None:
    """Not before its end, and not all in the same moment."""

    async def work() -> list[float]:
        loop, budget = asyncio.get_running_loop(), Budget()
        begun: list[float] = []

        async def request() -> None:
            async with budget.place():
                begun.append(loop.time())

        budget.pause(5)
        await asyncio.gather(*(request() for _ in range(10)))
        return begun

    begun = run_virtually(work())
    assert 5 <= min(begun) <= max(begun) < 6
    assert len(set(begun)) == len(begun)


def answered(
    answers: list[tuple[int, dict[str, str]]], work: Callable[[Kube], Awaitable[Result]]
) -> tuple[Result | int, list[tuple[str, float]]]:
    """Send requests to a server with these answers; return what came, or its code, and what the server saw when."""

    async def scene() -> tuple[Result | int, list[tuple[str, float]]]:
        loop, seen = asyncio.get_running_loop(), list[tuple[str, float]]()
        left = iter(answers)

        async def answer(request: web.Request) -> web.Response:
            seen.append((request.method, loop.time()))
            status, headers = next(left)
            return web.json_response({"items": [], "metadata": {}}, status=status, headers=headers)

        async with answering(answer) as kube:
            try:
                result: Result | int = await work(kube)
            except ApiError as error:
                result = error.status
        return result, seen

    return asyncio.run(scene())


BUSY = (429, {"Retry-After": "1"})


async def read(kube: Kube) -> object:
    """Read an object."""
    return await kube.get(CONFIG_MAPS, "b", "a")


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    """Not earlier than the second that it asks for."""
    result, seen = answered([BUSY, BUSY, (200, {})], read)
    assert result == {"items": [], "metadata": {}}
    assert len(seen) == 3
    assert all(later - earlier >= 1 for (_, earlier), (_, later) in pairwise(seen))


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}], ids=["absent", "a date"])
def test_an_answer_without_seconds_means_one(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    """The API server writes seconds; what stands in front of it may not."""
    paused: list[float] = []
    monkeypatch.setattr(Budget, "pause", lambda _, seconds: paused.append(seconds))
    answered([(429, headers), (200, {})], read)
    assert paused == [1]


def test_what_creates_is_sent_once_and_everything_waits_all_the_same() -> None:
    """Whoever knows what became of it sends it again."""

    async def work(kube: Kube) -> object:
        with pytest.raises(ApiError, match="429"):
            await kube.create(MANIFEST)
        return await read(kube)

    _, seen = answered([BUSY, (200, {})], work)
    assert [method for method, _ in seen] == ["POST", "GET"]
    assert seen[1][1] - seen[0][1] >= 1


def test_a_lease_is_not_lost_for_what_others_are_throttled_for() -> None:
    """A cluster throttles leases apart from the rest, so they wait for their own answers alone."""

    async def work(kube: Kube) -> object:
        with pytest.raises(ApiError, match="429"):
            await kube.create(MANIFEST)
        return await kube.get(LEASES, "b", "a")

    _, seen = answered([(429, {"Retry-After": "10"}), (200, {})], work)
    assert seen[1][1] - seen[0][1] < 10


def test_no_other_error_is_sent_twice() -> None:
    """The work queue comes back to it, with what is known then."""
    result, seen = answered([(503, {"Retry-After": "1"})], read)
    assert (result, len(seen)) == (503, 1)


@pytest.mark.parametrize(
    ("codes", "found"), [((503, 500, 200), []), ((503, 503, 503), 503), ((403,), 403)], ids=["passes", "stays", "no"]
)
def test_a_page_of_a_list_is_asked_for_again(codes: tuple[int, ...], found: list[object] | int) -> None:
    """A sweep is of hundreds, and one that is not answered would void them all."""

    async def work(kube: Kube) -> list[object]:
        return [each async for each in kube.list(CONFIG_MAPS)]

    result, seen = answered([(code, {}) for code in codes], work)
    assert (result, len(seen)) == (found, len(codes))


def test_a_server_that_stays_busy_is_given_up() -> None:
    """The caller hears of it after five tries."""
    result, seen = answered([(429, {"Retry-After": "0"})] * 5, read)
    assert (result, len(seen)) == (429, 5)
