"""Metrics of an account, with the definitions of empyrical. What is undefined is absent, never 0, NaN or inf.

r = simple daily returns with the first day included (capital before the first close to the first close), f = daily
risk-free rate (1 + rf)^(1/N) - 1, N = periods per year, n = days, b = simple daily returns of the benchmark; alpha and
beta are taken over the days that have a b, which the first day never has.

sharpe       mean(r - f) / std(r - f, ddof 1) * sqrt(N)
sortino      mean(r - f) * N / (sqrt(mean(min(r - f, 0)^2)) * sqrt(N)), the mean over all days
volatility   std(r, ddof 1) * sqrt(N)
cagr         prod(1 + r)^(N / n) - 1
maxDrawdown  min(equity / running maximum - 1), the initial capital being the first equity
calmar       cagr / |maxDrawdown|
beta         cov(r, b) / var(b)
alpha        (1 + mean(r - f - beta * (b - f)))^N - 1
turnover     value traded (bought and sold) / equity, a year
exposure     share of days into which a position was carried
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZERO_DEVIATION = 1e-12


class UndefinedError(Exception):
    """The metric has no value here; the message says why."""


def daily_returns(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """r of the days of an equity curve that was 1 before its first day. From ruin on it is 0."""
    before = np.concatenate(([1.0], equity[:-1]))
    alive = before > 0.0
    return np.where(alive, equity / np.where(alive, before, 1.0) - 1.0, 0.0)


def cagr(equity: NDArray[np.float64], periods: int) -> float:
    """Growth a year. Raises UndefinedError."""
    _need_two(equity)
    return math.pow(equity[-1], periods / len(equity)) - 1.0


def volatility(returns: NDArray[np.float64], periods: int) -> float:
    """Deviation a year. Raises UndefinedError."""
    _need_two(returns)
    return float(returns.std(ddof=1)) * math.sqrt(periods)


def sharpe(returns: NDArray[np.float64], periods: int, risk_free: float) -> float:
    """Excess return for a unit of deviation, a year. Raises UndefinedError."""
    _need_two(returns)
    excess = returns - daily_rate(risk_free, periods)
    deviation = float(excess.std(ddof=1))
    if deviation < ZERO_DEVIATION:
        raise UndefinedError("zero variance")
    _need_finite(deviation)
    return float(excess.mean()) / deviation * math.sqrt(periods)


def sortino(returns: NDArray[np.float64], periods: int, risk_free: float) -> float:
    """Excess return for a unit of downside deviation, a year. Raises UndefinedError."""
    _need_two(returns)
    excess = returns - daily_rate(risk_free, periods)
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    if downside < ZERO_DEVIATION:
        raise UndefinedError("no day below the risk-free rate")
    _need_finite(downside)
    return float(excess.mean()) * periods / (downside * math.sqrt(periods))


def max_drawdown(equity: NDArray[np.float64]) -> float:
    """The deepest fall from a peak, at most 0."""
    return float(drawdown(equity).min())


def drawdown(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each day is below the highest equity so far, at most 0. The initial capital is the first peak."""
    below: NDArray[np.float64] = equity / np.maximum.accumulate(np.maximum(equity, 1.0)) - 1.0
    return below


def calmar(equity: NDArray[np.float64], periods: int) -> float:
    """Growth a year for a unit of drawdown. Raises UndefinedError."""
    deepest = max_drawdown(equity)
    if deepest == 0.0:
        raise UndefinedError("no drawdown")
    return cagr(equity, periods) / -deepest


def beta(returns: NDArray[np.float64], benchmark: NDArray[np.float64]) -> float:
    """How much of the benchmark's moves the returns share; NaN in the benchmark is a day that does not count.

    Raises UndefinedError.
    """
    returns, benchmark = _paired(returns, benchmark)
    deviations = benchmark - benchmark.mean()
    variance = float(np.mean(deviations**2))
    if variance < ZERO_DEVIATION**2:
        raise UndefinedError("the benchmark has zero variance")
    _need_finite(variance)
    return float(np.mean(deviations * returns)) / variance


def alpha(returns: NDArray[np.float64], benchmark: NDArray[np.float64], periods: int, risk_free: float) -> float:
    """Growth a year beyond what beta explains, compounded. Raises UndefinedError."""
    share = beta(returns, benchmark)
    returns, benchmark = _paired(returns, benchmark)
    rate = daily_rate(risk_free, periods)
    mean = float(np.mean(returns - rate - share * (benchmark - rate)))
    if mean <= -1.0:
        raise UndefinedError("a loss of all or more a day cannot be compounded")
    return math.pow(1.0 + mean, periods) - 1.0


def win_rate_days(returns: NDArray[np.float64]) -> float:
    """Share of the days with a gain among those with a gain or a loss. Raises UndefinedError."""
    moved = int((returns != 0.0).sum())
    if moved == 0:
        raise UndefinedError("no day with a gain or a loss")
    return int((returns > 0.0).sum()) / moved


def win_rate_trades(profits: NDArray[np.float64]) -> float:
    """Share of closed round trips that ended with a gain. Raises UndefinedError."""
    if len(profits) == 0:
        raise UndefinedError("no closed trade")
    return int((profits > 0.0).sum()) / len(profits)


def daily_rate(yearly: float, periods: int) -> float:
    """The rate a day that compounds to the yearly one."""
    return float((1.0 + yearly) ** (1.0 / periods) - 1.0)


def _paired(
    returns: NDArray[np.float64], benchmark: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The days that have a return of the benchmark."""
    paired = ~np.isnan(benchmark)
    if paired.sum() < 2:
        raise UndefinedError("fewer than 2 days with a return of the benchmark")
    return returns[paired], benchmark[paired]


def _need_finite(deviation: float) -> None:
    """What is divided by infinity is not 0: nothing is known of it."""
    if not math.isfinite(deviation):
        raise UndefinedError("the deviation is not finite")


def _need_two(values: NDArray[np.float64]) -> None:
    if len(values) < 2:
        raise UndefinedError("fewer than 2 days")
