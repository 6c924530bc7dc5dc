"""Turns positions into orders that can be filled: the rules of hold, missing prices, leverage and rebalancing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.blocks import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.positions import Positions

SCALE_TOLERANCE = 1e-9
DUST = 1e-9  # of the equity: what is nearer to 0 is left of rounding, and nobody's position


class Orders(NamedTuple):
    """At the close of calendar row `rows[k]` (increasing) hold `weights[k]` of the equity (k x symbols)."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float64]


def fill_forward(prices: NDArray[np.float64], symbols: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Prices of these columns, or of all, with gaps filled by the last known one: who is delisted keeps the last price.

    NaN before the first.
    """
    symbols = np.arange(prices.shape[1]) if symbols is None else symbols
    filled = np.empty((len(prices), len(symbols)))
    before = np.full(len(symbols), np.nan)
    for block in blocks(len(prices), len(symbols)):
        known = prices[block][:, symbols]
        last = np.maximum.accumulate(np.where(np.isnan(known), 0, np.arange(len(known))[:, None]), axis=0)
        found = np.take_along_axis(known, last, axis=0)
        filled[block] = np.where(np.isnan(found), before, found)
        before = filled[block][-1]
    return filled


def orders_from(
    positions: Positions, prices: NDArray[np.float64], *, on_change: bool, allow_leverage: bool
) -> tuple[Orders, list[str]]:
    """Orders and warnings, from positions on the forward-filled prices (calendar x symbols) of the same symbols.

    A row of NaN holds and is no order. NaN in any other row is weight 0. A row whose sum of |w| is above 1 is scaled
    to 1 unless leverage is allowed. A weight below DUST is 0. What is asked of a symbol before its first price stays in
    cash. With `on_change` a row that equals the order before it is no order.
    """
    warnings: list[str] = []
    ordered = ~np.isnan(positions.weights).all(axis=1)
    rows = positions.rows[ordered]
    weights = np.nan_to_num(positions.weights[ordered], nan=0.0)

    gross = np.abs(weights).sum(axis=1)
    above = gross > 1.0 + SCALE_TOLERANCE
    if not allow_leverage and above.any():
        weights[above] /= gross[above, None]
        warnings.append(f"weights: {above.sum()} of {len(rows)} orders summed to more than 1 and were scaled to 1")

    weights[np.abs(weights) < DUST] = 0.0
    unpriced = np.isnan(prices[rows]) & (weights != 0)
    if unpriced.any():
        weights[unpriced] = 0.0
        warnings.append(f"weights: {unpriced.sum()} were asked before the symbol's first price and stayed in cash")

    if on_change and len(rows):
        changed = np.ones(len(rows), dtype=bool)
        changed[1:] = (weights[1:] != weights[:-1]).any(axis=1)
        rows, weights = rows[changed], weights[changed]
    return Orders(rows, weights), warnings


def delayed(orders: Orders, days: int, n_rows: int) -> Orders:
    """The same orders, filled `days` closes later; those past the end of the calendar are dropped."""
    kept = orders.rows + days < n_rows
    return Orders(orders.rows[kept] + days, orders.weights[kept])
