"""CSV tables: what is read from them, and what is said of those that are wrong."""

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finlab_sandbox.load import limits, read
from finlab_sandbox.load.content import Budget
from finlab_sandbox.load.problems import LoadError
from finlab_sandbox.load.source import SourceFile
from finlab_sandbox.load.step import lay_out

Lay = Callable[..., Any]

HEADER = "date,symbol,open,high,low,close,volume\n"
ROW = "2020-01-02,AAPL,1,2,0.5,1.5,100\n"
CLOSES = "date,symbol,close\n"
NAN = float("nan")


def daily(symbol: str, first: str, last: str) -> str:
    """A row on each day from a year's beginning to another's."""
    return "".join(f"{day},{symbol},1\n" for day in np.arange(f"{first}-01-01", f"{last}-01-01", dtype="datetime64[D]"))


def refusal(lay: Lay, files: dict[str, str | bytes], path: str = "") -> str:
    """The words for a dataset whose content is wrong."""
    with pytest.raises(LoadError) as caught:
        lay(files, path)
    assert caught.value.reason == "DataInvalid"
    return str(caught.value)


def test_a_long_table(lay: Lay) -> None:
    """Unsorted rows, ragged starts and missing days: sorted, with NaN where there is no row."""
    laid = lay({"p.csv": "date,symbol,close\n2020-01-06,B,4\n2020-01-02,A,1\n2020-01-03,B,3\n2020-01-06,A,2\n"})
    assert laid.manifest["symbols"] == ["A", "B"]
    assert laid.manifest["rows"] == 4
    assert laid.dates == ["2020-01-02", "2020-01-03", "2020-01-06"]
    np.testing.assert_array_equal(laid.field("close"), [[1, NAN], [NAN, 3], [2, 4]])


def test_one_file_a_symbol(lay: Lay) -> None:
    """The symbol is the file's name; zeros at its beginning stay."""
    laid = lay({"2330.csv": "Date,Close\n2020-01-02,1\n", "0050.csv": "Date,Close\n2020-01-03,2\n"})
    assert laid.manifest["symbols"] == ["0050", "2330"]
    np.testing.assert_array_equal(laid.field("close"), [[NAN, 1], [2, NAN]])


def test_a_folder_of_long_tables(lay: Lay) -> None:
    """By year, say."""
    laid = lay({"2020.csv": HEADER + ROW, "2021.csv": HEADER + ROW.replace("2020", "2021")})
    assert laid.dates == ["2020-01-02", "2021-01-02"]


def test_a_mix_of_long_tables_and_one_file_a_symbol_is_refused(lay: Lay) -> None:
    """Nobody knows what it means."""
    words = refusal(lay, {"all.csv": HEADER + ROW, "IBM.csv": "date,close\n2020-01-02,1\n"})
    assert words == (
        "all.csv has a symbol column, IBM.csv has none; a dataset is either long tables or one file a symbol"
    )


def test_files_without_the_same_prices_are_refused(lay: Lay) -> None:
    """Scores would be on adj_close, of which one file has nothing."""
    words = refusal(lay, {"A.csv": "date,close,adj_close\n2020-01-02,1,1\n", "B.csv": "date,close\n2020-01-02,1\n"})
    assert words == "A.csv and B.csv do not have the same prices: adj_close is in one of them only"


@pytest.mark.parametrize(
    "header",
    [
        "Date,Ticker,Open,High,Low,Close,Adj Close,Volume",
        "datetime,code,OPEN,HIGH,LOW,CLOSE,Adj_Close,Vol",
        "timestamp,Symbol,open,high,low,close,adjclose,volume",
        " date , symbol , open , high , low , close , Adj. Close , volume ",
        "日期,證券代號,開盤價,最高價,最低價,收盤價,還原收盤價,成交股數",
        '"date","symbol","open","high","low","close","adj close","volume"',
    ],
)
def test_the_common_names_of_columns(lay: Lay, header: str) -> None:
    """In upper or lower case, with spaces, dots or underscores."""
    laid = lay({"p.csv": f"{header}\n2020-01-02,AAPL,1,2,0.5,1.5,1.4,100\n"})
    assert laid.manifest["fields"] == ["open", "high", "low", "close", "adj_close", "volume"]
    assert [laid.field(field)[0][0] for field in laid.manifest["fields"]] == [1, 2, 0.5, 1.5, 1.4, 100]


def test_of_two_columns_of_one_meaning_the_plain_name_is_meant(lay: Lay) -> None:
    """The other one is a further column; of two synonyms nobody knows."""
    laid = lay({"p.csv": "timestamp,date,code,symbol,close\n1577923200,2020-01-02,x,A,1\n"})
    assert (laid.dates, laid.manifest["symbols"]) == (["2020-01-02"], ["A"])
    assert laid.manifest["fields"] == ["close", "timestamp"]
    for header, words in {
        "timestamp,datetime,close": "two columns for date, 'timestamp' and 'datetime'; keep one",
        "Date,date,close": "two columns for date, 'Date' and 'date'; keep one",
        "timestamp,date,timestamp,close": "two columns for timestamp, 'timestamp' and 'timestamp'; keep one",
        "date,close,x,x": "two columns for x, 'x' and 'x'; keep one",
    }.items():
        assert words in refusal(lay, {"p.csv": header + "\n"})


def test_the_index_of_a_frame_is_passed_over(lay: Lay) -> None:
    """pandas writes it without a name, unless told not to."""
    assert lay({"p.csv": ",date,symbol,close\n0,2020-01-02,A,1\n"}).manifest["fields"] == ["close"]


def test_the_index_of_a_frame_may_be_the_date(lay: Lay) -> None:
    """Where no other column is."""
    assert lay({"A.csv": ",close\n2020-01-02,1\n"}).dates == ["2020-01-02"]


def test_further_columns_of_numbers_are_fields(lay: Lay) -> None:
    """Of their own names, after the usual ones; text and what is empty is left out and said to be."""
    laid = lay(
        {"p.csv": "date,symbol,name,close,月營收:當月,pe,gone\n2020-01-02,A,Apple,1,5e9,,\n2020-01-03,A,x,1,,inf,\n"}
    )
    assert laid.manifest["fields"] == ["close", "pe", "月營收:當月"]
    np.testing.assert_array_equal(laid.field("月營收:當月"), [[5e9], [NAN]])
    np.testing.assert_array_equal(laid.field("pe"), [[NAN], [np.inf]])
    assert laid.summary.endswith("left out, as they hold no numbers: gone, name")


@pytest.mark.parametrize("name", ["price/book", ".hidden", "dates", "x" * 65, "a\tb"])
def test_a_further_column_that_cannot_name_a_file_is_refused(lay: Lay, name: str) -> None:
    """Each field becomes a file."""
    assert "rename the column or leave it out" in refusal(
        lay, {"p.csv": f"date,symbol,close,{name}\n2020-01-02,A,1,2\n"}
    )


@pytest.mark.parametrize(
    "date",
    [
        "2020-01-02",
        " 2020-01-02 ",
        '"2020-01-02"',
        "20200102",
        "2020/01/02",
        "2020/1/2",
        "2020-01-02 00:00:00",
        "2020-01-02T00:00:00.000",
        "2020-01-02 00:00",
        "2020-01-02 00:00:00-05:00",
        "2020-01-02T00:00:00+0800",
        "2020-01-02T00:00:00Z",
    ],
)
def test_the_forms_of_dates(lay: Lay, date: str) -> None:
    """The day is that of the time zone the table is in."""
    assert lay({"p.csv": f"date,symbol,close\n{date},A,1\n"}).dates == ["2020-01-02"]


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("02/01/2020", "'02/01/2020' is no date; write 2020-01-31 or 20200131"),
        ("2020-02-30", "'2020-02-30' is no date; there is no such day"),
        ("20201301", "'20201301' is no date; there is no such day"),
        ("109/01/02", "'109/01/02' is no date; write 2020-01-31 or 20200131"),
        ("1577923200", "'1577923200' is no date; write 2020-01-31 or 20200131"),
        ("2020-01-02 noon", "'2020-01-02 noon' is no date; write 2020-01-31 or 20200131"),
        ("1799-12-31", "'1799-12-31' lies outside 1800-01-01 to 2199-12-31"),
        (
            "2020-01-02 09:30:00",
            "'2020-01-02 09:30:00' has a time of day; daily data is expected, one row a day and symbol",
        ),
        ("", "there is no date"),
        ("\u0662020-01-02", "'\u0662020-01-02' is no date; write 2020-01-31 or 20200131"),
    ],
)
def test_what_is_no_date(lay: Lay, date: str, words: str) -> None:
    """The message names the file, the line as an editor counts, and the column as the file calls it."""
    told = refusal(lay, {"p.csv": f"Day,symbol,close\n2020-01-01,A,1\n{date},A,1\n".replace("Day", "Datetime")})
    assert told == f"p.csv, line 3, column Datetime: {words}"


@pytest.mark.parametrize(
    "symbol", ["NA", "NULL", "nan", "None", "2330", "0050", "1e5", "true", "BRK.B", "^GSPC", "台積電"]
)
def test_symbols_are_text(lay: Lay, symbol: str) -> None:
    """Whatever they look like."""
    assert lay({"p.csv": f"date,symbol,close\n2020-01-02,{symbol},1\n"}).manifest["symbols"] == [symbol]


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("", "there is no symbol"),
        ("  ", "there is no symbol"),
        ("A" * 33, f"the symbol '{'A' * 33}' has more than 32 characters"),
        ("A\x07", "the symbol 'A\ufffd' has characters that cannot be seen"),
        ("A\u202e", "the symbol 'A\ufffd' has characters that cannot be seen"),
    ],
)
def test_what_is_no_symbol(lay: Lay, symbol: str, words: str) -> None:
    """It will be shown in terminals and reports."""
    told = refusal(lay, {"p.csv": f"date,symbol,close\n2020-01-02,{symbol},1\n"})
    assert told == f"p.csv, line 2, column symbol: {words}"


@pytest.mark.parametrize("cell", ["", '""', "NaN", "nan", "NA", "N/A", "null", "None", " "])
def test_a_cell_without_a_number(lay: Lay, cell: str) -> None:
    """Is NaN in the dataset."""
    laid = lay({"p.csv": f"date,symbol,close\n2020-01-02,A,1\n2020-01-03,A,{cell}\n"})
    np.testing.assert_array_equal(laid.field("close"), [[1], [NAN]])


@pytest.mark.parametrize(("cell", "number"), [("1e3", 1000), ("+1.5", 1.5), (".5", 0.5), (" 2. ", 2), ('"3"', 3)])
def test_the_forms_of_numbers(lay: Lay, cell: str, number: float) -> None:
    """As programs write them."""
    assert lay({"p.csv": f"date,symbol,close\n2020-01-03,A,{cell}\n"}).field("close") == [[number]]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("abc", "'abc' is no number"),
        ("-", "'-' is no number"),
        ("1_000", "'1_000' is no number"),
        ("0x10", "'0x10' is no number"),
        ("$5", "'$5' is no number"),
        ('"1,234.5"', "'1,234.5' is no number; write it without thousands separators"),
        ('"1,234"', "'1,234' is no number; write it without thousands separators"),
        ('"12,5"', "'12,5' is no number; write the decimal point as '.'"),
        ('"1.234,5"', "'1.234,5' is no number; write the decimal point as '.'"),
        ("0", "0 is no price; leave the cell empty where there was no trading"),
        ("-1.5", "-1.5 is no price; leave the cell empty where there was no trading"),
        ("inf", "inf is no price; leave the cell empty where there was no trading"),
        ("1e999", "inf is no price; leave the cell empty where there was no trading"),
    ],
)
def test_what_is_no_price(lay: Lay, cell: str, words: str) -> None:
    """Scores would be wrong, so it is refused; what looks like a common mistake gets a hint."""
    told = refusal(lay, {"p.csv": f"date,symbol,Close\n2020-01-02,A,1\n2020-01-03,A,{cell}\n"})
    assert told == f"p.csv, line 3, column Close: {words}"


def test_a_comma_inside_a_number_makes_a_cell_too_many(lay: Lay) -> None:
    """The message guesses so; a line too short is only counted."""
    words = refusal(lay, {"p.csv": "date,symbol,close\n2020-01-02,A,1,234.5\n2020-01-03,A\n"})
    assert words == (
        "p.csv, line 2: has 4 cells, the header has 3; is there a comma inside a number?; "
        "p.csv, line 3: has 2 cells, the header has 3"
    )


def test_a_negative_volume_is_refused_and_none_is_not(lay: Lay) -> None:
    """Days without trading are real."""
    words = refusal(lay, {"p.csv": "date,symbol,close,volume\n2020-01-02,A,1,0\n2020-01-03,A,1,-3\n"})
    assert words == "p.csv, line 3, column volume: -3 is no volume; leave the cell empty where there was no trading"


def test_a_high_below_the_low_is_counted_and_kept(lay: Lay) -> None:
    """Real tables have some, and nothing is scored on them."""
    laid = lay({"p.csv": HEADER + ROW.replace(",2,0.5,", ",0.5,2,")})
    assert laid.summary.endswith("; high is below low in 1 rows")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"p.csv": HEADER + ROW + ROW}, "p.csv, lines 2 and 3 are both AAPL on 2020-01-02"),
        ({"p.csv": HEADER + ROW + "\n" + ROW.replace("-01-", "-02-") + ROW}, "p.csv, lines 2 and 5 are both AAPL"),
        ({"a.csv": HEADER + ROW, "b.csv": HEADER + ROW}, "a.csv, line 2 and b.csv, line 2 are both AAPL"),
        (
            {"A.csv": "date,close\n2020-01-02,1\n2020-01-02,1\n"},
            (
                "A.csv, lines 2 and 3 are both A on 2020-01-02; one row a day and symbol is expected; "
                "the symbol is the file's name, as no column is"
            ),
        ),
    ],
)
def test_two_rows_of_a_symbol_on_one_day(lay: Lay, files: dict[str, str | bytes], words: str) -> None:
    """Both are named."""
    assert refusal(lay, files).startswith(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "p.csv is empty"),
        ("\n\n", "p.csv is empty"),
        ("\ndate,close\n", "p.csv, line 1: is empty; the column names are expected there"),
        (HEADER, "p.csv: the table has no rows"),
        (HEADER + "\n,,,,,,\n", "p.csv: the table has no rows"),
        ("when,symbol,close\n", "p.csv has no date column; its columns are: when, symbol, close"),
        ("date,symbol,price\n", "p.csv has no column close or adj_close; its columns are: date, symbol, price"),
        (
            "Date,AAPL,AMD\n2020-01-02,1,2\n",
            (
                "p.csv has no column close or adj_close; its columns are: Date, AAPL, AMD; "
                "one column a symbol is not read: melt the table to date, symbol, close"
            ),
        ),
        (
            "Date;Close\n2020-01-02;1,5\n",
            "p.csv has no date column; its columns are: Date;Close; columns are separated by commas",
        ),
        ("date,close,Close\n", "p.csv has two columns for close, 'close' and 'Close'; keep one"),
        ("date,close\n2020-01-02,\n", "close and adj_close hold no number at all"),
        (HEADER + '2020-01-02,"AAPL,1,2,3,4,5\n' + ROW, "p.csv, line 2: a quoted cell is not closed in its line"),
        ('date,"close\n', "p.csv, line 1: a quoted cell is not closed in its line"),
        ("x" * 70000 + "\n", "p.csv, line 1: the header has more than 65536 bytes"),
        (b"PK\x03\x04...", "p.csv is a zip archive (or an .xlsx workbook); CSV and Parquet are read"),
        ("date,close\n".encode("utf-16"), "p.csv is UTF-16 text; save it as UTF-8; CSV and Parquet are read"),
        (HEADER.encode() + b"\0\0", "p.csv is neither text nor Parquet; CSV and Parquet are read"),
        (
            (HEADER + ROW + "2020-01-03,台,1,2,3,4,5\n").encode("big5"),
            "p.csv, line 3: is no UTF-8; save the file as UTF-8",
        ),
        ("日期,close\n".encode("big5"), "p.csv, line 1: is no UTF-8; save the file as UTF-8"),
        (gzip.compress((HEADER + ROW * 99).encode(), mtime=0)[:-9], "p.csv is cut off; its gzip data ends early"),
        (
            gzip.compress(HEADER.encode(), mtime=0)[:-8] + b"12345678",
            "p.csv is broken; its gzip data cannot be decompressed",
        ),
        (
            gzip.compress(gzip.compress(HEADER.encode(), mtime=0), mtime=0),
            "p.csv is gzipped twice; CSV and Parquet are read",
        ),
        (gzip.compress(b"", mtime=0), "p.csv is empty"),
        (",".join(f"c{i}" for i in range(1025)) + "\n", "p.csv has 1025 columns; at most 1024 are read"),
    ],
)
def test_what_is_no_table(lay: Lay, content: str | bytes, words: str) -> None:
    """Each is named in words that say what to do."""
    assert refusal(lay, {"p.csv": content}) == words


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + HEADER + ROW,
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace("\n", "\r"),
        HEADER + ROW.rstrip("\n"),
        HEADER + "\n" + ROW + "\n\n",
        HEADER + ROW + ",,,,,,\n  \n",
        (HEADER + ROW).replace(",", ", "),
        HEADER + '"2020-01-02","AAPL","1","2","0.5","1.5","100"\n',
        gzip.compress(HEADER.encode(), mtime=0) + gzip.compress(ROW.encode(), mtime=0) + b"\0" * 9,
    ],
)
@pytest.mark.parametrize("name", ["p.csv", "p", "p.csv.gz"])
def test_the_same_table_however_it_is_written(lay: Lay, name: str, content: str | bytes) -> None:
    """A mark at its beginning, line ends, empty lines, spaces, quotes, gzip; the content says what it is."""
    laid = lay({name: content})
    assert [laid.field(field) for field in laid.manifest["fields"]] == [[[1]], [[2]], [[0.5]], [[1.5]], [[100]]]


def test_the_first_five_problems_in_the_order_of_the_file(lay: Lay) -> None:
    """And that there are more."""
    rows = "".join(f"2020-01-0{day},A,x,y\n" for day in range(1, 8))
    words = refusal(lay, {"p.csv": "date,symbol,open,close\n" + rows}).split("; ")
    assert len(words) == 6
    assert words[0] == "p.csv, line 2, column open: 'x' is no number"
    assert words[4:] == ["p.csv, line 4, column open: 'x' is no number", "and more"]


def test_lines_are_those_of_an_editor(lay: Lay) -> None:
    """Across blocks, and after empty lines and quoted cells."""
    row = ',A,1,"' + "x" * 90 + '"\n'
    dates = np.arange("1990-01-01", "2040-01-01", dtype="datetime64[D]")[:15_000].astype(str)
    rows = "\n".join(
        date + f",S{symbol}" + row.removeprefix(",A").rstrip("\n") for symbol in range(4) for date in dates
    )
    content = f"date,symbol,close,name\n\n{rows}\n\n2020-13-01,A,1,\n"
    assert len(content) > limits.MAX_LINE_BYTES
    assert refusal(lay, {"p.csv": content}).startswith("p.csv, line 60004, column date: '2020-13-01' is no date")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CLOSES + "".join(f"2020-01-02,S{i},1\n" for i in range(5001)), "the dataset has more than 5000 symbols"),
        (
            CLOSES + daily("A", "1900", "1960"),
            "the dataset has more than 20000 dates",
        ),
        (
            "date,symbol,close," + ",".join(f"f{i}" for i in range(64)) + "\n2020-01-02,A,1" + ",1" * 64 + "\n",
            "the dataset has more than 64 fields",
        ),
        (
            CLOSES + "".join(f"2020-01-02,S{i},1\n" for i in range(4900)) + daily("S1", "1900", "1940"),
            "14610 dates x 4900 symbols x 1 fields take 546 MiB; at most 512 MiB are read",
        ),
        ("date,symbol,close\n" + "x" * (9 * limits.MIB), "p.csv has a line of more than 4194304 bytes"),
        (
            "date,symbol,close\n" + " \n" * 20_000,
            "p.csv, line 2: the first of more than 10000 lines that have not as many cells as the header",
        ),
    ],
)
def test_what_is_too_much(lay: Lay, content: str, words: str) -> None:
    """The message has the limit."""
    assert refusal(lay, {"p.csv": content}) == words


def test_lines_are_counted_even_if_they_are_empty(lay: Lay) -> None:
    """Each costs time, and a gzipped file has as many as it likes."""
    empty = gzip.compress(b"\n" * 8_250_000, 1) * 4
    assert refusal(lay, {"p.csv": gzip.compress(b"date,close\n") + empty}) == "p.csv has more than 32000000 lines"


def test_a_gzip_bomb_is_stopped_at_the_limit(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is counted as it is unpacked, in all files together."""
    monkeypatch.setattr(read, "Budget", lambda: Budget(2 * limits.MIB))
    table = (HEADER + ROW).encode()
    bomb = gzip.compress(table + b"\n" * 3 * limits.MIB)
    words = "b.csv takes the dataset above 2 MiB, the limit for all files together, decompressed"
    assert len(bomb) < 10_000
    assert refusal(lay, {"a.csv": table, "b.csv": bomb}) == words


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A table with some bytes replaced, taken out or put in, plain or gzipped."""
    content = bytearray((HEADER + ROW + '2020-01-03,0050,,,,"7",nan\n' + "20200106,NA,1,1,1,1,0\n").encode())
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 4))
        content[start:end] = draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b'"', b",", b"\r", b"\0", b"-", b"e"])
        )
    packed = gzip.compress(bytes(content), mtime=0) if draw(st.booleans()) else bytes(content)
    return packed[: draw(st.integers(0, len(packed)))] if draw(st.booleans()) else packed


@settings(max_examples=300)
@given(content=damaged() | st.binary(max_size=64))
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
