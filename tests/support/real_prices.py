"""Real prices that well-kept packages carry with them. Their files are read; the packages are never imported."""

from importlib.metadata import files
from pathlib import Path

import pandas as pd


def skfolio_stocks() -> pd.DataFrame:
    """Adjusted closes of 20 stocks of the S&P 500, 8313 days from 1990 to 2022 without a gap."""
    path = _file("skfolio", "sp500_dataset.csv.gz")
    return pd.read_csv(path, index_col="Date", parse_dates=True, date_format="%Y-%m-%d")


def index_bars(name: str) -> pd.DataFrame:
    """Open, High, Low, Close, Adj Close and Volume of `sp500` or `nasdaq`, 5031 days from 1999 to 2018."""
    return pd.read_csv(_file("arch", f"{name}.csv.gz"), index_col="Date", parse_dates=True, date_format="%m/%d/%Y")


def bokeh_bars(symbol: str) -> pd.DataFrame:
    """Bars of AAPL, FB, GOOG, IBM or MSFT, to 2013, in the order of days."""
    table = pd.read_csv(_file("bokeh-sampledata", "stocks.csv.gz"), parse_dates=["Date"])
    return table[table["Ticker"] == symbol].drop(columns="Ticker").set_index("Date").sort_index()


def _file(package: str, name: str) -> Path:
    found = [file for file in files(package) or [] if file.name == name]
    assert len(found) == 1, f"{package} has {len(found)} files {name}"
    return Path(str(found[0].locate()))


def us_stocks_table() -> Path:
    """The file that the builtin dataset us-stocks is made of."""
    return _file("bokeh-sampledata", "stocks.csv.gz")


def us_stocks() -> pd.DataFrame:
    """What the builtin dataset us-stocks is made of, as a long table in the order of days."""
    names = {"Date": "date", "Ticker": "symbol", "Adj Close": "adj_close"}
    table = pd.read_csv(us_stocks_table(), float_precision="round_trip")
    return table.rename(columns=names).rename(columns=str.lower).sort_values(["date", "symbol"])
