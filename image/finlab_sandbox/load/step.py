"""One load: finds the tables, reads and checks them, writes the dataset directory and the document."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from finlab_sandbox.load import document
from finlab_sandbox.load.guard import CrashError, guarded
from finlab_sandbox.load.limits import MAX_MEMORY_BYTES, MIB
from finlab_sandbox.load.problems import LoadError, invalid, listed, named
from finlab_sandbox.load.source import SourceFile, find

if TYPE_CHECKING:
    from collections.abc import Callable

_STARTED = time.perf_counter()


class Paths(NamedTuple):
    """Where the pod mounts what this step reads and writes."""

    source: str = "/source"
    data: str = "/data"
    document: str = "/dev/termination-log"


def load(paths: Paths, path: str) -> int:
    """Lays out the tables at `path` below the source, and says how it went.

    Returns the exit code: 0, 1 with a reason in the document, or guard.FAULT without a document.
    """
    try:
        return guarded(lambda reading: _load(paths, path, reading))
    except CrashError as error:
        return _end(paths, "DataInvalid", f"{named(error.file)} is broken; reading it ends in a crash ({error.signal})")


def _load(paths: Paths, path: str, reading: Callable[[str], None]) -> int:
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    try:
        return _end(paths, "Loaded", lay_out(find(paths.source, path), paths.data, reading))
    except LoadError as error:
        return _end(paths, error.reason, str(error))


def _end(paths: Paths, reason: str, message: str) -> int:
    content = document.encode(reason, message, time.perf_counter() - _STARTED)
    sys.stderr.write(f"{reason}: {document.visible(message)}\n")
    document.write(paths.document, content)
    return 0 if reason == "Loaded" else 1


def lay_out(files: list[SourceFile], directory: str, reading: Callable[[str], None] = lambda _: None) -> str:
    """Writes the dataset that the files hold, and returns what it is in a line. Raises LoadError.

    `reading` is told which file is read from now on, and "" when all are.
    """
    # Arrow's own allocators reserve a gigabyte at a time, which would count as used.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    # Arrow is slow to import, and a source without files needs none of it.
    from finlab_sandbox.load import directory as dataset  # noqa: PLC0415
    from finlab_sandbox.load.read import read  # noqa: PLC0415

    try:
        table, hashes = read(files, reading)
        dates, symbols, fields = table.dates(), sorted(table.symbols.codes), table.fields()
        dataset.write(
            directory,
            dates=dates,
            symbols=symbols,
            fields=table.matrices(),
            sha256=sha256_of(hashes),
            rows=table.rows,
            license="unknown",
            source=listed(sorted(hashes)),
        )
    except MemoryError:
        raise invalid(f"the dataset needs more than {MAX_MEMORY_BYTES // MIB} MiB of memory to be read") from None
    summary = f"{table.rows} rows: {len(symbols)} symbols, {len(dates)} dates from {dates[0]} to {dates[-1]}"
    summary += f", fields {listed(fields)}"
    if table.left_out:
        summary += f"; left out, as they hold no numbers: {listed(sorted(table.left_out))}"
    if table.crossed:
        summary += f"; high is below low in {table.crossed} rows"
    return summary


def sha256_of(hashes: dict[str, str]) -> str:
    """The hash of a dataset: of the lines `<sha256>  <name>` of its files, as sha256sum writes them, sorted by name."""
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
