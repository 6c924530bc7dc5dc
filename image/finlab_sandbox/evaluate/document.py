"""The report document: the account day by day, its orders and its round trips, as gzipped JSON of bounded size.

Equal scores give equal bytes. What does not fit is left out from the beginning, and `truncated` says so.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.benchmark import growth
from finlab_sandbox.evaluate.engine import gross_carried
from finlab_sandbox.evaluate.metrics import drawdown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.score import Score

SCHEMA = 1
MAX_BYTES = 384 * 1024
DIGITS = 6
MAX_DECIMALS = 22  # the largest power of ten that float64 holds exactly
GZIP = 31  # zlib's number for a gzip stream; its header then has neither a time nor a name
COMPRESSION = 5


class Limits(NamedTuple):
    """How much of what is kept at most."""

    days: int = 16_000
    symbols: int = 8_000
    weights: int = 48_000  # an order counts as its weights and one more
    trades: int = 2_000

    def halved(self) -> Limits:
        """Half of each."""
        return Limits(*(limit // 2 for limit in self))


def build(score: Score, symbols: list[str], calendar: NDArray[np.int32]) -> bytes:
    """The document of a score; `symbols` are those of its positions, in their order."""
    limits = Limits()
    while len(content := _compress(_document(score, symbols, calendar, limits))) > MAX_BYTES:
        limits = limits.halved()
    return content


def significant(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Values rounded to that many significant digits, large ones to whole numbers."""
    with np.errstate(divide="ignore"):
        decimals = digits - 1 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(np.nan_to_num(decimals, nan=0.0), 0, MAX_DECIMALS)
    rounded: NDArray[np.float64] = np.round(values * scale) / scale
    return rounded


def _document(score: Score, symbols: list[str], calendar: NDArray[np.int32], limits: Limits) -> dict[str, Any]:
    truncated: list[str] = []
    equity = score.account.equity
    benchmark = None if np.isnan(score.benchmark).all() else growth(score.benchmark)
    every = -(-len(calendar) // max(limits.days, 1))
    shown = np.arange(len(calendar))[::-1][::every][::-1]
    if every > 1:
        truncated.append(f"dates: one in {every} of {len(calendar)} is kept")
    if len(symbols) > limits.symbols:
        truncated.append(f"symbols: the first {limits.symbols} of {len(symbols)} are kept")
    return {
        "schema": SCHEMA,
        "dates": _dates(calendar[shown]),
        "equity": _numbers(equity[shown]),
        "drawdown": _numbers(drawdown(equity)[shown]),
        "benchmark": None if benchmark is None else _numbers(benchmark[shown]),
        "exposure": _numbers(gross_carried(score.prices, score.account)[shown]),
        "symbols": symbols[: limits.symbols],
        "orders": _orders(score, symbols, calendar, limits.weights, truncated),
        "trades": _trades(score, symbols, calendar, limits.trades, truncated),
        "truncated": truncated,
    }


def _orders(
    score: Score, symbols: list[str], calendar: NDArray[np.int32], limit: int, truncated: list[str]
) -> list[dict[str, Any]]:
    """The last orders whose weights other than 0 are within the limit."""
    rows, weights = score.account.fills.rows, score.account.fills.weights
    size = np.cumsum(1 + (weights[::-1] != 0.0).sum(axis=1))
    kept = int(np.searchsorted(size, limit, side="right"))
    if kept < len(rows):
        truncated.append(f"orders: the last {kept} of {len(rows)} are kept")
    first = len(rows) - kept
    at, column = np.nonzero(weights[first:])
    values = significant(weights[first:][at, column], DIGITS).tolist()
    asked: list[dict[str, float]] = [{} for _ in range(kept)]
    for order, name, value in zip(at.tolist(), column.tolist(), values, strict=True):
        asked[order][symbols[name]] = value
    return [{"date": date, "weights": of} for date, of in zip(_dates(calendar[rows[first:]]), asked, strict=True)]


def _trades(
    score: Score, symbols: list[str], calendar: NDArray[np.int32], limit: int, truncated: list[str]
) -> list[dict[str, Any]]:
    """The round trips that were closed last; `days` are those of the dataset into which it was carried."""
    trips = score.trips
    if len(trips.profits) > limit:
        truncated.append(f"trades: the last {limit} of {len(trips.profits)} are kept")
        trips = trips.last(limit)
    return [
        {"symbol": symbols[symbol], "side": side, "opened": opened, "closed": closed, "days": days, "profit": profit}
        for symbol, side, opened, closed, days, profit in zip(
            trips.symbols.tolist(),
            np.where(trips.sides > 0, "Long", "Short").tolist(),
            _dates(calendar[trips.opened]),
            _dates(calendar[trips.closed]),
            (trips.closed - trips.opened).tolist(),
            _numbers(trips.profits),
            strict=True,
        )
    ]


def _compress(document: dict[str, Any]) -> bytes:
    content = json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")
    return zlib.compress(content, COMPRESSION, GZIP)


def _dates(days: NDArray[np.int32]) -> list[str]:
    dates: list[str] = days.astype("datetime64[D]").astype(str).tolist()
    return dates


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Rounded; None for what JSON has no word for."""
    rounded: list[float | None] = significant(values, DIGITS).tolist()
    if np.isfinite(values).all():
        return rounded
    return [value if finite else None for value, finite in zip(rounded, np.isfinite(values).tolist(), strict=True)]
