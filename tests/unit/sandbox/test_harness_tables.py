"""A dataset under the names of finlab's tables."""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.harness.market import Market, MissingFieldError
from finlab_sandbox.harness.tables import names, on_trading_days, table
from finlab_sandbox.harness.vendor import uses_finlab
from support.sandbox import Steps

DATES = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-03"], name="date")
NAN = float("nan")
FIELDS: dict[str, list[list[float]]] = {
    "open": [[1, 10], [2, 20], [3, 30]],
    "high": [[5, 50], [6, 60], [7, 70]],
    "low": [[1, 10], [1, 10], [1, 10]],
    "close": [[4, 40], [4, 40], [4, NAN]],
    "adj_close": [[2, 40], [4, 40], [8, NAN]],
    "volume": [[100, 200], [300, 400], [500, 600]],
    "monthly_revenue:當月營收": [[NAN, NAN], [7, NAN], [NAN, NAN]],
}


def market(*fields: str) -> Market:
    """One with these fields."""
    return Market(DATES, ["A", "B"], {field: np.array(FIELDS[field], dtype=float) for field in fields or FIELDS})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("price:開盤價", "open"),
        ("price:最高價", "high"),
        ("price:最低價", "low"),
        ("price:收盤價", "close"),
        ("price:成交股數", "volume"),
        ("us_price:close", "close"),
        ("us_price:volume", "volume"),
        ("etl:adj_close", "adj_close"),
        ("us_price:adj_close", "adj_close"),
        ("close", "close"),
    ],
)
def test_prices_have_finlabs_names(name: str, field: str) -> None:
    """Every day has its row, and dates have no time zone."""
    found = table(market(), name)
    np.testing.assert_array_equal(found.to_numpy(), FIELDS[field])
    assert found.index.equals(DATES)
    assert found.index.name == "date"


@pytest.mark.parametrize("name", ["etl:adj_open", "us_price:adj_open"])
def test_other_prices_are_adjusted_as_the_closing_price_is(name: str) -> None:
    """By the same factor on the same day; where there is no closing price there is none."""
    np.testing.assert_array_equal(table(market(), name).to_numpy(), [[0.5, 10], [2, 20], [6, NAN]])


def test_a_dataset_with_one_closing_price_has_both_tables() -> None:
    """Nothing is adjusted then."""
    for only in ("close", "adj_close"):
        data = market("open", only)
        for name in ("price:收盤價", "etl:adj_close"):
            np.testing.assert_array_equal(table(data, name).to_numpy(), FIELDS[only])
        np.testing.assert_array_equal(table(data, "etl:adj_open").to_numpy(), FIELDS["open"])


def test_a_field_of_the_dataset_is_a_table_by_its_own_name() -> None:
    """With the rows that have a value, so that a monthly table is one."""
    found = table(market(), "monthly_revenue:當月營收")
    assert list(found.index) == [DATES[1]]
    np.testing.assert_array_equal(found.to_numpy(), [[7, NAN]])


def test_a_missing_table_names_those_that_there_are() -> None:
    """In the words of the market that was asked for."""
    with pytest.raises(MissingFieldError) as caught:
        table(market("open", "close", "monthly_revenue:當月營收"), "price:成交股數")
    assert str(caught.value) == (
        "there is no table 'price:成交股數'; there are price:開盤價, price:收盤價, etl:adj_open, "
        "etl:adj_close, monthly_revenue:當月營收"
    )
    with pytest.raises(MissingFieldError, match=r"there are us_price:close, us_price:adj_close$"):
        table(market("close"), "us_fundamental:datekey")


def test_every_table_that_is_named_is_there() -> None:
    """Whatever fields the dataset has."""
    for fields in ((), ("close",), ("adj_close", "open"), ("close", "volume", "monthly_revenue:當月營收")):
        data = market(*fields)
        for name in names(data) + names(data, "us_price:close"):
            assert not table(data, name).empty


@pytest.mark.parametrize("make", [lambda frame: frame, lambda frame: frame["A"]])
def test_rows_on_other_days_are_orders_on_the_next_day_of_trading(make: Callable[[pd.DataFrame], object]) -> None:
    """The last of those that fall on one day counts; after the last day there is none."""
    days = ["2020-01-05", "2019-12-29", "2019-12-31", "2020-01-02"]
    found = on_trading_days(make(pd.DataFrame({"A": [9.0, 1.0, 2.0, 3.0]}, pd.DatetimeIndex(days))), DATES)
    assert isinstance(found, pd.DataFrame | pd.Series)
    assert list(found.index) == [DATES[0], DATES[1]]
    np.testing.assert_array_equal(found.to_numpy().ravel(), [2.0, 3.0])


def test_what_stands_on_trading_days_or_has_none_stays_as_it_is() -> None:
    """The refusal of it is not for here."""
    ready = pd.DataFrame({"A": [1.0, 2.0]}, DATES[[1, 0]])
    for result in (ready, ready.tz_localize("UTC"), ready.set_axis([0, 1]), ready.set_axis([pd.NaT, DATES[0]]), None):
        assert on_trading_days(result, DATES) is result


@pytest.mark.parametrize(
    "source",
    [
        "import finlab",
        "import finlab.data as d",
        "import os, finlab",
        "from finlab import data",
        "def strategy(data, params):\n    from finlab.backtest import sim",
        "import importlib\nimportlib.import_module('finlab.data')",
    ],
)
def test_an_import_of_finlab_is_found(source: str) -> None:
    """Anywhere in the source."""
    assert uses_finlab(ast.parse(source))


@pytest.mark.parametrize("source", ["import finlab_tools", "from . import finlab", "# finlab", "finlab = 1", "x = ''"])
def test_other_words_are_no_import_of_finlab(source: str) -> None:
    """Who does not use it does not pay for it."""
    assert not uses_finlab(ast.parse(source))


def test_data_of_a_strategy_knows_the_names_too(tmp_path: Path, us_stocks_directory: Path) -> None:
    """As code asks that was written for finlab: by table or by field, with the same error where there is none."""
    steps = Steps(tmp_path, us_stocks_directory)
    ended = steps.run(
        """
        def strategy(data, params):
            assert data.get("price:收盤價").equals(data.close)
            assert data.get("etl:adj_close").equals(data.adj_close)
            assert data.get("volume").equals(data.volume)
            return data.get("price:本益比") > 10
        """
    )
    assert ended.document["reason"] == "DataMissing"
    assert "there is no table 'price:本益比'; there are price:開盤價" in ended.document["message"]
