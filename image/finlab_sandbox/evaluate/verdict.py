"""The verdict on positions: everything from the hostile file to the numbers and the report document."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from finlab_sandbox.evaluate import document, printing
from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.market import read_manifest, read_market
from finlab_sandbox.evaluate.positions import parse, read_bytes
from finlab_sandbox.evaluate.report import Summary, Verdict
from finlab_sandbox.evaluate.score import Rules, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUMMARY_POINTS = 48


def reach(path: str, evaluation: dict[str, Any], hashes: dict[str, str]) -> tuple[Verdict, bytes]:
    """The verdict and what to print (nothing where there is no score); `hashes` gets those of what was read."""
    manifest = read_manifest(evaluation["dataset"]["path"])
    hashes["dataset"] = manifest.sha256
    try:
        content = read_bytes(path)
        hashes["positions"] = hashlib.sha256(content).hexdigest()
        market = read_market(evaluation["dataset"]["path"], manifest, evaluation["price"])
        positions = parse(content, market.calendar, len(market.symbols))
        with np.errstate(all="ignore"):  # what is not finite is told in words, not on the error output
            found = score(positions, market, rules_of(evaluation))
            built = document.build(found, [market.symbols[at] for at in positions.symbols], market.calendar)
    except ResultError as error:
        return Verdict(error.reason, str(error)), b""
    hashes["report"] = hashlib.sha256(built).hexdigest()
    equity = summary(market.calendar, found.account.equity)
    return Verdict("Evaluated", "", found.metrics, found.warnings, equity), printing.frame(built, hashes["report"])


def rules_of(evaluation: dict[str, Any]) -> Rules:
    """The rules in evaluation.json, which the operator wrote with every field set."""
    return Rules(
        initial_capital=float(evaluation["initialCapital"]),
        fees_bps=float(evaluation["feesBps"]),
        sell_tax_bps=float(evaluation["sellTaxBps"]),
        slippage_bps=float(evaluation["slippageBps"]),
        on_change={"EveryRow": False, "OnChange": True}[evaluation["rebalance"]],
        allow_leverage=bool(evaluation["allowLeverage"]),
        periods=int(evaluation["periodsPerYear"]),
        risk_free=float(evaluation["riskFreeRate"]),
        benchmark=evaluation["benchmark"],
    )


def summary(calendar: NDArray[np.int32], equity: NDArray[np.float64]) -> Summary | None:
    """The equity of the first and the last day and of days at even distances between; None where it is not finite."""
    shown = np.linspace(0, len(equity) - 1, min(SUMMARY_POINTS, len(equity))).round().astype(np.int64)
    if not np.isfinite(equity[shown]).all():
        return None
    first, last = calendar[[0, -1]].astype("datetime64[D]").astype(str)
    return Summary(str(first), str(last), document.significant(equity[shown], document.DIGITS).tolist())
