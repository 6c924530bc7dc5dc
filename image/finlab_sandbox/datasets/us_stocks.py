"""The builtin dataset `us-stocks`: AAPL, FB, GOOG, IBM and MSFT, daily, 2000-03-01 to 2013-03-01.

`python3 -m finlab_sandbox.datasets.us_stocks stocks.csv.gz /opt/finlab/datasets/us-stocks`, where stocks.csv.gz is
the table in the package bokeh-sampledata 2026.1. Prices and volume are as traded; adj_close is adjusted for splits
and dividends.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.load.directory import write

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
FIELDS = {
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "adj_close": "Adj Close",
    "volume": "Volume",
}


def build(table: Path, directory: Path) -> None:
    """Writes the dataset directory (manifest.json, dates.npy, <field>.npy). Raises ValueError for another table."""
    content = table.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{table} has sha256 {found}, not {SHA256}")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(content).decode("utf-8"))))
    symbols = sorted({row["Ticker"] for row in rows})
    dates = sorted({row["Date"] for row in rows})
    at_date = {date: index for index, date in enumerate(dates)}
    at_symbol = {symbol: index for index, symbol in enumerate(symbols)}

    def matrix(column: str) -> NDArray[np.float64]:
        values = np.full((len(dates), len(symbols)), np.nan)
        for row in rows:
            values[at_date[row["Date"]], at_symbol[row["Ticker"]]] = float(row[column])
        return values

    write(
        directory,
        dates=np.array(dates, dtype="datetime64[D]"),
        symbols=symbols,
        fields=((field, matrix(column)) for field, column in FIELDS.items()),
        sha256=found,
        rows=len(rows),
        license="Public domain",
        source="Quandl WIKI Prices, in bokeh-sampledata 2026.1",
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
