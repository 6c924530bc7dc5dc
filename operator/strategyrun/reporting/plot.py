"""An equity curve and its drawdown drawn with block characters."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from strategyrun.reporting.curve import Curve
from strategyrun.reporting.words import MINUS, multiple

ROWS = 8
DRAWDOWN_ROWS = 4
COLUMNS_LIMIT = 100

_LABEL = 9
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_HANGING = " ▀█"


class Line(NamedTuple):
    """One line of a plot: what stands on its axis, and its blocks."""

    label: str
    bars: str


class Plot(NamedTuple):
    """The lines of both plots from the top down, and the axis of dates below them."""

    equity: list[Line]
    drawdown: list[Line]
    axis: str


def plot(curve: Curve, width: int) -> Plot:
    """Draw into at most `width` columns: a column shows the last equity and the deepest drawdown of its days."""
    columns = max(10, min(width - _LABEL - 2, COLUMNS_LIMIT))
    slices = _slices(len(curve.equity), columns)
    equity = [curve.equity[days][-1] for days in slices]
    falls = [min(curve.drawdown[days]) for days in slices]
    axis = f"{'':{_LABEL}}{curve.dates[0]!s:<{len(slices) - 10}}{curve.dates[-1]}"
    return Plot(_equity(equity, curve.logarithmic), _drawdown(falls), axis)


def _slices(days: int, columns: int) -> list[slice]:
    if days <= columns:  # each day is as wide as the others
        return [slice(column * days // columns, column * days // columns + 1) for column in range(columns)]
    return [slice(column * days // columns, (column + 1) * days // columns) for column in range(columns)]


def _equity(values: Sequence[float], logarithmic: bool) -> list[Line]:
    scaled = [math.log(value) for value in values] if logarithmic else [*values]
    low, high = min(*scaled, scaled[0]), max(*scaled, scaled[0])
    span = high - low
    margin = span / 8 if span > 0 else max(abs(high), 1e-9) / 2
    bottom = low - margin if logarithmic else max(0.0, low - margin)
    heights = [(value - bottom) / (high - bottom) * ROWS if high > bottom else ROWS for value in scaled]
    lines = []
    for row in range(ROWS, 0, -1):
        bars = "".join(_EIGHTHS[max(0, min(8, round((height - row + 1) * 8)))] for height in heights)
        level = bottom + (high - bottom) * row / ROWS
        shown = row in (ROWS, ROWS // 2, 1)
        lines.append(Line(_label(multiple(math.exp(level) if logarithmic else level) if shown else ""), bars))
    return lines


def _drawdown(falls: Sequence[float]) -> list[Line]:
    deepest = min(falls)
    if deepest >= 0:
        return [Line(_label("0 %"), "no drawdown")]
    lines = []
    for row in range(DRAWDOWN_ROWS):
        bars = "".join(_HANGING[max(0, min(2, round((fall / deepest * DRAWDOWN_ROWS - row) * 2)))] for fall in falls)
        label = "0 %" if row == 0 else f"{MINUS}{-deepest * 100:.1f} %" if row == DRAWDOWN_ROWS - 1 else ""
        lines.append(Line(_label(label), bars))
    return lines


def _label(text: str) -> str:
    return f"{text:>{_LABEL - 1}} "
