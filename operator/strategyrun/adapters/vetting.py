"""Vetting of a strategy's source in a process of its own."""

import asyncio
import json
import signal
import sys
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

from strategyrun.adapters.turns import Turns
from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, Flaw, Kind, Reading, too_complex, vet

Gate = tuple[Flaw, ...]
"""What keeps a source out of the fallback; nothing does if it is empty."""

_CHILD = Path(__file__).with_name("vetting_child.py")
_WALL_SECONDS = 30.0
_OF_THE_SOURCE = frozenset(
    {signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}
)
"""Signals that a source brings about: its CPU limit, and what a parser dies of. Any other comes from outside."""
_MEMORY = 1024
"""Sources whose reading is remembered."""


class StarvedError(RuntimeError):
    """The child was ended or held up by something else than its source: a full node, the kernel's want of memory."""


AT_ONCE = 2
"""Children; the memory of the operator's container has room for so many."""


class Vetter:
    """Vets sources, no more than a few at a time."""

    def __init__(self, *, at_once: int = AT_ONCE, wall_seconds: float = _WALL_SECONDS) -> None:
        self._turns = Turns(at_once)
        self._wall_seconds = wall_seconds
        self._known: OrderedDict[bytes, tuple[Reading, Gate]] = OrderedDict()

    async def vet(self, source: bytes, namespace: str = "") -> tuple[Reading, Gate]:
        """Return the kind and the flaws of a source, and the strict gate's; one that exhausts the child is too complex.

        Namespaces take turns. A source that was read lately is not read again: loops send the same one with other
        params.

        Raises RuntimeError where the child does not work, StarvedError where it was not let finish: neither is a fault
        of the source.
        """
        if len(source) > SIZE_LIMIT_BYTES:
            return vet(source), ()
        digest = sha256(source).digest()
        async with self._turns.place(namespace):
            if digest not in self._known:
                self._known[digest] = await self._ask_child(source)
                if len(self._known) > _MEMORY:
                    self._known.popitem(last=False)
            self._known.move_to_end(digest)
            return self._known[digest]

    async def _ask_child(self, source: bytes) -> tuple[Reading, Gate]:
        """Return what the child says; where it met a limit of its own, the source is too complex."""
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
            async with asyncio.timeout(self._wall_seconds):
                answer, complaint = await child.communicate(source)
        except TimeoutError:
            raise StarvedError(f"the vetting child did not end within {self._wall_seconds:g} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if -(child.returncode or 0) in _OF_THE_SOURCE:
            return too_complex(), ()
        if child.returncode is None or child.returncode < 0:
            raise StarvedError(f"something ended the vetting child: {child.returncode}")
        if child.returncode:
            raise RuntimeError(f"the vetting child failed: {complaint.decode(errors='replace')[-500:]}")
        document = json.loads(answer)
        flaws, gate = (tuple(Flaw(**flaw) for flaw in document[name]) for name in ("flaws", "gate"))
        return Reading(Kind(document["kind"]), flaws), gate
