"""Reads a Parquet table: its footer first, so that what it would take is known, then batch by batch."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finlab_sandbox.load import arrow
from finlab_sandbox.load.columns import FIELDS, assign, check_field_name
from finlab_sandbox.load.dates import Dates
from finlab_sandbox.load.limits import MAX_COLUMNS, MAX_MEMORY_BYTES, MAX_ROWS, MAX_SOURCE_BYTES, MIB
from finlab_sandbox.load.problems import LoadError, Problems, invalid, named
from finlab_sandbox.load.table import WRONG_SYMBOL, Batch, Rows, Table, tell_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

_BATCH_ROWS = 65_536
_MAX_ROW_GROUPS = 100_000
_BROKEN = (MemoryError, pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError)
"""What Arrow raises for bytes that are no Parquet; it reads from memory, so that an OSError too is about the bytes."""


class ParquetTable:
    """One file. `symbol` is what all of its rows are about where it has no column that says so."""

    def __init__(self, file: str, chunks: Iterable[bytes], symbol: str) -> None:
        self._file = file
        self._symbol = symbol
        self._dates = Dates()
        content = io.BytesIO()
        for chunk in chunks:
            content.write(chunk)
        self._content = content.getbuffer()
        try:
            opened = pq.ParquetFile(pa.BufferReader(self._content), pre_buffer=False)
            self._metadata = opened.metadata
            self._refuse_bomb()
            self._schema = opened.schema_arrow
        except _BROKEN as error:
            raise self._broken(error) from None
        self.columns = assign(file, self._schema.names)
        self._names = self.columns.named(self._schema.names)
        self._numeric = self._numeric_fields()

    @property
    def has_symbols(self) -> bool:
        """The rows name their symbols."""
        return self.columns.symbol is not None

    def read(self, table: Table, problems: Problems) -> None:
        """Add the rows to the table, until there are problems enough."""
        problems.begin(self._file, "row")
        row = 1
        for batch in self._batches():
            self._add(batch, row, table, problems)
            row += batch.num_rows
            if problems.enough:
                return
        if row == 1:
            problems.add(0, "", "the table has no rows")
        table.left_out |= {name for name in self.columns.fields if name not in self._numeric}

    def _refuse_bomb(self) -> None:
        """Few bytes may stand for very many."""
        metadata = self._metadata
        if metadata.num_rows > MAX_ROWS:
            raise invalid(f"{named(self._file)} has {metadata.num_rows} rows; at most {MAX_ROWS} are read")
        if metadata.num_columns > MAX_COLUMNS:
            raise invalid(f"{named(self._file)} has {metadata.num_columns} columns; at most {MAX_COLUMNS} are read")
        if metadata.num_row_groups > _MAX_ROW_GROUPS:
            raise invalid(f"{named(self._file)} has {metadata.num_row_groups} row groups; at most {_MAX_ROW_GROUPS}")
        size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        if size > MAX_SOURCE_BYTES:
            limit = MAX_SOURCE_BYTES // MIB
            raise invalid(f"{named(self._file)} holds {size // MIB} MiB decompressed; at most {limit} MiB are read")

    def _numeric_fields(self) -> set[str]:
        numeric = set()
        for field, position in self.columns.fields.items():
            kind = self._schema.field(position).type
            if arrow.is_number(kind):
                if field not in FIELDS:
                    check_field_name(self._file, field)
                numeric.add(field)
            elif field in FIELDS and not pa.types.is_null(kind):
                raise self._wrong_type(position, "numbers")
        return numeric

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """The columns that are read, with texts as dictionaries, the form in which a repeated text stays small."""
        names = [self._schema.names[position] for position in self._positions().values()]
        texts = [name for name in names if arrow.is_text(self._schema.field(name).type)]
        read = 0
        try:
            for batch in self._opened(names, texts):
                yield batch
                read += batch.num_rows
        except MemoryError as error:
            raise self._broken(error) from None
        except _BROKEN:
            # Arrow reads some encodings of text, the deltas, only as plain text.
            for batch in self._plain(names):
                skipped = min(read, batch.num_rows)
                read -= skipped
                yield batch.slice(skipped)

    def _plain(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._opened(names, [])
        except _BROKEN as error:
            raise self._broken(error) from None

    def _opened(self, names: list[str], texts: list[str]) -> Iterator[pa.RecordBatch]:
        opened = pq.ParquetFile(
            pa.BufferReader(self._content), metadata=self._metadata, read_dictionary=texts, pre_buffer=False
        )
        for batch in opened.iter_batches(_BATCH_ROWS, columns=names, use_threads=False, use_pandas_metadata=False):
            batch.validate()
            yield batch

    def _positions(self) -> dict[str, int]:
        positions = {"date": self.columns.date}
        if self.columns.symbol is not None:
            positions["symbol"] = self.columns.symbol
        return positions | {field: self.columns.fields[field] for field in sorted(self._numeric)}

    def _add(self, batch: pa.RecordBatch, first: int, table: Table, problems: Problems) -> None:
        arrays = {name: batch.column(self._schema.names[position]) for name, position in self._positions().items()}
        rows = Rows(self._file, "row", self._names, first)
        try:
            days, wrong_days = self._dates.column(arrays["date"])
        except TypeError:
            raise self._wrong_type(self.columns.date, "dates") from None
        except ValueError as error:
            raise invalid(f"{named(self._file)}, column {named(self._names['date'])}: {error}") from None
        try:
            codes, wrong_symbols = self._symbols(arrays, table, batch.num_rows)
            values = {field: arrow.floats(arrays[field]) for field in sorted(self._numeric)}
        except _BROKEN as error:
            raise self._broken(error) from None
        tell_keys(problems, rows, (days, wrong_days), (codes, wrong_symbols))
        table.add(Batch(rows, days, codes.astype(np.int16), values), problems)

    def _symbols(
        self, arrays: dict[str, pa.Array], table: Table, count: int
    ) -> tuple[NDArray[np.int32], dict[int, str]]:
        if "symbol" not in arrays:
            return np.full(count, table.symbols.code_of_file(self._file, self._symbol), dtype=np.int32), {}
        array = arrays["symbol"]
        if pa.types.is_integer(array.type):
            array = array.cast(pa.string())
        if not arrow.is_text(array.type):
            raise self._wrong_type(self.columns.symbol, "text")
        return arrow.translated(array, table.symbols.code, WRONG_SYMBOL)

    def _wrong_type(self, position: int | None, expected: str) -> LoadError:
        column = self._schema.field(position)
        return invalid(f"{named(self._file)}, column {named(column.name)}: has the type {column.type}, not {expected}")

    def _broken(self, error: Exception) -> LoadError:
        if isinstance(error, MemoryError):
            return invalid(f"{named(self._file)} needs more than {MAX_MEMORY_BYTES // MIB} MiB of memory to be read")
        words = str(error).split("\n", 1)[0]
        return invalid(f"{named(self._file)} is broken; Arrow cannot read it as Parquet ({words[:120]})")
