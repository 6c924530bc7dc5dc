"""Writes a dataset directory: what harness and evaluator read, whoever made it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


def write(
    directory: str | os.PathLike[str],
    *,
    dates: NDArray[np.datetime64],
    symbols: Sequence[str],
    fields: Iterable[tuple[str, NDArray[np.float64]]],
    sha256: str,
    rows: int,
    license: str,  # noqa: A002 - the word in the manifest
    source: str,
) -> None:
    """dates.npy (datetime64[D], increasing), <field>.npy (float64, dates x sorted symbols), then manifest.json.

    Whoever finds a manifest finds the whole dataset. Fields are taken one by one, so they may be made one by one.
    """
    os.makedirs(directory, exist_ok=True)
    np.save(os.path.join(directory, "dates.npy"), dates.astype("datetime64[D]"))
    names = []
    for name, values in fields:
        np.save(os.path.join(directory, f"{name}.npy"), values)
        names.append(name)
    manifest = {
        "schema": 1,
        "symbols": list(symbols),
        "fields": names,
        "sha256": sha256,
        "rows": rows,
        "license": license,
        "source": source,
    }
    with open(os.path.join(directory, "manifest.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=2) + "\n")
