"""A run as text for a terminal or a file."""

import io
import shutil
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from strategyrun.reporting import words
from strategyrun.reporting.curve import Curve
from strategyrun.reporting.document import Trade
from strategyrun.reporting.material import Material
from strategyrun.reporting.plot import Line, plot
from strategyrun.reporting.run import Failure, Run, Status
from strategyrun.reporting.words import Tone

TRADES = 5
WIDTH = 100

_TONES = {Tone.GOOD: "green", Tone.BAD: "bold red", Tone.UNSURE: "yellow"}


def render_text(material: Material, *, width: int = WIDTH, colour: bool = False) -> str:
    """Render a run in whatever state it is."""
    console = Console(
        file=io.StringIO(),
        width=max(60, width),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(Group(*_parts(material, console.width)))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def for_terminal(material: Material) -> str:
    """Render a run for standard output: in its width, in letters that it has, and in colours where it shows them.

    A NO_COLOR that is not empty takes the colours away.
    """
    screen = Console()
    colour = screen.color_system is not None and not screen.no_color
    text = render_text(material, width=shutil.get_terminal_size().columns, colour=colour)
    return text.encode(screen.encoding, errors="replace").decode(screen.encoding)


def _parts(material: Material, width: int) -> list[RenderableType]:
    run, document, absent, curve = material
    status = run.status
    parts: list[RenderableType] = [Text(run.name, "bold"), Text(words.subtitle(run, curve), "dim"), Text()]
    parts.append(_state(status))
    if not status.final:
        return parts
    if status.failure is not None:
        parts += _failure(status.failure, status.hint)
    if note := words.kind_note(status):
        parts += [Text(), Text(note, "bold yellow")]
    if status.self_reported is not None:
        parts.append(_numbers(status.self_reported.values))
    if status.output:
        parts += [Text(), Text("Last lines of its output", "bold"), *_verbatim(status.output)]
    if verdict := words.look_ahead(status):
        parts += [Text(), Text(verdict.sentence, _TONES[verdict.tone])]
    if status.metrics:
        parts += [Text(), _metrics(status), Text()]
    if curve is not None:
        parts += _curve(curve, width)
    if document is not None:
        parts += _trades(document.trades)
    if absent and status.metrics:
        parts += [Text(), Text(f"The full report is not here: {absent}.", "yellow")]
    if warnings := words.other_warnings(status, document):
        parts += [Text(), Text("Warnings", "bold"), *(Text(f"  {warning}", "yellow") for warning in warnings)]
    return [*parts, Text(), _provenance(run)]


def _state(status: Status) -> Text:
    style = {"Succeeded": "green", "Failed": "bold red"}.get(status.phase, "yellow")
    reason = f" ({status.reason})" if status.reason else ""
    message = f": {status.message}" if status.message else ""
    return Text.assemble((status.phase + reason, style), message)


def _failure(failure: Failure, hint: str | None) -> list[RenderableType]:
    facts = _pairs()
    facts.add_row("Class", Text(failure.class_))
    if failure.exit_code is not None:
        facts.add_row("Exit code", Text(str(failure.exit_code)))
    if failure.signal:
        facts.add_row("Signal", Text(failure.signal))
    if hint:
        facts.add_row("Hint", Text(hint))
    parts: list[RenderableType] = [facts]
    if failure.findings:
        parts += [Text(), Text("Findings", "bold")]
        parts += [Text(f"  line {finding.line}: {finding.rule}: {finding.hint}") for finding in failure.findings]
    if failure.last_lines:
        parts += [Text(), Text("Last lines that it printed", "bold"), *_verbatim(failure.last_lines)]
    return parts


def _verbatim(lines: Sequence[str]) -> list[Text]:
    return [Text(f"  {line}", no_wrap=False) for line in lines]


def _numbers(values: dict[str, float]) -> Table:
    table = _table("Self-reported", "Value")
    for name, value in values.items():
        table.add_row(Text(name), Text(f"{value:.6g}"))
    return table


def _metrics(status: Status) -> Table:
    table = _table("Metric", "Value", "")
    for row in words.metric_rows(status):
        table.add_row(Text(row.title), Text(row.value), Text(row.note, "dim"))
    return table


def _curve(curve: Curve, width: int) -> list[RenderableType]:
    if len(curve.equity) == 1:
        return [Text(f"Equity: one day, ends at {words.multiple(curve.equity[0])} of the initial capital.")]
    drawn = plot(curve, width)
    scale = ", log scale" if curve.logarithmic else ""
    points = "" if curve.daily else f", {len(curve.equity)} points"
    end = words.multiple(curve.equity[-1])
    versus = f"; benchmark {words.multiple(curve.benchmark[-1])}" if curve.benchmark else ""
    return [
        Text.assemble(("Equity", "bold"), f", multiples of the initial capital{scale}{points}: ends at {end}{versus}"),
        *_block(drawn.equity, "blue"),
        Text.assemble(("Drawdown", "bold"), "" if curve.daily else "; between the points it may be deeper"),
        *_block(drawn.drawdown, "red"),
        Text(drawn.axis, "dim"),
    ]


def _block(lines: Sequence[Line], style: str) -> list[Text]:
    return [Text.assemble((line.label, "dim"), (line.bars, style)) for line in lines]


def _trades(trades: tuple[Trade, ...]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for title, chosen in words.extremes(trades, TRADES).items():
        if chosen:
            table = _table(title, "Profit", "Days", "Opened", "Closed")
            for trade in chosen:
                table.add_row(
                    Text(f"{trade.symbol} {trade.side.lower()}"),
                    Text(words.percent(trade.profit), "green" if trade.profit > 0 else "red"),
                    Text(str(trade.days)),
                    Text(str(trade.opened)),
                    Text(str(trade.closed)),
                )
            parts += [Text(), table]
    if parts:
        parts.append(Text("  Profit: after costs, of the initial capital.", "dim"))
    return parts


def _provenance(run: Run) -> Table:
    facts = _pairs()
    for title, value in words.provenance(run):
        facts.add_row(title, Text(value, overflow="fold"))
    return facts


def _pairs() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), pad_edge=False)
    table.add_column(Text(first), min_width=34)
    for title in others:
        table.add_column(Text(title), justify="right" if title else "left", overflow="fold")
    return table
