"""What the tests of pages share: the built-in prices, and the steps of a pod as processes."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from finlab_sandbox.datasets import us_stocks
from support.sandbox import Steps


@pytest.fixture(scope="session")
def us_stocks_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in dataset, built as the image builds it."""
    package = find_spec("bokeh_sampledata")
    assert package is not None
    assert package.origin is not None
    directory = tmp_path_factory.mktemp("datasets") / "us-stocks"
    us_stocks.build(Path(package.origin).parent / "_data" / "stocks.csv.gz", directory)
    return directory


@pytest.fixture
def steps(tmp_path: Path, us_stocks_directory: Path) -> Steps:
    """A run of its own on the built-in dataset."""
    return Steps(tmp_path, us_stocks_directory)
