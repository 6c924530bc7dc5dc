"""The table that a run of the abuse suite ends with."""

from typing import Any

from abuse.table import ROWS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, where there is one."""
    if not ROWS:
        return
    terminalreporter.section("abuse")
    lines = [("case", "expected", "found"), *sorted(ROWS)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        terminalreporter.write_line(text.rstrip())
