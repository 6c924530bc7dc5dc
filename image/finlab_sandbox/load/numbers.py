"""Numbers from the cells of a CSV file that Arrow does not take for numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.load.problems import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MISSING = ("", "NaN", "nan", "NA", "N/A", "#N/A", "null", "NULL", "None", "<NA>")
"""Cells without a number."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[-+]?\d*(?:\.\d{3})*,\d+", re.ASCII)


def is_number(cell: str) -> bool:
    """It is one, and not missing."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def read(cells: Sequence[str | None]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """The numbers, NaN where there is none, and what is wrong by row."""
    values = np.full(len(cells), np.nan)
    words: dict[int, str] = {}
    for row, cell in enumerate(cells):
        text = (cell or "").strip()
        if text in MISSING:
            continue
        if _NUMBER.fullmatch(text):
            values[row] = float(text)
        else:
            words[row] = _complaint(text)
    return values, words


def _complaint(text: str) -> str:
    if _THOUSANDS.fullmatch(text):
        return f"{shown(text)} is no number; write it without thousands separators"
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{shown(text)} is no number; write the decimal point as '.'"
    return f"{shown(text)} is no number"
