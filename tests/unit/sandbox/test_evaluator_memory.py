"""What the loader accepts, the evaluator can score within its container's memory."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.evaluate.positions import MAX_BYTES
from finlab_sandbox.load.limits import MAX_DATASET_BYTES, MIB
from support.scoring import evaluate_frame

MEMORY_BYTES = 2048 * MIB
"""Of the container, as config/sandbox.yaml has it."""

INTERPRETER_BYTES = 100 * MIB
SCALE = 32


@pytest.mark.parametrize(
    ("days", "symbols", "every"),
    [(4096, MAX_DATASET_BYTES // SCALE // 8 // 4096, 8), (4096, MAX_BYTES // SCALE // 8 // 4096, 1)],
    ids=["largest-dataset", "an-order-a-day"],
)
def test_the_largest_dataset_is_scored_in_the_memory_there_is(
    tmp_path: Path, days: int, symbols: int, every: int
) -> None:
    """With the largest positions, from file to report; both are a part of their limits, and so is the memory.

    The prices themselves are mapped, and count as if all of their pages had to be changed.
    """
    random = np.random.default_rng(1)
    values = np.exp(np.cumsum(random.normal(0, 0.01, (days, symbols)), axis=0))
    values[: days // 10, ::3] = np.nan
    index = pd.bdate_range("2000-01-03", periods=days)
    prices = pd.DataFrame(values, index, [f"S{at}" for at in range(symbols)])
    weights = pd.DataFrame(random.random(values[::every].shape) / symbols, index[::every], prices.columns)
    weights = weights.where(random.random(weights.shape) > 0.5, 0.0)
    assert weights.size * 8 * SCALE == MAX_BYTES
    gc.collect()
    tracemalloc.start()
    try:
        evaluated = evaluate_frame(tmp_path, weights, prices)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert evaluated.report["verdict"] == "Evaluated"
    assert (peak + values.nbytes) * SCALE < MEMORY_BYTES - INTERPRETER_BYTES


@pytest.mark.parametrize("cells", [1, 3, 100])
def test_parts_change_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    """Gaps, symbols that begin late and days between orders give the same to the last bit in parts of any size."""
    random = np.random.default_rng(2)
    index = pd.bdate_range("2000-01-03", periods=60)
    prices = pd.DataFrame(np.exp(np.cumsum(random.normal(0, 0.05, (60, 3)), axis=0)), index, list("ABC"))
    prices = prices.mask(random.random(prices.shape) < 0.3)
    prices.iloc[:20, 1] = prices.iloc[40:, 2] = np.nan
    weights = pd.DataFrame(random.random((12, 3)), index[3::5], prices.columns)
    whole = evaluate_frame(tmp_path, weights, prices, feesBps=10.0)
    monkeypatch.setattr("finlab_sandbox.evaluate.blocks.CELLS", cells)
    parts = evaluate_frame(tmp_path, weights, prices, feesBps=10.0)
    assert parts.report["metrics"] == whole.report["metrics"]
    assert parts.document == whole.document
