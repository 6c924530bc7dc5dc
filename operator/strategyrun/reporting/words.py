"""Numbers and verdicts in words, the same in every rendering."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from strategyrun.domain.text import clean
from strategyrun.reporting.curve import Curve
from strategyrun.reporting.document import Document, Trade
from strategyrun.reporting.run import LookAhead, Run, Status

MINUS = "−"
SHORT_HASH = 12


class Tone(StrEnum):
    """What a verdict means to its reader."""

    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"


class Verdict(NamedTuple):
    """A sentence and how to take it."""

    tone: Tone
    sentence: str


class Row(NamedTuple):
    """One metric: its title, its value or a dash, and why there is no value or what the value means."""

    name: str
    title: str
    value: str
    note: str


def percent(value: float, digits: int = 2) -> str:
    """Write a fraction as percent: 0.1234 is 12.34 %."""
    return f"{_number(value * 100, digits)} %"


def ratio(value: float) -> str:
    """Write a ratio with two decimals."""
    return _number(value, 2)


def count(value: float) -> str:
    """Write a whole number with its thousands apart."""
    return _number(value, 0)


def multiple(value: float) -> str:
    """Write a multiple of the initial capital: three digits that count."""
    if value == 0:
        return "0×"
    size = abs(value)
    digits = max(0, 2 - math.floor(math.log10(size))) if 0.001 <= size < 100 else 0
    return f"{_number(value, digits)}×" if size >= 0.001 else plain(f"{value:.0e}×")


def plain(number: str) -> str:
    """Write a formatted number as people do: 1e+06 is 1e6, and its minus is a minus."""
    mantissa, mark, exponent = number.partition("e")
    return (mantissa + (f"e{exponent[0].strip('+')}{exponent[1:].lstrip('0')}" if mark else "")).replace("-", MINUS)


def _number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "too large" if value > 0 else "too small"
    text = f"{value:,.{digits}f}" if abs(value) < 1e9 else f"{value:.2e}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return plain(text)


METRICS: dict[str, tuple[str, Callable[[float], str], str]] = {
    "totalReturn": ("Total return", percent, ""),
    "totalReturnBeforeCosts": ("Total return before costs", percent, ""),
    "cagr": ("Growth a year (CAGR)", percent, ""),
    "volatility": ("Volatility, a year", percent, ""),
    "sharpe": ("Sharpe ratio", ratio, ""),
    "sharpeLag2": ("Sharpe ratio, filled a day later", ratio, ""),
    "sortino": ("Sortino ratio", ratio, ""),
    "calmar": ("Calmar ratio", ratio, ""),
    "maxDrawdown": ("Maximum drawdown", percent, ""),
    "alpha": ("Alpha, a year", percent, "against the benchmark"),
    "beta": ("Beta", ratio, "against the benchmark"),
    "turnover": ("Turnover, a year", ratio, "value traded over equity, both sides"),
    "exposure": ("Days with a position", percent, ""),
    "trades": ("Closed trades", count, ""),
    "winRateTrades": ("Trades with a gain", percent, ""),
    "winRateDays": ("Days with a gain", percent, "of those with a change"),
    "days": ("Days", count, ""),
    "finalEquity": ("Final equity", count, "in the currency of the prices"),
}
"""Title, format and remark of each metric, in the order of reading."""

_OPTIONAL = frozenset({"alpha", "beta"})
"""Metrics that an evaluator before them did not compute: absent without a warning, they are left out."""

HEADLINES = (
    ("sharpe", "Sharpe"),
    ("cagr", "CAGR"),
    ("totalReturn", "Total return"),
    ("maxDrawdown", "Max drawdown"),
    ("volatility", "Volatility"),
    ("calmar", "Calmar"),
    ("trades", "Trades"),
)
"""The numbers that stand above a picture."""


def metric_rows(status: Status) -> list[Row]:
    """Return a row for each metric; one that is undefined says why."""
    rows = []
    for name, (title, form, remark) in METRICS.items():
        value, reason = status.metrics.get(name), undefined_because(name, status)
        if value is not None:
            rows.append(Row(name, title, form(value), remark))
        elif reason or name not in _OPTIONAL:
            rows.append(Row(name, title, "—", f"undefined: {reason}" if reason else "not reported"))
    unknown = sorted(status.metrics.keys() - METRICS.keys())
    return rows + [Row(name, name, f"{status.metrics[name]:.6g}", "") for name in unknown]


def headlines(status: Status) -> list[tuple[str, str]]:
    """Return the labels and values that stand above a picture."""
    values = [(label, METRICS[name][1], status.metrics.get(name)) for name, label in HEADLINES]
    return [(label, "—" if value is None else _brief(form, value)) for label, form, value in values]


def _brief(form: Callable[[float], str], value: float) -> str:
    return percent(value, 1) if form is percent else form(value)


def undefined_because(name: str, status: Status) -> str:
    """Return why a metric is absent, as the warnings have it, or nothing."""
    return next((text for warning in status.warnings for key, _, text in [warning.partition(": ")] if key == name), "")


def other_warnings(status: Status, document: Document | None) -> list[str]:
    """Return the warnings that no row of the metrics has said, and what the report had no room for."""
    said = {name for name in METRICS if name not in status.metrics}
    elsewhere = {"report"} | ({"lookAhead"} if status.look_ahead and status.look_ahead.changed else set())
    rest = [warning for warning in status.warnings if warning.partition(": ")[0] not in said | elsewhere]
    return [*rest, *(document.truncated if document else ())]


def look_ahead(status: Status) -> Verdict | None:
    """Say what the look-ahead check found; None where there was nothing to check."""
    condition = next((fact for fact in status.conditions if fact.type == "LookAheadClean"), None)
    found = status.look_ahead
    if found is None and condition is None:
        return Verdict(Tone.UNSURE, "Look-ahead was not checked.") if status.metrics else None
    if (found and found.changed) or (condition and condition.status == "False"):
        return Verdict(Tone.BAD, _looks_ahead(found))
    if found and not found.deterministic:
        return Verdict(Tone.UNSURE, "Not deterministic: two runs on the same data differ, so look-ahead is unknown.")
    if found and found.checked and found.checked >= found.samples:
        cuts = "cut" if found.checked == 1 else "cuts"
        return Verdict(
            Tone.GOOD, f"No look-ahead found: {found.checked} of {found.samples} {cuts} left the past as it was."
        )
    told = (found.note if found else None) or (condition.message if condition else "")
    why = f" {told[0].upper()}{told[1:]}." if told else ""
    if found and found.checked:
        return Verdict(
            Tone.UNSURE, f"No look-ahead in {found.checked} of {found.samples} cuts; the others were not checked.{why}"
        )
    if condition and condition.status == "True":
        return Verdict(Tone.GOOD, f"No look-ahead found.{why}")
    return Verdict(Tone.UNSURE, f"Look-ahead was not checked.{why}")


def _looks_ahead(found: LookAhead | None) -> str:
    sentence = "LOOK-AHEAD: positions change when only the future changes"
    if found is None:
        return sentence + "."
    where = f", first on {found.first_date}" if found.first_date else ""
    which = f" in {found.symbol}" if found.symbol else ""
    return f"{sentence}{where}{which} ({found.changed} of {found.checked} cuts). These numbers cannot be earned."


_PROVENANCE = {
    "codeSHA256": "Code",
    "paramsSHA256": "Params",
    "datasetSHA256": "Prices",
    "positionsSHA256": "Positions",
    "seccompSHA256": "Seccomp profile",
    "imageID": "Image",
    "evaluator": "Evaluator",
    "node": "Node",
}


def provenance(run: Run) -> list[tuple[str, str]]:
    """Say what exactly was evaluated, by what, how."""
    known = run.status.provenance
    facts = [(title, text) for name, title in _PROVENANCE.items() if (text := _text(known.get(name)))]
    if run.status.report:
        facts.append(("Report", _text(run.status.report.sha256)))
    facts.append(("Dataset", ", ".join(dataset.label for dataset in run.spec.datasets)))
    facts.append(("Costs", costs(run)))
    if run.status.finished_at:
        facts.append(("Finished", run.status.finished_at))
    return facts


def footer(run: Run) -> str:
    """Say the provenance in one line, with short hashes."""
    known = run.status.provenance
    image = _text(known.get("imageID")).rpartition("sha256:")[2]
    hashes = [(title, _text(known.get(key))) for key, title in [*_PROVENANCE.items()][:4]] + [("Image", image)]
    facts = [f"{title.lower()} {value[:SHORT_HASH]}" for title, value in hashes if value]
    evaluator = _text(known.get("evaluator"))
    return "  ·  ".join([*facts, *([f"evaluator {evaluator}"] if evaluator else []), costs(run)])


def costs(run: Run) -> str:
    """Say what trading cost."""
    rules = run.spec.evaluation
    named = [(rules.fees_bps, "fees"), (rules.sell_tax_bps, "sell tax"), (rules.slippage_bps, "slippage")]
    return ", ".join(f"{what} {bps:g} bps" for bps, what in named if bps) or "no costs"


def subtitle(run: Run, curve: Curve | None) -> str:
    """Say where the run is and what it was scored on."""
    parts = [run.namespace, ", ".join(dataset.label for dataset in run.spec.datasets)]
    if curve is not None:
        parts.append(f"{curve.dates[0]} to {curve.dates[-1]}")
    if (days := run.status.metrics.get("days")) is not None:
        parts.append(f"{count(days)} days" if days != 1 else "1 day")
    return "  ·  ".join(parts)


def kind_note(status: Status) -> str:
    """Say how far the numbers can be believed, where they are not the evaluator's."""
    if status.self_reported is not None:
        return "SELF-REPORTED: the strategy printed these numbers itself; nothing checked them."
    if status.kind == "Script":
        return "A script without positions: nothing was scored."
    return ""


def extremes(trades: tuple[Trade, ...], limit: int) -> dict[str, list[Trade]]:
    """Return the last, the best and the worst trades, by profit; gains are never among the worst."""
    by_profit = sorted(trades, key=lambda trade: -trade.profit)
    return {
        "Last trades": [*trades[-limit:]][::-1],
        "Best trades": [trade for trade in by_profit[:limit] if trade.profit > 0],
        "Worst trades": [trade for trade in by_profit[::-1][:limit] if trade.profit < 0],
    }


def _text(value: Any) -> str:
    return clean(value, 200) if isinstance(value, str) else ""
