"""A run as text."""

from collections.abc import Callable
from typing import Any

import pytest

from strategyrun.domain.strategyrun import NOT_SEEN
from strategyrun.reporting import words
from strategyrun.reporting.material import Material
from strategyrun.reporting.text import render_text

Make = Callable[..., Material]
Body = Callable[..., dict[str, Any]]


def test_it_holds_the_numbers(thirteen_years: Any, material: Make) -> None:
    """Those of the evaluator, rounded."""
    text = render_text(material(thirteen_years))
    for name in ("sharpe", "cagr", "maxDrawdown", "totalReturn"):
        title, form, _ = words.METRICS[name]
        line = next(line for line in text.splitlines() if line.startswith(title))
        assert form(thirteen_years.metrics[name]) in line
    best = max(thirteen_years.document["trades"], key=lambda trade: trade["profit"])
    assert best["opened"] in text
    assert words.percent(best["profit"]) in text
    assert "No look-ahead found: 5 of 5 cuts" in text
    assert "c0de" * 16 in text


def test_it_draws_equity_above_drawdown(thirteen_years: Any, material: Make) -> None:
    """With the period below both."""
    text = render_text(material(thirteen_years))
    assert text.index("Equity, multiples") < text.index("Drawdown") < text.index("2000-03-01  ")
    assert "█" in text
    assert "−27.1 %" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_keeps_to_the_width(thirteen_years: Any, material: Make, width: int) -> None:
    """Of the terminal, from 60 columns on."""
    text = render_text(material(thirteen_years), width=width)
    assert max(len(line) for line in text.splitlines()) <= max(width, 60)


def test_colours_come_only_when_asked_for(thirteen_years: Any, material: Make) -> None:
    """A file has none."""
    made = material(thirteen_years)
    assert "\x1b[" not in render_text(made)
    assert "\x1b[" in render_text(made, colour=True)


def test_without_the_full_report_it_says_so(thirteen_years: Any, material: Make) -> None:
    """And draws the points of the status."""
    text = render_text(material(thirteen_years, full=False))
    assert "The full report is not here: ConfigMap x is gone." in text
    assert "48 points" in text
    assert "Best trades" not in text


def test_a_failed_run_says_who_has_to_do_what(failed: dict[str, Any]) -> None:
    """Class, reason, message, hint, and the last lines as they are."""
    text = render_text(Material.read(failed, None, "the run kept none"))
    for words_of_it in ("Failed (StrategyError): KeyError: 'AAPLE'", "User", "Read the traceback", "[bold]x[/bold]"):
        assert words_of_it in text
    assert "full report" not in text
    assert "\u202e" not in text


def test_self_reported_numbers_are_marked(run_of: Body) -> None:
    """In capitals, before any of them."""
    told = {"source": "SelfReported", "values": {"sharpe": 9.5}}
    body = run_of(kind="Result", reason="SelfReported", selfReported=told, lookAhead=None, conditions=[])
    text = render_text(Material.read(body, None))
    assert 0 < text.index("SELF-REPORTED") < text.index("9.5")
    assert "look-ahead" not in text.lower()


def test_a_script_shows_its_output(run_of: Body) -> None:
    """The tail that the status has."""
    body = run_of(kind="Script", output=["first", "second"], lookAhead=None, conditions=[])
    text = render_text(Material.read(body, None))
    assert "nothing was scored" in text
    assert "  first\n  second\n" in text


def test_a_waiting_run_says_what_it_waits_for(run_of: Body) -> None:
    """And nothing else."""
    body = run_of(phase="Queued", reason="WaitingForSlot", message="waiting for a free slot")
    text = render_text(Material.read(body, None))
    assert text.endswith("Queued (WaitingForSlot): waiting for a free slot\n")


@pytest.mark.parametrize("written", [NOT_SEEN, None], ids=["stand-in", "older-definition"])
def test_a_run_that_no_operator_has_seen(run_of: Body, written: dict[str, Any] | None) -> None:
    """Says so."""
    text = render_text(Material.read(run_of() | {"status": written}, None))
    assert text.endswith("Pending (NotSeen): no operator has seen it yet\n")


def test_awkward_accounts_are_drawn(awkward: Any, material: Make) -> None:
    """Cash, one day, ruin and riches."""
    assert words.multiple(awkward.document["equity"][-1]) in render_text(material(awkward))
