"""The builtin dataset."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.datasets import us_stocks


def test_every_number_of_the_table_is_in_the_dataset(us_stocks_table: Path, us_stocks_directory: Path) -> None:
    """Each field equals the table's column by date and symbol, with NaN where the table has no row."""
    table = pd.read_csv(us_stocks_table, parse_dates=["Date"], float_precision="round_trip")
    manifest = json.loads((us_stocks_directory / "manifest.json").read_text())
    dates = np.load(us_stocks_directory / "dates.npy")
    for field, column in us_stocks.FIELDS.items():
        expected = table.pivot(index="Date", columns="Ticker", values=column)
        assert list(expected.columns) == manifest["symbols"]
        np.testing.assert_array_equal(expected.index.to_numpy().astype("datetime64[D]"), dates)
        np.testing.assert_array_equal(expected.to_numpy(dtype=float), np.load(us_stocks_directory / f"{field}.npy"))
    assert manifest["rows"] == len(table)


def test_dates_are_strictly_increasing(us_stocks_directory: Path) -> None:
    """Readers search the calendar."""
    dates = np.load(us_stocks_directory / "dates.npy")
    assert (np.diff(dates) > np.timedelta64(0, "D")).all()


def test_another_table_is_refused(tmp_path: Path) -> None:
    """The dataset is what its hash says, or it is not built."""
    other = tmp_path / "stocks.csv.gz"
    other.write_bytes(b"something else")
    with pytest.raises(ValueError, match="sha256"):
        us_stocks.build(other, tmp_path / "us-stocks")


def test_the_directory_is_the_same_bit_for_bit_wherever_it_is_built(us_stocks_directory: Path) -> None:
    """Scores of different builds of the image can be compared."""
    digest = hashlib.sha256()
    for file in sorted(us_stocks_directory.iterdir()):
        digest.update(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n".encode())
    assert digest.hexdigest() == "824192b2b5560d60126f4f87fa607bd26746d3a135625fcfe8c4b3346eb71322"
