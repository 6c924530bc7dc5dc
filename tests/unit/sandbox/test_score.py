"""From positions to numbers: how they depend on each other, every edge, and what is said of what has no value."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.market import Market, read_manifest, read_market
from support.scoring import RULES, daily, score_frame, write_dataset

NAN = float("nan")
METRICS = {
    "totalReturn",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "maxDrawdown",
    "alpha",
    "beta",
    "turnover",
    "exposure",
    "trades",
    "winRateDays",
    "winRateTrades",
    "days",
    "finalEquity",
    "sharpeLag2",
    "totalReturnBeforeCosts",
}


def read(directory: Path, price: str) -> Market:
    """The market in a dataset directory."""
    return read_market(str(directory), read_manifest(str(directory)), price)


@pytest.fixture(scope="module")
def adjusted(us_stocks_directory: Path) -> pd.DataFrame:
    """Adjusted closes of us-stocks."""
    market = read(us_stocks_directory, "Auto")
    dates = pd.DatetimeIndex(market.calendar.astype("datetime64[D]"))
    return pd.DataFrame(market.prices, dates, market.symbols)


def test_all_metrics_are_there_and_agree_with_each_other(adjusted: pd.DataFrame) -> None:
    """A run that trades has every number; those that follow from others do."""
    close = adjusted[["AAPL", "IBM"]]
    weights = (close.rolling(20).mean() > close.rolling(50).mean()) / 2.0
    rules = RULES._replace(fees_bps=10.0, sell_tax_bps=30.0, slippage_bps=5.0)
    found, warnings, *_ = score_frame(weights, close, rules)
    assert set(found) == METRICS
    assert warnings == []
    assert found["days"] == len(close)
    assert found["finalEquity"] == pytest.approx(1_000_000.0 * (1 + found["totalReturn"]))
    assert found["calmar"] == pytest.approx(found["cagr"] / -found["maxDrawdown"])
    assert found["totalReturn"] < found["totalReturnBeforeCosts"]
    assert found["totalReturnBeforeCosts"] == pytest.approx(score_frame(weights, close).metrics["totalReturn"])
    late = score_frame(weights.shift(1).iloc[1:], close, rules).metrics
    assert found["sharpeLag2"] == pytest.approx(late["sharpe"])


def test_costs_are_the_sum_of_fee_slippage_and_tax() -> None:
    """20 bp of fees and 30 bp of slippage to buy, 100 bp of tax besides to sell."""
    rules = RULES._replace(fees_bps=20.0, slippage_bps=30.0, sell_tax_bps=100.0)
    found = score_frame(daily([1.0, 0.0, 0.0]), daily([5.0, 5.0, 5.0]), rules).metrics
    assert found["totalReturn"] == pytest.approx((1 - 0.015) / 1.005 - 1)


def test_turnover_and_exposure() -> None:
    """In and out of all of the capital in 4 days is 2 * 252 / 4 a year; one day of four was held."""
    found = score_frame(daily([0.0, 1.0, 0.0, 0.0]), daily([1.0, 1.0, 2.0, 2.0])).metrics
    assert found["turnover"] == pytest.approx(2 * 252 / 4)
    assert found["exposure"] == 0.25
    assert found["trades"] == 1
    assert found["winRateTrades"] == 1.0


def test_all_cash_has_only_what_cash_has() -> None:
    """No return and no risk: the rest is absent, and named."""
    found, warnings, *_ = score_frame(daily([0.0, 0.0, 0.0]), daily([1.0, 2.0, 3.0]))
    assert set(found) == METRICS - {"sharpe", "sortino", "calmar", "winRateDays", "winRateTrades", "sharpeLag2"}
    assert found["totalReturn"] == 0.0
    assert warnings == [
        "sharpe: zero variance",
        "sortino: no day below the risk-free rate",
        "calmar: no drawdown",
        "winRateDays: no day with a gain or a loss",
        "winRateTrades: no closed trade",
        "sharpeLag2: zero variance",
    ]


def test_one_day_has_no_yearly_number() -> None:
    """Bought on the only day there is."""
    found, warnings, *_ = score_frame(daily([1.0]), daily([1.0]))
    assert set(found) == {
        "totalReturn",
        "maxDrawdown",
        "turnover",
        "exposure",
        "trades",
        "days",
        "finalEquity",
        "totalReturnBeforeCosts",
    }
    assert "cagr: fewer than 2 days" in warnings


def test_a_number_too_large_for_a_year_is_absent() -> None:
    """A thousandfold gain in two days has no finite growth a year."""
    found, warnings, *_ = score_frame(daily([1.0, 1.0]), daily([1.0, 1e6]))
    assert "cagr" not in found
    assert "cagr: too large" in warnings


def test_ruin_is_said_with_its_day() -> None:
    """Short of a share that trebles."""
    found, warnings, *_ = score_frame(daily([-1.0, -1.0, -1.0]), daily([1.0, 3.0, 1.0]))
    assert found["totalReturn"] == -1.0
    assert (found["maxDrawdown"], found["cagr"]) == (-1.0, -1.0)
    assert found["trades"] == 0
    assert "equity: nothing was left on 2020-01-02; it stays 0 from there on" in warnings


def test_a_delisted_share_keeps_its_last_price() -> None:
    """Nothing is known of it any more, so it is worth what it was, and can be sold for that."""
    prices = daily([1.0, 2.0, NAN, NAN], B=[1.0, 1.0, 1.0, 3.0])
    held = score_frame(pd.DataFrame({"A": [1.0], "B": [0.0]}, prices.index[:1]), prices).metrics
    assert held["totalReturn"] == pytest.approx(1.0)
    sold = pd.DataFrame({"A": [1.0, 0.0], "B": [0.0, 1.0]}, prices.index[[0, 2]])
    assert score_frame(sold, prices).metrics["totalReturn"] == pytest.approx(5.0)


def test_a_row_of_nan_and_a_missing_day_both_hold() -> None:
    """Days that are a subset of the calendar are the same as rows of NaN on the others."""
    prices = daily([1.0, 2.0, 3.0, 6.0])
    full = daily([1.0, NAN, NAN, 0.0])
    subset = full.iloc[[0, 3]]
    assert score_frame(full, prices).metrics == score_frame(subset, prices).metrics
    assert score_frame(full, prices).metrics["totalReturn"] == pytest.approx(5.0)


def test_nothing_but_nan_is_cash() -> None:
    """A strategy may stay out of the market for ever."""
    prices = daily([1.0, 2.0, 3.0])
    nothing, cash = score_frame(daily([NAN] * 3), prices), score_frame(daily([0.0] * 3), prices)
    assert nothing.metrics == cash.metrics
    assert nothing.warnings == cash.warnings


def test_cash_below_the_risk_free_rate_has_a_sortino_but_no_sharpe() -> None:
    """Every day falls short by the same: the downside is known, a deviation there is none."""
    found, warnings, *_ = score_frame(daily([0.0] * 3), daily([1.0, 2.0, 3.0]), RULES._replace(risk_free=0.02))
    assert found["sortino"] == pytest.approx(-np.sqrt(252))
    assert "sharpe: zero variance" in warnings


def test_constant_prices_have_neither_risk_nor_beta() -> None:
    """Neither the account nor the benchmark moves."""
    found, warnings, *_ = score_frame(daily([1.0, 1.0, 0.0]), daily([5.0, 5.0, 5.0]))
    assert not {"sharpe", "sortino", "calmar", "alpha", "beta", "winRateDays", "sharpeLag2"} & set(found)
    assert found["volatility"] == 0.0
    assert found["winRateTrades"] == 0.0  # a round trip without a gain is not won
    assert "alpha: the benchmark has zero variance" in warnings
    assert "beta: the benchmark has zero variance" in warnings


def test_costs_of_the_first_day_are_a_drawdown() -> None:
    """The initial capital is the first peak, and what the first order costs is the first day's return."""
    rules = RULES._replace(fees_bps=100.0)
    found = score_frame(daily([1.0, NAN, NAN]), daily([1.0, 1.0, 2.0]), rules)
    assert found.metrics["maxDrawdown"] == pytest.approx(1 / 1.01 - 1)
    assert found.metrics["totalReturn"] == pytest.approx(2 / 1.01 - 1)


def test_a_short_position_gains_from_a_fall() -> None:
    """-0.5 of a share that loses a tenth, sold on the first day and bought back on the last."""
    found = score_frame(daily([-0.5, NAN, 0.0]), daily([10.0, 9.5, 9.0]))
    assert found.metrics["totalReturn"] == pytest.approx(0.05)
    assert found.trips.sides.tolist() == [-1]
    assert found.metrics["winRateTrades"] == 1.0


def test_an_order_on_the_last_day_costs_and_earns_nothing() -> None:
    """There is no close after it."""
    prices = daily([1.0, 2.0, 4.0])
    assert score_frame(daily([0.0, 0.0, 1.0]), prices).metrics["totalReturn"] == 0.0
    dear = score_frame(daily([0.0, 0.0, 1.0]), prices, RULES._replace(fees_bps=100.0))
    assert dear.metrics["totalReturn"] == pytest.approx(1 / 1.01 - 1)
    assert dear.metrics["trades"] == 0


def test_what_starts_late_stays_in_cash_until_then() -> None:
    """The part of the symbol without a price earns nothing; once it has one the next order buys it."""
    prices = daily([1.0, 2.0, 2.0, 2.0], B=[NAN, NAN, 1.0, 3.0])
    found, warnings, *_ = score_frame(pd.DataFrame(0.5, prices.index, prices.columns), prices)
    assert found["totalReturn"] == pytest.approx(1.5 * 2.0 - 1)
    assert warnings[0] == "weights: 2 were asked before the symbol's first price and stayed in cash"


def test_dust_opens_no_trade_and_is_no_exposure() -> None:
    """Whoever never quite closes a losing trade has lost it all the same."""
    prices = daily([1.0, 2.0, 2.0, 1.0, 1.0])
    clean = score_frame(daily([1.0, 0.0, 1.0, 0.0, 0.0]), prices)
    dusty = score_frame(daily([1.0, 7e-15, 1.0, 7e-15, 7e-15]), prices)
    assert (clean.metrics["trades"], clean.metrics["winRateTrades"], clean.metrics["exposure"]) == (2, 0.5, 0.4)
    assert dusty.metrics == clean.metrics


def test_leverage_doubles_where_it_is_allowed() -> None:
    """Otherwise the sum of weights is 1, and that is said."""
    prices = daily([1.0, 1.5, 1.5])
    allowed = score_frame(daily([2.0, NAN, NAN]), prices, RULES._replace(allow_leverage=True))
    assert allowed.metrics["totalReturn"] == pytest.approx(1.0)
    scaled = score_frame(daily([2.0, NAN, NAN]), prices)
    assert scaled.metrics["totalReturn"] == pytest.approx(0.5)
    assert scaled.warnings[0] == "weights: 1 of 1 orders summed to more than 1 and were scaled to 1"


def test_prices_beyond_all_measure_make_no_number() -> None:
    """An account that overflows has no metric that is not finite, and the score is reached all the same."""
    prices = daily([1e-300, 1e300, 1e-300, 1e300])
    with np.errstate(all="ignore"):
        found, warnings, *_ = score_frame(daily([1.0, 1.0, 1.0, 1.0]), prices)
    assert all(np.isfinite(value) for value in found.values())
    assert any("not finite" in warning or "too large" in warning for warning in warnings)


def test_the_price_may_be_chosen(us_stocks_directory: Path) -> None:
    """Auto is adj_close where the dataset has it."""
    auto, adjusted, close = (read(us_stocks_directory, price).prices for price in ("Auto", "AdjClose", "Close"))
    np.testing.assert_array_equal(auto, adjusted)
    assert close[0, 0] == 130.31


def test_what_is_no_price_is_none(tmp_path: Path) -> None:
    """Nobody can buy for nothing, and nobody has infinitely much."""
    write_dataset(tmp_path / "d", close=daily([0.0, 2.0, -1.0, np.inf]))
    np.testing.assert_array_equal(read(tmp_path / "d", "Auto").prices, [[np.nan], [2.0], [np.nan], [np.nan]])


@pytest.mark.parametrize(("there", "asked"), [("close", "AdjClose"), ("adj_close", "Close"), ("volume", "Auto")])
def test_a_price_that_the_dataset_lacks_is_data_missing(tmp_path: Path, there: str, asked: str) -> None:
    """The message says what there is."""
    write_dataset(tmp_path / "d", **{there: daily([1.0])})
    with pytest.raises(ResultError, match=f"{asked} needs .*; the dataset has {there}") as caught:
        read(tmp_path / "d", asked)
    assert caught.value.reason == "DataMissing"
