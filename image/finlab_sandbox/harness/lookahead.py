"""Whether positions know the future: another future after a cut must leave every order up to it as it was."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.harness.perturb import Futures

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from finlab_sandbox.harness.handover import Positions
    from finlab_sandbox.harness.market import Market

    Floats = NDArray[np.float64]

RELATIVE = 1e-9
ABSOLUTE = 1e-12
ROOM = 1.5  # a call may take this many times as long as the longest one before
SHOWN = 60  # characters of the name of an exception


@dataclass(frozen=True)
class LookAhead:
    """What a check found: of `samples` asked for, `checked` were compared and `changed` of them differed.

    `first_date` and `symbol` are of the earliest change over all cuts. `note` says why fewer were checked. Where it is
    not `deterministic`, nothing was compared: its positions change without another future.
    """

    samples: int
    checked: int
    changed: int
    first_date: str | None = None
    symbol: str | None = None
    note: str = ""
    deterministic: bool = True


def check(
    evaluate: Callable[[Market], Positions],
    market: Market,
    truth: Positions,
    *,
    samples: int,
    deadline: float,
    seconds: float,
) -> LookAhead:
    """Compares `truth`, the positions on `market`, with those on other futures.

    `deadline` is a time.monotonic(), `seconds` what the first call took: no call begins that might not end in time.
    A call that raises is not checked. After the first change the market itself is evaluated once more: positions that
    differ then are of a strategy that is not deterministic, and say nothing. So until then a cut is tried only where
    there is time for that call, too. A strategy that read no value of another future was not tried on any.
    """
    runs = _Runs(evaluate, market, truth, deadline, seconds)
    futures = Futures(market)
    cuts = cut_rows(runs.known, samples)
    checked = changed = 0
    earliest: tuple[int, int] | None = None
    repeated = False
    notes: list[str] = []
    if len(cuts) < samples:
        notes.append(f"the data has room for {len(cuts)} of {samples}")
    for cut in cuts:
        if not runs.have_room_for(1 if repeated else 2):
            notes.append(f"the time limit left room for {checked} of {samples}")
            break
        try:
            difference = runs.first_change(futures.after(cut), cut)
        except BaseException as error:
            note = f"{type(error).__name__[:SHOWN]} on another future"
            if note not in notes:
                notes.append(note)
            if isinstance(error, MemoryError):
                break
            continue
        checked += 1
        if difference is None:
            continue
        if not repeated:
            if not runs.have_room_for(1):
                return _unknown(samples, "positions changed, and the time limit left no room to see whether by chance")
            if chance := runs.by_chance():
                return _unknown(samples, chance, deterministic=False)
            repeated = True
        changed += 1
        earliest = difference if earliest is None else min(earliest, difference)
    if checked and not futures.read:
        return _unknown(samples, "run again, the strategy read no field of `data`, so it saw no other future")
    date, symbol = (str(market.dates[earliest[0]].date()), market.symbols[earliest[1]]) if earliest else (None, None)
    return LookAhead(samples, checked, changed, date, symbol, "; ".join(notes))


class _Runs:
    """The runs of a strategy beside the one that counts, and how long they take."""

    def __init__(
        self,
        evaluate: Callable[[Market], Positions],
        market: Market,
        truth: Positions,
        deadline: float,
        seconds: float,
    ) -> None:
        self._evaluate = evaluate
        self._market = market
        self._truth = truth
        self._deadline = deadline
        self._longest = seconds
        self._calendar = market.dates.to_numpy().astype("datetime64[D]").astype(np.int64)
        self.known = _orders(truth, self._calendar, len(market.symbols))

    def have_room_for(self, calls: int) -> bool:
        """Whether that many more might end in time."""
        return self._deadline - time.monotonic() >= calls * ROOM * self._longest

    def first_change(self, on: Market, last: int) -> tuple[int, int] | None:
        """Row and column of the first order up to the row `last` that is another on that market."""
        began = time.monotonic()
        try:
            positions = self._evaluate(on)
        finally:
            self._longest = max(self._longest, time.monotonic() - began)
        if _same_until(int(self._calendar[last]), self._truth, positions):
            return None
        orders = _orders(positions, self._calendar, self.known.shape[1])
        return _first_difference(self.known[: last + 1], orders[: last + 1])

    def by_chance(self) -> str:
        """How a run differs without another future; nothing where it does not."""
        try:
            difference = self.first_change(self._market, len(self.known) - 1)
        except BaseException as error:
            return f"{type(error).__name__[:SHOWN]} when it was run again on the same data"
        return "two runs on the same data differ, so nothing can be said" if difference else ""


def cut_rows(orders: Floats, samples: int) -> list[int]:
    """The rows after which the future is replaced, the one nearest to the middle first; never the last row.

    They are spread over the rows where orders change, as a leak of one day shows exactly there, and over all rows when
    there are too few of them.
    """
    last = len(orders) - 1
    ordered = np.flatnonzero(~np.isnan(orders).all(axis=1))
    rows = orders[ordered]
    moved = np.ones(len(ordered), dtype=bool)
    moved[1:] = (np.abs(np.diff(rows, axis=0)) > ABSOLUTE).any(axis=1)
    candidates = ordered[moved & (ordered < last)]
    cuts = set(_spread(candidates, samples))
    others = np.setdiff1d(np.arange(last), list(cuts))
    cuts.update(_spread(others, samples - len(cuts)))
    return sorted(cuts, key=lambda cut: (abs(2 * cut - last), cut))


def _spread(rows: NDArray[np.int64], count: int) -> list[int]:
    """At most `count` of the rows, evenly."""
    count = min(count, len(rows))
    return [int(rows[(2 * at + 1) * len(rows) // (2 * count)]) for at in range(count)]


def _orders(positions: Positions, calendar: NDArray[np.int64], symbols: int) -> Floats:
    """Calendar x universe: NaN in a row that holds; 0 for what an ordered row leaves out."""
    orders = np.full((len(calendar), symbols), np.nan)
    ordered = ~np.isnan(positions.weights).all(axis=1)
    rows = np.searchsorted(calendar, positions.dates[ordered])
    orders[rows] = 0.0
    orders[np.ix_(rows, positions.symbols)] = np.nan_to_num(positions.weights[ordered])
    return orders


def _same_until(day: int, known: Positions, other: Positions) -> bool:
    """Whether the positions up to a day are the same array: nearly always they are, and this is cheap to see."""
    rows = int(np.searchsorted(known.dates, day, side="right"))
    return (
        int(np.searchsorted(other.dates, day, side="right")) == rows
        and np.array_equal(known.dates[:rows], other.dates[:rows])
        and np.array_equal(known.symbols, other.symbols)
        and np.array_equal(known.weights[:rows], other.weights[:rows], equal_nan=True)
    )


def _first_difference(known: Floats, other: Floats) -> tuple[int, int] | None:
    """Row and column of the earliest order that is not the same."""
    same = np.isclose(known, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if same.all():
        return None
    row, column = np.argwhere(~same)[0]
    return int(row), int(column)


def _unknown(samples: int, note: str, *, deterministic: bool = True) -> LookAhead:
    """What is said where no comparison counts."""
    return LookAhead(samples, 0, 0, note=note, deterministic=deterministic)
