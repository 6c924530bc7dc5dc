"""Another future: the past stays bitwise, the shape stays, and what lies after the cut is another path."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from finlab_sandbox.harness.market import Market
from finlab_sandbox.harness.perturb import Futures

ROWS = 8
VALUES = arrays(np.float64, (ROWS, 2), elements=st.floats(allow_nan=True, allow_infinity=True))
FIELDS = ("close", "adj_close", "open", "high", "low", "volume", "monthly_revenue")


def market_of(**fields: NDArray[np.float64]) -> Market:
    """A market of two symbols."""
    return Market(pd.bdate_range("2020-01-01", periods=ROWS), ["A", "B"], fields)


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, VALUES)), st.integers(0, ROWS - 1))
def test_past_and_pattern_stay(fields: dict[str, NDArray[np.float64]], cut: int) -> None:
    """For all floats: bitwise the same up to the cut; what is not finite stays, what is finite stays finite."""
    data = market_of(**fields)
    other = Futures(data).after(cut)
    assert (list(other.dates), other.symbols, other.fields) == (list(data.dates), data.symbols, data.fields)
    for name, values in fields.items():
        changed = other[name].to_numpy()
        assert changed.dtype == np.float64
        assert changed[: cut + 1].tobytes() == values[: cut + 1].tobytes()
        assert np.array_equal(np.isfinite(changed), np.isfinite(values))
        if name != "monthly_revenue":
            assert np.array_equal(np.sign(changed), np.sign(values), equal_nan=True)


@given(arrays(np.float64, (ROWS, 2, 4), elements=st.floats(1.0, 1000.0)), st.integers(0, ROWS - 2))
def test_a_bar_stays_a_bar(prices: NDArray[np.float64], cut: int) -> None:
    """Low <= open, close <= high."""
    low, high = prices.min(axis=2), prices.max(axis=2)
    other = Futures(market_of(close=prices[..., 0], open=prices[..., 1], low=low, high=high)).after(cut)
    slack = 1 + 1e-9
    for inside in (other.open, other.close):
        assert (other.low <= inside * slack).all(axis=None)
        assert (inside <= other.high * slack).all(axis=None)


def test_every_value_after_the_cut_changes() -> None:
    """Of a constant price, and of a symbol that begins after the cut, too."""
    close = np.full((ROWS, 2), 10.0)
    close[:5, 1] = np.nan
    other = Futures(market_of(close=close, volume=close)).after(2)
    for changed in (other.close.to_numpy(), other.volume.to_numpy()):
        assert not np.any(changed[3:] == close[3:])


def test_another_field_is_reflected_about_its_value_at_the_cut() -> None:
    """x_c - 1.7 (x - x_c)."""
    revenue = np.tile(np.arange(ROWS, dtype=float)[:, None], 2)
    other = Futures(market_of(close=revenue + 1, revenue=revenue)).after(3)
    assert np.allclose(other.revenue.to_numpy()[4:], 3 - 1.7 * (revenue[4:] - 3))


def test_near_the_cut_the_path_is_reflected_and_stretched() -> None:
    """A log move of 1 % becomes one of -1.7 %, up to the bound that far moves feel."""
    close = np.exp(np.cumsum(np.full((ROWS, 2), 0.01), axis=0))
    moves = np.diff(np.log(Futures(market_of(close=close)).after(3).close.to_numpy()), axis=0)
    assert np.allclose(moves[:3], 0.01)
    assert np.allclose(moves[3:], -0.017, rtol=1e-3)


def test_a_field_that_nobody_asks_for_costs_nothing() -> None:
    """It is not even read."""
    asked: list[str] = []

    class Watched(Market):
        """A market that remembers what it was asked for."""

        def __getitem__(self, field: str) -> pd.DataFrame:
            asked.append(field)
            return super().__getitem__(field)

    values = np.full((ROWS, 2), 10.0)
    market = Watched(pd.bdate_range("2020-01-01", periods=ROWS), ["A", "B"], {"close": values, "volume": values})
    other = Futures(market).after(3)
    assert asked == []
    assert other.close is not None
    assert set(asked) == {"close"}
