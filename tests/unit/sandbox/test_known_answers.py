"""Strategies on real prices, from the positions file to the report: answers that other engines found too.

The figures come from vectorbt 1.2.0 (from_orders, targetpercent) and two plain engines, some from bt 1.4.1 as well, all
of which fill orders at the close on which they are made. Without costs they agree to the digits given here; with costs
each engine shares them out in its own way, and 2 parts in 1000 of the total return are allowed.
"""

from pathlib import Path

import pandas as pd
import pytest

from support.real_prices import bokeh_bars, index_bars, skfolio_stocks
from support.scoring import Evaluated, evaluate_frame
from support.strategies import donchian, equal_weight, momentum, moving_average_cross, volatility_target

EIGHT_DIGITS = 5e-9
FOUR_DIGITS = 5e-5
WITH_COSTS = 2e-3


def check(evaluated: Evaluated, *, digits: float, **expected: float) -> None:
    """Compare metrics to the digits given."""
    metrics = evaluated.report["metrics"]
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=digits, rel=0)


def trades_and_open(evaluated: Evaluated) -> int:
    """How often a position was entered."""
    orders = [order["weights"] for order in evaluated.document["orders"]]
    assert not evaluated.document["truncated"]
    return sum(bool(now) and not before for before, now in zip([{}, *orders[:-1]], orders, strict=True))


def test_the_moving_average_cross_on_google(tmp_path: Path) -> None:
    """bokeh's 2148 closes; 72 of them differ by rounding from the ones that the published Sharpe of 0.63259455 is of.

    Growth and drawdown depend on the closes of trades alone and are the same to eight digits. The Sharpe ratio below
    is the one of these closes; vectorbt finds it too (test_second_engine).
    """
    close = bokeh_bars("GOOG")[["Close"]]
    assert len(close) == 2148
    free = evaluate_frame(tmp_path, moving_average_cross(close), close)
    check(free, digits=EIGHT_DIGITS, totalReturn=1.78065343, maxDrawdown=-0.37248906, cagr=0.12747421)
    check(free, digits=EIGHT_DIGITS, sharpe=0.63266460)
    assert trades_and_open(free) == 21
    assert free.report["metrics"]["turnover"] * 2148 / 252 == pytest.approx(41)
    dear = evaluate_frame(tmp_path, moving_average_cross(close), close, feesBps=10.0)
    assert dear.report["metrics"]["totalReturn"] == pytest.approx(1.6690, rel=WITH_COSTS)


def test_the_adjusted_google_is_the_same_series(tmp_path: Path) -> None:
    """Google paid no dividend in these years, so adjusted closes are the closes divided by one number."""
    close = bokeh_bars("GOOG")[["Adj Close"]]
    check(
        evaluate_frame(tmp_path, moving_average_cross(close), close),
        digits=EIGHT_DIGITS,
        totalReturn=1.78065343,
        sharpe=0.63266460,
    )


def test_the_moving_average_cross_on_the_index(tmp_path: Path) -> None:
    """The S&P 500 from 1999 to 2018."""
    close = index_bars("sp500")[["Adj Close"]]
    weights = moving_average_cross(close)
    free = evaluate_frame(tmp_path, weights, close)
    check(
        free,
        digits=EIGHT_DIGITS,
        totalReturn=0.38191260,
        sharpe=0.20092637,
        maxDrawdown=-0.36432831,
        cagr=0.01633433,
    )
    assert trades_and_open(free) == 58
    dear = evaluate_frame(tmp_path, weights, close, feesBps=10.0)
    assert dear.report["metrics"]["totalReturn"] == pytest.approx(0.2306, rel=WITH_COSTS)


@pytest.mark.parametrize(
    ("symbol", "total_return", "sharpe"),
    [
        ("AAPL", 6.17108559, 0.62772453),
        ("IBM", -0.24717092, -0.04074047),
        ("MSFT", -0.36806614, -0.09481015),
    ],
)
def test_the_moving_average_cross_on_shares(tmp_path: Path, symbol: str, total_return: float, sharpe: float) -> None:
    """Thirteen years of adjusted closes, to 2013."""
    close = bokeh_bars(symbol)[["Adj Close"]]
    assert len(close) == 3270
    evaluated = evaluate_frame(tmp_path, moving_average_cross(close), close)
    check(evaluated, digits=EIGHT_DIGITS, totalReturn=total_return, sharpe=sharpe)


def test_momentum_among_twenty_stocks(tmp_path: Path) -> None:
    """12-1 momentum from 2000 to 2022: 264 orders, the shares held in between."""
    close = skfolio_stocks().loc["2000":]
    assert close.shape == (5785, 20)
    weights = momentum(close)
    assert [str(day.date()) for day in weights.index[[0, -1]]] == ["2001-01-31", "2022-12-28"]
    free = evaluate_frame(tmp_path, weights, close)
    assert len(free.document["orders"]) == 264
    check(
        free,
        digits=EIGHT_DIGITS,
        totalReturn=54.17381703,
        sharpe=0.89002165,
        maxDrawdown=-0.46757284,
        cagr=0.19088964,
    )
    dear = evaluate_frame(tmp_path, weights, close, feesBps=10.0)
    for found in (47.68, 47.72, 47.73):  # a plain engine, vectorbt, bt
        assert dear.report["metrics"]["totalReturn"] == pytest.approx(found, rel=WITH_COSTS)


@pytest.mark.parametrize(
    ("index", "entries", "total_return", "sharpe", "drawdown", "cagr"),
    [
        ("nasdaq", 93, 0.5345, 0.2307, -0.2763, 0.0217),
        ("sp500", 87, 0.0736, 0.0846, -0.4169, 0.0036),
    ],
)
def test_the_breakout_with_costs(
    tmp_path: Path, index: str, entries: int, total_return: float, sharpe: float, drawdown: float, cagr: float
) -> None:
    """Donchian 20/10 on the raw bars, 5 basis points a side. What is known is known to four digits."""
    bars = index_bars(index)
    evaluated = evaluate_frame(tmp_path, donchian(bars), bars[["Adj Close"]], feesBps=5.0)
    expected = {"totalReturn": total_return, "sharpe": sharpe, "maxDrawdown": drawdown, "cagr": cagr}
    metrics = evaluated.report["metrics"]
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=WITH_COSTS, abs=FOUR_DIGITS)
    assert trades_and_open(evaluated) == entries


def test_the_volatility_target_with_costs(tmp_path: Path) -> None:
    """10 % a year on the S&P 500, 5 basis points a side.

    The targets change by 85.6 in all. Turnover is a little more here, as what is traded is the way from the weights
    that prices have moved to the next targets.
    """
    close = index_bars("sp500")[["Adj Close"]]
    weights = volatility_target(close)
    evaluated = evaluate_frame(tmp_path, weights, close, feesBps=5.0)
    metrics = evaluated.report["metrics"]
    expected = {"totalReturn": 0.6441, "sharpe": 0.2959, "maxDrawdown": -0.3729, "cagr": 0.0252}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=WITH_COSTS, abs=FOUR_DIGITS)
    assert weights.fillna(0.0).diff().abs().sum().item() == pytest.approx(85.6, abs=0.05)
    assert 85.6 < metrics["turnover"] * len(close) / 252 < 86.0


def test_equal_weights_at_month_ends(tmp_path: Path) -> None:
    """Three shares, rebalanced monthly, held in between."""
    close = pd.DataFrame({symbol: bokeh_bars(symbol)["Adj Close"] for symbol in ("AAPL", "IBM", "MSFT")})
    evaluated = evaluate_frame(tmp_path, equal_weight(close), close)
    check(
        evaluated,
        digits=EIGHT_DIGITS,
        totalReturn=2.69917452,
        sharpe=0.49756780,
        maxDrawdown=-0.60274385,
        cagr=0.10606476,
    )


def test_alpha_and_beta_against_another_index(tmp_path: Path) -> None:
    """The S&P 500, held, against the Nasdaq, as empyrical has them: the first day makes no pair."""
    close = pd.DataFrame({"NASDAQ": index_bars("nasdaq")["Adj Close"], "SP500": index_bars("sp500")["Adj Close"]})
    held = pd.DataFrame({"SP500": 1.0}, close.index[:1])
    evaluated = evaluate_frame(tmp_path, held, close, benchmark="NASDAQ")
    check(evaluated, digits=5e-8, alpha=-0.0043068, beta=0.6693987, maxDrawdown=-0.5677539)


def test_a_strategy_that_is_its_benchmark_has_beta_one(tmp_path: Path) -> None:
    """Equal parts of 20 stocks at every close, which is what EqualWeight is, also in its curve."""
    close = skfolio_stocks().loc["2010":]
    weights = pd.DataFrame(1 / 20, close.index, close.columns)
    evaluated = evaluate_frame(tmp_path, weights, close)
    check(evaluated, digits=1e-9, alpha=0.0, beta=1.0)
    assert evaluated.document["benchmark"] == evaluated.document["equity"]
