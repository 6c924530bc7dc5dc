"""What the sandbox's tests share: the real builtin dataset and the two steps as processes."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from finlab_sandbox.datasets import us_stocks
from support.sandbox import Steps

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def us_stocks_table() -> Path:
    """The table that us-stocks is made of."""
    package = find_spec("bokeh_sampledata")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "_data" / "stocks.csv.gz"


@pytest.fixture(scope="session")
def us_stocks_directory(us_stocks_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The builtin dataset, built as the image builds it."""
    directory = tmp_path_factory.mktemp("datasets") / "us-stocks"
    us_stocks.build(us_stocks_table, directory)
    return directory


@pytest.fixture
def steps(tmp_path: Path, us_stocks_directory: Path) -> Steps:
    """Both steps of one run, in a folder of their own."""
    return Steps(tmp_path, us_stocks_directory)
