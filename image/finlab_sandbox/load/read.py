"""Reads all files of a dataset into one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finlab_sandbox.load.content import Budget, Content
from finlab_sandbox.load.problems import Problems, invalid, named
from finlab_sandbox.load.source import symbol_of
from finlab_sandbox.load.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from finlab_sandbox.load.csv_table import CsvTable
    from finlab_sandbox.load.parquet_table import ParquetTable
    from finlab_sandbox.load.source import SourceFile


def read(files: list[SourceFile], reading: Callable[[str], None]) -> tuple[Table, dict[str, str]]:
    """The checked table, and the sha256 of each file's bytes by name. Raises LoadError.

    `reading` is told the name of each file before it is opened, and "" at the end.
    """
    table, problems, budget = Table(), Problems(), Budget()
    hashes: dict[str, str] = {}
    kinds: dict[bool, str] = {}
    for file in files:
        reading(file.name)
        content = Content(file, budget)
        reader = _open(file, content)
        kinds.setdefault(reader.has_symbols, file.name)
        if len(kinds) == 2:
            raise invalid(
                f"{named(kinds[True])} has a symbol column, {named(kinds[False])} has none; "
                "a dataset is either long tables or one file a symbol"
            )
        table.begin(file.name, frozenset(reader.columns.fields))
        reader.read(table, problems)
        if problems.enough:
            break
        hashes[file.name] = content.sha256
    reading("")
    problems.settle()
    table.settle()
    return table, hashes


def _open(file: SourceFile, content: Content) -> CsvTable | ParquetTable:
    """Only the reader that is needed is imported."""
    symbol = symbol_of(file.name)
    if content.is_parquet:
        from finlab_sandbox.load.parquet_table import ParquetTable  # noqa: PLC0415

        return ParquetTable(file.name, content.chunks(), symbol)
    from finlab_sandbox.load.csv_table import CsvTable  # noqa: PLC0415

    return CsvTable(file.name, content.chunks(), symbol)
