"""What the tests of reports share: documents of real runs, made by the trusted evaluator on real prices."""

import gzip
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from finlab_sandbox.datasets import us_stocks
from finlab_sandbox.evaluate.document import build
from finlab_sandbox.evaluate.market import Market, read_manifest, read_market
from finlab_sandbox.evaluate.orders import fill_forward
from finlab_sandbox.evaluate.positions import Positions
from finlab_sandbox.evaluate.score import Rules, score
from strategyrun.reporting.material import Material

RULES = Rules(
    1e6, 10.0, 0.0, 0.0, on_change=True, allow_leverage=False, periods=252, risk_free=0.0, benchmark="EqualWeight"
)
HASHES = {
    "codeSHA256": "c0de" * 16,
    "paramsSHA256": "9a7a" * 16,
    "datasetSHA256": "da7a" * 16,
    "positionsSHA256": "9051" * 16,
    "imageID": "docker.io/library/finlab-sandbox@sha256:" + "1ab5" * 16,
    "evaluator": "0.1.0",
    "node": "finlab-worker",
}


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """The builtin prices, as the evaluator reads them."""
    package = find_spec("bokeh_sampledata")
    assert package is not None
    assert package.origin is not None
    directory = tmp_path_factory.mktemp("datasets") / "us-stocks"
    us_stocks.build(Path(package.origin).parent / "_data" / "stocks.csv.gz", directory)
    return read_market(str(directory), read_manifest(str(directory)), "Auto")


def trend(prices: NDArray[np.float64], fast: int = 10, slow: int = 40) -> NDArray[np.float64]:
    """Hold, in equal shares, what trades above its longer average."""

    def average(days: int) -> NDArray[np.float64]:
        mean = np.full_like(prices, np.nan)
        mean[days - 1 :] = np.lib.stride_tricks.sliding_window_view(prices, days, axis=0).mean(axis=-1)
        return mean

    return np.where(average(fast) > average(slow), 1.0 / prices.shape[1], 0.0)


class Scored(NamedTuple):
    """What the evaluator leaves of a run: its report document, its metrics and its warnings."""

    document: dict[str, Any]
    metrics: dict[str, float]
    warnings: list[str]


def scored(market: Market, weights: NDArray[np.float64], **rules: Any) -> Scored:
    """Let the evaluator score `weights` (days x symbols), at 10 bps a side unless said; only changes are orders."""
    days, symbols = weights.shape
    positions = Positions(np.arange(days, dtype=np.int64), np.arange(symbols, dtype=np.int64), weights)
    verdict = score(positions, market, RULES._replace(**rules))
    content = build(verdict, market.symbols, market.calendar)
    return Scored(json.loads(gzip.decompress(content)), verdict.metrics, verdict.warnings)


def run_of(answered: Scored | None = None, /, *, name: str = "trend-follower", **status: Any) -> dict[str, Any]:
    """The run as the API server holds it; keywords replace fields of a status that succeeded."""
    answer: dict[str, Any] = {
        "phase": "Succeeded",
        "reason": "Evaluated",
        "message": "scored",
        "kind": "Positions",
        "warnings": [],
        "conditions": [{"type": "LookAheadClean", "status": "True", "reason": "Clean", "message": ""}],
        "lookAhead": {"samples": 5, "checked": 5, "changed": 0, "firstDate": None, "symbol": None},
        "provenance": HASHES,
        "finishedAt": "2026-11-24T03:00:00.000Z",
    }
    if answered is not None:
        document, equity = answered.document, answered.document["equity"]
        places = np.unique(np.linspace(0, len(equity) - 1, 48).round().astype(int))
        answer["metrics"] = answered.metrics
        answer["warnings"] = answered.warnings
        answer["equity"] = {
            "from": document["dates"][0],
            "to": document["dates"][-1],
            "values": [equity[place] for place in places],
        }
        answer["report"] = {"configMap": f"{name}-report", "sha256": "4e90" * 16}
    return {
        "apiVersion": "finlab-sandbox.dev/v1alpha1",
        "kind": "StrategyRun",
        "metadata": {"name": name, "namespace": "research", "uid": "1"},
        "spec": {
            "source": {"inline": "def strategy(data, params): ..."},
            "datasets": [{"name": "prices", "builtin": "us-stocks"}],
            "evaluation": {"feesBps": 10, "benchmark": "EqualWeight", "periodsPerYear": 252},
        },
        "status": answer | status,
    }


@pytest.fixture(scope="session")
def thirteen_years(market: Market) -> Scored:
    """A trend follower on five stocks, as the evaluator scores it."""
    return scored(market, trend(fill_forward(market.prices)))


@pytest.fixture(scope="session")
def material() -> Callable[..., Material]:
    """What renderings are made of; keywords replace fields of the status."""

    def work(answered: Scored, /, *, full: bool = True, **status: Any) -> Material:
        content = json.dumps(answered.document).encode() if full else None
        return Material.read(run_of(answered, **status), content, "" if full else "ConfigMap x is gone")

    return work


@pytest.fixture(scope="session", name="run_of")
def _run_of() -> Callable[..., dict[str, Any]]:
    """The run as the API server holds it."""
    return run_of


@pytest.fixture
def failed() -> dict[str, Any]:
    """A run whose strategy raised an exception and printed something nasty."""
    lines = [
        "Traceback (most recent call last):",
        "[bold]x[/bold] <script>alert(1)</script>\u202e",
        "KeyError: 'AAPLE'",
    ]
    return run_of(
        phase="Failed",
        reason="StrategyError",
        message="KeyError: 'AAPLE'",
        hint="Read the traceback in status.failure.lastLines.",
        lookAhead=None,
        conditions=[],
        failure={"class": "User", "reason": "StrategyError", "message": "x", "exitCode": 1, "lastLines": lines},
    )


@pytest.fixture(scope="session")
def many_symbols(market: Market) -> Scored:
    """60 symbols, a third of them long and a third short at any time."""
    noise = np.random.default_rng(4).normal(0.0004, 0.02, (900, 60))
    weights = np.sign(np.sin(np.arange(900)[:, None] / 90 + np.arange(60)) * 1.5).round() / 60
    symbols = [f"SYM{number:02d}" for number in range(60)]
    return scored(Market(symbols, market.calendar[:900], 100 * np.exp(noise.cumsum(axis=0))), weights)


@pytest.fixture(scope="session", params=["cash", "one day", "ruin", "riches", "many symbols"])
def awkward(request: pytest.FixtureRequest, market: Market, many_symbols: Scored) -> Scored:
    """Accounts that are hard to draw."""
    prices = fill_forward(market.prices)
    if request.param == "cash":
        return scored(market, np.zeros_like(prices))
    if request.param == "one day":
        return scored(Market(market.symbols, market.calendar[:1], market.prices[:1]), np.full((1, 5), 0.2))
    if request.param == "ruin":
        return scored(market, np.tile([-1.6, 0.0, 0.6, 0.0, 0.0], (len(prices), 1)), allow_leverage=True)
    if request.param == "riches":
        tomorrow = np.nan_to_num(prices[1:] / prices[:-1] - 1.0, nan=-1.0)
        weights = np.zeros_like(prices)
        weights[np.arange(len(tomorrow)), tomorrow.argmax(axis=1)] = 1.0
        return scored(market, weights, fees_bps=0.0)
    return many_symbols


@pytest.fixture(scope="session")
def rename() -> Callable[[Scored, str, str], Scored]:
    """Give a symbol another name wherever the report has it."""

    def work(answered: Scored, old: str, new: str) -> Scored:
        content = json.dumps(answered.document).replace(json.dumps(old), json.dumps(new))
        return answered._replace(document=json.loads(content))

    return work
