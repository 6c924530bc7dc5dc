"""A second portfolio engine, written the slow and plain way: shares, cash, one day after another."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Trip(NamedTuple):
    """A closed round trip."""

    symbol: int
    side: int
    opened: int
    closed: int
    profit: float


@dataclass
class Ledger:
    """An account that began with 1 of cash."""

    equity: list[float] = field(default_factory=list)
    traded: float = 0.0
    trips: list[Trip] = field(default_factory=list)  # in the order of closing, of one close in that of symbols
    held: list[bool] = field(default_factory=list)
    gross: list[float] = field(default_factory=list)  # carried into the day, of the equity at the close before


def keep_books(prices: NDArray[np.float64], orders: dict[int, NDArray[np.float64]], buy: float, sell: float) -> Ledger:
    """Fill orders {row: weights} at the close of prices (days x symbols); buy and sell are fractions of value."""
    n_symbols = prices.shape[1]
    shares = np.zeros(n_symbols)
    spent = np.zeros(n_symbols)  # cash that went into the open round trip, less what came out of it
    since = [0] * n_symbols  # the row on which it began
    cash = 1.0
    gross = 0.0
    ledger = Ledger()
    for row, price in enumerate(prices):
        ledger.held.append(bool((shares != 0).any()))
        ledger.gross.append(gross)
        wealth = cash + float(shares @ price)
        if wealth <= 0:
            remaining = len(prices) - row
            ledger.equity += [0.0] * remaining
            ledger.held += [False] * (remaining - 1)
            ledger.gross += [0.0] * (remaining - 1)
            return ledger
        if row in orders:
            weights = orders[row]
            left = wealth_after_costs(wealth, weights, shares * price, buy, sell)
            if left <= 0:
                remaining = len(prices) - row
                ledger.equity += [0.0] * remaining
                ledger.held += [False] * (remaining - 1)
                ledger.gross += [0.0] * (remaining - 1)
                return ledger
            for at in range(n_symbols):
                value, target = shares[at] * price[at], weights[at] * left
                ledger.traded += abs(target - value) / wealth
                # A turn through zero is a sale to nothing and a purchase from nothing.
                for goal in [0.0, target] if value * target < 0 else [target]:
                    change = goal - shares[at] * price[at]
                    cost = change * buy if change > 0 else -change * sell
                    cash -= change + cost
                    spent[at] += change + cost
                    side = int(np.sign(shares[at]))
                    shares[at] = goal / price[at]
                    if side and goal == 0:
                        ledger.trips.append(Trip(at, side, since[at], row, -spent[at]))
                        spent[at] = 0.0
                    if goal and not side:
                        since[at] = row
            wealth = cash + float(shares @ price)
        ledger.equity.append(wealth)
        gross = float(np.abs(shares) @ price) / wealth
    return ledger


def wealth_after_costs(
    wealth: float, weights: NDArray[np.float64], values: NDArray[np.float64], buy: float, sell: float
) -> float:
    """The wealth that is left when the weights of that very wealth have been traded for: found by bisection."""
    low, high = 0.0, wealth
    for _ in range(200):
        middle = (low + high) / 2
        change = weights * middle - values
        cost = buy * change[change > 0].sum() - sell * change[change < 0].sum()
        if middle + cost > wealth:
            high = middle
        else:
            low = middle
    return (low + high) / 2
