"""Where the pod mounts what the harness reads and writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Absolute paths. `result` is the folder that the harness makes for what a strategy says of itself."""

    code: str = "/code/strategy.py"
    input: str = "/code/input.json"
    positions: str = "/out/positions.bin"
    document: str = "/dev/termination-log"
    result: str = "/tmp/result"  # noqa: S108 - the pod's own
