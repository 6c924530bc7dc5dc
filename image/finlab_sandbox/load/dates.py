"""Days since 1970-01-01 from whatever a table calls a date."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finlab_sandbox.load import arrow
from finlab_sandbox.load.problems import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST = datetime.date(1800, 1, 1)
LAST = datetime.date(2199, 12, 31)
EPOCH = datetime.date(1970, 1, 1)
WRONG = -(2**31)
"""In place of a date that is none."""
MISSING = WRONG + 1
"""Where there is no date."""

_DAILY = "has a time of day; daily data is expected, one row a day and symbol"
_DATE = re.compile(r"(\d{4})(?:([-/])(\d{1,2})\2(\d{1,2})|(\d{2})(\d{2}))(?:[T ]\s*(\S.*))?", re.ASCII)
_TIME = re.compile(r"(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*(?:Z|UTC|[-+]\d{2}:?\d{2}(?::\d{2})?)?", re.ASCII)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_CACHED = 100_000


class Dates:
    """Reads dates, and remembers the texts that it has read."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def column(self, array: pa.Array) -> tuple[NDArray[np.int32], dict[int, str]]:
        """Days, or WRONG or MISSING; the mapping says what is wrong in the first of the rows that are WRONG.

        Raises TypeError for a type that holds no dates, ValueError for a time zone that nobody knows.
        """
        kind = array.type
        if arrow.is_text(kind):
            return arrow.translated(array, self.text, WRONG)
        if pa.types.is_integer(kind):
            return self._each(array, lambda value: self.text(str(value)))
        if pa.types.is_date32(kind):
            values, missing = arrow.raw(array)
            return _bounded(values.astype(np.int64), missing)
        if pa.types.is_date64(kind):
            return _whole_days(array, 86_400_000)
        if pa.types.is_timestamp(kind) and kind.tz is None:
            return _whole_days(array, 86_400 * _PER_SECOND[kind.unit])
        if pa.types.is_timestamp(kind):
            return self._each(array, _in_zone(kind))
        raise TypeError

    def text(self, text: str) -> int:
        """The day that a text names, or MISSING. Raises ValueError with what is wrong."""
        day = self._known.get(text)
        if day is None:
            day = day_of(text)
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[text] = day
        return day

    def _each(self, array: pa.Array, read: Any) -> tuple[NDArray[np.int32], dict[int, str]]:
        """Reads each distinct integer once."""
        values, missing = arrow.raw(array)
        distinct, at = np.unique(values, return_inverse=True)
        days = np.full(len(distinct), WRONG, dtype=np.int32)
        complaints = {}
        for position, value in enumerate(distinct.tolist()):
            try:
                days[position] = read(value)
            except ValueError as error:
                complaints[position] = str(error)
        found = _without_missing(days[at], missing)
        bad = arrow.first_rows(found == WRONG)
        return found, {row: complaints[int(at[row])] for row in bad}


def day_of(text: str) -> int:
    """The day of an ISO date, YYYY/M/D or YYYYMMDD, with or without midnight and a time zone.

    An empty text is MISSING. Raises ValueError for every other.
    """
    text = text.strip()
    if not text:
        return MISSING
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is no date; write 2020-01-31 or 20200131")
    year, _, month, day, compact_month, compact_day, rest = match.groups()
    if rest and (time := _TIME.fullmatch(rest)) is None:
        raise ValueError(f"{shown(text)} is no date; write 2020-01-31 or 20200131")
    try:
        date = datetime.date(int(year), int(month or compact_month), int(day or compact_day))
    except ValueError:
        raise ValueError(f"{shown(text)} is no date; there is no such day") from None
    if rest and time and time[1].strip("0:."):
        raise ValueError(f"{shown(text)} {_DAILY}")
    if not FIRST <= date <= LAST:
        raise ValueError(f"{shown(text)} lies outside {FIRST} to {LAST}")
    return (date - EPOCH).days


def _in_zone(kind: pa.DataType) -> Any:
    """Reads a timestamp of that type as the day in its time zone."""
    zone = _zone(kind.tz)
    per_second = _PER_SECOND[kind.unit]

    def read(value: int) -> int:
        seconds, rest = divmod(value, per_second)
        try:
            moment = datetime.datetime.fromtimestamp(seconds, zone)
        except (OverflowError, OSError, ValueError):
            raise ValueError(f"the timestamp {value} lies outside {FIRST} to {LAST}") from None
        if rest or moment.time() != datetime.time():
            raise ValueError(f"{shown(moment.isoformat(' '))} {_DAILY}")
        if not FIRST <= moment.date() <= LAST:
            raise ValueError(f"{moment.date()} lies outside {FIRST} to {LAST}")
        return (moment.date() - EPOCH).days

    return read


def _zone(name: str) -> datetime.tzinfo:
    if match := re.fullmatch(r"([-+])(\d{2}):?(\d{2})", name, re.ASCII):
        offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        return datetime.timezone(-offset if match[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, OSError):
        raise ValueError(f"the time zone {shown(name)} is not known") from None


def _whole_days(array: pa.Array, per_day: int) -> tuple[NDArray[np.int32], dict[int, str]]:
    values, missing = arrow.raw(array)
    days, rest = np.divmod(values, per_day)
    found, words = _bounded(days, missing)
    timed = (rest != 0) & (found != MISSING)
    found[timed] = WRONG
    for row in arrow.first_rows(timed):
        seconds = int(rest[row]) * 86_400 // per_day
        words[row] = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} {_DAILY}"
    return found, words


def _bounded(days: NDArray[np.int64], missing: NDArray[np.bool_] | None) -> tuple[NDArray[np.int32], dict[int, str]]:
    outside = (days < (FIRST - EPOCH).days) | (days > (LAST - EPOCH).days)
    found = _without_missing(np.where(outside, WRONG, days).astype(np.int32), missing)
    return found, dict.fromkeys(arrow.first_rows(found == WRONG), f"the date lies outside {FIRST} to {LAST}")


def _without_missing(days: NDArray[np.int32], missing: NDArray[np.bool_] | None) -> NDArray[np.int32]:
    if missing is not None:
        days[missing] = MISSING
    return days
