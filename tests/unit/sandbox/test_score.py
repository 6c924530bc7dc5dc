"""Positions on real prices: known answers, and what is said when a number has no value."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.evaluate.market import Market, read_market
from finlab_sandbox.evaluate.positions import Positions
from finlab_sandbox.evaluate.score import Rules, Score, score

RULES = Rules(
    initial_capital=1_000_000.0,
    fees_bps=0.0,
    sell_tax_bps=0.0,
    slippage_bps=0.0,
    on_change=False,
    allow_leverage=False,
    periods=252,
    risk_free=0.0,
)
METRICS = {
    "totalReturn",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "maxDrawdown",
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


def market_of(prices: pd.DataFrame) -> Market:
    """A market whose calendar and symbols are those of the frame."""
    days = prices.index.to_numpy().astype("datetime64[D]").astype(np.int32)
    return Market(list(prices.columns), days, prices.to_numpy(dtype=float), "")


def score_frame(weights: pd.DataFrame, prices: pd.DataFrame, rules: Rules = RULES) -> Score:
    """Score a frame of weights on a frame of prices."""
    rows, columns = prices.index.get_indexer(weights.index), prices.columns.get_indexer(weights.columns)
    return score(Positions(rows, columns, weights.to_numpy(dtype=float)), market_of(prices), rules)


def flat(values: list[float], **columns: list[float]) -> pd.DataFrame:
    """A frame with column A, and others, of consecutive days."""
    return pd.DataFrame({"A": values} | columns, index=pd.date_range("2020-01-01", periods=len(values)))


@pytest.fixture(scope="module")
def adjusted(us_stocks_directory: Path) -> pd.DataFrame:
    """Adjusted closes of us-stocks."""
    market = read_market(str(us_stocks_directory), "Auto")
    dates = pd.DatetimeIndex(market.calendar.astype("datetime64[D]"))
    return pd.DataFrame(market.prices, dates, market.symbols)


@pytest.mark.parametrize(
    ("symbol", "total_return", "sharpe"),
    [
        ("AAPL", 6.17108559, 0.62772453),
        ("IBM", -0.24717092, -0.04074047),
        ("MSFT", -0.36806614, -0.09481015),
    ],
)
def test_a_moving_average_cross(adjusted: pd.DataFrame, symbol: str, total_return: float, sharpe: float) -> None:
    """SMA 20 above SMA 50: eight digits that two other engines found too."""
    close = adjusted[[symbol]]
    weights = (close.rolling(20).mean() > close.rolling(50).mean()).astype(float)
    found = score_frame(weights, close).metrics
    assert found["totalReturn"] == pytest.approx(total_return, abs=5e-9)
    assert found["sharpe"] == pytest.approx(sharpe, abs=5e-9)


def test_equal_weights_at_month_ends(adjusted: pd.DataFrame) -> None:
    """Three shares, rebalanced monthly, held in between: eight digits that two other engines found too."""
    close = adjusted[["AAPL", "IBM", "MSFT"]]
    month_ends = close.groupby(pd.DatetimeIndex(close.index).to_period("M")).tail(1).index
    found = score_frame(pd.DataFrame(1 / 3, month_ends, close.columns), close).metrics
    assert found["totalReturn"] == pytest.approx(2.69917452, abs=5e-9)
    assert found["sharpe"] == pytest.approx(0.49756780, abs=5e-9)
    assert found["maxDrawdown"] == pytest.approx(-0.60274385, abs=5e-9)
    assert found["cagr"] == pytest.approx(0.10606476, abs=5e-9)


def test_all_metrics_are_there_and_agree_with_each_other(adjusted: pd.DataFrame) -> None:
    """A run that trades has every number; those that follow from others do."""
    close = adjusted[["AAPL", "IBM"]]
    weights = (close.rolling(20).mean() > close.rolling(50).mean()) / 2.0
    rules = RULES._replace(fees_bps=10.0, sell_tax_bps=30.0, slippage_bps=5.0)
    found, warnings = score_frame(weights, close, rules)
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
    found = score_frame(flat([1.0, 0.0, 0.0]), flat([5.0, 5.0, 5.0]), rules).metrics
    assert found["totalReturn"] == pytest.approx((1 - 0.015) / 1.005 - 1)


def test_turnover_and_exposure() -> None:
    """In and out of all of the capital in 4 days is 2 * 252 / 4 a year; one day of four was held."""
    found = score_frame(flat([0.0, 1.0, 0.0, 0.0]), flat([1.0, 1.0, 2.0, 2.0])).metrics
    assert found["turnover"] == pytest.approx(2 * 252 / 4)
    assert found["exposure"] == 0.25
    assert found["trades"] == 1
    assert found["winRateTrades"] == 1.0


def test_all_cash_has_only_what_cash_has() -> None:
    """No return and no risk: the rest is absent, and named."""
    found, warnings = score_frame(flat([0.0, 0.0, 0.0]), flat([1.0, 2.0, 3.0]))
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
    found, warnings = score_frame(flat([1.0]), flat([1.0]))
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
    found, warnings = score_frame(flat([1.0, 1.0]), flat([1.0, 1e6]))
    assert "cagr" not in found
    assert "cagr: too large" in warnings


def test_ruin_is_said_with_its_day() -> None:
    """Short of a share that trebles."""
    found, warnings = score_frame(flat([-1.0, -1.0, -1.0]), flat([1.0, 3.0, 1.0]))
    assert found["totalReturn"] == -1.0
    assert "equity: nothing was left on 2020-01-02; it stays 0 from there on" in warnings


def test_a_delisted_share_keeps_its_last_price() -> None:
    """Nothing is known of it any more, so it is worth what it was, and can be sold for that."""
    nan = float("nan")
    prices = flat([1.0, 2.0, nan, nan], B=[1.0, 1.0, 1.0, 3.0])
    held = score_frame(pd.DataFrame({"A": [1.0], "B": [0.0]}, prices.index[:1]), prices).metrics
    assert held["totalReturn"] == pytest.approx(1.0)
    sold = pd.DataFrame({"A": [1.0, 0.0], "B": [0.0, 1.0]}, prices.index[[0, 2]])
    assert score_frame(sold, prices).metrics["totalReturn"] == pytest.approx(5.0)


def test_the_price_may_be_chosen(us_stocks_directory: Path) -> None:
    """Auto is adj_close where the dataset has it."""
    auto, adjusted, close = (
        read_market(str(us_stocks_directory), price).prices for price in ("Auto", "AdjClose", "Close")
    )
    np.testing.assert_array_equal(auto, adjusted)
    assert close[0, 0] == 130.31


def test_a_price_of_zero_is_no_price(tmp_path: Path) -> None:
    """Nobody can buy for nothing."""
    (tmp_path / "manifest.json").write_text('{"symbols": ["A"], "fields": ["close"], "sha256": "0"}')
    np.save(tmp_path / "dates.npy", np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"))
    np.save(tmp_path / "close.npy", np.array([[0.0], [2.0]]))
    np.testing.assert_array_equal(read_market(str(tmp_path), "Auto").prices, [[np.nan], [2.0]])
