"""What is wrong with a dataset, in the words of whoever has to mend it."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_PROBLEMS = 5
MAX_SHOWN_CHARS = 40


class LoadError(Exception):
    """The dataset cannot be laid out. `reason` is DataMissing or DataInvalid."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def invalid(message: str) -> LoadError:
    """There is something, and it is wrong."""
    return LoadError("DataInvalid", message)


def shown(text: str) -> str:
    """A text that was found, in quotes."""
    return f"'{named(text)}'"


def named(name: str) -> str:
    """The name of a file or a column, in visible characters and cut."""
    cut = name if len(name) <= MAX_SHOWN_CHARS else name[: MAX_SHOWN_CHARS - 1] + "…"
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)


def listed(names: list[str], limit: int = 12) -> str:
    """Names for a message; what is above the limit is only counted."""
    listing = ", ".join(named(name) for name in names[:limit])
    return listing if len(names) <= limit else f"{listing} and {len(names) - limit} more"


class Problems:
    """The first problems in the order of files and rows."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, str]] = []
        self._files = 0
        self._file = self._unit = ""
        self._more = False

    def begin(self, file: str, unit: str) -> None:
        """What is added from now on is in this file, whose rows are called `unit`: line or row."""
        self._files += 1
        self._file, self._unit = file, unit

    def add(self, row: int, column: str, what: str) -> None:
        """A problem of a cell; row 0 or an empty column for one of the whole file or row."""
        place = named(self._file)
        if row:
            place += f", {self._unit} {row}"
        if column:
            place += f", column {named(column)}"
        bisect.insort(self._found, (self._files, row, f"{place}: {what}"), key=lambda found: found[:2])
        if len(self._found) > MAX_PROBLEMS:
            del self._found[MAX_PROBLEMS:]
            self._more = True

    def add_all(self, words: Mapping[int, str], number: Callable[[int], int], column: str) -> None:
        """Problems by row of a batch; `number` gives a row's number in the file."""
        for row in sorted(words)[: MAX_PROBLEMS + 1]:
            self.add(number(row), column, words[row])

    @property
    def in_file(self) -> bool:
        """The file that was begun last has one."""
        return bool(self._found) and self._found[-1][0] == self._files

    @property
    def enough(self) -> bool:
        """There are as many as will be told."""
        return len(self._found) >= MAX_PROBLEMS

    def settle(self) -> None:
        """Raises LoadError if there are any."""
        if self._found:
            told = "; ".join(what for _, _, what in self._found)
            raise invalid(told + ("; and more" if self._more else ""))
