"""The panels of a picture, each drawn on axes that are there."""

import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from strategyrun.reporting import words
from strategyrun.reporting.curve import Curve, daily_returns, monthly_returns, yearly_returns
from strategyrun.reporting.document import Document, Order, Trade
from strategyrun.reporting.lettering import Lettering
from strategyrun.reporting.palette import LIGHT as C

SMALL, BODY = 8.0, 9.0

YEARS_LIMIT = 20
SYMBOLS_LIMIT = 14
_STRIPS = 360
_LEVELS = 8
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_BINS = 30
_FILLED = 1440
"""Points of a filled curve: more of them are less than a pixel apart."""


def title(axes: Axes, text: str, note: str = "") -> None:
    """Say above the panel what it shows."""
    said = axes.annotate(
        text,
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        color=C["ink"],
        weight="bold",
        fontsize=BODY,
    )
    if note:
        beside = (said, axes.transAxes)
        axes.annotate(
            note, (1, 1), (7, 7), xycoords=beside, textcoords="offset points", color=C["muted"], fontsize=SMALL
        )


def calendar(axes: Axes, dates: Sequence[date], *, labels: bool = True, ticks: int = 14) -> None:
    """Give the panel the days of the run as its x axis."""
    first, last = _numbers([dates[0], dates[-1]]).tolist()
    if first == last:
        axes.set_xlim(first - 1, last + 1)
        axes.xaxis.set_major_locator(FixedLocator([first]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda *_: str(dates[0])))
    else:
        axes.set_xlim(first, last)
        locator = AutoDateLocator(minticks=min(4, ticks), maxticks=ticks)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)
    axes.tick_params(axis="x", labelbottom=labels)


def _numbers(dates: Sequence[date]) -> NDArray[np.float64]:
    """Return dates as an axis counts them."""
    numbers: NDArray[np.float64] = date2num(dates)  # type: ignore[no-untyped-call]
    return numbers


def equity(axes: Axes, curve: Curve, benchmark: str) -> None:
    """Draw equity beside the benchmark, each with its last value at its end."""
    days = _numbers(curve.dates)
    alone = "o" if len(days) == 1 else None
    ends = []
    if curve.benchmark is not None:
        axes.plot(days, curve.benchmark, color=C["bench"], linewidth=1.1, marker=alone)
        ends.append((curve.benchmark[-1], C["muted"], benchmark))
    axes.plot(days, curve.equity, color=C["line"], linewidth=1.5, marker=alone)
    ends.append((curve.equity[-1], C["line"], "strategy"))
    axes.axhline(1.0, color=C["muted"], linewidth=0.7, dashes=(4, 3))
    if curve.logarithmic:
        _logarithmic(axes, [*curve.equity, *(curve.benchmark or ())])
    elif not axes.get_ylim()[0] > 0:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, "×")))
    _ends(axes, ends)
    title(axes, "Equity", "multiples of the initial capital" + (", log scale" if curve.logarithmic else ""))


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    axes.set_yscale("log")
    decades = math.log10(max(values) / min(values))
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0, 3.0) if decades < 4 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(10, subs=subs, numticks=9))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each curve's name and last value beside its end, a line apart at least."""
    places = [float(axes.transAxes.inverted().transform(axes.transData.transform((0, value)))[1]) for value, *_ in ends]
    apart = 0.14
    if len(places) == 2 and abs(places[0] - places[1]) < apart:
        middle, above = sum(places) / 2, 1 if places[0] >= places[1] else -1
        middle = min(max(middle, apart / 2), 1 - apart / 2)
        places = [middle + above * apart / 2, middle - above * apart / 2]
    for place, (value, colour, name) in zip(places, ends, strict=True):
        axes.annotate(
            f"{words.multiple(value)}\n{name}",
            (1, place),
            (5, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=SMALL,
            weight="bold",
            linespacing=1.25,
        )


def drawdown(axes: Axes, curve: Curve) -> None:
    """Fill the fall from the peak."""
    days, falls = _thinned(curve.dates, curve.drawdown)
    axes.fill_between(days, falls, 0, color=C["loss"], alpha=0.25, linewidth=0)
    axes.plot(days, falls, color=C["loss"], linewidth=0.8, marker="o" if len(days) == 1 else None)
    deepest = min(curve.drawdown)
    axes.set_ylim(min(deepest * 1.08, -0.01), 0)
    _percents(axes, 4)
    where = f"on {curve.dates[curve.drawdown.index(deepest)]}"
    if not curve.daily:
        where = f"at one of {len(curve.dates)} points; between them it may be deeper"
    title(axes, "Drawdown", f"deepest {words.percent(deepest, 1)} {where}" if deepest < 0 else "none")


def exposure(axes: Axes, document: Document) -> None:
    """Fill the gross weight that was carried into each day."""
    days, gross = _thinned(document.dates, document.exposure)
    axes.fill_between(days, gross, 0, color=C["line"], alpha=0.35, linewidth=0, step="mid")
    axes.set_ylim(0, max(1.0, *document.exposure) * 1.04)
    _percents(axes, 3)
    mean = sum(document.exposure) / len(document.exposure)
    title(axes, "Gross exposure", f"mean {words.percent(mean, 0)}")


def _thinned(dates: Sequence[date], values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return day numbers and values to fill below: of days that share a pixel, the lowest value."""
    numbers = _numbers(dates)
    if len(numbers) <= _FILLED:
        return numbers, np.array(values)
    starts = np.linspace(0, len(numbers), _FILLED, endpoint=False).astype(int)
    return numbers[starts], np.minimum.reduceat(values, starts)


def _percents(axes: Axes, ticks: int) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value * 100, " %")))


class Held(NamedTuple):
    """Target weights to draw: a name and a value per strip of time each; the last may be the others' gross sum."""

    names: list[str]
    strips: NDArray[np.float64]  # rows x strips
    edges: NDArray[np.float64]  # strips + 1, day numbers
    others: int
    known_from: int  # index of the first day whose orders are in the report


def held(document: Document) -> Held | None:
    """Return the weights in force, the largest positions first; None where there never was one."""
    days = np.array([day.toordinal() for day in document.dates])
    orders = document.orders
    if not orders:
        return None
    starts = np.searchsorted(days, [order.date.toordinal() for order in orders])
    lasted = np.diff([*starts, len(days)])
    sizes: dict[str, float] = {}
    for order, lasting in zip(orders, lasted, strict=True):
        for symbol, weight in order.weights.items():
            sizes[symbol] = sizes.get(symbol, 0.0) + abs(weight) * int(lasting)
    ranked = sorted((symbol for symbol, size in sizes.items() if size > 0), key=lambda symbol: (-sizes[symbol], symbol))
    if not ranked:
        return None
    shown = ranked if len(ranked) <= SYMBOLS_LIMIT else ranked[: SYMBOLS_LIMIT - 1]
    others = len(ranked) - len(shown)
    table = _table(orders, shown, others=bool(others))
    in_force = np.searchsorted(starts, np.arange(len(days)), side="right") - 1
    daily = np.where((in_force >= 0)[:, None], table[in_force], 0.0)
    strips = min(_STRIPS, len(days))
    bounds = np.linspace(0, len(days), strips + 1).round().astype(int)
    means = np.add.reduceat(daily, bounds[:-1], axis=0) / np.diff(bounds)[:, None]
    number = _numbers(document.dates)
    edges = np.concatenate((number[bounds[:-1]], [number[-1] + (1 if len(days) == 1 else 0)]))
    cut = any(text.startswith("orders") for text in document.truncated)
    return Held(shown, means.T, edges, others, min(int(starts[0]), len(days) - 1) if cut else 0)


def _table(orders: Sequence[Order], shown: list[str], *, others: bool) -> NDArray[np.float64]:
    """Weights by order and row to draw; the last row is the gross sum of what is not shown."""
    column = {symbol: place for place, symbol in enumerate(shown)}
    table = np.zeros((len(orders), len(shown) + others))
    for row, order in enumerate(orders):
        for symbol, weight in order.weights.items():
            if symbol in column:
                table[row, column[symbol]] = weight
            elif others:
                table[row, -1] += abs(weight)
    return table


def positions(axes: Axes, weights: Held, document: Document, lettering: Lettering) -> None:
    """Draw a band for each symbol: the stronger, the larger the weight; long and short in colours of their own."""
    numbers = {symbol: place for place, symbol in enumerate(document.symbols, 1)}
    names = [lettering.label(name, 13, f"#{numbers.get(name, '?')}") for name in weights.names]
    unnamed = ", #n: symbol n of the dataset, for want of a font" if any(n.startswith("#") for n in names) else ""
    own = weights.strips[: len(names)]
    largest = float(np.abs(own).max())
    for row, strip in enumerate(own):
        _band(axes, row, strip / largest, weights.edges)
    if weights.others:
        names.append(f"{weights.others} others")
        top = float(weights.strips[-1].max())
        _band(axes, len(names) - 1, weights.strips[-1] / top if top else weights.strips[-1], weights.edges, C["muted"])
    if weights.known_from:
        start, end = _numbers([document.dates[0], document.dates[weights.known_from]]).tolist()
        axes.add_patch(Rectangle((start, -0.5), end - start, len(names), color=C["grid"], linewidth=0))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    both = "blue long, orange short, " if (own < 0).any() else ""
    cut = ", grey: orders that the report has no room for" if weights.known_from else ""
    title(axes, "Target weights", f"{both}full colour: {words.percent(largest, 1)}{cut}{unnamed}")


def _band(axes: Axes, row: int, strip: NDArray[np.float64], edges: NDArray[np.float64], colour: str = "") -> None:
    """Draw one row: all rectangles of one strength are one path."""
    levels = np.sign(strip) * np.ceil(np.abs(strip) * _LEVELS - 1e-9)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(levels)) + 1))
    ends = np.concatenate((starts[1:], [len(levels)]))
    for level in np.unique(levels[levels != 0]):
        corners: list[tuple[float, float]] = []
        codes: list[np.uint8] = []
        for start, end in zip(starts, ends, strict=True):
            if levels[start] == level:
                left, right = float(edges[start]), float(edges[end])
                corners += [(left, row - 0.42), (right, row - 0.42), (right, row + 0.42), (left, row + 0.42), (left, 0)]
                codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
        own = colour or C["line" if level > 0 else "short"]
        shade = 0.1 + 0.9 * abs(float(level)) / _LEVELS
        axes.add_patch(PathPatch(Path(corners, codes), facecolor=own, alpha=shade, linewidth=0, antialiased=False))


def months(axes: Axes, curve: Curve) -> None:
    """Draw a table of monthly returns with the year's at its right."""
    monthly, yearly = monthly_returns(curve), yearly_returns(curve)
    years = [*yearly][-YEARS_LIMIT:]
    shown = {key: value for key, value in monthly.items() if key[0] in years}
    scale = max(float(np.quantile([abs(value) for value in shown.values()], 0.95)), 1e-9)
    for (year, month), value in shown.items():
        row, column = years.index(year), month - 1
        shade = round(min(1.0, abs(value) / scale) * 12) / 20  # few enough to share the styles of a page
        colour = C["gain" if value > 0 else "loss"]
        axes.add_patch(Rectangle((column, row), 0.94, 0.9, facecolor=colour, alpha=shade, linewidth=0))
        axes.text(column + 0.47, row + 0.47, _cell(value), ha="center", va="center", fontsize=7, color=C["ink"])
    for row, year in enumerate(years):
        axes.text(
            12.75, row + 0.47, _cell(yearly[year]), ha="center", va="center", fontsize=7, color=C["ink"], weight="bold"
        )
    rows = max(len(years), 6)
    axes.set_xlim(0, 13.3)
    axes.set_ylim(rows, 0)
    axes.set_xticks([*(month + 0.47 for month in range(12)), 12.75], [*_MONTHS, "Year"])
    axes.set_yticks([row + 0.47 for row in range(len(years))], [str(year) for year in years])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    left = f", the last {YEARS_LIMIT} of {len(yearly)} years" if len(yearly) > len(years) else ""
    title(axes, "Monthly returns", f"percent{left}")


def _cell(value: float) -> str:
    """Write a return in percent in at most five characters or so."""
    number = value * 100
    if abs(number) >= 1e5:
        return words.plain(f"{number:.0e}")
    text = f"{number:.1f}" if abs(number) < 99.95 else f"{number:.0f}"
    return words.plain(text) if text.strip("-0.") else "0.0"


def _tick(value: float, unit: str = "") -> str:
    return words.plain(f"{value:.6g}") + unit if value else f"0{unit}"


def rolling_sharpe(axes: Axes, curve: Curve, periods: int, overall: float | None) -> None:
    """Draw the Sharpe ratio of the year before each day, and that of the whole run."""
    title(axes, "Rolling Sharpe ratio", f"of {periods} days; risk-free 0")
    if not curve.daily:
        return _nothing(axes, "the report does not have every day")
    returns = np.array(daily_returns(curve.equity))
    if periods < 2 or len(returns) < periods:
        return _nothing(axes, f"fewer than {periods} days")
    windows = np.lib.stride_tricks.sliding_window_view(returns, periods)
    deviation = windows.std(axis=1, ddof=1)
    moved = deviation > 1e-12
    if not moved.any():
        return _nothing(axes, "equity does not move")
    ratios = np.where(moved, windows.mean(axis=1) / np.where(moved, deviation, 1.0), np.nan) * math.sqrt(periods)
    axes.plot(_numbers(curve.dates)[periods - 1 :], ratios, color=C["line"], linewidth=1.1)
    axes.axhline(0, color=C["muted"], linewidth=0.7)
    if overall is not None:
        axes.axhline(overall, color=C["bench"], linewidth=1.0, dashes=(4, 3))
    calendar(axes, curve.dates, ticks=7)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    return None


def trades(axes: Axes, closed: Sequence[Trade]) -> None:
    """Draw how the profits of closed trades are spread; the outer bars hold what lies beyond."""
    many = len(closed) > 50
    title(axes, "Trade profits", "of the initial capital" + ("; outer bars: and beyond" if many else ""))
    if not closed:
        return _nothing(axes, "no closed trade")
    profits = np.array([trade.profit for trade in closed])
    low, high = np.quantile(profits, [0.01, 0.99]) if many else (profits.min(), profits.max())
    width = max(float(high - min(low, 0.0)), float(max(high, 0.0) - low), 1e-9) / _BINS
    edges = np.arange(math.floor(min(low, 0.0) / width), math.ceil(max(high, 0.0) / width) + 1) * width
    if len(edges) < 2:
        edges = np.array([-width, 0.0, width])
    counts, _ = np.histogram(np.clip(profits, edges[0], edges[-1]), edges)
    # What is exactly 0 lies at the left edge of the first bar with a gain.
    colours = [C["gain" if left >= 0 else "loss"] for left in edges[:-1] + width / 2]
    axes.bar(edges[:-1], counts, width=width * 0.9, align="edge", color=colours, alpha=0.8, linewidth=0)
    axes.axvline(0, color=C["muted"], linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value * 100, " %")))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return None


def _nothing(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=C["muted"], fontsize=BODY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
