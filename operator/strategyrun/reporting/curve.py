"""The equity curve to draw, whichever document it comes from, and what follows from it."""

from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import NamedTuple

from strategyrun.reporting.document import LARGEST, Document
from strategyrun.reporting.run import EquityPoints

GROWS_A_LOT = 4.0
"""From this ratio of the highest to the lowest equity on, equal returns look equal only on a log scale."""


class Curve(NamedTuple):
    """Equity by date: multiples of the initial capital. `daily` says that no day is left out."""

    dates: tuple[date, ...]
    equity: tuple[float, ...]
    drawdown: tuple[float, ...]
    benchmark: tuple[float, ...] | None
    daily: bool

    @property
    def logarithmic(self) -> bool:
        """Whether it is better drawn on a log scale."""
        values = [*self.equity, *(self.benchmark or ())]
        return min(values) > 0 and max(values) / min(values) > GROWS_A_LOT


def curve_of(document: Document | None, points: EquityPoints | None) -> Curve | None:
    """Take every day from the full report, else the points of the status; None where there is neither."""
    if document is not None:
        return Curve(document.dates, document.equity, document.drawdown, document.benchmark, document.daily)
    if points is None or not points.values:
        return None
    steps = max(1, len(points.values) - 1)
    days = (points.end - points.start).days
    dates = tuple(points.start + timedelta(days=round(days * step / steps)) for step in range(len(points.values)))
    return Curve(dates, points.values, drawdown_of(points.values), None, daily=False)


def drawdown_of(equity: tuple[float, ...]) -> tuple[float, ...]:
    """Return the fall from the highest equity so far; the initial capital is the first."""
    peaks = accumulate(equity, max, initial=1.0)
    next(peaks)
    return tuple(min(0.0, value / peak - 1.0) for value, peak in zip(equity, peaks, strict=True))


def daily_returns(equity: tuple[float, ...]) -> list[float]:
    """Return the simple return of each day; the initial capital is what the first one starts from."""
    return [_growth(before, after) for before, after in pairwise((1.0, *equity))]


def monthly_returns(curve: Curve) -> dict[tuple[int, int], float]:
    """Return the return of each (year, month) that has a day."""
    last = {(day.year, day.month): value for day, value in zip(curve.dates, curve.equity, strict=True)}
    return dict(zip(last, daily_returns(tuple(last.values())), strict=True))


def yearly_returns(curve: Curve) -> dict[int, float]:
    """Return the return of each year that has a day."""
    last = {day.year: value for day, value in zip(curve.dates, curve.equity, strict=True)}
    return dict(zip(last, daily_returns(tuple(last.values())), strict=True))


def _growth(before: float, after: float) -> float:
    return min(after / before - 1.0, LARGEST) if before > 0 else 0.0
