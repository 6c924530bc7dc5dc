"""How a measurement begins: the real client against a real HTTP server. tests/contract measures to the end."""

import asyncio

import pytest
from aiohttp import web

from strategyrun.adapters.measuring import measure
from strategyrun.domain.network_policy import deny_all
from support.answering import answering
from support.builders import NOW, PROFILE


def asked_to_measure(*, kept: bool) -> list[tuple[str, str]]:
    """Measure where no Job can be made; return each request and its kind of object."""
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        kind = next(each for each in ("networkpolicies", "jobs") if f"/{each}" in request.path)
        asked.append((request.method, kind))
        if kind == "jobs":
            return web.json_response({"reason": "Forbidden", "message": "no Jobs"}, status=403)
        if request.method == "POST":
            return web.json_response(await request.json(), status=201)
        if kept:
            return web.json_response(deny_all("canaries"))
        return web.json_response({"reason": "NotFound", "message": "none"}, status=404)

    async def work() -> None:
        async with answering(answer) as kube:
            await measure(kube, PROFILE, namespace="canaries", hardened=False, at=NOW)

    asyncio.run(work())
    return asked


@pytest.mark.parametrize("kept", [True, False], ids=["there", "absent"])
def test_the_policy_of_the_canaries_is_made_where_there_is_none(*, kept: bool) -> None:
    """A quota that it has used up ends no measurement."""
    made = [] if kept else [("POST", "networkpolicies")]
    assert asked_to_measure(kept=kept) == [("GET", "networkpolicies"), *made, ("POST", "jobs")]
