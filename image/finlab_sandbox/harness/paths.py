"""Where the pod mounts what the harness reads and writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Absolute paths."""

    code: str = "/code/strategy.py"
    input: str = "/code/input.json"
    positions: str = "/out/positions.bin"
    document: str = "/dev/termination-log"
