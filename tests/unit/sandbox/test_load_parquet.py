"""Parquet tables: what is read from them, and what is said of those that are wrong."""

import datetime
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finlab_sandbox.load.problems import LoadError
from finlab_sandbox.load.source import SourceFile
from finlab_sandbox.load.step import lay_out

Lay = Callable[..., Any]

DAYS = pd.DatetimeIndex(["2020-01-02", "2020-01-03"])
NAN = float("nan")
DAILY = "has a time of day; daily data is expected, one row a day and symbol"
NO_PRICE = "is no price; leave the cell empty where there was no trading"


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """A table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def of_frame(frame: pd.DataFrame, **options: Any) -> bytes:
    """A frame as pandas writes it, with its index."""
    file = io.BytesIO()
    frame.to_parquet(file, **options)
    return file.getvalue()


def refusal(lay: Lay, content: bytes) -> str:
    """The words for a table whose content is wrong."""
    with pytest.raises(LoadError) as caught:
        lay({"p.parquet": content})
    assert caught.value.reason == "DataInvalid"
    return str(caught.value)


@pytest.mark.parametrize(
    "dates",
    [
        pa.array(DAYS).cast(pa.date32()),
        pa.array(DAYS).cast(pa.date64()),
        pa.array(DAYS).cast(pa.timestamp("s")),
        pa.array(DAYS).cast(pa.timestamp("ms")),
        pa.array(DAYS).cast(pa.timestamp("ns")),
        pa.array(DAYS.tz_localize("America/New_York")),
        pa.array(DAYS.tz_localize("Asia/Taipei").as_unit("ms")),
        pa.array(DAYS.tz_localize(datetime.timezone(datetime.timedelta(hours=-5)))),
        pa.array(["2020-01-02", "2020-01-03 00:00:00+08:00"]),
        pa.array(["2020-01-02", "2020-01-03"]).dictionary_encode(),
        pa.array([20200102, 20200103]),
        pa.array([20200102, 20200103], pa.int32()),
    ],
    ids=lambda dates: str(dates.type),
)
def test_the_types_of_dates(lay: Lay, dates: pa.Array) -> None:
    """The day is that of the time zone the table is in."""
    laid = lay({"A.parquet": parquet({"Date": dates, "Close": [1.0, 2.0]})})
    assert laid.dates == ["2020-01-02", "2020-01-03"]
    assert laid.field("close") == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (pa.array(["NA", "0050"]), ["0050", "NA"]),
        (pa.array(["NA", "0050"], pa.large_string()), ["0050", "NA"]),
        (pa.array(["NA", "0050"]).dictionary_encode(), ["0050", "NA"]),
        (pa.array([b"NA", b"0050"]), ["0050", "NA"]),
        (pa.array([2330, 50]), ["2330", "50"]),
    ],
    ids=lambda symbols: str(getattr(symbols, "type", "")),
)
def test_the_types_of_symbols(lay: Lay, symbols: pa.Array, expected: list[str]) -> None:
    """All become text."""
    laid = lay({"p": parquet({"date": pa.array(DAYS), "symbol": symbols, "close": [1.0, 2.0]})})
    assert laid.manifest["symbols"] == expected


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint16(), pa.int64(), pa.float16(), pa.float32(), pa.decimal128(9, 2)], ids=str
)
def test_the_types_of_numbers(lay: Lay, kind: pa.DataType) -> None:
    """All become float64, and what is missing NaN."""
    values = pa.array([3, None]).cast(pa.float32()).cast(kind)
    laid = lay({"A": parquet({"date": pa.array(DAYS), "close": [1.0, 2.0], "x": values})})
    np.testing.assert_array_equal(laid.field("x"), [[3.0], [NAN]])


@pytest.mark.parametrize("name", ["Date", None, "date"])
def test_the_date_as_the_index_of_a_frame(lay: Lay, name: str | None) -> None:
    """With a name or without one."""
    frame = pd.DataFrame({"Adj. Close": [1.0, 2.0]}, DAYS.rename(name))
    laid = lay({"BRK.B.parquet": of_frame(frame)})
    assert (laid.dates, laid.manifest["symbols"]) == (["2020-01-02", "2020-01-03"], ["BRK.B"])
    assert laid.field("adj_close") == [[1.0], [2.0]]


def test_date_and_symbol_as_the_index_of_a_frame(lay: Lay) -> None:
    """A categorical symbol too."""
    frame = pd.DataFrame({"date": DAYS, "symbol": pd.Categorical(["B", "A"]), "close": [1.0, 2.0]})
    for content in (of_frame(frame.set_index(["date", "symbol"])), of_frame(frame), of_frame(frame, index=False)):
        np.testing.assert_array_equal(lay({"p": content}).field("close"), [[NAN, 1.0], [2.0, NAN]])


def test_text_and_nested_columns_are_left_out(lay: Lay) -> None:
    """They hold no numbers."""
    columns = {
        "date": pa.array(DAYS),
        "close": [1.0, 2.0],
        "name": ["x", "y"],
        "list": [[1], [2]],
        "yes": [True, False],
    }
    laid = lay({"A": parquet(columns)})
    assert laid.manifest["fields"] == ["close"]
    assert laid.summary.endswith("left out, as they hold no numbers: list, name, yes")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_compression(lay: Lay, compression: str, packed: bool) -> None:
    """Of the pages, and of the file."""
    content = parquet({"date": pa.array(DAYS), "close": [1.0, 2.0]}, compression=compression)
    assert lay({"A": gzip.compress(content) if packed else content}).field("close") == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"close": ["1.0", "2.0"]}, "p.parquet, column close: has the type string, not numbers"),
        ({"date": [1.5, 2.5]}, "p.parquet, column date: has the type double, not dates"),
        ({"date": [20200102, 5]}, "p.parquet, row 2, column date: '5' is no date; write 2020-01-31 or 20200131"),
        ({"date": pa.array([DAYS[0], None])}, "p.parquet, row 2, column date: there is no date"),
        ({"date": ["2020-01-02", "x"]}, "p.parquet, row 2, column date: 'x' is no date; write 2020-01-31 or 20200131"),
        (
            {"date": pa.array([0, 90000], pa.date32())},
            "p.parquet, row 2, column date: the date lies outside 1800-01-01 to 2199-12-31",
        ),
        (
            {"date": pa.array(DAYS + pd.Timedelta("9h30min"))},
            f"p.parquet, row 1, column date: 09:30:00 {DAILY}; p.parquet, row 2, column date: 09:30:00 {DAILY}",
        ),
        (
            {"date": pa.array([DAYS[0].tz_localize("UTC"), DAYS[1].tz_localize("UTC") + pd.Timedelta("1h")])},
            f"p.parquet, row 2, column date: '2020-01-03 01:00:00+00:00' {DAILY}",
        ),
        ({"symbol": [1.0, 2.0]}, "p.parquet, column symbol: has the type double, not text"),
        ({"symbol": ["A", None]}, "p.parquet, row 2, column symbol: there is no symbol"),
        ({"symbol": ["A", "B\n"]}, ""),
        ({"Open": [1.0, 0.0]}, f"p.parquet, row 2, column Open: 0 {NO_PRICE}"),
        ({"close": [1.0, np.inf]}, f"p.parquet, row 2, column close: inf {NO_PRICE}"),
        (
            {"date": pa.array([DAYS[0]] * 2)},
            "p.parquet, rows 1 and 2 are both A on 2020-01-02; one row a day and symbol is expected",
        ),
        (
            {"a/b": [1, 2]},
            (
                "p.parquet, column 'a/b': a field's name has at most 64 bytes without `/`, "
                "does not begin with `.` and is not `dates`; rename the column or leave it out"
            ),
        ),
    ],
)
def test_what_is_wrong_in_a_table(lay: Lay, columns: dict[str, Any], words: str) -> None:
    """The message names the file, the row (the first is 1) and the column."""
    content = parquet({"date": pa.array(DAYS), "symbol": ["A", "A"], "close": [1.0, 2.0]} | columns)
    if words:
        assert refusal(lay, content) == words
    else:
        assert lay({"p.parquet": content}).manifest["symbols"] == ["A", "B"]


def test_an_unknown_time_zone(lay: Lay) -> None:
    """Arrow lets any name stand there."""
    dates = pa.array([0, 86400], pa.timestamp("s", "Mars/Olympus"))
    words = "p.parquet, column date: the time zone 'Mars/Olympus' is not known"
    assert refusal(lay, parquet({"date": dates, "close": [1.0, 2.0]})) == words


def test_no_rows_and_no_columns(lay: Lay) -> None:
    """An empty table is refused."""
    empty = parquet({"date": pa.array([], pa.date32()), "close": pa.array([], pa.float64())})
    assert refusal(lay, empty) == "p.parquet: the table has no rows"
    assert refusal(lay, parquet({})) == "p.parquet has no date column; its columns are: "


def test_a_broken_file(lay: Lay) -> None:
    """Cut off, or damaged in a page."""
    content = parquet({"date": pa.array(DAYS), "close": [1.0, 2.0]}, compression="zstd")
    for broken in (content[:-10], content[:8], content[:4] + bytes(60) + content[64:]):
        assert refusal(lay, broken).startswith("p.parquet is broken; Arrow cannot read it as Parquet (")


def test_few_bytes_that_stand_for_many_rows(lay: Lay) -> None:
    """A table of one value repeated is small; it is refused by what its footer says, before it is unpacked."""
    repeated = pa.array(np.zeros(33_000_000, dtype=np.int8))
    bomb = parquet({"date": repeated, "close": repeated}, row_group_size=33_000_000)
    assert len(bomb) < 100_000
    assert refusal(lay, bomb) == "p.parquet has 33000000 rows; at most 32000000 are read"


def test_a_text_repeated_a_million_times_stays_small(lay: Lay) -> None:
    """A dictionary of one long text would be gigabytes if each row held it."""
    names = pa.DictionaryArray.from_arrays(np.zeros(300_000, dtype=np.int32), pa.array(["A" * 1_000_000]))
    dates = pa.array(np.arange(300_000, dtype=np.int32) % 20_000, pa.date32())
    bomb = parquet({"date": dates, "symbol": names, "close": np.ones(300_000)})
    assert refusal(lay, bomb).startswith(f"p.parquet, row 1, column symbol: the symbol '{'A' * 39}…' has more than 32")


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_every_encoding_of_text(lay: Lay, encoding: str) -> None:
    """Also those that Arrow does not read as a dictionary."""
    columns = {"date": ["2020-01-02", "2020-01-03"], "symbol": ["NA", "0050"], "close": [1.0, 2.0]}
    by_column = {"date": encoding, "symbol": encoding}
    laid = lay({"p": parquet(columns, use_dictionary=False, column_encoding=by_column)})
    assert (laid.dates, laid.manifest["symbols"]) == (["2020-01-02", "2020-01-03"], ["0050", "NA"])


def test_more_numbers_than_a_dataset_may_hold(lay: Lay) -> None:
    """Counted as they are read."""
    ones = pa.array(np.ones(1_100_000))
    columns = {"date": pa.array(np.zeros(1_100_000, dtype=np.int32), pa.date32())}
    columns |= {f"f{i}": ones for i in range(62)} | {"close": ones}
    assert refusal(lay, parquet(columns)) == "the numbers of the dataset take more than 512 MiB"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A Parquet file with some bytes replaced, most of them where its pages' headers and its footer are."""
    kind = draw(st.sampled_from(["snappy", "zstd", "gzip", "none"]))
    by_dictionary = draw(st.booleans())
    days = pa.array(np.arange(18000, 18030, dtype=np.int32), pa.date32())
    columns = {"date": days, "symbol": ["A", "B", "NA"] * 10, "close": np.linspace(1, 2, 30), "n": np.arange(30)}
    content = bytearray(parquet(columns, compression=kind, use_dictionary=by_dictionary))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(4, len(content) - 1) | st.integers(len(content) - 500, len(content) - 1))
        new = draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4]))
        content[at : at + len(new)] = new
    return bytes(content)


@settings(max_examples=300)
@given(content=damaged() | st.binary(max_size=64).map(lambda rest: b"PAR1" + rest))
def test_any_bytes_are_a_table_or_refused_in_words(content: bytes) -> None:
    """Never another exception; and what is loaded is finite in what must be."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "p"
        file.write_bytes(content)
        try:
            lay_out([SourceFile("p", str(file))], folder + "/data")
        except LoadError as error:
            assert error.reason == "DataInvalid"  # noqa: PT017
            assert 0 < len(str(error)) < 1500  # noqa: PT017
        else:
            close = np.load(folder + "/data/close.npy")
            assert not (close <= 0).any()
            assert not np.isinf(close).any()
            assert json.loads((Path(folder) / "data" / "manifest.json").read_text())["rows"] > 0
