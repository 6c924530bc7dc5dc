"""A run as one HTML file that loads nothing: no script, no font, no picture from elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from html import escape

from strategyrun.reporting import words
from strategyrun.reporting.document import Trade
from strategyrun.reporting.material import Material
from strategyrun.reporting.palette import DARK, LIGHT
from strategyrun.reporting.run import Failure, Run, Status
from strategyrun.reporting.svg import inline

TRADES_LIMIT = 200
EXTREMES = 5

_CSS = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 24px 40px}
h1{font-size:27px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:15px;margin:32px 0 8px}
p{margin:6px 0}
.muted,caption,footer{color:var(--muted)}
.verdict{font-weight:600}
.good{color:var(--gain)}.bad{color:var(--loss)}.unsure{color:var(--unsure)}
.alarm{background:var(--loss);color:var(--paper);padding:8px 14px;border-radius:6px}
.tiles{display:flex;flex-wrap:wrap;gap:12px 36px;margin:22px 0 10px;padding:0}
.tiles dt{font-size:12px;color:var(--muted)}
.tiles dd{margin:0;font-size:23px;font-weight:650;font-variant-numeric:tabular-nums;white-space:nowrap}
.chart{display:block;width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt;font-family:inherit}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:0 48px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:13px;padding:0 0 4px}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--grid);vertical-align:baseline}
th{font-weight:500;color:var(--muted);font-size:13px}
tbody th{color:var(--ink);font-size:inherit;font-weight:400}
.number{text-align:right}
.number,.day{white-space:nowrap}
td.note{color:var(--muted);font-size:13px;padding-left:8px}
.hash,pre{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:var(--grid);padding:12px 14px;border-radius:6px;margin:6px 0}
details{margin:8px 0}
summary{cursor:pointer;color:var(--muted)}
ul{margin:6px 0;padding-left:20px}
footer{margin-top:36px;font-size:13px}
@media print{details{display:none}}
"""


def render_page(material: Material, picture: bytes | None) -> bytes:
    """Render a finished run; `picture` is the SVG of its panels."""
    run = material.run
    drawing = inline(picture, f"Equity, drawdown and positions of {run.name}") if picture is not None else None
    css = _colours(LIGHT) + f"@media (prefers-color-scheme:dark){{{_colours(DARK)}}}\n" + _CSS
    css += drawing.css if drawing else ""
    digest = b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_safe(run.name)}</title>\n<style>{css}</style>\n</head>\n<body>\n<main>",
        *_head(material),
        drawing.markup if drawing else "",
        *_body(material),
        "<footer>Made by strategyrun report. Numbers are the trusted evaluator's unless marked otherwise.</footer>",
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(part for part in page if part).encode()


def _colours(palette: dict[str, str]) -> str:
    return ":root{" + ";".join(f"--{name}:{colour}" for name, colour in palette.items()) + "}"


def _safe(text: str) -> str:
    return escape(text, quote=True)


def _isolated(text: str) -> str:
    """Write a text that may be hostile: as text, and so that its direction turns nothing that stands around it."""
    return f"<bdi>{_safe(text)}</bdi>"


def _head(material: Material) -> list[str]:
    run, _, _, curve = material
    status = run.status
    parts = [f"<h1>{_isolated(run.name)}</h1>", f'<p class="muted">{_safe(words.subtitle(run, curve))}</p>']
    verdict = words.look_ahead(status)
    if verdict is not None:
        look = "alarm" if verdict.tone is words.Tone.BAD else str(verdict.tone)
        parts.append(f'<p class="verdict {look}">{_isolated(verdict.sentence)}</p>')
    if note := words.kind_note(status):
        parts.append(f'<p class="verdict unsure">{_safe(note)}</p>')
    if not status.metrics:
        tone = {"Succeeded": "good", "Failed": "bad"}.get(status.phase, "unsure")
        reason = f"{status.phase} ({status.reason})" if status.reason else status.phase
        parts.append(f'<p class="verdict {tone}">{_isolated(reason)}</p><p>{_isolated(status.message)}</p>')
        return parts
    tiles = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in words.headlines(status))
    return [*parts, f'<dl class="tiles">{tiles}</dl>']


def _body(material: Material) -> list[str]:
    run, document, absent, _ = material
    status = run.status
    parts = _failure(status.failure, status.hint) if status.failure else []
    if status.self_reported:
        parts += ["<h2>Self-reported, unchecked</h2>", _self_reported(status.self_reported.values)]
    if status.output:
        parts += ["<h2>Last lines of its output</h2>", _verbatim(status.output)]
    if absent and status.metrics:
        parts.append(f'<p class="unsure">The full report is not here: {_isolated(absent)}.</p>')
    warnings = words.other_warnings(status, document)
    if warnings:
        items = "".join(f"<li>{_isolated(warning)}</li>" for warning in warnings)
        parts += ["<h2>Warnings</h2>", f"<ul>{items}</ul>"]
    sides = [f"<section><h2>Metrics</h2>{_metrics(status)}</section>"] if status.metrics else []
    sides.append(f"<section><h2>Provenance</h2>{_provenance(run)}</section>")
    parts.append(f'<div class="sides">{"".join(sides)}</div>')
    return parts + (_all_trades(document.trades) if document else [])


def _failure(failure: Failure, hint: str | None) -> list[str]:
    signal = failure.signal or ""
    exit_code = "" if failure.exit_code is None else str(failure.exit_code)
    facts = [("Class", failure.class_), ("Exit code", exit_code), ("Signal", signal), ("Hint", hint or "")]
    parts = ["<h2>Failure</h2>", _facts((title, _isolated(text)) for title, text in facts if text)]
    if failure.findings:
        found = "".join(
            f"<li>line {finding.line}: {_isolated(finding.rule)}: {_isolated(finding.hint)}</li>"
            for finding in failure.findings
        )
        parts.append(f"<h2>Findings</h2><ul>{found}</ul>")
    if failure.last_lines:
        parts += ["<h2>Last lines that it printed</h2>", _verbatim(failure.last_lines)]
    return parts


def _verbatim(lines: Iterable[str]) -> str:
    return "<pre>" + "\n".join(_isolated(line) for line in lines) + "</pre>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    """Lay out titles and markup."""
    rows = "".join(f'<tr><th scope="row">{title}</th><td class="hash">{markup}</td></tr>' for title, markup in facts)
    return f"<table><tbody>{rows}</tbody></table>"


def _self_reported(values: dict[str, float]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_isolated(name)}</th><td class="number">{value:.6g}</td></tr>'
        for name, value in values.items()
    )
    return f"<table><caption>The strategy printed these numbers itself.</caption><tbody>{rows}</tbody></table>"


def _metrics(status: Status) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_isolated(row.title)}</th><td class="number">{_safe(row.value)}</td>'
        f'<td class="note">{_isolated(row.note) if row.note else ""}</td></tr>'
        for row in words.metric_rows(status)
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _provenance(run: Run) -> str:
    return _facts((title, _isolated(value)) for title, value in words.provenance(run))


def _all_trades(trades: tuple[Trade, ...]) -> list[str]:
    if not trades:
        return []
    chosen = words.extremes(trades, EXTREMES)
    sides = [
        f"<section><h2>{title}</h2>{_trades(chosen[title])}</section>"
        for title in ("Best trades", "Worst trades")
        if chosen[title]
    ]
    latest = sorted(trades, key=lambda trade: (trade.closed, trade.opened, trade.symbol), reverse=True)[:TRADES_LIMIT]
    which = f"the last {len(latest)} of {len(trades):,}" if len(trades) > len(latest) else f"all {len(trades)}"
    return [
        f'<div class="sides">{"".join(sides)}</div>',
        f"<h2>Closed trades</h2><details><summary>Show {which}, the latest first</summary>{_trades(latest)}</details>",
    ]


def _trades(trades: Iterable[Trade]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_isolated(trade.symbol)}</th><td>{trade.side}</td><td class="day">{trade.opened}</td>'
        f'<td class="day">{trade.closed}</td><td class="number">{trade.days}</td>'
        f'<td class="number {"good" if trade.profit > 0 else "bad"}">{words.percent(trade.profit)}</td></tr>'
        for trade in trades
    )
    head = (
        '<tr><th scope="col">Symbol</th><th scope="col">Side</th><th scope="col">Opened</th><th scope="col">Closed</th>'
        '<th scope="col" class="number">Days</th><th scope="col" class="number">Profit</th></tr>'
    )
    caption = "<caption>Profit after costs, of the initial capital.</caption>"
    return f"<table>{caption}<thead>{head}</thead><tbody>{rows}</tbody></table>"
