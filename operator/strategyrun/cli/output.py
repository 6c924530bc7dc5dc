"""Forms of output: tables for people, documents for programs, names for pipes."""

import json
import sys
from codecs import lookup
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from strategyrun.cli.session import fail
from strategyrun.client import Result
from strategyrun.domain.strategyrun import GROUP

_UNBOUNDED = 1000


class Format(StrEnum):
    """What --output may be; without it, a table."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"
    NAME = "name"


Output = Annotated[Format | None, typer.Option("--output", "-o", help="Form of the output; without it, a table.")]


def console(*, stderr: bool = False) -> Console:
    """Return a console: colours on a terminal alone (NO_COLOR takes them away), and lines whole where it is none."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def table(*columns: str) -> Table:
    """Return a table in kubectl's manner."""
    made = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=True, overflow="ellipsis")
    return made


@contextmanager
def within_reason() -> Iterator[None]:
    """Say in one line that a run is nested too deep to be shown: indented, ten thousand levels are 100 megabytes."""
    try:
        yield
    except RecursionError as error:
        raise fail("what was asked for is nested too deep to be shown so") from error


def document(content: Any, form: Format) -> None:
    """Print a document as JSON or YAML, with their own escapes where the stream has not every letter."""
    every = lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    with within_reason():
        if form is Format.JSON:
            typer.echo(json.dumps(content, indent=2, ensure_ascii=not every))
        else:
            typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=every), nl=False)


def runs(results: Sequence[Result], form: Format) -> None:
    """Print runs as one document, or as names that kubectl takes."""
    if form is Format.NAME:
        names(results)
    else:
        items = [result.body for result in results]
        document({"apiVersion": "v1", "kind": "List", "items": items}, form)


def names(results: Iterable[Result]) -> None:
    """Print a line for each run, as `kubectl get -o name` does."""
    for result in results:
        typer.echo(f"strategyrun.{GROUP}/{result.name}")


def phase(result: Result) -> Text:
    """Return a run's phase in its colour."""
    style = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow", "Running": "cyan"}.get(result.phase, "dim")
    return Text(result.phase, style)
