"""Writes positions.bin, the only thing that leaves the sandbox for the evaluator.

Little-endian, no padding: magic `FLBPOS1\\n`, uint32 n_dates, uint32 n_symbols, int32 dates[n_dates], int32
symbols[n_symbols], float64 weights[n_dates * n_symbols], row-major.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"FLBPOS1\n"
HEADER = struct.Struct("<8sII")
MAX_BYTES = 64 * 1024 * 1024


class Positions(NamedTuple):
    """The hand-over: int32 days since 1970-01-01 (n), int32 symbol indices (m), float64 weights (n x m)."""

    dates: NDArray[np.int32]
    symbols: NDArray[np.int32]
    weights: NDArray[np.float64]


def size_of(n_dates: int, n_symbols: int) -> int:
    """Bytes of a file with that many dates and symbols."""
    return HEADER.size + 4 * (n_dates + n_symbols) + 8 * n_dates * n_symbols


def write(path: str, positions: Positions) -> None:
    """The file is there whole or not at all."""
    part = f"{path}.part"
    if os.path.lexists(part):
        os.unlink(part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:
        file.write(HEADER.pack(MAGIC, *positions.weights.shape))
        file.write(np.ascontiguousarray(positions.dates, "<i4").tobytes())
        file.write(np.ascontiguousarray(positions.symbols, "<i4").tobytes())
        file.write(np.ascontiguousarray(positions.weights, "<f8").tobytes())
    os.rename(part, path)
