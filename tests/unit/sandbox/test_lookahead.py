"""The look-ahead guard: honest strategies are left alone, leaks are found, and what cannot be checked is said."""

import math
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.harness.handover import Positions
from finlab_sandbox.harness.lookahead import LookAhead, check, cut_rows
from finlab_sandbox.harness.market import Market, read_market
from finlab_sandbox.harness.result import to_positions

Strategy = Callable[[Market], pd.DataFrame]


def ridge(data: Market, *, everything: bool) -> pd.DataFrame:
    """The sign of the next return as a linear model has it, fitted on the past alone or on all rows."""
    returns = data.adj_close["AAPL"].pct_change().fillna(0).to_numpy()
    features = np.column_stack([np.roll(returns, lag) for lag in range(5)])
    weights = np.full(len(returns), np.nan)
    for at in range(500, len(returns), 250):
        end = len(returns) if everything else at
        x, y = features[5 : end - 1], returns[6:end]
        model = np.linalg.solve(x.T @ x + 0.01 * np.eye(5), x.T @ y)
        weights[at : at + 250] = features[at : at + 250] @ model > 0
    return pd.DataFrame({"AAPL": weights}, index=data.dates)


def monthly_momentum(data: Market) -> pd.DataFrame:
    """The best two of a year, on the last trading day of each month."""
    close = data.adj_close
    ends = close.groupby(pd.DatetimeIndex(close.index).to_period("M")).tail(1).index
    return ((close.shift(21) / close.shift(252) - 1).loc[ends].rank(axis=1, ascending=False) <= 2) * 0.5


def donchian(data: Market) -> pd.DataFrame:
    """Long above the high of 20 days, flat below the low of 10."""
    close = data.adj_close
    state = close.where(close > close.rolling(20).max().shift(), np.nan) * 0 + 1
    return state.mask(close < close.rolling(10).min().shift(), 0.0).ffill()


def rows_of_change(data: Market) -> pd.DataFrame:
    """Only the rows where the orders change."""
    above = (data.close > data.close.rolling(50).mean()).astype(float) / 5
    return above[above.ne(above.shift()).any(axis=1)]


def fixed_seed(data: Market) -> pd.DataFrame:
    """Random weights, the same every time."""
    return pd.DataFrame(np.random.default_rng(7).random(data.close.shape) / 5, data.dates, data.symbols)


def peeks_one_row_ahead(data: Market) -> pd.DataFrame:
    """A loop with iloc[i + 1]."""
    close = data.close["IBM"]
    held = [float(close.iloc[i + 1] > close.iloc[i]) if i + 1 < len(close) else 0.0 for i in range(len(close))]
    return pd.DataFrame({"IBM": held}, index=close.index)


def month_end(data: Market) -> pd.DataFrame:
    """What the last day of each month says."""
    close = data.adj_close
    return (
        (close > close.rolling(60).mean()).astype(float).groupby(pd.DatetimeIndex(close.index).to_period("M")).tail(1)
    )


def convolved(data: Market) -> pd.DataFrame:
    """A centred mean by np.convolve."""
    close = data.close["MSFT"]
    return (close > np.convolve(close, np.ones(11) / 11, mode="same")).astype(float).to_frame()


HONEST: dict[str, Strategy] = {
    "sma cross": lambda d: d.close.rolling(20).mean() > d.close.rolling(50).mean(),
    "monthly momentum": monthly_momentum,
    "walk-forward ridge": lambda d: ridge(d, everything=False),
    "donchian": donchian,
    "vol target": lambda d: (0.02 / (d.adj_close.pct_change(fill_method=None).std(axis=1) + 0.02)).to_frame("IBM"),
    "expanding z-score": lambda d: (d.close - d.close.expanding(60).mean()) / d.close.expanding(60).std() / 50,
    "ewm": lambda d: d.close.ewm(span=12).mean() > d.close.ewm(span=26).mean(),
    "monthly with ffill": lambda d: month_end(d).reindex(d.dates).ffill(),
    "month end alone": month_end,
    "hold with NaN rows": lambda d: (d.close > d.close.shift(5)).astype(float).iloc[::5].reindex(d.dates),
    "rows of change": rows_of_change,
    "columns left out": lambda d: (p := (d.close > d.close.shift(250)) * 0.2).loc[:, (p != 0).any()],
    "fixed seed": fixed_seed,
    "rank across": lambda d: d.close.pct_change(20, fill_method=None).rank(axis=1, pct=True) / 5,
    "volume spike": lambda d: d.volume > 2 * d.volume.rolling(20).mean(),
    "yesterday's high": lambda d: d.close > d.high.shift(1),
    "constant": lambda d: d.close.notna() * 0.2,
}

LEAKING: dict[str, Strategy] = {
    "shift(-1)": lambda d: d.close.shift(-1) > d.close,
    "z-score of all": lambda d: (d.close - d.close.mean()) / d.close.std() / 50,
    "min-max of all": lambda d: (d.close - d.close.min()) / (d.close.max() - d.close.min()) / 5,
    "rank(axis=0)": lambda d: d.close.rank(axis=0, pct=True) / 5,
    "model of all rows": lambda d: ridge(d, everything=True),
    "centred rolling": lambda d: d.close > d.close.rolling(11, center=True).mean(),
    "bfilled month end": lambda d: month_end(d).reindex(d.dates).bfill(),
    "negative periods": lambda d: d.close.pct_change(-5, fill_method=None) < 0,
    "iloc[i + 1]": peeks_one_row_ahead,
    "max of all": lambda d: d.close / d.close.max() / 5,
    "bfill": lambda d: (d.close.iloc[::20].reindex(d.dates).bfill() > d.close).astype(float),
    "interpolate": lambda d: d.close > d.close.iloc[::20].reindex(d.dates).interpolate(),
    "convolve same": convolved,
    "sum from the end": lambda d: d.close[::-1].cumsum()[::-1] / d.close.sum() / 5,
    "quantile of all": lambda d: d.close > d.close.quantile(0.6),
    "demeaned": lambda d: (d.close - d.close.mean()) / 5000,
    "tomorrow's high": lambda d: d.high.shift(-1) > d.high,
    "tomorrow's low": lambda d: d.low.shift(-1) > d.low,
    "tomorrow's open": lambda d: d.open.shift(-1) > d.close,
    "tomorrow's volume": lambda d: d.volume.shift(-1) > d.volume,
}


@pytest.fixture(scope="module")
def market(us_stocks_directory: Path) -> Market:
    """The real prices."""
    return read_market(str(us_stocks_directory))


def checked(strategy: Strategy, market: Market, samples: int = 5, room: float = math.inf) -> LookAhead:
    """The check of a strategy that has `room` seconds left and whose first call took none."""

    def evaluate(data: Market) -> Positions:
        return to_positions(strategy(data), data.dates, data.symbols)

    deadline = time.monotonic() + room
    return check(evaluate, market, evaluate(market), samples=samples, deadline=deadline, seconds=0.0)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_strategy_is_left_alone(name: str, market: Market) -> None:
    """No cut changes an order before it."""
    assert checked(HONEST[name], market) == LookAhead(samples=5, checked=5, changed=0)


@pytest.mark.parametrize("name", LEAKING)
def test_a_leak_is_found(name: str, market: Market) -> None:
    """At one cut at least, with a date and a symbol."""
    found = checked(LEAKING[name], market)
    assert (found.checked, found.deterministic, found.note) == (5, True, "")
    assert found.changed > 0
    assert found.first_date is not None
    assert found.symbol in market.symbols


def test_summation_noise_is_no_leak(market: Market) -> None:
    """Weights that differ by rounding are equal."""
    calls = count()
    found = checked(lambda d: d.close.notna() * 0.2 * (1 + 1e-13 * next(calls)), market)
    assert found.changed == 0


def test_runs_that_differ_say_nothing(market: Market) -> None:
    """A strategy that is not deterministic has no finding."""
    calls = count()
    found = checked(lambda d: d.close.notna() * 0.01 * next(calls), market)
    assert (found.checked, found.changed, found.first_date, found.deterministic) == (0, 0, None, False)
    assert "differ" in found.note


def test_a_leak_with_noise_is_not_clean(market: Market) -> None:
    """What cannot be told from chance is not compared: noise is no cover that makes a leak look honest."""
    random = np.random.default_rng(1)
    found = checked(lambda d: (d.close.shift(-1) > d.close) * 0.19 + random.random() * 1e-3, market)
    assert (found.checked, found.changed, found.deterministic) == (0, 0, False)


def test_who_reads_no_other_future_was_not_tried(market: Market) -> None:
    """Prices from elsewhere, such as the dataset's own files, stay as they were: equal positions say nothing."""
    elsewhere = market.close
    found = checked(lambda _: elsewhere.shift(-1) > elsewhere, market)
    assert (found.checked, found.changed, found.deterministic) == (0, 0, True)
    assert "read no field of `data`" in found.note


def test_a_call_that_raises_is_not_checked(market: Market) -> None:
    """The note names what was raised, once."""
    calls = count()

    def fails(data: Market) -> pd.DataFrame:
        if next(calls):
            raise SystemExit(3)
        return data.close.notna()

    found = checked(fails, market)
    assert (found.checked, found.changed, found.note) == (0, 0, "SystemExit on another future")


def test_no_call_begins_after_the_deadline(market: Market) -> None:
    """The note says how many were checked."""
    found = checked(HONEST["constant"], market, room=-1.0)
    assert (found.checked, found.note) == (0, "the time limit left room for 0 of 5")


def test_cuts_are_rows_where_orders_change() -> None:
    """Never the last; other rows fill up; none is there twice."""
    orders = np.repeat([[0.0], [1.0], [np.nan], [0.0]], 10, axis=0)
    cuts = cut_rows(orders, 5)
    assert {0, 10, 30} <= set(cuts)
    assert len(set(cuts)) == 5
    assert max(cuts) < 39
    assert cut_rows(orders[:1], 5) == []


def test_the_deadline_is_looked_at_before_each_call(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five tries two fit in, as each takes ten seconds and may need another; what was tried counts."""
    now = [0.0]
    monkeypatch.setattr("finlab_sandbox.harness.lookahead.time.monotonic", lambda: now[0])

    def slow(data: Market) -> Positions:
        now[0] += 10.0
        return positions(rows_of_change(data), market)

    found = check(slow, market, positions(rows_of_change(market), market), samples=5, deadline=40.0, seconds=10.0)
    assert (found.checked, found.changed) == (2, 0)
    assert found.note == "the time limit left room for 2 of 5"


def test_a_change_that_cannot_be_told_from_chance_is_none(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a call took longer than any before it, there is no time to run the strategy again on its own data."""
    now = [0.0]
    monkeypatch.setattr("finlab_sandbox.harness.lookahead.time.monotonic", lambda: now[0])
    truth = positions(rows_of_change(market), market)

    def slower(_: Market) -> Positions:
        now[0] += 25.0
        return truth._replace(weights=truth.weights / 2)

    found = check(slower, market, truth, samples=5, deadline=30.0, seconds=10.0)
    assert (found.checked, found.changed, found.deterministic) == (0, 0, True)
    assert found.note == "positions changed, and the time limit left no room to see whether by chance"


def test_memory_that_runs_out_ends_the_check(market: Market) -> None:
    """Another try would only run out again; what was found before stays."""
    calls = count()

    def greedy(data: Market) -> Positions:
        if next(calls) == 2:
            raise MemoryError
        return positions(rows_of_change(data), market)

    found = check(greedy, market, positions(rows_of_change(market), market), samples=5, deadline=math.inf, seconds=0.1)
    assert (found.checked, found.changed, found.note) == (2, 0, "MemoryError on another future")


def test_a_repeat_that_raises_says_nothing(market: Market) -> None:
    """A strategy that works but once on its own data is not deterministic."""
    truth = positions(rows_of_change(market), market)
    calls = count()

    def moody(_: Market) -> Positions:
        if next(calls) == 1:
            raise ValueError
        return truth._replace(weights=truth.weights / 2)

    found = check(moody, market, truth, samples=5, deadline=math.inf, seconds=0.1)
    assert (found.deterministic, found.changed) == (False, 0)
    assert "ValueError" in found.note


def positions(frame: pd.DataFrame, market: Market) -> Positions:
    """Positions as the harness makes them."""
    return to_positions(frame, market.dates, market.symbols)
