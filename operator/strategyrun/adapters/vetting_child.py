"""The limited process in which hostile source is read: source on stdin, its reading as JSON on stdout.

Run as a script by `adapters.vetting`, isolated and without site-packages, so that it starts fast
and holds nothing worth stealing.
"""

import dataclasses
import json
import resource
import sys
from pathlib import Path

CPU_SECONDS = 4
GRACE_SECONDS = 2
"""CPU time between the signal that says whose fault it is and the one that says nothing."""
MEMORY_BYTES = 160 * 1024 * 1024
"""The costliest source of 128 KiB that we know of takes 105 MiB."""


def main() -> None:
    """Vet standard input within limits of CPU, memory and files."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + GRACE_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from strategyrun.domain.gate import check  # noqa: PLC0415 - path is set above
    from strategyrun.domain.vetting import SIZE_LIMIT_BYTES, too_complex, vet  # noqa: PLC0415

    source = sys.stdin.buffer.read(SIZE_LIMIT_BYTES + 1)
    try:
        reading = vet(source)
        gate = () if reading.flaws else check(source)
    except MemoryError:
        reading, gate = too_complex(), ()
    json.dump(dataclasses.asdict(reading) | {"gate": [dataclasses.asdict(flaw) for flaw in gate]}, sys.stdout)


if __name__ == "__main__":
    main()
