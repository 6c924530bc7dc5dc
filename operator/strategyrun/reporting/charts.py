"""Pictures of a run, drawn by matplotlib without a display; equal documents give equal bytes."""

import io
import logging
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from strategyrun.reporting import panels, words
from strategyrun.reporting.curve import Curve
from strategyrun.reporting.document import Document
from strategyrun.reporting.lettering import Lettering, installed_fonts
from strategyrun.reporting.material import Material
from strategyrun.reporting.palette import LIGHT as C
from strategyrun.reporting.run import Run
from strategyrun.reporting.words import Tone

WIDTH_PIXELS = 1200

_DPI = 100
# Margins and gaps in inches.
_LEFT, _RIGHT = 1.05, 0.95
_GAP, _BEFORE_MONTHS = 0.42, 0.62
_SPLIT = 0.62
"""Share of the width that the table of months has."""
_TONES = {Tone.GOOD: C["gain"], Tone.BAD: C["loss"], Tone.UNSURE: C["unsure"]}
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": C["grid"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": C["muted"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.xmargin": 0.0,
    "figure.dpi": _DPI,
    "figure.facecolor": C["paper"],
    "font.size": panels.BODY,
    "grid.color": C["grid"],
    "grid.linewidth": 0.7,
    "savefig.dpi": _DPI,
    "svg.fonttype": "none",
    "svg.hashsalt": "strategyrun report",
    "text.color": C["ink"],
    "text.parse_math": False,
    "xtick.color": C["grid"],
    "xtick.labelcolor": C["muted"],
    "xtick.labelsize": panels.SMALL,
    "ytick.color": C["grid"],
    "ytick.labelcolor": C["muted"],
    "ytick.labelsize": panels.SMALL,
}


class _Panel(NamedTuple):
    height: float  # inches
    draw: Callable[[Axes], None]


def render_png(material: Material, curve: Curve) -> bytes:
    """Draw a run as one picture with its name, its numbers and its provenance."""
    run, document = material.run, material.document
    with _style():
        lettering = Lettering(installed_fonts())
        mpl.rcParams["font.family"] = lettering.families
        rows = _rows(run, document, curve, lettering)
        said = _warnings(material, lettering)
        head, foot = 1.95, 0.75 + 0.2 * len(said)
        figure, top = _figure(rows, document, curve, head, foot)
        _head(figure, run, curve, lettering)
        _foot(figure, run, lettering, said)
        _draw(figure, rows, document, curve, top - head, run)
        return _png(figure)


def render_svg(material: Material, curve: Curve) -> bytes:
    """Draw the panels alone, for a page that says the rest; text stays text."""
    run, document = material.run, material.document
    with _style():
        lettering = Lettering(installed_fonts(), browser=True)
        mpl.rcParams["font.family"] = lettering.families
        rows = _rows(run, document, curve, lettering)
        figure, top = _figure(rows, document, curve, 0.35, 0.1)
        figure.patch.set_visible(False)
        _draw(figure, rows, document, curve, top - 0.35, run)
        return _svg(figure)


@contextmanager
def _style() -> Iterator[None]:
    """Draw with this style alone, whatever the user's own settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # A missing glyph or weight needs no word: in a page the browser has fonts of its own.
        warnings.filterwarnings("ignore", category=UserWarning)
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        yield


def _rows(run: Run, document: Document | None, curve: Curve, lettering: Lettering) -> list[_Panel]:
    benchmark = lettering.label(run.spec.evaluation.benchmark, 13, "benchmark")
    rows = [
        _Panel(3.3, lambda axes: panels.equity(axes, curve, benchmark)),
        _Panel(1.15, lambda axes: panels.drawdown(axes, curve)),
    ]
    if document is not None:
        rows.append(_Panel(0.7, lambda axes: panels.exposure(axes, document)))
        if (weights := panels.held(document)) is not None:
            count = len(weights.strips)
            rows.append(_Panel(0.2 * count + 0.1, lambda axes: panels.positions(axes, weights, document, lettering)))
    return rows


def _months_height(curve: Curve) -> float:
    years = len({day.year for day in curve.dates})
    return 0.235 * max(6, min(years, panels.YEARS_LIMIT)) + 0.3


def _figure(
    rows: list[_Panel], document: Document | None, curve: Curve, head: float, foot: float
) -> tuple[Figure, float]:
    """Return an empty figure and its height in inches."""
    height = head + sum(row.height for row in rows) + _GAP * (len(rows) - 1) + 0.25 + foot
    if document is not None:
        height += _BEFORE_MONTHS + _months_height(curve)
    height = round(height * _DPI) / _DPI
    return Figure(figsize=(WIDTH_PIXELS / _DPI, height)), height


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes by inches, `top` from the bottom of the figure."""
    wide, high = figure.get_size_inches()
    axes: Axes = figure.add_axes((left / wide, (top - height) / high, width / wide, height / high))
    return axes


def _draw(figure: Figure, rows: list[_Panel], document: Document | None, curve: Curve, top: float, run: Run) -> None:
    width = WIDTH_PIXELS / _DPI - _LEFT - _RIGHT
    for place, row in enumerate(rows):
        axes = _axes(figure, _LEFT, top, width, row.height)
        panels.calendar(axes, curve.dates, labels=place == len(rows) - 1)
        row.draw(axes)
        top -= row.height + _GAP
    if document is None:
        return
    top -= _BEFORE_MONTHS - _GAP + 0.25
    height = _months_height(curve)
    left_width = width * _SPLIT
    panels.months(_axes(figure, _LEFT, top, left_width, height - 0.25), curve)
    left = _LEFT + left_width + 0.55
    rest = WIDTH_PIXELS / _DPI - left - 0.45
    half = (height - 0.25 - 0.75) / 2
    evaluation = run.spec.evaluation
    ratio = _axes(figure, left, top, rest, half)
    panels.rolling_sharpe(ratio, curve, evaluation.periods_per_year, run.status.metrics.get("sharpe"))
    panels.trades(_axes(figure, left, top - half - 0.75, rest, half), document.trades)


def _head(figure: Figure, run: Run, curve: Curve, lettering: Lettering) -> None:
    """Write the name, the verdict and the headline numbers."""

    def write(x: float, down: float, text: str, **how: Any) -> None:
        wide, high = figure.get_size_inches()
        figure.text(x / wide, (high - down) / high, lettering.legible(text), va="baseline", **how)

    right = WIDTH_PIXELS / _DPI - 0.45
    write(0.45, 0.55, run.name if len(run.name) < 60 else run.name[:59] + "…", fontsize=19, weight="bold")
    subtitle = textwrap.shorten(words.subtitle(run, curve), 100, placeholder=" …")
    write(0.45, 0.82, subtitle, fontsize=panels.BODY, color=C["muted"])
    verdict = words.look_ahead(run.status)
    if verdict is not None and verdict.tone is Tone.BAD:
        high = float(figure.get_size_inches()[1])
        band = Rectangle((0, (high - 0.2) / high), 1, 0.2 / high, transform=figure.transFigure, color=C["loss"])
        figure.add_artist(band)
        write(
            0.45,
            0.14,
            textwrap.shorten(verdict.sentence, 165, placeholder=" …"),
            fontsize=panels.BODY,
            color=C["paper"],
            weight="bold",
        )
    elif verdict is not None:
        sentence = textwrap.shorten(verdict.sentence, 160 - len(subtitle), placeholder=" …")
        write(right, 0.82, sentence, fontsize=panels.BODY, color=_TONES[verdict.tone], ha="right")
    numbers = words.headlines(run.status)
    step = (right - 0.45) / len(numbers)
    for place, (label, value) in enumerate(numbers):
        write(0.45 + place * step, 1.2, label, fontsize=panels.SMALL, color=C["muted"])
        write(0.45 + place * step, 1.47, value, fontsize=15 if len(value) < 11 else 11, weight="bold")


def _warnings(material: Material, lettering: Lettering) -> list[str]:
    said = [lettering.legible(warning) for warning in words.other_warnings(material.run.status, material.document)]
    if material.absent:
        why = lettering.legible(material.absent)
        said.insert(0, f"Drawn from the few points in the run's status. The full report is not here: {why}.")
    shown = said if len(said) <= 4 else [*said[:3], f"{len(said) - 3} more warnings"]
    return [textwrap.shorten(warning, 170, placeholder=" …") for warning in shown]


def _foot(figure: Figure, run: Run, lettering: Lettering, said: list[str]) -> None:
    wide, high = figure.get_size_inches()
    for place, warning in enumerate(said[::-1]):
        down = (0.45 + 0.2 * place) / high
        figure.text(0.45 / wide, down, warning, fontsize=panels.SMALL, color=C["unsure"])
    line = textwrap.shorten(lettering.legible(words.footer(run)), 200, placeholder=" …")
    figure.text(0.45 / wide, 0.2 / high, line, fontsize=7, color=C["muted"])


def _png(figure: Figure) -> bytes:
    """Encode with a palette of 256 colours, which these pictures do not exhaust."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    target = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(target, "png", optimize=True)
    return target.getvalue()


def _svg(figure: Figure) -> bytes:
    """Encode without a word on when and by what."""
    target = io.BytesIO()
    figure.savefig(target, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return target.getvalue()
