"""Reads the market data that positions are scored on: a trusted, read-only dataset directory."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finlab_sandbox.evaluate.blocks import blocks
from finlab_sandbox.evaluate.errors import ResultError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Manifest(NamedTuple):
    """What a dataset says of itself."""

    symbols: list[str]
    fields: list[str]
    sha256: str


class Market(NamedTuple):
    """One price per calendar day (int32 days since 1970-01-01) and symbol; NaN where there was none above 0.

    Prices are mapped, not read: only pages with a price that is none take memory of their own.
    """

    symbols: list[str]
    calendar: NDArray[np.int32]
    prices: NDArray[np.float64]


def read_manifest(directory: str) -> Manifest:
    """The manifest of the dataset."""
    with open(os.path.join(directory, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    return Manifest(manifest["symbols"], manifest["fields"], manifest["sha256"])


def read_market(directory: str, manifest: Manifest, price: str) -> Market:
    """The dataset's `price`: Close, AdjClose, or Auto (adj_close where the dataset has it, else close).

    Raises ResultError with reason DataMissing where the dataset has no such field.
    """
    auto = "adj_close" if "adj_close" in manifest.fields else "close"
    field = {"Auto": auto, "AdjClose": "adj_close", "Close": "close"}[price]
    if field not in manifest.fields:
        there = " ".join(manifest.fields)
        raise ResultError("DataMissing", f"evaluation.price {price} needs {field}; the dataset has {there}")
    dates = np.load(os.path.join(directory, "dates.npy"), allow_pickle=False)
    prices = np.asarray(np.load(os.path.join(directory, f"{field}.npy"), mmap_mode="c", allow_pickle=False))
    for block in blocks(*prices.shape):
        known = prices[block]
        known[(known <= 0.0) | (known == np.inf)] = np.nan
    return Market(manifest.symbols, dates.astype("datetime64[D]").astype(np.int32), prices)
