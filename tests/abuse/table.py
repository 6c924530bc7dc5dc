"""What a run of the abuse suite has found so far."""

ROWS: list[tuple[str, str, str]] = []
"""The case, how it had to end, how it ended."""
