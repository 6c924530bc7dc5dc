"""Scores frames of weights on frames of prices, in this process."""

import gzip
import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from finlab_sandbox.evaluate.market import Market
from finlab_sandbox.evaluate.positions import Positions
from finlab_sandbox.evaluate.score import Rules, Score, score
from finlab_sandbox.evaluate.step import Paths, evaluate
from support.positions_format import content_of
from support.sandbox import EVALUATION

RULES = Rules(
    initial_capital=1_000_000.0,
    fees_bps=0.0,
    sell_tax_bps=0.0,
    slippage_bps=0.0,
    on_change=False,
    allow_leverage=False,
    periods=252,
    risk_free=0.0,
    benchmark="EqualWeight",
)


def market_of(prices: pd.DataFrame) -> Market:
    """A market whose calendar and symbols are those of the frame."""
    days = prices.index.to_numpy().astype("datetime64[D]").astype(np.int32)
    return Market(list(prices.columns), days, prices.to_numpy(dtype=float))


def positions_of(weights: pd.DataFrame, prices: pd.DataFrame) -> Positions:
    """Weights as they are read from a file, for the market of the prices."""
    rows, columns = prices.index.get_indexer(weights.index), prices.columns.get_indexer(weights.columns)
    return Positions(rows.astype(np.int64), columns.astype(np.int64), weights.to_numpy(dtype=float))


def score_frame(weights: pd.DataFrame, prices: pd.DataFrame, rules: Rules = RULES) -> Score:
    """Score a frame of weights on a frame of prices."""
    return score(positions_of(weights, prices), market_of(prices), rules)


def daily(values: list[float], **columns: list[float]) -> pd.DataFrame:
    """A frame with column A, and others, of consecutive days."""
    return pd.DataFrame({"A": values} | columns, index=pd.date_range("2020-01-01", periods=len(values)))


class Evaluated(NamedTuple):
    """What an evaluation left: its report, and the document that it printed, if any."""

    report: dict[str, Any]
    document: dict[str, Any]
    printed: bytes


def write_dataset(directory: Path, **fields: pd.DataFrame) -> None:
    """A dataset directory of frames of the same days and symbols."""
    frame = next(iter(fields.values()))
    directory.mkdir(exist_ok=True)
    np.save(directory / "dates.npy", frame.index.to_numpy().astype("datetime64[D]"))
    for name, values in fields.items():
        np.save(directory / f"{name}.npy", values.to_numpy(dtype=float))
    manifest = {"schema": 1, "symbols": list(frame.columns), "fields": list(fields), "sha256": "0" * 64, "rows": 1}
    (directory / "manifest.json").write_text(json.dumps(manifest))


def write_positions(path: Path, weights: pd.DataFrame, symbols: list[str]) -> None:
    """positions.bin, by the description of the format; the columns are in the order of `symbols`."""
    days = weights.index.to_numpy().astype("datetime64[D]").astype(int).tolist()
    columns = [symbols.index(column) for column in weights.columns]
    path.write_bytes(content_of(tuple(days), tuple(columns), tuple(weights.to_numpy(dtype=float).ravel().tolist())))


def evaluate_frame(folder: Path, weights: pd.DataFrame, prices: pd.DataFrame, **evaluation: Any) -> Evaluated:
    """Evaluate weights on closes from file to report, in this process, at no cost; keywords replace fields."""
    write_dataset(folder / "dataset", close=prices)
    write_positions(folder / "positions.bin", weights, list(prices.columns))
    (folder / "strategy.py").write_text("")
    (folder / "input.json").write_text("{}")
    dataset = {"name": "prices", "path": str(folder / "dataset")}
    content = json.dumps(EVALUATION | {"dataset": dataset, "feesBps": 0.0} | evaluation)
    (folder / "evaluation.json").write_text(content)
    with (folder / "output").open("wb") as output:
        paths = Paths(str(folder), str(folder / "positions.bin"), str(folder / "report.json"), output.fileno())
        evaluate(paths, nonce="n")
    report = json.loads((folder / "report.json").read_bytes().decode("ascii"))
    printed = (folder / "output").read_bytes()
    return Evaluated(report, unframe(printed) if printed else {}, printed)


def unframe(printed: bytes) -> dict[str, Any]:
    """The document in what was printed, which must be as announced."""
    title, *lines = printed.decode("ascii").splitlines()
    content = b64decode("".join(lines), validate=True)
    assert title == f"FINLAB-REPORT 1 {len(content)} {hashlib.sha256(content).hexdigest()}"
    assert all(len(line) <= 4096 for line in lines)
    assert len(content) <= 384 * 1024
    document: dict[str, Any] = json.loads(gzip.decompress(content).decode("ascii"))
    return document
