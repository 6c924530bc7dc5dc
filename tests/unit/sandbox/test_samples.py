"""The sample strategies that need no more than pandas, through both steps. All of them run in the cluster tests."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from finlab_sandbox.harness.market import Market, read_market
from support.sandbox import IMAGE, Steps

SAMPLES = IMAGE.parent / "manifests" / "samples"


def spec_of(name: str) -> dict[str, Any]:
    """The spec of a sample."""
    spec: dict[str, Any] = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())["spec"]
    return spec


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("turtle", {"totalReturn": 1.8104, "sharpe": 0.8905, "maxDrawdown": -0.1447, "trades": 189}),
        ("momentum", {"totalReturn": 7.5004, "sharpe": 0.7358, "maxDrawdown": -0.5901, "trades": 43}),
        ("moving-average", {"totalReturn": 1.5938, "sharpe": 0.4410, "maxDrawdown": -0.5535, "trades": 33}),
    ],
)
def test_a_sample_scores_as_documented(name: str, expected: dict[str, float], steps: Steps) -> None:
    """The numbers are those that were found in the image."""
    spec = spec_of(name)
    ended = steps.run(spec["source"]["inline"], params=spec["params"])
    assert ended.exit_code == 0, ended.document
    metrics = steps.evaluate(**spec.get("evaluation", {})).document["metrics"]
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("name", ["turtle", "momentum", "moving-average"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_sample_does_not_look_ahead(name: str, share: float, us_stocks_directory: Path) -> None:
    """Another future after a day changes no position up to that day, and some after it."""
    spec = spec_of(name)
    module = ModuleType("strategy")
    exec(spec["source"]["inline"], module.__dict__)
    data = read_market(str(us_stocks_directory))
    cut = int(share * len(data.dates))
    known = module.strategy(data, spec["params"])
    other = module.strategy(with_another_future(data, cut), spec["params"])
    pd.testing.assert_frame_equal(other.loc[: data.dates[cut]], known.loc[: data.dates[cut]])
    assert not other.equals(known)


def with_another_future(data: Market, cut: int) -> Market:
    """The same market up to row `cut`; after it the path is reflected, with moves 1.7 times as large."""
    returns = data.adj_close.pct_change(fill_method=None)
    reflected = returns.copy()
    reflected.iloc[cut + 1 :] = np.clip(-1.7 * returns.iloc[cut + 1 :], -0.9, 2.0)
    path = ((1 + reflected) / (1 + returns)).fillna(1.0).cumprod()
    fields = {field: (data[field] if field == "volume" else data[field] * path).to_numpy() for field in data.fields}
    return Market(data.dates, data.symbols, fields)
