"""Reads positions.bin, which hostile code wrote, into arrays that are safe to compute with.

Layout (little-endian, no padding): magic `FLBPOS1\\n`, uint32 n_dates, uint32 n_symbols, int32 dates[n_dates] (days
since 1970-01-01), int32 symbols[n_symbols] (index into the dataset's symbols), float64 weights[n_dates * n_symbols]
(row-major).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.errors import ResultError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"FLBPOS1\n"
HEADER = struct.Struct("<8sII")
MAX_BYTES = 64 * 1024 * 1024
MAX_WEIGHT = 1e9


class Positions(NamedTuple):
    """Target weights (n x m) at `rows` (n, indices into the calendar) for `symbols` (m, indices into the universe)."""

    rows: NDArray[np.int64]
    symbols: NDArray[np.int64]
    weights: NDArray[np.float64]


def read_bytes(path: str) -> bytes:
    """The whole file, if it is one plain file of the size that its own header says. Raises ResultError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ResultError("ResultMissing", "the strategy left no positions file") from None
    except OSError as error:
        what = "a symbolic link" if error.errno == errno.ELOOP else errno.errorcode.get(error.errno or 0, "?")
        raise ResultError("ResultInvalid", f"the positions file cannot be opened: {what}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ResultError("ResultInvalid", "the positions file is not a regular file")
        if status.st_nlink != 1:
            raise ResultError("ResultInvalid", f"the positions file has {status.st_nlink} links instead of 1")
        if status.st_size > MAX_BYTES:
            raise ResultError("ResultTooLarge", f"the positions file has {status.st_size} bytes, more than {MAX_BYTES}")
        header = os.pread(descriptor, HEADER.size, 0)
        if len(header) != HEADER.size or header[:8] != MAGIC:
            raise ResultError("ResultInvalid", "the positions file does not begin with the header of the format")
        expected = size_of(*HEADER.unpack(header)[1:])
        if status.st_size != expected:
            raise ResultError(
                "ResultInvalid", f"the positions file has {status.st_size} bytes, its header says {expected}"
            )
        content = _read_all(descriptor, expected)
        if len(content) != expected or content[: HEADER.size] != header:
            raise ResultError("ResultInvalid", "the positions file changed while it was read")
        return content
    finally:
        os.close(descriptor)


def size_of(n_dates: int, n_symbols: int) -> int:
    """Bytes of a file with that many dates and symbols."""
    return HEADER.size + 4 * (n_dates + n_symbols) + 8 * n_dates * n_symbols


def parse(content: bytes, calendar: NDArray[np.int32], n_symbols: int) -> Positions:
    """Content from `read_bytes`, checked against the calendar (days, increasing) and the size of the universe."""
    rows, columns = HEADER.unpack_from(content)[1:]
    if not (0 < rows <= len(calendar) and 0 < columns <= n_symbols):
        raise ResultError(
            "ResultInvalid",
            f"{rows} dates x {columns} symbols do not fit in the dataset's {len(calendar)} x {n_symbols}",
        )
    dates = np.frombuffer(content, "<i4", rows, HEADER.size)
    symbols = np.frombuffer(content, "<i4", columns, HEADER.size + 4 * rows)
    weights = np.frombuffer(content, "<f8", rows * columns, HEADER.size + 4 * (rows + columns)).reshape(rows, columns)
    if not _increasing(dates) or not _increasing(symbols):
        raise ResultError("ResultInvalid", "dates and symbols must be strictly increasing")
    if symbols[0] < 0 or symbols[-1] >= n_symbols:
        raise ResultError("ResultInvalid", f"a symbol index is outside 0..{n_symbols - 1}")
    at = np.searchsorted(calendar, dates)
    if at[-1] >= len(calendar) or not np.array_equal(calendar[at], dates):
        raise ResultError("ResultInvalid", "a date is not in the dataset")
    if np.isinf(weights).any():
        raise ResultError("ResultInvalid", "a weight is infinite")
    if (np.abs(weights) > MAX_WEIGHT).any():
        raise ResultError("ResultInvalid", f"a weight is larger than {MAX_WEIGHT:.0e}")
    return Positions(at.astype(np.int64), symbols.astype(np.int64), weights.astype(np.float64))


def _read_all(descriptor: int, size: int) -> bytes:
    """Up to size + 1 bytes, so that a file which grew meanwhile is noticed."""
    parts: list[bytes] = []
    missing = size + 1
    while missing > 0 and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _increasing(values: NDArray[np.int32]) -> bool:
    return bool((values[1:] > values[:-1]).all())
