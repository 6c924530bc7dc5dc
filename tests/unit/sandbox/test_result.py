"""What a strategy may return."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.harness import result as result_module
from finlab_sandbox.harness.handover import Positions
from finlab_sandbox.harness.reasons import RunError
from finlab_sandbox.harness.result import to_positions

DATES = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"])
SYMBOLS = ["AAPL", "IBM", "MSFT"]
NAN = float("nan")


def frame(values: object, columns: list[str] | None = None, index: Any = None) -> pd.DataFrame:
    """A frame on the first dates."""
    array = np.array(values)
    days = DATES[: len(array)] if index is None else index
    return pd.DataFrame(array, pd.Index(days) if isinstance(days, list) else days, columns or SYMBOLS[: array.shape[1]])


def accepted(result: object, symbols: list[str] | None = None) -> Positions:
    """The positions in a result."""
    return to_positions(result, DATES, symbols or SYMBOLS)


def refusal(result: object, symbols: list[str] | None = None) -> str:
    """The words for an invalid result."""
    with pytest.raises(RunError) as caught:
        accepted(result, symbols)
    assert caught.value.reason == "ResultInvalid"
    return str(caught.value)


def test_a_frame_of_weights() -> None:
    """Dates become days, columns indices, weights stay."""
    found = accepted(frame([[0.5, 0.25, 0.25], [NAN, NAN, NAN]]))
    np.testing.assert_array_equal(found.dates, [18262, 18263])
    np.testing.assert_array_equal(found.symbols, [0, 1, 2])
    np.testing.assert_array_equal(found.weights, [[0.5, 0.25, 0.25], [NAN, NAN, NAN]])


def test_labels_decide_and_not_their_order() -> None:
    """Rows and columns are sorted; what is left out is not ordered."""
    found = accepted(frame([[1.0, 2.0], [3.0, 4.0]], ["MSFT", "AAPL"], DATES[[2, 0]]))
    np.testing.assert_array_equal(found.dates, [18262, 18264])
    np.testing.assert_array_equal(found.symbols, [0, 2])
    np.testing.assert_array_equal(found.weights, [[4.0, 3.0], [2.0, 1.0]])


@pytest.mark.parametrize("dtype", ["bool", "object", "boolean"])
def test_bool_counts_as_equal_weight(dtype: Any) -> None:
    """Among the True of a row; a row without any sells all. However pandas holds the bools."""
    chosen = frame([[True, False, True], [False, False, False], [False, True, False]]).astype(dtype)
    np.testing.assert_array_equal(accepted(chosen).weights, [[0.5, 0, 0.5], [0, 0, 0], [0, 1, 0]])


def test_a_shifted_bool_frame_still_counts() -> None:
    """shift() turns bool into objects with a row of NaN, which holds."""
    chosen = frame([[True, True, False], [True, False, False]]).shift(1)
    np.testing.assert_array_equal(accepted(chosen).weights, [[NAN, NAN, NAN], [0.5, 0.5, 0]])


def test_nan_beside_bool_is_not_chosen() -> None:
    """A symbol that has no price yet."""
    chosen = pd.DataFrame({"AAPL": [True], "IBM": [None]}, index=DATES[:1])
    np.testing.assert_array_equal(accepted(chosen).weights, [[1.0, 0.0]])


@pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "Float64", "object"])
def test_any_numbers_will_do(dtype: Any) -> None:
    """They become float64."""
    found = accepted(frame([[1, 0], [0, 1]]).astype(dtype))
    assert found.weights.dtype == np.float64
    np.testing.assert_array_equal(found.weights, [[1.0, 0.0], [0.0, 1.0]])


def test_a_series_named_after_its_symbol() -> None:
    """As it comes out of data.close["IBM"]."""
    found = accepted(pd.Series([1.0, 0.0], DATES[:2], name="IBM"))
    np.testing.assert_array_equal(found.symbols, [1])
    np.testing.assert_array_equal(found.weights, [[1.0], [0.0]])


def test_a_series_where_there_is_one_symbol() -> None:
    """Then its name does not matter."""
    np.testing.assert_array_equal(accepted(pd.Series([True], DATES[:1]), ["AAPL"]).weights, [[1.0]])


@pytest.mark.parametrize("index", [list(DATES[:2]), [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]])
def test_dates_may_be_python_objects(index: list[object]) -> None:
    """As an index of dtype object holds them."""
    found = accepted(frame([[1.0], [0.5]], index=pd.Index(index, dtype=object)))
    np.testing.assert_array_equal(found.dates, [18262, 18263])


@pytest.mark.parametrize(
    ("result", "words"),
    [
        pytest.param(None, "strategy returned None; it must be a DataFrame of weights (is a `return` miss", id="none"),
        pytest.param((1, 2), "strategy returned tuple; it must be a DataFrame of weights, date x symbol", id="tuple"),
        pytest.param(pd.Series([0.5, 0.5], SYMBOLS[:2]), "a Series of symbols without a date", id="series-of-symbols"),
        pytest.param(np.zeros((4, 3)), "strategy returned ndarray of shape (4, 3)", id="array"),
        pytest.param({"AAPL": 1}, "strategy returned dict", id="dict"),
        pytest.param(pd.Series([1.0], DATES[:1], name="TSLA"), "a Series named 'TSLA'", id="series-of-unknown"),
        pytest.param(pd.Series([1.0], DATES[:1]), "a Series named None", id="series-without-name"),
        pytest.param(pd.DataFrame(), "empty: 0 rows x 0 columns", id="empty"),
        pytest.param(frame([[1.0]]).iloc[:0], "empty: 0 rows x 1 columns", id="no-rows"),
        pytest.param(frame([[1.0, 1.0]], ["AAPL", "TSLA"]), "columns 'TSLA' are no symbols", id="unknown-symbol"),
        pytest.param(frame([[1.0]] * 4).T, "no symbols of the dataset; it has 'AAPL', 'IBM', 'MSFT'", id="transposed"),
        pytest.param(frame([[1.0, 1.0]], ["AAPL", "AAPL"]), "'AAPL' is there more than once", id="symbol-twice"),
        pytest.param(frame([[1.0]], index=[0]), "the index must be dates of the data; it is a", id="number-index"),
        pytest.param(frame([[1.0]] * 4).T, "its rows are: turn it with .T", id="transposed-hint"),
        pytest.param(frame([[1.0]], index=["2020-01-01"]), "which begins with '2020-01-01'", id="text-index"),
        pytest.param(frame([[1.0]], index=["2020-Q1"]), "which begins with '2020-Q1'", id="quarters"),
        pytest.param(frame([[1.0]], index=pd.period_range("2020-01", periods=1, freq="M")), "period[M]", id="periods"),
        pytest.param(frame([[1.0]], index=DATES[:1].tz_localize("UTC")), "the time zone UTC", id="tz-aware"),
        pytest.param(frame([[1.0]] * 2, index=DATES[[1, 1]]), "2020-01-02 is there more than once", id="date-twice"),
        pytest.param(
            frame([[1.0]] * 2, index=pd.to_datetime(["2020-01-01", "2020-01-31"])),
            "1 of 2 dates are not in the data; the first is 2020-01-31",
            id="calendar-month-end",
        ),
        pytest.param(
            frame([[1.0]], index=pd.to_datetime(["2020-01-01 09:30"])), "the first is 2020-01-01 09:30:00", id="time"
        ),
        pytest.param(frame([[1.0]], index=pd.DatetimeIndex([pd.NaT])), "an entry that is no date", id="nat"),
        pytest.param(
            frame([[0.0, 0.0], [0.0, float("inf")]]), "1 weights are infinite; the first is IBM on 2020-01-02", id="inf"
        ),
        pytest.param(frame([["buy"]]), "column 'AAPL' holds object that is no number", id="text"),
        pytest.param(frame([[1j]]), "column 'AAPL' holds complex128", id="complex"),
        pytest.param(frame([["2020-01-01"]]).astype("datetime64[ns]"), "column 'AAPL' holds datetime64", id="dates"),
    ],
)
def test_what_cannot_be_traded_is_named(result: object, words: str) -> None:
    """The refusal says what was found, so that a user or a model can mend it."""
    assert words in refusal(result)


def test_the_name_of_what_a_script_left_begins_the_sentence() -> None:
    """For a reader who wrote no function."""
    for result, words in (
        (None, "`position` is None; it must be a DataFrame of weights"),
        (np.zeros(3), "`position` is ndarray of shape (3,); it must be a DataFrame of weights, date x symbol"),
        (pd.Series([1.0], DATES[:1]), "`position` is a Series named None; name it after one of the symbols"),
    ):
        with pytest.raises(RunError) as caught:
            to_positions(result, DATES, SYMBOLS, "`position` is")
        assert str(caught.value).startswith(words)
        assert "`return`" not in str(caught.value)


def test_a_subclass_counts_as_what_it_extends() -> None:
    """Whatever meaning it gives to operators and to selection, as finlab's frames do."""

    class Frame(pd.DataFrame):
        @property
        def _constructor(self) -> type["Frame"]:
            return Frame

        def __getitem__(self, key: object) -> Any:
            raise AssertionError(key)

    np.testing.assert_array_equal(accepted(Frame(frame([[True, True]]))).weights, [[0.5, 0.5]])


def test_a_multiindex_has_no_symbols() -> None:
    """Columns of tuples."""
    columns = pd.MultiIndex.from_tuples([("AAPL", "x")])
    assert "are no symbols" in refusal(pd.DataFrame([[1.0]], DATES[:1], columns))


def test_a_frame_over_the_cap_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its shape, before it is copied."""
    monkeypatch.setattr(result_module, "MAX_BYTES", 16 + 4 * (2 + 3) + 8 * 2 * 3 - 1)
    with pytest.raises(RunError, match="2 x 3 make 84 bytes, more than 83") as caught:
        accepted(frame([[0.0] * 3] * 2))
    assert caught.value.reason == "ResultTooLarge"
