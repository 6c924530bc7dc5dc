"""What the sandbox's tests share: the real builtin dataset and the two steps as processes."""

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from finlab_sandbox.datasets import us_stocks
from finlab_sandbox.load.source import find
from finlab_sandbox.load.step import lay_out
from support.sandbox import Steps


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


class Laid(NamedTuple):
    """A dataset that the loader laid out."""

    folder: Path
    summary: str

    @property
    def manifest(self) -> dict[str, Any]:
        """What says that the dataset is there, and what it is."""
        document: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return document

    @property
    def dates(self) -> list[str]:
        """ISO dates."""
        return [str(date) for date in np.load(self.folder / "dates.npy")]

    def field(self, name: str) -> list[list[float]]:
        """Dates x symbols."""
        values: list[list[float]] = np.load(self.folder / f"{name}.npy").tolist()
        return values


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Laid]:
    """Writes files (text or bytes by name) into a source, and lays out the dataset at a path below it."""

    def lay_files(files: Mapping[str, str | bytes], path: str = "") -> Laid:
        source = tmp_path / "source"
        for name, content in files.items():
            file = source / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return Laid(tmp_path / "data", lay_out(find(str(source), path), str(tmp_path / "data")))

    return lay_files
