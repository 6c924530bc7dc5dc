"""The sample strategies that need no more than pandas, through both steps. All of them run in the cluster tests.

The pages tell of all of them, in the numbers on record.
"""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import yaml

from finlab_sandbox.harness.market import read_market
from finlab_sandbox.harness.perturb import Futures
from support.sandbox import IMAGE, Steps

CHECKOUT = IMAGE.parent
SAMPLES = CHECKOUT / "manifests" / "samples"
PAGES = CHECKOUT / "docs" / "strategies"
GOLDEN: dict[str, dict[str, float]] = json.loads((CHECKOUT / "tests/cluster/golden/samples.json").read_text())
NAMES = [
    *("factor-graph", "macd-volume", "momentum", "pairs", "rsi-reversion", "turtle", "volatility-target"),
    "walk-forward-ridge",
]
PANDAS_ALONE = ["momentum", "pairs", "turtle", "volatility-target"]
PERCENT = (
    *("totalReturn", "totalReturnBeforeCosts", "cagr", "volatility", "maxDrawdown", "alpha", "exposure"),
    *("winRateDays", "winRateTrades"),
)


def spec_of(name: str) -> dict[str, Any]:
    """The spec of a sample."""
    spec: dict[str, Any] = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())["spec"]
    return spec


def test_each_sample_has_golden_values_and_a_page() -> None:
    """Nothing is left of a sample that is gone, and no sample is without its numbers or its page."""
    assert sorted(path.stem for path in SAMPLES.iterdir()) == NAMES
    assert sorted(GOLDEN) == NAMES
    assert sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README") == NAMES


def shown(metric: str, value: float) -> str:
    """A metric as the pages write it."""
    if metric in PERCENT:
        return f"{value:.1%}"
    if metric == "finalEquity":
        return f"{value:,.0f}"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_metric_on_record(name: str) -> None:
    """To the digits shown, and no other."""
    results = (PAGES / f"{name}.md").read_text().partition("\n## Results\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|$", results, flags=re.MULTILINE)
    assert dict(rows) == {metric: shown(metric, value) for metric, value in GOLDEN[name].items()}


def test_the_table_of_all_strategies_has_the_metrics_on_record() -> None:
    """A row for each, in the columns that its head names."""
    lines = [line for line in (PAGES / "README.md").read_text().splitlines() if line.startswith("| ")]
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[: 1 + len(NAMES) + 1])
    metrics = head[1:]
    assert [row for row in rows if row[0].startswith("[")] == [
        [f"[{name}]({name}.md)", *(shown(metric, GOLDEN[name][metric]) for metric in metrics)] for name in NAMES
    ]


@pytest.mark.parametrize("name", PANDAS_ALONE)
def test_a_sample_scores_as_in_the_image(name: str, steps: Steps) -> None:
    """Every metric is the one on record, and five other futures change no position before them."""
    spec = spec_of(name)
    ended = steps.run(spec["source"]["inline"], params=spec["params"], lookAhead={"samples": 5})
    assert ended.exit_code == 0, ended.document
    found = ended.document["lookAhead"]
    assert (found["checked"], found["changed"], found["note"]) == (5, 0, "")
    metrics = steps.evaluate(**spec.get("evaluation", {})).document["metrics"]
    assert metrics == pytest.approx(GOLDEN[name], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", PANDAS_ALONE)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_sample_does_not_look_ahead(name: str, share: float, us_stocks_directory: Path) -> None:
    """Another future after a day changes no position up to that day, and some after it."""
    spec = spec_of(name)
    module = ModuleType("strategy")
    exec(spec["source"]["inline"], module.__dict__)
    data = read_market(str(us_stocks_directory))
    cut = int(share * len(data.dates))
    known = module.strategy(data, spec["params"])
    other = module.strategy(Futures(data).after(cut), spec["params"])
    pd.testing.assert_frame_equal(other.loc[: data.dates[cut]], known.loc[: data.dates[cut]])
    assert not other.equals(known)
