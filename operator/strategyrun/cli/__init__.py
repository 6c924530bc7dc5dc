"""The command line: a door to the client for people and scripts, and the operator's own entry point.

The program takes a second to import, and an interrupt may come in that second: it ends with the same code as later.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from strategyrun.cli.exits import Exit


def main() -> None:
    """Run the command line."""
    with _interruptible():
        from strategyrun.cli import program  # noqa: PLC0415 - an interrupt meanwhile is heard

        program.run()


def complete() -> None:
    """Tell kubectl how the words after `kubectl strategyrun` may go on."""
    with _interruptible():
        from strategyrun.cli import program  # noqa: PLC0415 - for the reason above

        program.complete()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Exit without a traceback where somebody interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
