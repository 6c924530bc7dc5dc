"""One evaluation: reads the inputs and the positions, writes the report."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from typing import Any, NamedTuple

from finlab_sandbox import __version__
from finlab_sandbox.evaluate import report
from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.market import read_market
from finlab_sandbox.evaluate.positions import parse, read_bytes
from finlab_sandbox.evaluate.score import Rules, Score, score

SCHEMA = 1


class Paths(NamedTuple):
    """Where the pod mounts what this step reads and writes."""

    inputs: str = "/inputs"
    positions: str = "/out/positions.bin"
    report: str = "/dev/termination-log"


def evaluate(paths: Paths, nonce: str) -> None:
    """Reaches a verdict and writes it. Any other exception means that this step itself could not work."""
    started = time.perf_counter()
    gc.disable()
    code, inputs, evaluation = (
        _read(os.path.join(paths.inputs, name)) for name in ("strategy.py", "input.json", "evaluation.json")
    )
    document = json.loads(evaluation)
    if document["schema"] != SCHEMA:
        raise ValueError(f"evaluation.json has schema {document['schema']}; this evaluator reads {SCHEMA}")
    market = read_market(document["dataset"]["path"], document["price"])
    hashes = {"code": _sha256(code), "input": _sha256(inputs), "evaluation": _sha256(evaluation)}
    hashes["dataset"] = market.sha256

    reason, message, verdict = "Evaluated", "", Score({}, [])
    try:
        content = read_bytes(paths.positions)
        hashes["positions"] = _sha256(content)
        verdict = score(parse(content, market.calendar, len(market.symbols)), market, rules_of(document))
    except ResultError as error:
        reason, message = error.reason, str(error)

    report.write(
        paths.report,
        report.encode(
            nonce=nonce,
            reason=reason,
            message=message,
            metrics=verdict.metrics,
            warnings=verdict.warnings,
            hashes=hashes,
            evaluator=__version__,
            seconds=time.perf_counter() - started,
        ),
    )


def rules_of(document: dict[str, Any]) -> Rules:
    """The rules in evaluation.json, which the operator wrote with every field set."""
    return Rules(
        initial_capital=float(document["initialCapital"]),
        fees_bps=float(document["feesBps"]),
        sell_tax_bps=float(document["sellTaxBps"]),
        slippage_bps=float(document["slippageBps"]),
        on_change={"EveryRow": False, "OnChange": True}[document["rebalance"]],
        allow_leverage=bool(document["allowLeverage"]),
        periods=int(document["periodsPerYear"]),
        risk_free=float(document["riskFreeRate"]),
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
