"""Runs while they go on: a table that renews itself on a terminal, elsewhere a line for each change."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from strategyrun.cli.cells import duration, now, number, runs_table
from strategyrun.cli.output import console
from strategyrun.client import Result
from strategyrun.client.following import Progress

_OTHER_LINES = 3
"""The header, the line that counts the rest, and the one that the cursor stands in."""


@contextmanager
def watching(quiet: bool = False) -> Iterator[Progress]:
    """Lend what is told of each change; what it shows goes to stderr, so that stdout is the answer's alone."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        latest = _Latest(screen := console(stderr=True))
        with Live(get_renderable=latest.shown, console=screen, transient=True):
            yield latest.tell
    else:
        told: dict[str, tuple[str, str, bool]] = {}

        def tell(result: Result) -> None:
            if told.get(result.name) != (state := (result.phase, result.reason, result.finished)):
                told[result.name] = state
                typer.echo(line(result), err=True)

        yield tell


class _Latest:
    """The runs that changed last, as many as a terminal has lines for, and how many there are beside them.

    A change only is remembered: what is shown is made when the terminal is written, by a thread of rich's.
    """

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._seen: dict[str, Result] = {}
        """In the order of their first news, in which they are shown."""
        self._changed: dict[str, None] = {}
        """Their names, the last changed at the end."""
        self._lock = Lock()

    def tell(self, result: Result) -> None:
        """Remember a change."""
        with self._lock:
            self._seen[result.name] = result
            self._changed.pop(result.name, None)
            self._changed[result.name] = None

    def shown(self) -> RenderableType:
        """Return what the terminal has room for."""
        room = max(1, self._screen.height - _OTHER_LINES)
        with self._lock:
            seen = [*self._seen.values()]
            last = set(islice(reversed(self._changed), room))
        if not seen:
            return ""
        made = runs_table((each for each in seen if each.name in last), now())
        rest = Counter(each.phase for each in seen if each.name not in last)
        if not rest:
            return made
        counted = ", ".join(f"{count} {phase}" for phase, count in sorted(rest.items()))
        return Group(made, Text(f"and {rest.total()} more: {counted}", "dim", no_wrap=True, overflow="ellipsis"))


def line(result: Result) -> str:
    """Say in one line where a run stands."""
    place = f", position {result.queue.position}" if result.queue and result.queue.position else ""
    before = ", the answer of before" if result.outcome and not result.finished else ""
    sharpe = f" sharpe {number(result.metrics.sharpe)}" if result.metrics.sharpe is not None else ""
    marks = "".join(f" [{mark}]" for mark in result.marks)
    took = f" after {duration(result)}" if result.finished_at else ""
    return f"{result.name}: {result.phase} ({result.reason}{place}{before}){sharpe}{marks}{took}"
