"""The portfolio engine: an account day by day, with orders filled at the close and shares held in between.

An order made from data up to close t is filled at close t and earns the return from t to t+1: the engine owns this
lag. Everything is relative to equity. Once an order's costs are paid, its target weights hold exactly; so what
happens until the next order depends on those weights and on prices, not on the path before, and the whole run is a
few array operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.blocks import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.orders import Orders

NEWTON_STEPS = 16
NEWTON_TOLERANCE = 1e-14


class Costs(NamedTuple):
    """Fractions of the value traded: on what is bought, on what is sold."""

    buy: float
    sell: float


class Fills(NamedTuple):
    """How each of the k orders was filled; s symbols. Values are fractions of the initial capital."""

    rows: NDArray[np.int64]  # k, calendar row
    weights: NDArray[np.float64]  # k x s, held after the order, of the equity after its costs
    found: NDArray[np.float64]  # k x s, held before the order, of the equity before it
    kept: NDArray[np.float64]  # k, equity after the order's costs / equity before it
    value: NDArray[np.float64]  # k, equity before the order


class Account(NamedTuple):
    """What happened in n days. Equity is 1 before the first close."""

    equity: NDArray[np.float64]  # n, at each close, after costs
    held: NDArray[np.bool_]  # n, whether a position was carried into the day
    fills: Fills
    ruined_row: int | None  # the first day that ended with nothing left; equity is 0 from there on


def simulate(prices: NDArray[np.float64], orders: Orders, costs: Costs) -> Account:
    """Fills the orders on forward-filled prices (n x s; NaN only where no order has weight)."""
    n_days = len(prices)
    rows, weights = orders
    if len(rows) == 0:
        nothing = Fills(rows, weights, weights, np.empty(0), np.empty(0))
        return Account(np.ones(n_days), np.zeros(n_days, dtype=bool), nothing, None)
    at_order = _known(prices[rows])
    moved = at_order[1:] / at_order[:-1]
    reached = 1.0 + _dot(weights[:-1], moved - 1.0)  # equity found by the next order / equity left by this one
    found = np.zeros_like(weights)
    found[1:] = weights[:-1] * moved / np.where(reached > 0.0, reached, 1.0)[:, None]
    kept = kept_after_costs(weights, found, costs)
    left = np.cumprod(np.concatenate(([1.0], np.maximum(reached, 0.0))) * kept)

    in_force = np.searchsorted(rows, np.arange(rows[0], n_days), side="right") - 1
    equity = np.ones(n_days)
    equity[rows[0] :] = left[in_force]
    between = np.flatnonzero(rows[in_force] != np.arange(rows[0], n_days))  # days without an order, from the first one
    for block in blocks(len(between), prices.shape[1]):
        asked, days = in_force[between[block]], between[block] + rows[0]
        equity[days] *= 1.0 + _dot(weights[asked], _known(prices[days]) / at_order[asked] - 1.0)

    ruined = np.flatnonzero(equity <= 0.0)
    if len(ruined):
        return _ruined_at(int(ruined[0]), prices, orders, costs)
    held = np.zeros(n_days, dtype=bool)
    held[rows[0] + 1 :] = (weights != 0.0).any(axis=1)[in_force[:-1]]
    value = np.concatenate(([1.0], left[:-1] * reached))
    return Account(equity, held, Fills(rows, weights, found, kept, value), None)


def gross_carried(prices: NDArray[np.float64], account: Account) -> NDArray[np.float64]:
    """Sum of |weight| (n) that the account carried into each day, of its equity at the close before.

    `prices` are those that the account was simulated on.
    """
    n_days = len(prices)
    gross: NDArray[np.float64] = np.zeros(n_days)
    rows, weights = account.fills.rows, account.fills.weights
    if len(rows) == 0:
        return gross
    at_order = _known(prices[rows])
    end = n_days - 1 if account.ruined_row is None else account.ruined_row
    in_force = np.searchsorted(rows, np.arange(rows[0], end), side="right") - 1
    cash = 1.0 - weights.sum(axis=1)
    for block in blocks(len(in_force), prices.shape[1]):
        asked = in_force[block]
        grown = weights[asked] * (_known(prices[rows[0] : end][block]) / at_order[asked])
        gross[rows[0] + 1 : end + 1][block] = np.abs(grown).sum(axis=1) / (cash[asked] + grown.sum(axis=1))
    return gross


def traded(fills: Fills) -> NDArray[np.float64]:
    """Signed value traded (k x s) as a fraction of the equity before each order."""
    return fills.weights * fills.kept[:, None] - fills.found


def kept_after_costs(weights: NDArray[np.float64], found: NDArray[np.float64], costs: Costs) -> NDArray[np.float64]:
    """The fraction x of equity that each order (k x s) leaves: x = 1 - cost of trading from `found` to `weights` * x.

    The right side is convex and piecewise linear in x, so Newton's method from x = 1 ends after a few steps at the
    root. Where there is none, as costs grow faster than trading less can save, the order leaves nothing.
    """
    kept: NDArray[np.float64] = np.ones(len(weights))
    if costs == Costs(0.0, 0.0):
        return kept
    for _ in range(NEWTON_STEPS):
        change = weights * kept[:, None] - found
        rate = np.where(change > 0.0, costs.buy, -costs.sell)
        excess = kept + _dot(rate, change) - 1.0
        if ((np.abs(excess) <= NEWTON_TOLERANCE) | (kept == 0.0)).all():
            break
        slope = 1.0 + _dot(rate, weights)
        step = excess / np.where(slope > 0.0, slope, 1.0)
        kept = np.where(slope > 0.0, np.clip(kept - step, 0.0, 1.0), 0.0)
    return kept


def _ruined_at(row: int, prices: NDArray[np.float64], orders: Orders, costs: Costs) -> Account:
    """The account up to the day before ruin, then nothing."""
    alive = orders.rows < row
    before = simulate(prices[:row], type(orders)(orders.rows[alive], orders.weights[alive]), costs)
    rest = len(prices) - row
    held = np.zeros(rest, dtype=bool)
    held[0] = bool(len(before.fills.rows)) and bool(before.fills.weights[-1].any())
    return Account(
        np.concatenate((before.equity, np.zeros(rest))), np.concatenate((before.held, held)), before.fills, row
    )


def _known(prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices with 1 for those before the first, of which nothing is held."""
    return np.where(np.isnan(prices), 1.0, prices)


def _dot(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row scalar product."""
    product: NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    return product
