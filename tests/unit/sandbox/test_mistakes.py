"""What docs/mistakes.md says to write instead works: it gives positions that the harness hands over."""

from pathlib import Path
from types import ModuleType

import pytest

from finlab_sandbox.harness.market import read_market
from finlab_sandbox.harness.result import to_positions
from support.mistakes import Entry, entries

WITH_PANDAS_ALONE = {name: entry for name, entry in entries().items() if "def strategy(" in entry.instead}


def test_all_but_the_vendors_script_need_no_more_than_pandas() -> None:
    """Each mistake but one is mended by a function that runs here."""
    assert entries().keys() - WITH_PANDAS_ALONE.keys() == {"vendor-backtest"}


@pytest.mark.parametrize(("name", "entry"), WITH_PANDAS_ALONE.items())
def test_what_to_write_instead_gives_positions(name: str, entry: Entry, us_stocks_directory: Path) -> None:
    """Finite weights on dates and symbols of the data, at most 1 in all, and not all of them 0."""
    data = read_market(str(us_stocks_directory))
    module = ModuleType("strategy")
    exec(entry.instead, module.__dict__)
    positions = to_positions(module.strategy(data, {}), data.dates, data.symbols)
    assert positions.weights.any(), name
    assert (abs(positions.weights).sum(axis=1) <= 1 + 1e-9).all()
