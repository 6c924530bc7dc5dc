"""Vetting of a strategy's source in a process of its own."""

import asyncio
import json
import sys
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Flaw, Kind, Reading, too_complex, vet

Gate = tuple[Flaw, ...]
"""What keeps a source out of the fallback; nothing does if it is empty."""

_CHILD = Path(__file__).with_name("vetting_child.py")
_WALL_SECONDS = 8.0
_MEMORY = 1024
"""Sources whose reading is remembered."""


class Vetter:
    """Vets sources, no more than a few at a time."""

    def __init__(self, *, at_once: int = 2, wall_seconds: float = _WALL_SECONDS) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._wall_seconds = wall_seconds
        self._known: OrderedDict[bytes, tuple[Reading, Gate]] = OrderedDict()

    async def vet(self, source: bytes) -> tuple[Reading, Gate]:
        """Return the kind and the flaws of a source, and the strict gate's; one that exhausts the child is too complex.

        A source that was read lately is not read again: loops send the same one with other params.
        Raises RuntimeError where the child itself does not work: that is no fault of the source.
        """
        if len(source) > SIZE_LIMIT_BYTES:
            return vet(source), ()
        digest = sha256(source).digest()
        async with self._places:
            if digest not in self._known:
                answer = await self._ask_child(source)
                if answer is None:
                    return too_complex(), ()
                self._known[digest] = answer
                if len(self._known) > _MEMORY:
                    self._known.popitem(last=False)
            self._known.move_to_end(digest)
            return self._known[digest]

    async def _ask_child(self, source: bytes) -> tuple[Reading, Gate] | None:
        """Return what the child says; None where it met a limit."""
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
            return None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode is None or child.returncode < 0:
            return None
        if child.returncode:
            raise RuntimeError(f"the vetting child failed: {complaint.decode(errors='replace')[-500:]}")
        document = json.loads(answer)
        flaws, gate = (tuple(Flaw(**flaw) for flaw in document[name]) for name in ("flaws", "gate"))
        return Reading(Kind(document["kind"]), flaws), gate
