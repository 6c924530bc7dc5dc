"""What a strategy may return, and the words for what it may not.

A DataFrame of target weights, date x symbol, or a Series of dates for one symbol; a subclass counts as what it
extends. Labels decide, so rows and columns may come in any order and in any number: they are sorted, and what is left
out is not ordered. bool counts as equal weight among the True of a row. A row of NaN holds; the evaluator gives the
other rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finlab_sandbox.harness import reasons
from finlab_sandbox.harness.handover import MAX_BYTES, Positions, size_of
from finlab_sandbox.harness.reasons import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 3
SHOWN_SYMBOLS = 20


def to_positions(
    result: object, dates: pd.DatetimeIndex, symbols: list[str], subject: str = "strategy returned"
) -> Positions:
    """Positions from what a strategy gave. Raises RunError: ResultInvalid or ResultTooLarge.

    `subject` begins the sentence about a result that is no frame.
    """
    frame = _as_frame(result, symbols, subject)
    if (size := size_of(*frame.shape)) > MAX_BYTES:
        shape = f"{frame.shape[0]} x {frame.shape[1]}"
        raise RunError(reasons.RESULT_TOO_LARGE, f"positions of {shape} make {size} bytes, more than {MAX_BYTES}")
    if frame.empty:
        raise _invalid(f"the positions are empty: {frame.shape[0]} rows x {frame.shape[1]} columns")
    columns = _symbol_indices(frame, symbols)
    days = _checked_dates(frame.index, dates)
    weights = _weights(frame)
    row_order, column_order = np.argsort(days), np.argsort(columns)
    weights = weights[np.ix_(row_order, column_order)]
    infinite = np.argwhere(np.isinf(weights))
    if len(infinite):
        row, column = infinite[0]
        day, symbol = days[row_order][row].date(), symbols[columns[column_order][column]]
        raise _invalid(f"{len(infinite)} weights are infinite; the first is {symbol} on {day}")
    numbers = days[row_order].to_numpy().astype("datetime64[D]").astype(np.int32)
    return Positions(numbers, columns[column_order].astype(np.int32), weights)


def _invalid(message: str) -> RunError:
    return RunError(reasons.RESULT_INVALID, message)


def _as_frame(result: object, symbols: list[str], subject: str) -> pd.DataFrame:
    """The frame in the result, as pandas' own class: others give the operators another meaning."""
    if isinstance(result, pd.DataFrame):
        return pd.DataFrame(result)
    if isinstance(result, pd.Series):
        return _as_column(result, symbols, subject)
    if result is None:
        missing = " (is a `return` missing?)" if "returned" in subject else ""
        raise _invalid(f"{subject} None; it must be a DataFrame of weights{missing}")
    shape = f" of shape {result.shape}" if isinstance(result, np.ndarray) else ""
    raise _invalid(f"{subject} {type(result).__name__}{shape}; it must be a DataFrame of weights, date x symbol")


def _as_column(series: pd.Series, symbols: list[str], subject: str) -> pd.DataFrame:
    """The frame of one symbol."""
    if len(series) and all(label in symbols for label in series.index[:SHOWN_SYMBOLS]):
        raise _invalid(f"{subject} a Series of symbols without a date; it must be a DataFrame of weights for each date")
    if series.name in symbols:
        return series.to_frame()
    if len(symbols) == 1:
        return series.to_frame(symbols[0])
    raise _invalid(
        f"{subject} a Series named {series.name!r}; name it after one of the symbols {_listed(symbols)}, "
        "or make it a DataFrame with a column for each symbol"
    )


def _symbol_indices(frame: pd.DataFrame, symbols: list[str]) -> NDArray[np.int64]:
    """Where each column stands among the dataset's symbols."""
    columns = frame.columns
    labels = list(columns)
    places = {symbol: at for at, symbol in enumerate(symbols)}
    if unknown := [label for label in labels if label not in places]:
        turned = any(label in places for label in frame.index[:SHOWN_SYMBOLS])
        hint = "; its rows are: turn it with .T" if turned else ""
        raise _invalid(
            f"columns {_listed(unknown)} are no symbols of the dataset; it has {_listed(symbols, SHOWN_SYMBOLS)}{hint}"
        )
    if not columns.is_unique:
        raise _invalid(f"column {columns[columns.duplicated()][0]!r} is there more than once")
    return np.array([places[label] for label in labels])


def _checked_dates(index: pd.Index, dates: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The index as dates of the dataset."""
    if index.inferred_type in ("date", "datetime", "datetime64"):
        index = pd.DatetimeIndex(index)
    if not isinstance(index, pd.DatetimeIndex):
        first = f", which begins with {index[0]!r}" if len(index) else ""
        raise _invalid(f"the index must be dates of the data; it is a {type(index).__name__} of {index.dtype}{first}")
    if index.tz is not None:
        raise _invalid(f"the index has the time zone {index.tz}; take it off with .tz_localize(None)")
    if index.hasnans:
        raise _invalid("the index has an entry that is no date (NaT)")
    if not index.is_unique:
        raise _invalid(f"date {_day(index[index.duplicated()][0])} is there more than once")
    unknown = index[~index.isin(dates)]
    if len(unknown):
        raise _invalid(
            f"{len(unknown)} of {len(index)} dates are not in the data; the first is {_day(unknown[0])} "
            "(use dates of data.close.index: a calendar month end may be no trading day)"
        )
    return index


def _weights(frame: pd.DataFrame) -> NDArray[np.float64]:
    """The values as numbers; bool as equal weights."""
    kinds = {pd.api.types.infer_dtype(frame.iloc[:, at], skipna=True) for at in range(frame.shape[1])}
    if "boolean" in kinds and kinds <= {"boolean", "empty"}:
        return _equal_weights(frame)
    weights = np.empty(frame.shape)
    for at, label in enumerate(frame.columns):
        column = frame.iloc[:, at]
        if pd.api.types.is_complex_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise _invalid(f"column {label!r} holds {column.dtype}; weights are numbers or bool")
        try:
            weights[:, at] = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise _invalid(f"column {label!r} holds {column.dtype} that is no number: {error}") from None
    return weights


def _equal_weights(frame: pd.DataFrame) -> NDArray[np.float64]:
    """1 / (number of True in the row) where True, else 0; a row without any bool stays NaN."""
    missing = frame.isna().to_numpy()
    chosen = np.where(missing, False, frame.to_numpy(dtype=object)).astype(np.float64)
    weights: NDArray[np.float64] = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1.0)
    weights[missing.all(axis=1)] = np.nan
    return weights


def _listed(labels: list[object] | list[str], most: int = SHOWN) -> str:
    """The first few labels, and how many more there are."""
    shown = ", ".join(repr(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"


def _day(date: pd.Timestamp) -> str:
    """The date, with the time where there is one."""
    return str(date.date()) if date == date.normalize() else str(date)
