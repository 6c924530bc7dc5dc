"""What a strategy sees as `data`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.harness.market import Market, MissingFieldError, read_market


@pytest.fixture
def data(us_stocks_directory: Path) -> Market:
    """The builtin dataset."""
    return read_market(str(us_stocks_directory))


def test_frames_are_as_promised(data: Market) -> None:
    """Date x symbol, float64, tz-naive nanoseconds, the same by attribute and by name."""
    assert data.symbols == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert data.fields == ["open", "high", "low", "close", "adj_close", "volume"]
    for field in data.fields:
        frame = data[field]
        pd.testing.assert_frame_equal(frame, getattr(data, field))
        assert list(frame.columns) == data.symbols
        assert isinstance(frame.index, pd.DatetimeIndex)
        assert frame.index.dtype == "datetime64[ns]"
        assert frame.index.equals(data.dates)
        assert (frame.dtypes == np.float64).all()
    assert data.close.loc["2000-03-01", "AAPL"] == 130.31
    assert data.close.loc["2000-03-01":, "FB"].first_valid_index() == pd.Timestamp("2012-05-18")


def test_changing_a_frame_changes_nothing_else(data: Market) -> None:
    """Values, index and columns are the caller's own."""
    before = data.close
    frame = data.close
    frame.iloc[:] = 0.0
    frame.to_numpy()[:] = -1.0
    frame.index.name = "changed"
    frame.columns = pd.Index(list("abcde"))
    data.symbols.clear()
    pd.testing.assert_frame_equal(data.close, before)
    assert data.close.index.name == "date"


def test_a_copy_is_untouched_by_what_was_done_to_the_first(data: Market) -> None:
    """Names that were set on it, and values."""
    before = data.close
    vars(data).update(close=0, notes=["mine"])
    copy = Market.of(data)
    pd.testing.assert_frame_equal(copy.close, before)
    assert not hasattr(copy, "notes")


def test_a_missing_field_is_both_kinds_of_error(data: Market) -> None:
    """hasattr, getattr with a default, and `except KeyError` work as anywhere."""
    assert not hasattr(data, "pe")
    assert getattr(data, "pe", None) is None
    assert "pe" not in data
    assert "close" in data
    with pytest.raises(KeyError):
        data["pe"]
    with pytest.raises(MissingFieldError, match="data has no 'pe'; it has open, high, low"):
        data.pe  # noqa: B018 - the look is the test


def test_it_says_what_it_is(data: Market) -> None:
    """For a print in a strategy's log."""
    assert repr(data).endswith("of AAPL, FB, GOOG, IBM, MSFT, 2000-03-01 to 2013-03-01>")
