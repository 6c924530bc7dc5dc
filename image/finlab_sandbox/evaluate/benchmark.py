"""What the account is compared with: all symbols of the dataset in equal parts, or one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.evaluate.blocks import blocks
from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.orders import fill_forward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.market import Market

EQUAL_WEIGHT = "EqualWeight"


def benchmark_returns(market: Market, benchmark: str) -> NDArray[np.float64]:
    """Simple return of each day; NaN on a day that has none, as the first one always is.

    A symbol counts from the day after its first price to the day of its last one. A day without a price in between has
    the price of the day before. EqualWeight is the mean over the symbols that count on the day, so it is a portfolio
    that is put back to equal parts at every close, without costs.
    Raises ResultError with reason DataMissing where the dataset has no such symbol.
    """
    if benchmark == EQUAL_WEIGHT:
        prices = market.prices
    elif benchmark in market.symbols:
        at = market.symbols.index(benchmark)
        prices = market.prices[:, at : at + 1]
    else:
        there = f"{len(market.symbols)} symbols: {' '.join(market.symbols[:40])}"
        raise ResultError(
            "DataMissing", f"evaluation.benchmark {benchmark} is neither EqualWeight nor one of the dataset's {there}"
        )
    prices = _while_listed(prices)
    returns: NDArray[np.float64] = np.full(len(prices), np.nan)
    for block in blocks(len(prices) - 1, prices.shape[1]):
        moves = prices[1:][block] / prices[:-1][block] - 1.0
        counted = ~np.isnan(moves)
        symbols = counted.sum(axis=1)
        total = np.where(counted, moves, 0.0).sum(axis=1)
        returns[1:][block][symbols > 0] = total[symbols > 0] / symbols[symbols > 0]
    return returns


def growth(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """What 1 became at each close; a day without a return changes nothing."""
    factors = np.where(np.isnan(returns), 1.0, 1.0 + returns)
    grown: NDArray[np.float64] = np.multiply.accumulate(factors)
    return grown


def _while_listed(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices with the gaps between a symbol's first and last one filled by the last known one; NaN outside."""
    missing = np.isnan(prices)
    if not missing.any():
        return prices
    has_later = np.logical_or.accumulate(~missing[::-1], axis=0)[::-1]
    listed = fill_forward(prices)
    listed[~has_later] = np.nan
    return listed
