"""Vetting of a strategy's source in a process of its own."""

import asyncio
import json
import sys
from pathlib import Path

from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Flaw, too_complex, vet

_CHILD = Path(__file__).with_name("vetting_child.py")
_WALL_SECONDS = 8.0
_AT_ONCE = asyncio.Semaphore(2)


async def vet_in_child(source: bytes) -> tuple[Flaw, ...]:
    """Return the flaws of a source; one that exhausts the child's limits is too complex."""
    if len(source) > SIZE_LIMIT_BYTES:
        return tuple(vet(source))
    async with _AT_ONCE:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(_CHILD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
        try:
            output, _ = await asyncio.wait_for(child.communicate(source), _WALL_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()
            return (too_complex(),)
    if child.returncode != 0:
        return (too_complex(),)
    return tuple(Flaw(**flaw) for flaw in json.loads(output))
