"""Vetting of a strategy's source in a process of its own."""

import asyncio
import json
import sys
from pathlib import Path

from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Flaw, Kind, Reading, too_complex, vet

Gate = tuple[Flaw, ...]
"""What keeps a source out of the fallback; nothing does if it is empty."""

_CHILD = Path(__file__).with_name("vetting_child.py")
_WALL_SECONDS = 8.0


class Vetter:
    """Vets sources, no more than a few at a time."""

    def __init__(self, *, at_once: int = 2, wall_seconds: float = _WALL_SECONDS) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._wall_seconds = wall_seconds

    async def vet(self, source: bytes) -> tuple[Reading, Gate]:
        """Return the kind and the flaws of a source, and the strict gate's; one that exhausts the child is too complex.

        Raises RuntimeError where the child itself does not work: that is no fault of the source.
        """
        if len(source) > SIZE_LIMIT_BYTES:
            return vet(source), ()
        async with self._places:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-W", "ignore"),
                str(_CHILD),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={},
            )
            try:
                answer, complaint = await asyncio.wait_for(child.communicate(source), self._wall_seconds)
            except TimeoutError:
                return too_complex(), ()
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode is None or child.returncode < 0:
            return too_complex(), ()
        if child.returncode:
            raise RuntimeError(f"the vetting child failed: {complaint.decode(errors='replace')[-500:]}")
        document = json.loads(answer)
        flaws, gate = (tuple(Flaw(**flaw) for flaw in document[name]) for name in ("flaws", "gate"))
        return Reading(Kind(document["kind"]), flaws), gate
