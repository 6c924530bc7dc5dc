"""Runs while they go on: a table that renews itself on a terminal, elsewhere a line for each change."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.live import Live

from strategyrun.cli.cells import duration, now, number, runs_table
from strategyrun.cli.output import console
from strategyrun.client import Result
from strategyrun.client.following import Progress


@contextmanager
def watching(quiet: bool = False) -> Iterator[Progress]:
    """Lend what is told of each change; what it shows goes to stderr, so that stdout is the answer's alone."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        seen: dict[str, Result] = {}
        with Live(console=console(stderr=True), refresh_per_second=8, transient=True) as live:

            def show(result: Result) -> None:
                seen[result.name] = result
                live.update(runs_table(seen.values(), now()))

            yield show
    else:
        told: dict[str, tuple[str, str, bool]] = {}

        def tell(result: Result) -> None:
            if told.get(result.name) != (state := (result.phase, result.reason, result.finished)):
                told[result.name] = state
                typer.echo(line(result), err=True)

        yield tell


def line(result: Result) -> str:
    """Say in one line where a run stands."""
    place = f", position {result.queue.position}" if result.queue and result.queue.position else ""
    before = ", the answer of before" if result.outcome and not result.finished else ""
    sharpe = f" sharpe {number(result.metrics.sharpe)}" if result.metrics.sharpe is not None else ""
    marks = "".join(f" [{mark}]" for mark in result.marks)
    took = f" after {duration(result)}" if result.finished_at else ""
    return f"{result.name}: {result.phase} ({result.reason}{place}{before}){sharpe}{marks}{took}"
