"""A dataset as tables of finlab, and what finlab makes of them as rows of the dataset.

Prices have a table each as traded (`price:收盤價`, `us_price:close`) and adjusted (`etl:adj_close`,
`us_price:adj_close`). Any field of the dataset is also a table by its own name.
"""

from __future__ import annotations

import pandas as pd

from finlab_sandbox.harness.market import Market, MissingFieldError

TRADED = {"open": "開盤價", "high": "最高價", "low": "最低價", "close": "收盤價", "volume": "成交股數"}
PRICES = ("open", "high", "low", "close")
STANDARD = (*TRADED, "adj_close")


class Data(Market):
    """What a strategy gets as `data`: `data.get` knows the tables by their names in finlab, too."""

    def get(self, name: str) -> pd.DataFrame:
        """The field of that name, or the table that finlab calls so. Raises MissingFieldError."""
        return self[name] if name in self else table(self, name)


def table(market: Market, name: str) -> pd.DataFrame:
    """The table, date x symbol: a new float64 frame. Raises MissingFieldError with the tables that there are.

    A table of prices has a row for each day of the dataset; any other has the rows that have a value.
    """
    if name in market.fields:
        frame = market[name]
        return frame if name in STANDARD else frame.dropna(how="all")
    for column, chinese in TRADED.items():
        if name in (f"price:{chinese}", f"us_price:{column}") and _has(market, column):
            return _as_traded(market, column)
    for column in PRICES:
        if name in (f"etl:adj_{column}", f"us_price:adj_{column}") and _has(market, column):
            return _adjusted(market, column)
    raise MissingFieldError(f"there is no table {name!r}; there are {', '.join(names(market, name))}")


def names(market: Market, like: str = "") -> list[str]:
    """The tables that there are, those of prices in the names of the market that `like` is of."""
    columns = [column for column in TRADED if _has(market, column)]
    american = str(like).startswith("us_")
    traded = [f"us_price:{column}" if american else f"price:{TRADED[column]}" for column in columns]
    adjusted = [f"{'us_price' if american else 'etl'}:adj_{column}" for column in columns if column in PRICES]
    return [*traded, *adjusted, *(field for field in market.fields if field not in STANDARD)]


def on_trading_days(result: object, dates: pd.DatetimeIndex) -> object:
    """A frame or Series with each row that stands on another day moved to the next of these dates.

    finlab's operators unite the days of all tables, and a weekly or monthly one ends its periods on Sundays and month
    ends. A row tells what was known by its day, so it is an order on the next day of trading, unless a later row is.
    """
    if not isinstance(result, pd.DataFrame | pd.Series) or not isinstance(result.index, pd.DatetimeIndex):
        return result
    if result.index.tz is not None or result.index.hasnans or result.index.isin(dates).all():
        return result
    moved = result.sort_index(kind="stable")
    at = dates.searchsorted(moved.index)
    moved = moved[at < len(dates)]
    moved.index = dates[at[at < len(dates)]]
    return moved[~moved.index.duplicated(keep="last")]


def _has(market: Market, column: str) -> bool:
    return column in market or (column == "close" and "adj_close" in market)


def _as_traded(market: Market, column: str) -> pd.DataFrame:
    return market[column] if column in market else market["adj_close"]


def _adjusted(market: Market, column: str) -> pd.DataFrame:
    """By the factor of the closing price; prices of a dataset that has but one closing price need none."""
    if column == "close":
        return market["adj_close"] if "adj_close" in market else market["close"]
    if "adj_close" in market and "close" in market:
        return market[column] * (market["adj_close"] / market["close"])
    return market[column]
