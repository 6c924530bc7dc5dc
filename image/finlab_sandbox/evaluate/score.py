"""Scores positions: orders, three simulations (as asked, a day later, without costs), metrics."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate import metrics
from finlab_sandbox.evaluate.benchmark import benchmark_returns
from finlab_sandbox.evaluate.engine import Account, Costs, simulate, traded
from finlab_sandbox.evaluate.orders import delayed, fill_forward, orders_from
from finlab_sandbox.evaluate.trades import RoundTrips, round_trips

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from finlab_sandbox.evaluate.market import Market
    from finlab_sandbox.evaluate.positions import Positions

NO_COSTS = Costs(0.0, 0.0)
BASIS_POINT = 1e-4


class Rules(NamedTuple):
    """How positions are traded and measured: the evaluation part of the run's spec."""

    initial_capital: float
    fees_bps: float
    sell_tax_bps: float
    slippage_bps: float
    on_change: bool
    allow_leverage: bool
    periods: int
    risk_free: float
    benchmark: str

    @property
    def costs(self) -> Costs:
        """Fees and slippage on each side, the tax on sales."""
        side = (self.fees_bps + self.slippage_bps) * BASIS_POINT
        return Costs(side, side + self.sell_tax_bps * BASIS_POINT)


class Score(NamedTuple):
    """Finite numbers by name, what the reader has to know about them, and the account that they were taken from."""

    metrics: dict[str, float | int]
    warnings: list[str]
    prices: NDArray[np.float64]  # n x m, forward-filled, of the symbols of the positions
    account: Account
    trips: RoundTrips
    benchmark: NDArray[np.float64]  # n, simple returns, NaN on a day without one


def score(positions: Positions, market: Market, rules: Rules) -> Score:
    """Scores positions that were read from `market`'s calendar and symbols.

    Raises ResultError with reason DataMissing where the market does not have the benchmark.
    """
    benchmark = benchmark_returns(market, rules.benchmark)
    prices = fill_forward(market.prices, positions.symbols)
    orders, warnings = orders_from(positions, prices, on_change=rules.on_change, allow_leverage=rules.allow_leverage)
    account = simulate(prices, orders, rules.costs)
    later = simulate(prices, delayed(orders, 1, len(prices)), rules.costs).equity
    free = simulate(prices, orders, NO_COSTS).equity
    if account.ruined_row is not None:
        day = np.datetime64(int(market.calendar[account.ruined_row]), "D")
        warnings.append(f"equity: nothing was left on {day}; it stays 0 from there on")

    returns = metrics.daily_returns(account.equity)
    trips = round_trips(prices, account.fills, rules.costs)
    n, rf, days = rules.periods, rules.risk_free, len(prices)
    growth = float(account.equity[-1])
    formulas: dict[str, Callable[[], float]] = {
        "totalReturn": lambda: growth - 1.0,
        "cagr": partial(metrics.cagr, account.equity, n),
        "volatility": partial(metrics.volatility, returns, n),
        "sharpe": partial(metrics.sharpe, returns, n, rf),
        "sortino": partial(metrics.sortino, returns, n, rf),
        "calmar": partial(metrics.calmar, account.equity, n),
        "maxDrawdown": partial(metrics.max_drawdown, account.equity),
        "alpha": partial(metrics.alpha, returns, benchmark, n, rf),
        "beta": partial(metrics.beta, returns, benchmark),
        "turnover": lambda: float(np.abs(traded(account.fills)).sum()) * n / days,
        "exposure": lambda: float(account.held.mean()),
        "trades": lambda: len(trips.profits),
        "winRateDays": partial(metrics.win_rate_days, returns),
        "winRateTrades": partial(metrics.win_rate_trades, trips.profits),
        "days": lambda: days,
        "finalEquity": lambda: rules.initial_capital * growth,
        "sharpeLag2": partial(metrics.sharpe, metrics.daily_returns(later), n, rf),
        "totalReturnBeforeCosts": lambda: float(free[-1]) - 1.0,
    }
    values: dict[str, float | int] = {}
    for name, formula in formulas.items():
        try:
            value = formula()
        except metrics.UndefinedError as undefined:
            warnings.append(f"{name}: {undefined}")
        except OverflowError:
            warnings.append(f"{name}: too large")
        else:
            if math.isfinite(value):
                values[name] = value
            else:
                warnings.append(f"{name}: not finite")
    return Score(values, warnings, prices, account, trips, benchmark)
