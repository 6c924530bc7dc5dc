"""The same table in every format gives the same dataset, on real tables and on made ones."""

import gzip
import io
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finlab_sandbox.datasets import us_stocks
from finlab_sandbox.load.problems import LoadError
from finlab_sandbox.load.source import find
from finlab_sandbox.load.step import lay_out
from support.cluster import CHECKOUT
from support.snippets import snippets

Lay = Callable[..., Any]
Encode = Callable[[pd.DataFrame], bytes]


def csv(frame: pd.DataFrame) -> bytes:
    """As pandas writes it; its numbers read back to the last bit."""
    return frame.to_csv(index=False).encode()


def parquet(frame: pd.DataFrame) -> bytes:
    """As pandas writes it, with its index."""
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


FORMATS: dict[str, Encode] = {
    ".csv": csv,
    ".csv.gz": lambda frame: gzip.compress(csv(frame)),
    ".parquet": parquet,
    ".parquet.gz": lambda frame: gzip.compress(parquet(frame)),
    "": csv,
}
LAYOUTS = ["long", "a file a symbol", "a file a year"]


def files(frame: pd.DataFrame, layout: str, suffix: str) -> Iterator[tuple[str, bytes]]:
    """A long frame (date, symbol, fields) as the files of a dataset."""
    encode = FORMATS[suffix]
    if layout == "long":
        yield f"prices{suffix}", encode(frame)
    elif layout == "a file a symbol":
        for symbol, rows in frame.groupby("symbol"):
            yield f"{symbol}{suffix}", encode(rows.drop(columns="symbol"))
    else:
        for year, rows in frame.groupby(pd.to_datetime(frame["date"]).dt.year):
            yield f"{year}{suffix}", encode(rows)


def installed(package: str, path: str) -> pd.DataFrame:
    """A table in an installed package, whose dates become dates."""
    found = find_spec(package)
    assert found is not None
    assert found.origin is not None
    return pd.read_csv(Path(found.origin).parent / path, parse_dates=["Date"], float_precision="round_trip")


@pytest.fixture(scope="module")
def stocks(us_stocks_table: Path) -> pd.DataFrame:
    """The real table of us-stocks, long."""
    names = {"Ticker": "symbol", "Date": "date"} | {column: field for field, column in us_stocks.FIELDS.items()}
    table = pd.read_csv(us_stocks_table, float_precision="round_trip").rename(columns=names)
    return table[["date", "symbol", *us_stocks.FIELDS]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_real_prices_are_those_of_the_builtin_dataset(
    stocks: pd.DataFrame, us_stocks_directory: Path, lay: Lay, layout: str, suffix: str
) -> None:
    """Bit for bit, in every format and layout."""
    laid = lay(dict(files(stocks, layout, suffix)))
    arrays = [*us_stocks.FIELDS, "dates"]
    for name in arrays:
        assert (laid.folder / f"{name}.npy").read_bytes() == (us_stocks_directory / f"{name}.npy").read_bytes()
    assert laid.manifest["symbols"] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert laid.manifest["rows"] == len(stocks)


def test_the_table_of_the_builtin_dataset_as_it_is_published(
    us_stocks_table: Path, us_stocks_directory: Path, lay: Lay
) -> None:
    """Its own names of columns are understood."""
    laid = lay({"stocks.csv.gz": us_stocks_table.read_bytes()})
    for name in [*us_stocks.FIELDS, "dates"]:
        assert (laid.folder / f"{name}.npy").read_bytes() == (us_stocks_directory / f"{name}.npy").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_real_wide_table_melted(lay: Lay, suffix: str) -> None:
    """20 symbols x 8313 days of skfolio: every price is where it was."""
    wide = installed("skfolio", "datasets/data/sp500_dataset.csv.gz").set_index("Date")
    long = wide.reset_index().melt("Date", var_name="symbol", value_name="adj_close")
    laid = lay({f"prices{suffix}": FORMATS[suffix](long)})
    assert laid.manifest["symbols"] == sorted(wide.columns)
    np.testing.assert_array_equal(laid.field("adj_close"), wide[sorted(wide.columns)].to_numpy())


@pytest.mark.parametrize("name", [None, "Date"])
def test_a_wide_table_melted_as_the_page_says(
    lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """Whatever its index is called, and with a day on which a symbol had no price."""
    index = pd.DatetimeIndex(["2020-01-02", "2020-01-03"], name=name)
    wide = pd.DataFrame({"A": [1.0, 2.0], "B": [3.0, np.nan]}, index=index)
    (block,) = snippets(CHECKOUT / "docs" / "datasets.md", "python")
    monkeypatch.chdir(tmp_path)
    exec(block.text, {"wide": wide})
    laid = lay({"prices.csv.gz": (tmp_path / "prices.csv.gz").read_bytes()})
    assert laid.manifest["symbols"] == ["A", "B"]
    np.testing.assert_array_equal(laid.field("close"), wide.to_numpy())


def test_real_indices_one_file_a_symbol(lay: Lay) -> None:
    """S&P 500 and NASDAQ of arch, with dates as the frame's index."""
    tables = {name: installed("arch", f"data/{name}/{name}.csv.gz").set_index("Date") for name in ("nasdaq", "sp500")}
    laid = lay({f"{name}.parquet": parquet(table) for name, table in tables.items()})
    for column, field in (("Adj Close", "adj_close"), ("Volume", "volume"), ("High", "high")):
        expected = pd.concat([table[column] for table in tables.values()], axis=1, sort=True)
        np.testing.assert_array_equal(laid.field(field), expected.to_numpy(dtype=float))


def test_real_tables_that_are_none_of_prices(lay: Lay) -> None:
    """arch's tables as published: month first, or without a price."""
    spec = find_spec("arch")
    assert spec is not None
    data = Path(str(spec.origin)).parent / "data"
    refusals = {
        "sp500": "sp500.csv.gz, line 2, column Date: '1/4/1999' is no date; write 2020-01-31 or 20200131",
        "vix": "vix.csv.gz has no column close or adj_close; its columns are: Date, vix",
        "binary": "binary.csv.gz has no date column; its columns are: admit, gre, gpa, rank",
    }
    for name, words in refusals.items():
        with pytest.raises(LoadError) as caught:
            lay({f"{name}.csv.gz": (data / name / f"{name}.csv.gz").read_bytes()}, f"{name}.csv.gz")
        assert str(caught.value).startswith(words)


NUMBERS = st.floats(1e-300, 1e300) | st.just(float("nan"))
SYMBOLS = st.sampled_from(["NA", "NULL", "0050", "2330", "BRK.B", "true", "1e5", "nan", "台積電", "^GSPC", "a b"])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of some symbols on some days, in any order, each with a close."""
    keys = draw(st.lists(st.tuples(st.integers(0, 12), SYMBOLS), min_size=1, max_size=20, unique=True))
    days = np.datetime64("2019-12-28") + np.array([day for day, _ in keys])
    columns = {
        "close": draw(st.lists(st.floats(1e-300, 1e300), min_size=len(keys), max_size=len(keys))),
        "volume": draw(st.lists(NUMBERS, min_size=len(keys), max_size=len(keys))),
        "x:y": draw(st.lists(st.floats(allow_infinity=False) | st.just(0.5), min_size=len(keys), max_size=len(keys))),
    }
    frame = pd.DataFrame({"date": pd.Series(days).astype(str), "symbol": [symbol for _, symbol in keys]} | columns)
    return frame.assign(**{"x:y": frame["x:y"].where(frame.index > 0, 1.0)})


@settings(max_examples=40)
@given(frame=tables(), layout=st.sampled_from(LAYOUTS))
def test_a_made_table_comes_back_from_every_format(frame: pd.DataFrame, layout: str) -> None:
    """Each value is where the pivot has it, in every format alike."""
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            source.mkdir()
            for name, content in files(frame, layout, suffix):
                (source / name).write_bytes(content)
            lay_out(find(str(source), ""), folder + "/data")
            for field in ("close", "volume", "x:y"):
                expected = frame.pivot(index="date", columns="symbol", values=field).sort_index(axis=1)
                if expected.isna().all(axis=None):
                    assert not (Path(folder) / "data" / f"{field}.npy").exists()
                    continue
                found = np.load(f"{folder}/data/{field}.npy")
                np.testing.assert_array_equal(found, expected.to_numpy(dtype=float))
