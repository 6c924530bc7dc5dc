"""What an account is compared with."""

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.evaluate.benchmark import benchmark_returns, growth
from finlab_sandbox.evaluate.errors import ResultError
from support.scoring import daily, market_of

NAN = float("nan")


def returns(prices: pd.DataFrame, benchmark: str = "EqualWeight") -> list[float]:
    """The benchmark's returns in percent; NaN where there is none."""
    rounded: list[float] = np.round(100 * benchmark_returns(market_of(prices), benchmark), 6).tolist()
    return rounded


def test_equal_weight_is_the_mean_of_simple_returns() -> None:
    """10 % and -20 % are -5 %, then 10 % and 25 % are 17.5 %. The first day has no return."""
    assert returns(daily([100.0, 110.0, 121.0], B=[100.0, 80.0, 100.0])) == pytest.approx(
        [NAN, -5.0, 17.5], nan_ok=True
    )


def test_a_late_symbol_counts_from_the_day_after_its_first_price() -> None:
    """It takes two prices to make a return."""
    late = daily([100.0, 110.0, 110.0, 110.0], B=[NAN, NAN, 50.0, 100.0])
    assert returns(late) == pytest.approx([NAN, 10.0, 0.0, 50.0], nan_ok=True)


def test_a_delisted_symbol_counts_to_its_last_price() -> None:
    """After it there is nothing to be had of it, and the others alone are the mean."""
    delisted = daily([100.0, 110.0, 121.0], B=[50.0, 100.0, NAN])
    assert returns(delisted) == pytest.approx([NAN, 55.0, 10.0], nan_ok=True)


def test_a_gap_is_bridged() -> None:
    """A day without a price has that of the day before: no move on it, the whole move on the next day with one."""
    gap = daily([100.0, NAN, 150.0], B=[100.0, 110.0, 110.0])
    assert returns(gap) == pytest.approx([NAN, 5.0, 25.0], nan_ok=True)


def test_a_symbol_of_the_dataset_is_held_from_its_first_price() -> None:
    """Days before it and after its end have no return, and make no pair."""
    prices = daily([100.0, 110.0, 121.0, 121.0, 121.0], B=[NAN, 50.0, 100.0, 50.0, NAN])
    assert returns(prices, "B") == pytest.approx([NAN, NAN, 100.0, -50.0, NAN], nan_ok=True)
    np.testing.assert_allclose(growth(benchmark_returns(market_of(prices), "B")), [1.0, 1.0, 2.0, 1.0, 1.0])


def test_a_symbol_without_a_price_has_no_return_at_all() -> None:
    """A column of NaN is none of the symbols that count."""
    prices = daily([100.0, 110.0], B=[NAN, NAN])
    assert returns(prices) == pytest.approx([NAN, 10.0], nan_ok=True)
    assert np.isnan(benchmark_returns(market_of(prices), "B")).all()


def test_an_unknown_symbol_is_data_missing_with_what_there_is() -> None:
    """The first of them at least, where there are many."""
    with pytest.raises(
        ResultError, match="SPY is neither EqualWeight nor one of the dataset's 2 symbols: A B"
    ) as caught:
        benchmark_returns(market_of(daily([1.0], B=[1.0])), "SPY")
    assert caught.value.reason == "DataMissing"
