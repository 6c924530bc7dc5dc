"""Reads a CSV table: UTF-8, separated by commas, a header in its first line.

Arrow parses blocks of whole lines, so that a problem's line is known, and memory does not grow with the file's size.
"""

from __future__ import annotations

import codecs
import csv
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from finlab_sandbox.load import arrow, numbers
from finlab_sandbox.load.columns import FIELDS, assign, check_field_name, in_order
from finlab_sandbox.load.dates import MISSING, WRONG, Dates
from finlab_sandbox.load.limits import MAX_HEADER_BYTES, MAX_LINE_BYTES, MAX_ROWS
from finlab_sandbox.load.problems import Problems, invalid, named
from finlab_sandbox.load.table import NO_SYMBOL, WRONG_SYMBOL, Batch, Rows, Table, tell_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_BLOCK = MAX_LINE_BYTES
_MAX_RAGGED = 10_000
"""Lines of a block without the header's number of cells: more make no table, and each costs a call."""
_TEXT = pa.dictionary(pa.int32(), pa.string())


class CsvTable:
    """One file. `symbol` is what all of its rows are about where it has no column that says so."""

    def __init__(self, file: str, chunks: Iterable[bytes], symbol: str) -> None:
        self._file = file
        self._symbol = symbol
        self._blocks = _blocks(file, chunks)
        self._dates = Dates()
        names, rest, self._line = self._header(next(self._blocks, b""))
        self._width = len(names)
        self.columns = assign(file, names)
        self._names = self.columns.named(names)
        self._rest = rest
        self._numeric = {field for field in self.columns.fields if field in FIELDS}
        self._unknown = set(self.columns.fields) - self._numeric

    @property
    def has_symbols(self) -> bool:
        """The rows name their symbols."""
        return self.columns.symbol is not None

    def read(self, table: Table, problems: Problems) -> None:
        """Add the rows to the table, until there are problems enough."""
        problems.begin(self._file, "line")
        before = table.rows
        for block in self._remaining():
            self._add(block, table, problems)
            if problems.enough:
                return
        if table.rows == before and not problems.in_file:
            problems.add(0, "", "the table has no rows")
        table.left_out |= {name for name in self.columns.fields if name not in self._numeric}

    def _remaining(self) -> Iterator[bytes]:
        if self._rest:
            yield self._rest
        yield from self._blocks

    def _header(self, block: bytes) -> tuple[list[str], bytes, int]:
        """Column names, what is left of the block, and the line at which that begins."""
        block = block.removeprefix(codecs.BOM_UTF8)
        line, _, rest = block.partition(b"\n")
        if b"\r" in line.rstrip(b"\r"):
            line, _, rest = block.partition(b"\r")
        if not line.strip():
            raise invalid(f"{named(self._file)} is empty" if not rest.strip() else self._without_header())
        if len(line) > MAX_HEADER_BYTES:
            raise invalid(f"{named(self._file)}, line 1: the header has more than {MAX_HEADER_BYTES} bytes")
        try:
            return next(csv.reader([line.decode().rstrip("\r")], strict=True)), rest, 2
        except UnicodeDecodeError:
            raise invalid(f"{named(self._file)}, line 1: is no UTF-8; save the file as UTF-8") from None
        except csv.Error:
            raise invalid(f"{named(self._file)}, line 1: a quoted cell is not closed in its line") from None

    def _without_header(self) -> str:
        return f"{named(self._file)}, line 1: is empty; the column names are expected there"

    def _add(self, block: bytes, table: Table, problems: Problems) -> None:
        first = self._line
        self._line += _lines(block)
        if self._line > MAX_ROWS + 2:
            raise invalid(f"{named(self._file)} has more than {MAX_ROWS} lines")
        if not self._is_text(block, first, problems):
            return
        self._settle_unknown(block, first)
        arrays, skipped = self._parse(block, first, problems)
        count = len(arrays[self.columns.date])
        places = np.arange(count + len(skipped), dtype=np.int32)
        kept = np.delete(places, skipped) if skipped else None

        days, wrong_days = self._dates.column(arrays[self.columns.date])
        codes, wrong_symbols = self._symbols(arrays, table, count)
        values, wrong_values = self._values(arrays)
        rows = Rows(self._file, "line", self._names, first, kept)
        blank = (days == MISSING) & ((codes == NO_SYMBOL) | (not self.has_symbols))
        for column in values.values():
            blank &= np.isnan(column)
        tell_keys(
            problems, rows, (np.where(blank, WRONG, days), wrong_days), (np.where(blank, 0, codes), wrong_symbols)
        )
        for field, words in wrong_values.items():
            problems.add_all(words, rows.at, self._names[field])
        table.add(Batch(rows, days, codes.astype(np.int16), values), problems)

    def _is_text(self, block: bytes, first: int, problems: Problems) -> bool:
        """It is UTF-8, and each of its lines has whole cells."""
        try:
            block.decode()
        except UnicodeDecodeError as error:
            problems.add(first + _lines(block[: error.start] + b"."), "", "is no UTF-8; save the file as UTF-8")
            return False
        if b'"' in block:
            for number, line in enumerate(block.split(b"\n")):
                if line.count(b'"') % 2:
                    problems.add(first + number, "", "a quoted cell is not closed in its line")
                    return False
        return True

    def _settle_unknown(self, block: bytes, first: int) -> None:
        """A further column holds numbers if its first cell that is not empty does."""
        if not self._unknown:
            return
        positions = [self.columns.fields[field] for field in sorted(self._unknown)]
        table = self._arrow(block, first, dict.fromkeys(positions, pa.string()), [])
        for field, position in zip(sorted(self._unknown), positions, strict=True):
            cells = (cell for chunk in table.column(str(position)).chunks for cell in chunk.to_pylist())
            told = next((cell for cell in cells if cell.strip() not in numbers.MISSING), None)
            if told is None:
                continue
            self._unknown.discard(field)
            if numbers.is_number(told):
                check_field_name(self._file, field)
                self._numeric.add(field)

    def _parse(self, block: bytes, first: int, problems: Problems) -> tuple[dict[int, pa.Array], list[int]]:
        """The columns that are read, and the lines of the block that are not of the table's width."""
        types = {self.columns.date: _TEXT}
        if self.columns.symbol is not None:
            types[self.columns.symbol] = _TEXT
        positions = [self.columns.fields[field] for field in in_order(self._numeric)]
        invalid_rows: list[tuple[int, int]] = []
        try:
            table = self._arrow(block, first, types | dict.fromkeys(positions, pa.float64()), invalid_rows)
        except pa.ArrowInvalid:
            invalid_rows.clear()
            table = self._arrow(block, first, types | dict.fromkeys(positions, pa.string()), invalid_rows)
        skipped = [row for row, _ in invalid_rows]
        for row, cells in invalid_rows:
            if cells:
                hint = "; is there a comma inside a number?" if cells > self._width else ""
                problems.add(first + row, "", f"has {cells} cells, the header has {self._width}{hint}")
        return {int(column.name): _whole(table.column(column.name), column.type) for column in table.schema}, skipped

    def _arrow(
        self, block: bytes, first: int, types: dict[int, pa.DataType], invalid_rows: list[tuple[int, int]]
    ) -> pa.Table:
        def skip(row: pacsv.InvalidRow) -> str:
            if len(invalid_rows) == _MAX_RAGGED:
                return "error"
            invalid_rows.append((row.number - 1, row.actual_columns if row.text.strip() else 0))
            return "skip"

        names = [str(position) for position in range(self._width)]
        try:
            return pacsv.read_csv(
                pa.BufferReader(block),
                read_options=pacsv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
                parse_options=pacsv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=skip),
                convert_options=pacsv.ConvertOptions(
                    check_utf8=False,
                    column_types={str(position): kind for position, kind in types.items()},
                    include_columns=[str(position) for position in types],
                    null_values=list(numbers.MISSING),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            if len(invalid_rows) < _MAX_RAGGED:
                raise
            line = first + invalid_rows[0][0]
            raise invalid(
                f"{named(self._file)}, line {line}: the first of more than {_MAX_RAGGED} lines that have not as many "
                "cells as the header"
            ) from None

    def _symbols(
        self, arrays: dict[int, pa.Array], table: Table, count: int
    ) -> tuple[NDArray[np.int32], dict[int, str]]:
        if self.columns.symbol is not None:
            return arrow.translated(arrays[self.columns.symbol], table.symbols.code, WRONG_SYMBOL)
        return np.full(count, table.symbols.code_of_file(self._file, self._symbol), dtype=np.int32), {}

    def _values(self, arrays: dict[int, pa.Array]) -> tuple[dict[str, NDArray[np.float64]], dict[str, dict[int, str]]]:
        values, wrong = {}, {}
        for field in in_order(self._numeric):
            array = arrays[self.columns.fields[field]]
            if pa.types.is_floating(array.type):
                values[field] = arrow.floats(array)
            else:
                values[field], wrong[field] = numbers.read(array.to_pylist())
        return values, wrong


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """A column of one block, which Arrow gives in one piece or, without rows, in none."""
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(whole, pa.ChunkedArray):
        return pa.array([], kind)
    return whole


def _blocks(file: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, in blocks of about _BLOCK bytes."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _BLOCK:
            block = b"".join(parts)
            end = block.rfind(b"\n") + 1
            if not end:
                raise invalid(f"{named(file)} has a line of more than {MAX_LINE_BYTES} bytes")
            yield block[:end]
            parts = [block[end:]]
            size = len(block) - end
    if last := b"".join(parts):
        yield last


def _lines(block: bytes) -> int:
    r"""Lines that end in the block, be it with \n, \r\n or \r."""
    ends = block.count(b"\n")
    if b"\r" in block:
        ends += block.count(b"\r") - block.count(b"\r\n")
    return ends
