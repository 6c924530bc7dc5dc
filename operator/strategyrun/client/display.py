"""Results as a notebook shows them: HTML that loads nothing, readable on light and dark pages."""

from html import escape

from strategyrun.client.board import Board
from strategyrun.client.result import Result
from strategyrun.reporting import words
from strategyrun.reporting.palette import LIGHT

_WIDTH, _HEIGHT, _MARGIN = 360, 72, 3


def card(result: Result) -> str:
    """Render one result: how it ended, its headline numbers, its equity."""
    tone = {"Succeeded": LIGHT["gain"], "Failed": LIGHT["loss"]}.get(result.phase, LIGHT["unsure"])
    head = f'<b>{_safe(result.name)}</b> <span style="color:{tone}">{_safe(result.phase)}</span> {_safe(result.reason)}'
    marks = "".join(f' <b style="color:{LIGHT["unsure"]}">{_safe(mark)}</b>' for mark in result.marks)
    parts = [f"<div>{head}{marks}</div>", f"<div>{_safe(result.message)}</div>"]
    if result.hint:
        parts.append(f"<div><i>{_safe(result.hint)}</i></div>")
    if result.equity:
        parts.append(sparkline(result.equity.values))
    rows = _numbers(result)
    if rows:
        cells = "".join(f"<tr><th style='text-align:left'>{_safe(k)}</th><td>{_safe(v)}</td></tr>" for k, v in rows)
        parts.append(f"<table>{cells}</table>")
    if result.failure and (lines := result.failure.last_lines):
        parts.append(f"<pre>{_safe(chr(10).join(lines))}</pre>")
    return f"<div>{''.join(parts)}</div>"


def board(shown: Board) -> str:
    """Render a leaderboard."""
    rows = "".join(
        f"<tr><td>{place.rank or '–'}</td><td style='text-align:left'>{_safe(place.result.name)}</td>"
        f"<td>{place.value:.4g}</td><td>{_safe(' '.join(place.result.marks))}</td>"
        f"<td>{sparkline(place.result.equity.values, 120, 24) if place.result.equity else ''}</td></tr>"
        for place in shown
    )
    left_out = ", ".join(f"{count} {why}" for why, count in shown.left_out.items())
    foot = f"<div>Left out: {_safe(left_out)}</div>" if left_out else ""
    head = f"<tr><th>#</th><th>Run</th><th>{_safe(shown.metric)}</th><th></th><th>Equity</th></tr>"
    return f"<div><table>{head}{rows}</table>{foot}</div>"


def sparkline(values: tuple[float, ...], width: int = _WIDTH, height: int = _HEIGHT) -> str:
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


def _numbers(result: Result) -> list[tuple[str, str]]:
    if result.self_reported:
        return [(name, f"{value:.6g}") for name, value in result.self_reported.items()]
    values = [(label, words.METRICS[name][1], result.value(name)) for name, label in words.HEADLINES]
    return [(label, form(value)) for label, form, value in values if value is not None]


def _safe(text: str) -> str:
    return escape(text)
