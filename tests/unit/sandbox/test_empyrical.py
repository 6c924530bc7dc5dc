"""Every metric that empyrical-reloaded has, to nine digits: on random series, real prices and scored strategies."""

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from finlab_sandbox.evaluate import metrics
from support.real_prices import bokeh_bars, index_bars, skfolio_stocks
from support.scoring import RULES, score_frame
from support.strategies import donchian, equal_weight, momentum, moving_average_cross, volatility_target

TOLERANCE = 1e-9
SETTINGS = [(252, 0.0), (252, 0.02), (365, 0.02), (52, -0.005), (12, 0.1)]


def of_empyrical(
    returns: NDArray[np.float64], benchmark: NDArray[np.float64], periods: int, risk_free: float
) -> dict[str, float]:
    """The same metrics by empyrical, which wants the risk-free rate of a day; NaN in the benchmark is dropped."""
    daily = metrics.daily_rate(risk_free, periods)
    pair = {"returns": returns, "factor_returns": benchmark, "risk_free": daily}
    return {
        "cagr": empyrical.cagr(returns, annualization=periods),
        "volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, risk_free=daily, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, required_return=daily, annualization=periods),
        "maxDrawdown": empyrical.max_drawdown(returns),
        "calmar": empyrical.calmar_ratio(returns, annualization=periods),
        "alpha": empyrical.alpha(**pair, annualization=periods),
        "beta": empyrical.beta(**pair),
    }


def array(series: "pd.Series[float]") -> NDArray[np.float64]:
    """The values of a series."""
    return np.array(series, dtype=np.float64)


def ours(
    returns: NDArray[np.float64], benchmark: NDArray[np.float64], periods: int, risk_free: float
) -> dict[str, float]:
    """The metrics of a series of returns."""
    equity = np.cumprod(1 + returns).astype(np.float64)
    return {
        "cagr": metrics.cagr(equity, periods),
        "volatility": metrics.volatility(returns, periods),
        "sharpe": metrics.sharpe(returns, periods, risk_free),
        "sortino": metrics.sortino(returns, periods, risk_free),
        "maxDrawdown": metrics.max_drawdown(equity),
        "calmar": metrics.calmar(equity, periods),
        "alpha": metrics.alpha(returns, benchmark, periods, risk_free),
        "beta": metrics.beta(returns, benchmark),
    }


@given(
    pairs=st.integers(3, 60).flatmap(lambda n: arrays(np.float64, (2, n), elements=st.floats(-0.3, 0.4))),
    periods=st.sampled_from([12, 52, 252, 365]),
    risk_free=st.sampled_from([0.0, 0.02, -0.005]),
    missing=st.booleans(),
)
def test_random_series(pairs: NDArray[np.float64], periods: int, risk_free: float, missing: bool) -> None:
    """Any series with variance, a loss and a drawdown, against any that moves, with or without a first day."""
    returns, benchmark = pairs[0], pairs[1].copy()
    if missing:
        benchmark[0] = np.nan
    assume(returns.std() > 1e-6)
    assume(np.nanstd(benchmark) > 1e-3)  # the smaller its moves, the more of beta is rounding
    assume((returns - metrics.daily_rate(risk_free, periods)).min() < -1e-6)
    assume(returns.min() < -1e-6)
    expected = of_empyrical(returns, benchmark, periods, risk_free)
    unexplained = np.nanmean(returns - expected["beta"] * benchmark)
    assume(unexplained > -0.9)  # from -1 on there is no alpha here, and empyrical's has no meaning
    assume(expected["alpha"] < 1e12)  # the power of N multiplies the last bit by N
    assert ours(returns, benchmark, periods, risk_free) == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(("periods", "risk_free"), SETTINGS)
def test_real_prices(periods: int, risk_free: float) -> None:
    """Twenty stocks against their mean, two indices against each other, five shares against the first one."""
    stocks = skfolio_stocks().pct_change().iloc[1:]
    indices = pd.DataFrame({name: index_bars(name)["Adj Close"] for name in ("sp500", "nasdaq")}).pct_change().iloc[1:]
    shares = pd.DataFrame({name: bokeh_bars(name)["Adj Close"] for name in ("AAPL", "FB", "GOOG", "IBM", "MSFT")})
    for table, benchmark in (
        (stocks, stocks.mean(axis=1)),
        (indices, indices["nasdaq"]),
        (indices, indices["sp500"]),
        (shares.pct_change(fill_method=None), shares["AAPL"].pct_change(fill_method=None)),
    ):
        for name in table:
            known = table[name].dropna()
            pair = array(known), array(benchmark[known.index])
            expected = of_empyrical(*pair, periods, risk_free)
            assert ours(*pair, periods, risk_free) == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), name


def test_the_index_has_the_numbers_that_libraries_agree_on() -> None:
    """5030 returns of the S&P 500 to 2018: empyrical, quantstats and vectorbt (252 days) to the digits in the docs."""
    prices = pd.DataFrame({name: index_bars(name)["Adj Close"] for name in ("sp500", "nasdaq")})
    returns, benchmark = (array(prices[name].pct_change().iloc[1:]) for name in ("sp500", "nasdaq"))
    assert len(returns) == 5030
    found = ours(returns, benchmark, 252, 0.0)
    expected = {
        "cagr": 0.0363955,
        "volatility": 0.1909821,
        "sharpe": 0.2827392,
        "sortino": 0.3986140,
        "maxDrawdown": -0.5677539,
        "alpha": -0.0043068,
        "beta": 0.6693987,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=5.1e-8, rel=0)
    assert metrics.sharpe(returns, 252, 0.02) == pytest.approx(0.1790467, abs=5.1e-8)


@pytest.mark.parametrize(("periods", "risk_free"), SETTINGS)
def test_scored_strategies(periods: int, risk_free: float) -> None:
    """The numbers of a score are those of empyrical on its equity curve and its benchmark, costs and all."""
    stocks = skfolio_stocks().loc["2000":]
    bars = index_bars("sp500")
    index = bars[["Adj Close"]]
    shares = pd.DataFrame({name: bokeh_bars(name)["Adj Close"] for name in ("AAPL", "FB", "GOOG", "IBM", "MSFT")})
    rules = RULES._replace(fees_bps=10.0, sell_tax_bps=30.0, periods=periods, risk_free=risk_free)
    for weights, close in (
        (momentum(stocks), stocks),
        (moving_average_cross(stocks) / 20, stocks),
        (equal_weight(shares), shares),
        (moving_average_cross(shares) / 5, shares),
        (moving_average_cross(index), index),
        (donchian(bars), index),
        (volatility_target(index), index),
    ):
        found = score_frame(weights, close, rules)
        returns = pd.Series(found.account.equity, close.index).pct_change()
        returns.iloc[0] = found.account.equity[0] - 1.0
        expected = of_empyrical(array(returns), found.benchmark, periods, risk_free)
        assert {name: found.metrics[name] for name in expected} == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
