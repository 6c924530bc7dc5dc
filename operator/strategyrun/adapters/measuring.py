"""The pods that measure a profile: started, heard out and deleted. What they say means is in `domain.canary`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from secrets import token_hex

from strategyrun.adapters.kube import JOBS, NETWORK_POLICIES, PODS, ExistsError, Kube, NotFoundError, RefusedError
from strategyrun.domain.canary import SERIAL_LABEL, Canary, Measurement, Role, canary_job, conclude, observe_canary
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.sandbox import Profile

MEASURE_SECONDS = 60.0
_POLL_SECONDS = 1.0


async def measure(kube: Kube, profile: Profile, *, namespace: str, hardened: bool, at: datetime) -> Measurement:
    """Measure a profile by pods in a namespace. The hardened one needs a node that holds the seccomp file.

    Raises what passes; a namespace in which no pod can be started is a measurement that says so.
    """
    serial = token_hex(4)
    made: list[str] = []

    async def start(role: Role, peer: str = "") -> None:
        job = canary_job(profile, role, namespace=namespace, serial=serial, peer=peer)
        await kube.create(job)
        made.append(job["metadata"]["name"])

    try:
        if await kube.get(NETWORK_POLICIES, namespace, POLICY_NAME) is None:
            with suppress(ExistsError):
                await kube.create(deny_all(namespace))
        await start(Role.PEER)
        if hardened:
            await start(Role.SANDBOX)
        pods = await _hear(kube, namespace, serial, _listens)
        peer = pods[Role.PEER].address if Role.PEER in pods else None
        for role in (Role.FREE, Role.BOUND):
            await start(role, peer or "")
        asked = {Role.FREE, Role.BOUND, *([Role.SANDBOX] if hardened else [])}
        pods = await _hear(
            kube, namespace, serial, lambda seen: asked <= seen.keys() and all(seen[role].answered for role in asked)
        )
        return conclude(tuple(pods.values()), at)
    except (RefusedError, NotFoundError) as error:
        return conclude((), at, refused=f"no pod can be started in {namespace}: {error.message}")
    finally:
        for name in made:
            await kube.delete(JOBS, namespace, name)


async def _hear(
    kube: Kube, namespace: str, serial: str, enough: Callable[[dict[str, Canary]], bool]
) -> dict[str, Canary]:
    """Return the pods of a measurement by role, when they have said enough or the time is over."""
    end = asyncio.get_running_loop().time() + MEASURE_SECONDS
    while True:
        bodies = kube.list(PODS, namespace=namespace, selector=f"{SERIAL_LABEL}={serial}")
        seen = {pod.role: pod async for pod in (observe_canary(body) async for body in bodies)}
        if enough(seen) or asyncio.get_running_loop().time() > end:
            return seen
        await asyncio.sleep(_POLL_SECONDS)


def _listens(pods: dict[str, Canary]) -> bool:
    """Whether the peer is there, or will never be."""
    peer = pods.get(Role.PEER)
    return peer is not None and (peer.answered or (peer.container.running and peer.address is not None))
