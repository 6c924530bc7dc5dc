"""positions.bin told by its description alone: a second reader, with nothing but struct, and a maker of bad files."""

import math
import struct
from itertools import pairwise
from random import Random
from typing import NamedTuple

MAGIC = b"FLBPOS1\n"
HEADER_BYTES = 16
MAX_BYTES = 64 * 1024 * 1024
MAX_WEIGHT = 1e9
NUMBERS = (0, 1, 2, 3, 4, 5, 9, 10, 11, 255, 2**15, 2**16, 2**28, 2**29, 2**30, 2**31 - 1, 2**31, 2**32 - 1)
WEIGHTS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e9, -1e9, math.nextafter(1e9, 2e9), 1e308, 5e-324, math.inf, -math.inf, math.nan)


class Reading(NamedTuple):
    """What a legal file says: rows of the calendar, symbols, and the bits of every weight (any NaN is `nan`)."""

    rows: list[int]
    symbols: list[int]
    weights: list[str]


def content_of(
    dates: tuple[int, ...] = (10_000, 10_004),
    symbols: tuple[int, ...] = (0, 2),
    weights: tuple[float, ...] = (0.5, 0.5, 1.0, 0.0),
    magic: bytes = MAGIC,
) -> bytes:
    """A file's bytes."""
    return (
        magic
        + struct.pack("<II", len(dates), len(symbols))
        + struct.pack(f"<{len(dates)}i{len(symbols)}i{len(weights)}d", *dates, *symbols, *weights)
    )


def bits(weight: float) -> str:
    """A weight to the last bit; every NaN is the same."""
    return "nan" if weight != weight else struct.pack("<d", weight).hex()  # noqa: PLR0124 - as the standard defines NaN


def read_plainly(content: bytes, calendar: list[int], n_symbols: int) -> Reading | None:
    """What the content says, or None if it breaks any rule of the format."""
    if len(content) > MAX_BYTES or len(content) < HEADER_BYTES or content[:8] != MAGIC:
        return None
    n_dates = int.from_bytes(content[8:12], "little")
    n_columns = int.from_bytes(content[12:16], "little")
    if n_dates < 1 or n_columns < 1 or n_dates > len(calendar) or n_columns > n_symbols:
        return None
    if len(content) != HEADER_BYTES + 4 * n_dates + 4 * n_columns + 8 * n_dates * n_columns:
        return None
    numbers = [value for (value,) in struct.iter_unpack("<i", content[16 : 16 + 4 * (n_dates + n_columns)])]
    dates, symbols = numbers[:n_dates], numbers[n_dates:]
    weights = [value for (value,) in struct.iter_unpack("<d", content[16 + 4 * (n_dates + n_columns) :])]
    row_of = {day: row for row, day in enumerate(calendar)}
    legal = (
        all(earlier < later for earlier, later in pairwise(dates))
        and all(earlier < later for earlier, later in pairwise(symbols))
        and all(day in row_of for day in dates)
        and all(0 <= symbol < n_symbols for symbol in symbols)
        and all(math.isnan(weight) or abs(weight) <= MAX_WEIGHT for weight in weights)
    )
    return Reading([row_of[day] for day in dates], symbols, [bits(weight) for weight in weights]) if legal else None


class Mutator:
    """Makes files that are legal, nearly legal, or plainly wrong, from a seeded source of chance."""

    def __init__(self, random: Random, calendar: list[int], n_symbols: int) -> None:
        self._random = random
        self._calendar = calendar
        self._n_symbols = n_symbols

    def fresh(self) -> bytes:
        """A legal file."""
        choose = self._random
        dates = sorted(choose.sample(self._calendar, choose.randint(1, len(self._calendar))))
        symbols = sorted(choose.sample(range(self._n_symbols), choose.randint(1, self._n_symbols)))
        weights = [choose.choice(WEIGHTS[:7]) for _ in range(len(dates) * len(symbols))]
        if choose.random() < 0.3:
            weights[choose.randrange(len(weights))] = math.nan
        return content_of(tuple(dates), tuple(symbols), tuple(weights))

    def change(self, content: bytes) -> bytes:
        """The content with one thing changed: a number of the header, a date, a symbol, a weight, a size or a byte."""
        changes = (self._header, self._integer, self._integer, self._weight, self._resize, self._flip, self._swap)
        return self._random.choice(changes)(content)

    def _header(self, content: bytes) -> bytes:
        at = self._random.choice((8, 12))
        number = self._random.choice(NUMBERS) if self._random.random() < 0.5 else self._random.randint(0, 12)
        return content[:at] + struct.pack("<I", number) + content[at + 4 :]

    def _integer(self, content: bytes) -> bytes:
        end = HEADER_BYTES + 4 * sum(struct.unpack_from("<II", content, 8)) if len(content) >= HEADER_BYTES else 0
        slots = range(HEADER_BYTES, min(end, len(content)) - 3, 4)
        if not slots:
            return content
        at = self._random.choice(slots)
        (there,) = struct.unpack_from("<i", content, at)
        near = max(-(2**31), min(2**31 - 1, there + self._random.randint(-2, 2)))
        known = self._random.choice([*self._calendar, *range(-1, self._n_symbols + 1), -(2**31), 2**31 - 1])
        return content[:at] + struct.pack("<i", self._random.choice((near, known))) + content[at + 4 :]

    def _weight(self, content: bytes) -> bytes:
        last = len(content) - 8
        if last < HEADER_BYTES:
            return content
        at = last - 8 * self._random.randint(0, (last - HEADER_BYTES) // 8)
        weight = struct.pack("<d", self._random.choice(WEIGHTS))
        if self._random.random() < 0.2:
            weight = self._random.randbytes(8)
        return content[:at] + weight + content[at + 8 :]

    def _resize(self, content: bytes) -> bytes:
        by = self._random.choice((1, 4, 8, self._random.randint(1, 64)))
        return content[:-by] if self._random.random() < 0.5 else content + self._random.randbytes(by)

    def _flip(self, content: bytes) -> bytes:
        if not content:
            return MAGIC
        at = self._random.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << self._random.randrange(8)]) + content[at + 1 :]

    def _swap(self, content: bytes) -> bytes:
        width = self._random.choice((4, 8))
        slots = range(HEADER_BYTES, len(content) - width + 1, width)
        if len(slots) < 2:
            return content
        one, other = sorted(self._random.sample(slots, 2))
        parts = content[:one], content[one : one + width], content[one + width : other], content[other : other + width]
        return parts[0] + parts[3] + parts[2] + parts[1] + content[other + width :]
