"""The connection of people's requests, where the API server says no."""

import asyncio

import pytest
from aiohttp import web

from strategyrun.adapters.kube import ApiError, NotFoundError, RefusedError
from strategyrun.adapters.runs import RunsApi
from support.answering import serving


@pytest.mark.parametrize(
    ("status", "content", "error", "message"),
    [
        (404, '{"reason": "NotFound", "message": "pods \\"p\\" not found"}', NotFoundError, 'pods "p" not found'),
        (400, '{"reason": "BadRequest", "message": "is waiting to start"}', RefusedError, "is waiting to start"),
        (500, '{"message": "dial tcp"}', ApiError, "dial tcp"),
        (502, "<html>nobody there</html>", ApiError, "<html>nobody there</html>"),
        (500, "[]", ApiError, "[]"),
    ],
    ids=["gone", "early", "without a reason", "no JSON", "no object"],
)
def test_a_no_means_the_same_of_a_stream_as_of_a_document(
    status: int, content: str, error: type[ApiError], message: str
) -> None:
    """Its class is the meaning, its message the API server's own words."""

    async def say_no(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=content)

    async def work() -> None:
        async with serving(say_no) as configuration, RunsApi(configuration) as api:
            for ask in (
                lambda: anext(api.log_lines("n", "p", "strategy", follow=False)),
                lambda: api.log("n", "p", "strategy", limit_bytes=1),
            ):
                with pytest.raises(ApiError) as raised:
                    await ask()
                assert (type(raised.value), raised.value.status, raised.value.message) == (error, status, message)

    asyncio.run(work())
