"""Runs as a notebook shows them: HTML that loads nothing, readable on light and dark pages."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

from strategyrun.domain.strategyrun import Metrics
from strategyrun.reporting import words
from strategyrun.reporting.palette import LIGHT
from strategyrun.reporting.run import EquityPoints, Failure

_WIDTH, _HEIGHT, _MARGIN = 360, 72, 3


class Line(NamedTuple):
    """A run on a leaderboard; one whose number does not compare has no rank."""

    rank: int | None
    name: str
    value: float
    marks: tuple[str, ...]
    equity: EquityPoints | None


def card(
    *,
    name: str,
    phase: str,
    reason: str,
    message: str,
    marks: tuple[str, ...],
    hint: str | None,
    metrics: Metrics,
    self_reported: Mapping[str, float],
    equity: EquityPoints | None,
    failure: Failure | None,
) -> str:
    """Render one run: how it ended, its headline numbers, its equity."""
    tone = {"Succeeded": LIGHT["gain"], "Failed": LIGHT["loss"]}.get(phase, LIGHT["unsure"])
    head = f'<b>{escape(name)}</b> <span style="color:{tone}">{escape(phase)}</span> {escape(reason)}'
    marked = "".join(f' <b style="color:{LIGHT["unsure"]}">{escape(mark)}</b>' for mark in marks)
    parts = [f"<div>{head}{marked}</div>", f"<div>{escape(message)}</div>"]
    if hint:
        parts.append(f"<div><i>{escape(hint)}</i></div>")
    if equity:
        parts.append(_sparkline(equity.values))
    if numbers := _numbers(metrics, self_reported):
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th><td>{escape(value)}</td></tr>"
            for label, value in numbers
        )
        parts.append(f"<table>{rows}</table>")
    if failure and (lines := failure.last_lines):
        parts.append(f"<pre>{escape(chr(10).join(lines))}</pre>")
    return f"<div>{''.join(parts)}</div>"


def leaderboard(metric: str, lines: Iterable[Line], left_out: Mapping[str, int]) -> str:
    """Render the lines, and how many runs were left out, by why."""
    rows = "".join(
        f"<tr><td>{line.rank or '–'}</td><td style='text-align:left'>{escape(line.name)}</td>"
        f"<td>{line.value:.4g}</td><td>{escape(' '.join(line.marks))}</td>"
        f"<td>{_sparkline(line.equity.values, 120, 24) if line.equity else ''}</td></tr>"
        for line in lines
    )
    counted = ", ".join(f"{count} {why}" for why, count in left_out.items())
    foot = f"<div>Left out: {escape(counted)}</div>" if counted else ""
    head = f"<tr><th>#</th><th>Run</th><th>{escape(metric)}</th><th></th><th>Equity</th></tr>"
    return f"<div><table>{head}{rows}</table>{foot}</div>"


def _sparkline(values: tuple[float, ...], width: int = _WIDTH, height: int = _HEIGHT) -> str:
    """Draw a series as an inline SVG."""
    low, high = min(values), max(values)
    span, steps = (high - low) or 1.0, max(1, len(values) - 1)
    inner = height - 2 * _MARGIN
    points = " ".join(
        f"{width * step / steps:.1f},{height - _MARGIN - inner * (value - low) / span:.1f}"
        for step, value in enumerate(values)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="equity">'
        f'<polyline points="{points}" fill="none" stroke="{LIGHT["line"]}" stroke-width="1.5"/></svg>'
    )


def _numbers(metrics: Metrics, self_reported: Mapping[str, float]) -> list[tuple[str, str]]:
    if self_reported:
        return [(name, f"{value:.6g}") for name, value in self_reported.items()]
    known = metrics.model_dump(by_alias=True, exclude_none=True)
    return [(label, words.METRICS[name][1](known[name])) for name, label in words.HEADLINES if name in known]
