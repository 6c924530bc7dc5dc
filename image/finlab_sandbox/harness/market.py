"""What a strategy sees as `data`: one frame for each field of the dataset, date x symbol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class MissingFieldError(AttributeError, KeyError):
    """`data` was asked for a field that the dataset does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


class Market:
    """Price and volume frames: float64, tz-naive dates, NaN where there was no trading.

    `data.close` and `data["close"]` are the same. Each access gives a new frame, so changing one changes nothing
    else.
    """

    def __init__(self, dates: pd.DatetimeIndex, symbols: list[str], fields: Mapping[str, NDArray[np.float64]]) -> None:
        self._dates = dates
        self._symbols = pd.Index(symbols)
        self._fields = dict(fields)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The days of the dataset, increasing."""
        return self._dates.copy()

    @property
    def symbols(self) -> list[str]:
        """The columns of every frame."""
        return list(self._symbols)

    @property
    def fields(self) -> list[str]:
        """The names of the frames."""
        return list(self._fields)

    @classmethod
    def of(cls, market: Market) -> Self:
        """Another one with the same values, untouched by whatever is done to that one."""
        return cls(market._dates, list(market._symbols), market._fields)

    def __getitem__(self, field: str) -> pd.DataFrame:
        if field not in self._fields:
            raise MissingFieldError(f"data has no {field!r}; it has {', '.join(self._fields)}")
        values = np.array(self._fields[field], dtype=np.float64)
        return pd.DataFrame(values, index=self._dates.copy(), columns=self._symbols.copy(), copy=False)

    def __getattr__(self, field: str) -> pd.DataFrame:
        if field.startswith("_"):
            raise AttributeError(field)
        return self[field]

    def __contains__(self, field: object) -> bool:
        return field in self._fields

    def __repr__(self) -> str:
        first, last = self._dates[0].date(), self._dates[-1].date()
        return f"<data: {', '.join(self._fields)} of {', '.join(self._symbols)}, {first} to {last}>"


def read_market(directory: str) -> Market:
    """Opens a dataset directory. Values are mapped, not read: a field that is not asked for costs nothing."""
    root = Path(directory)
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    dates = np.load(root / "dates.npy", allow_pickle=False).astype("datetime64[ns]")
    fields = {field: np.load(root / f"{field}.npy", mmap_mode="r", allow_pickle=False) for field in manifest["fields"]}
    return Market(pd.DatetimeIndex(dates, name="date"), manifest["symbols"], fields)
