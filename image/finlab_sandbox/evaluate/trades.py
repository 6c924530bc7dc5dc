"""Round trips: from no position in a symbol to one and back. Adding to or trimming one stays in the same trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.evaluate.engine import traded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.engine import Costs, Fills


def closed_trade_profits(prices: NDArray[np.float64], fills: Fills, costs: Costs) -> NDArray[np.float64]:
    """Profit after costs of each closed round trip, as a fraction of the initial capital.

    `prices` are the forward-filled prices that the fills were made on. A turn from long to short closes one trip and
    opens another, and its costs are shared in proportion to the value closed and opened. What is open at the end is
    no trade.
    """
    rows, weights, found, kept, value = fills
    if len(rows) == 0:
        return np.empty(0)
    side = np.sign(weights)
    side_before = np.vstack((np.zeros(weights.shape[1]), side[:-1]))
    turned = side != side_before
    opens = turned & (side != 0)
    closes = turned & (side_before != 0)

    change = traded(fills)
    cost = value[:, None] * np.abs(change) * np.where(change > 0.0, costs.buy, costs.sell)
    share_closed = np.where(closes, np.abs(found) / np.where(closes, np.abs(change), 1.0), 0.0)
    closing_cost = cost * share_closed

    gains = np.zeros_like(weights)
    at_order = prices[rows]
    left = (value * kept)[:-1, None]
    invested = weights[:-1] != 0.0
    gains[:-1] = np.where(invested, left * weights[:-1] * (at_order[1:] / at_order[:-1] - 1.0), 0.0)
    gains -= cost - closing_cost

    opened_before = np.concatenate(([0], np.cumsum(opens.sum(axis=0))[:-1]))
    trip = np.cumsum(opens, axis=0) + opened_before - 1  # k x s, which round trip the symbol is in after the order
    trip_before = np.vstack((np.zeros(weights.shape[1], dtype=trip.dtype), trip[:-1]))
    n_trips = int(opens.sum())
    held = side != 0
    profits: NDArray[np.float64] = np.zeros(n_trips)
    np.add.at(profits, trip[held], gains[held])
    np.subtract.at(profits, trip_before[closes], closing_cost[closes])
    closed: NDArray[np.float64] = profits[np.sort(trip_before[closes])]
    return closed
