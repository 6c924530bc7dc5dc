"""Tables in parts, so that what is computed on the way is small beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = 1 << 18  # 2 MiB of float64


def blocks(length: int, width: int) -> Iterator[slice]:
    """Slices that cover `length` rows of `width` cells, each of at most CELLS cells, or of one row."""
    step = max(CELLS // max(width, 1), 1)
    return (slice(first, min(first + step, length)) for first in range(0, length, step))
