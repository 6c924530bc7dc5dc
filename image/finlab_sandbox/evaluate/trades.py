"""Round trips: from no position in a symbol to one and back. Adding to or trimming one stays in the same trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.engine import traded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.engine import Costs, Fills


class RoundTrips(NamedTuple):
    """The closed round trips, one an element, in the order of closing (of one close: in the order of symbols)."""

    symbols: NDArray[np.int64]  # column of the prices
    sides: NDArray[np.int64]  # 1 long, -1 short
    opened: NDArray[np.int64]  # calendar row
    closed: NDArray[np.int64]  # calendar row
    profits: NDArray[np.float64]  # after costs, as a fraction of the initial capital

    def last(self, count: int) -> RoundTrips:
        """Those that were closed last."""
        kept = slice(max(len(self.profits) - count, 0), None)
        return RoundTrips(
            self.symbols[kept], self.sides[kept], self.opened[kept], self.closed[kept], self.profits[kept]
        )


def round_trips(prices: NDArray[np.float64], fills: Fills, costs: Costs) -> RoundTrips:
    """The round trips that `fills` opened and closed; `prices` are the forward-filled ones that they were made on.

    A turn from long to short closes one trip and opens another, and its costs are shared in proportion to the value
    closed and opened. What is open at the end, or when the account is ruined, is no round trip.
    """
    rows, weights, found, kept, value = fills
    if not weights.any():
        nothing = np.empty(0, dtype=np.int64)
        return RoundTrips(nothing, nothing, nothing, nothing, np.empty(0))
    side = np.sign(weights).astype(np.int8)
    held = side != 0
    turned = side.copy()
    turned[1:] -= side[:-1]
    opens, closes = held & (turned != 0), np.zeros_like(held)
    closes[1:] = held[:-1] & (turned[1:] != 0)

    change = traded(fills)
    cost = value[:, None] * change * np.where(change > 0.0, costs.buy, -costs.sell)
    closing, symbol = np.nonzero(closes)
    closing_cost = cost[closing, symbol] * np.abs(found[closing, symbol] / change[closing, symbol])
    cost[closing, symbol] -= closing_cost

    gains = -cost
    at_order = prices[rows]
    invested = np.where(held[:-1], weights[:-1] * (at_order[1:] / at_order[:-1] - 1.0), 0.0)
    gains[:-1] += (value * kept)[:-1, None] * invested

    opened_before = np.concatenate(([0], np.cumsum(opens.sum(axis=0))[:-1]))
    trip = np.cumsum(opens, axis=0) + opened_before - 1  # k x s, which round trip the symbol is in after the order
    profits = np.bincount(trip[held], gains[held], minlength=int(opens.sum()))
    closed = trip[closing - 1, symbol]
    profits[closed] -= closing_cost

    opening_symbol, opening = np.nonzero(opens.T)  # the trips, in the order of their numbers
    sides = side[opening, opening_symbol].astype(np.int64)
    return RoundTrips(symbol, sides[closed], rows[opening[closed]], rows[closing], profits[closed])
