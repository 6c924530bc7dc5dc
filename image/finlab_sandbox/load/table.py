"""What was read of all tables, and the dates x symbols that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.load.columns import DATE, FIELDS, PRICES, SCORED, SYMBOL, in_order
from finlab_sandbox.load.dates import EPOCH, FIRST, LAST, MISSING
from finlab_sandbox.load.limits import (
    MAX_DATASET_BYTES,
    MAX_DATES,
    MAX_FIELDS,
    MAX_ROWS,
    MAX_SYMBOL_CHARS,
    MAX_SYMBOLS,
    MIB,
)
from finlab_sandbox.load.problems import MAX_PROBLEMS, Problems, invalid, listed, named, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WRONG_SYMBOL = -1
"""In place of a symbol that is none."""
NO_SYMBOL = -2
"""Where there is no symbol."""

_FIRST_DAY = (FIRST - EPOCH).days


class Rows(NamedTuple):
    """Where the rows of a batch stand in their file: one after the other from `first`, or as `kept` says."""

    file: str
    unit: str
    columns: dict[str, str]
    """What the file calls its date, its symbol and each field."""
    first: int
    kept: NDArray[np.int32] | None = None

    def at(self, row: int) -> int:
        """The number that an editor shows (1 is the first) of a row of the batch."""
        return self.first + (row if self.kept is None else int(self.kept[row]))


class Batch(NamedTuple):
    """Some rows of a table: days since 1970-01-01, codes of symbols, and the values of each field."""

    rows: Rows
    days: NDArray[np.int32]
    symbols: NDArray[np.int16]
    values: dict[str, NDArray[np.float64]]


class Symbols:
    """Gives every symbol a code, in the order in which they appear."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The code of a symbol, NO_SYMBOL for "". Raises ValueError for what is none, LoadError for one too many."""
        symbol = text.strip()
        code = self.codes.get(symbol)
        if code is None:
            if not symbol:
                return NO_SYMBOL
            if len(symbol) > MAX_SYMBOL_CHARS:
                raise ValueError(f"the symbol {shown(symbol)} has more than {MAX_SYMBOL_CHARS} characters")
            if not symbol.isprintable() or "\ufffd" in symbol:
                raise ValueError(f"the symbol {shown(symbol)} has characters that cannot be seen")
            code = len(self.codes)
            if code >= MAX_SYMBOLS:
                raise invalid(f"the dataset has more than {MAX_SYMBOLS} symbols")
            self.codes[symbol] = code
        return code

    def code_of_file(self, file: str, name: str) -> int:
        """The code of the symbol that a file is named after. Raises LoadError for a name that is none."""
        try:
            return self.code(name)
        except ValueError as error:
            raise invalid(f"{named(file)} has no symbol column, and its name is no symbol: {error}") from None


class Table:
    """All rows of all files."""

    def __init__(self) -> None:
        self.symbols = Symbols()
        self.rows = 0
        self.crossed = 0
        """Rows whose high is below their low: real tables have some, and nothing is scored on them."""
        self.left_out: set[str] = set()
        """Further columns that hold text."""
        self._batches: list[Batch] = []
        self._seen = np.zeros((LAST - FIRST).days + 1, dtype=bool)
        self._with_numbers: set[str] = set()
        self._scored: tuple[str, frozenset[str]] | None = None
        self._held = 0

    def begin(self, file: str, fields: frozenset[str]) -> None:
        """A file with these fields comes next. Raises LoadError where its prices are not those of the files before."""
        scored = fields & frozenset(SCORED)
        if self._scored is None:
            self._scored = file, scored
        elif self._scored[1] != scored:
            other, theirs = self._scored
            missing = ", ".join(sorted(theirs ^ scored))
            raise invalid(
                f"{named(other)} and {named(file)} do not have the same prices: {missing} is in one of them only"
            )

    def add(self, batch: Batch, problems: Problems) -> None:
        """Take the rows that have a day and a symbol; problems of their values are added to `problems`."""
        batch = _placed(batch)
        self.rows += len(batch.days)
        self._held += sum(values.nbytes for values in batch.values.values())
        if self.rows > MAX_ROWS:
            raise invalid(f"the dataset has more than {MAX_ROWS} rows")
        if self._held > MAX_DATASET_BYTES:
            raise invalid(f"the numbers of the dataset take more than {MAX_DATASET_BYTES // MIB} MiB")
        _check(batch, problems)
        if "high" in batch.values and "low" in batch.values:
            self.crossed += int((batch.values["high"] < batch.values["low"]).sum())
        self._with_numbers.update(name for name, values in batch.values.items() if not np.isnan(values).all())
        if len(self._with_numbers) > MAX_FIELDS:
            raise invalid(f"the dataset has more than {MAX_FIELDS} fields")
        self._seen[batch.days - _FIRST_DAY] = True
        dates = int(self._seen.sum())
        if dates > MAX_DATES:
            raise invalid(f"the dataset has more than {MAX_DATES} dates")
        self._batches.append(batch)

    def dates(self) -> NDArray[np.datetime64]:
        """The days of all rows, increasing."""
        return (np.flatnonzero(self._seen) + _FIRST_DAY).astype("datetime64[D]")

    def fields(self) -> list[str]:
        """Columns without any number are left out."""
        return in_order(self._with_numbers)

    def settle(self) -> None:
        """Raises LoadError for tables that are right row by row, and wrong together."""
        if not self.rows:
            raise invalid("the dataset has no rows")
        if not self._with_numbers & set(SCORED):
            raise invalid("close and adj_close hold no number at all")
        size = 8 * int(self._seen.sum()) * len(self.symbols.codes) * len(self._with_numbers)
        if size > MAX_DATASET_BYTES:
            raise invalid(
                f"{int(self._seen.sum())} dates x {len(self.symbols.codes)} symbols x {len(self._with_numbers)} fields "
                f"take {size // MIB} MiB; at most {MAX_DATASET_BYTES // MIB} MiB are read"
            )
        self._refuse_duplicates()

    def matrices(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Each field as dates x symbols (sorted), NaN where no row has it. Gives its values away: iterate once."""
        for field in self.fields():
            matrix = np.full(int(self._seen.sum()) * len(self.symbols.codes), np.nan)
            for batch, cells in self._cells():
                if field in batch.values:
                    matrix[cells] = batch.values.pop(field)
            yield field, matrix.reshape(-1, len(self.symbols.codes))

    def _cells(self) -> Iterator[tuple[Batch, NDArray[np.int64]]]:
        """Each batch with the places of its rows in a flat matrix."""
        row_of_day = np.cumsum(self._seen) - 1
        rank = {symbol: place for place, symbol in enumerate(sorted(self.symbols.codes))}
        column_of_code = np.array([rank[symbol] for symbol in self.symbols.codes])
        for batch in self._batches:
            yield batch, row_of_day[batch.days - _FIRST_DAY] * len(rank) + column_of_code[batch.symbols]

    def _refuse_duplicates(self) -> None:
        owner = np.full(int(self._seen.sum()) * len(self.symbols.codes), -1, dtype=np.int32)
        start = 0
        for batch, cells in self._cells():
            rows = np.arange(start, start + len(cells), dtype=np.int32)
            taken = np.flatnonzero(owner[cells] >= 0)
            if len(taken):
                raise self._duplicate(batch, int(taken[0]), int(owner[cells[taken[0]]]))
            owner[cells] = rows
            again = np.flatnonzero(owner[cells] != rows)
            if len(again):
                raise self._duplicate(batch, int(again[0]), int(owner[cells[again[0]]]))
            start += len(cells)

    def _duplicate(self, batch: Batch, row: int, other: int) -> Exception:
        symbol = list(self.symbols.codes)[batch.symbols[row]]
        date = np.datetime64(int(batch.days[row]), "D")
        for there in self._batches:
            if other < len(there.days):
                break
            other -= len(there.days)
        hint = "; the symbol is the file's name, as no column is" if "symbol" not in batch.rows.columns else ""
        ends = [(there.rows.file, there.rows.at(other)), (batch.rows.file, batch.rows.at(row))]
        if ends[0][0] == ends[1][0]:
            low, high = sorted(number for _, number in ends)
            where = f"{listed([ends[0][0]])}, {batch.rows.unit}s {low} and {high}"
        else:
            where = " and ".join(
                f"{listed([file])}, {rows.unit} {number}"
                for (file, number), rows in zip(ends, (there.rows, batch.rows), strict=True)
            )
        return invalid(f"{where} are both {named(symbol)} on {date}; one row a day and symbol is expected{hint}")


def tell_keys(
    problems: Problems,
    rows: Rows,
    days: tuple[NDArray[np.int32], dict[int, str]],
    symbols: tuple[NDArray[np.int32], dict[int, str]],
) -> None:
    """What is wrong with the days and the symbols of a batch, or missing."""
    for key, (values, words), missing in ((DATE, days, MISSING), (SYMBOL, symbols, NO_SYMBOL)):
        absent = np.flatnonzero(values == missing)[: MAX_PROBLEMS + 1].tolist()
        told = words | dict.fromkeys(absent, f"there is no {key}")
        if told:
            problems.add_all(told, rows.at, rows.columns[key])


def _placed(batch: Batch) -> Batch:
    """Only the rows that have a day and a symbol."""
    good = (batch.days > MISSING) & (batch.symbols >= 0)
    if good.all():
        return batch
    at = np.flatnonzero(good).astype(np.int32)
    kept = batch.rows.kept
    return Batch(
        batch.rows._replace(kept=at if kept is None else kept[at]),
        batch.days[at],
        batch.symbols[at],
        {field: values[at] for field, values in batch.values.items()},
    )


def _check(batch: Batch, problems: Problems) -> None:
    for field in FIELDS:
        values = batch.values.get(field)
        if values is None:
            continue
        if field in PRICES:
            bad, what = (values <= 0) | (values == np.inf), "price"
        else:
            bad, what = (values < 0) | (values == np.inf), "volume"
        rows = np.flatnonzero(bad)[: MAX_PROBLEMS + 1].tolist()
        words = {
            row: f"{values[row]:.12g} is no {what}; leave the cell empty where there was no trading" for row in rows
        }
        problems.add_all(words, batch.rows.at, batch.rows.columns[field])
