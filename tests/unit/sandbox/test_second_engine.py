"""The engine against vectorbt's: real prices and strategies, and random ones.

Without costs they agree to nine digits. With costs they pay the same rate on a slightly different value, as vectorbt
trades for shares of the value before costs and cuts the last purchase that cash does not reach for, where this engine
trades for shares of the value after costs.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go  # type: ignore[import-untyped,unused-ignore]
import pytest

from support.real_prices import bokeh_bars, index_bars, skfolio_stocks
from support.scoring import RULES, score_frame
from support.strategies import donchian, equal_weight, momentum, moving_average_cross, volatility_target

NINE_DIGITS = 1e-9
WITH_COSTS = 2e-3
Simulate = Callable[[pd.DataFrame, pd.DataFrame, float], Any]


class _LenientTemplate(go.layout.Template):  # type: ignore[misc]
    """vectorbt 1.0.0 describes colours of kinds of plots that plotly 7 does not have; nothing is plotted here."""

    def __init__(self, arg: Any = None, **rest: Any) -> None:
        super().__init__(arg, **rest | {"skip_invalid": True})


@pytest.fixture(scope="module")
def vectorbt() -> Simulate:
    """Make a portfolio that fills weights (a row of NaN holds) at the closes of the same days."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(go.layout, "Template", _LenientTemplate)
        import vectorbt as vbt  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - takes five seconds

    def simulate(weights: pd.DataFrame, close: pd.DataFrame, fees_bps: float) -> Any:
        weights = weights.reindex(close.index)
        held = weights.isna().all(axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return vbt.Portfolio.from_orders(
                close=close,
                size=weights.where(held, weights.fillna(0.0), axis=0),
                size_type="targetpercent",
                fees=fees_bps / 1e4,
                call_seq="auto",
                cash_sharing=True,
                group_by=True,
                freq="1D",
                init_cash=1_000_000.0,
            )

    return simulate


def compare(vectorbt: Simulate, weights: pd.DataFrame, close: pd.DataFrame, fees_bps: float = 10.0) -> None:
    """Equity of every day and the Sharpe ratio without costs, the growth with them."""
    theirs, ours = vectorbt(weights, close, 0.0), score_frame(weights, close)
    np.testing.assert_allclose(ours.account.equity, theirs.value() / 1_000_000.0, rtol=NINE_DIGITS)
    sharpe = theirs.sharpe_ratio(freq="1D", year_freq="252 days")
    assert ours.metrics["sharpe"] == pytest.approx(sharpe, rel=NINE_DIGITS)
    dear, costs = vectorbt(weights, close, fees_bps), RULES._replace(fees_bps=fees_bps)
    final = score_frame(weights, close, costs).account.equity[-1]
    assert final == pytest.approx(dear.value().iloc[-1] / 1_000_000.0, rel=WITH_COSTS)
    assert final < ours.account.equity[-1]


def test_momentum(vectorbt: Simulate) -> None:
    """Twenty stocks, monthly, the shares held in between."""
    close = skfolio_stocks().loc["2000":]
    compare(vectorbt, momentum(close), close)


def test_equal_weights(vectorbt: Simulate) -> None:
    """Three shares, monthly."""
    close = pd.DataFrame({symbol: bokeh_bars(symbol)["Adj Close"] for symbol in ("AAPL", "IBM", "MSFT")})
    compare(vectorbt, equal_weight(close), close)


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_the_moving_average_cross_on_shares(vectorbt: Simulate, symbol: str) -> None:
    """Adjusted closes; in and out of all of the capital."""
    close = bokeh_bars(symbol)[["Adj Close"]]
    compare(vectorbt, moving_average_cross(close), close)


@pytest.mark.parametrize("index", ["nasdaq", "sp500"])
def test_strategies_on_an_index(vectorbt: Simulate, index: str) -> None:
    """Cross, breakout and volatility target."""
    bars = index_bars(index)
    close = bars[["Adj Close"]]
    for weights in (moving_average_cross(close), donchian(bars), volatility_target(close)):
        compare(vectorbt, weights, close, fees_bps=5.0)


@pytest.mark.parametrize("seed", range(30))
def test_random_weights_on_random_prices(vectorbt: Simulate, seed: int) -> None:
    """One to eight symbols over a year, each day an order or none, with as much cash as chance leaves."""
    random = np.random.default_rng(seed)
    days, symbols = 252, int(random.integers(1, 9))
    index, names = pd.bdate_range("2020-01-01", periods=days), [f"S{number}" for number in range(symbols)]
    close = pd.DataFrame(np.exp(np.cumsum(random.normal(0, 0.02, (days, symbols)), axis=0)), index, names)
    weights = pd.DataFrame(random.dirichlet(np.ones(symbols + 1), days)[:, :symbols], index, names)
    weights[random.random(days) < 0.5] = np.nan
    compare(vectorbt, weights, close)


@pytest.mark.parametrize("seed", range(10))
def test_random_long_and_short_weights(vectorbt: Simulate, seed: int) -> None:
    """A half of the capital at most, in both directions."""
    random = np.random.default_rng(seed)
    index, names = pd.bdate_range("2020-01-01", periods=120), ["A", "B", "C"]
    close = pd.DataFrame(np.exp(np.cumsum(random.normal(0, 0.02, (120, 3)), axis=0)), index, names)
    weights = pd.DataFrame(random.uniform(-0.5, 0.5, (120, 3)) / 3, index, names)
    compare(vectorbt, weights, close)
