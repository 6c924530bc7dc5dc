"""Numbers, verdicts and what follows from an equity curve."""

import re
from datetime import date
from typing import Any

import pytest

from strategyrun.reporting import words
from strategyrun.reporting.curve import Curve, curve_of, drawdown_of, monthly_returns, yearly_returns
from strategyrun.reporting.run import EquityPoints, InvalidRunError, Run, Status
from strategyrun.reporting.words import Tone


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "12.35 %"), (-0.271, "−27.10 %"), (-0.00001, "0.00 %"), (12.5, "1,250.00 %"), (1e24, "1.00e26 %")],
)
def test_percent(value: float, text: str) -> None:
    """A fraction becomes percent, with a minus that is one and no minus before 0."""
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0×"),
        (1, "1.00×"),
        (3.149, "3.15×"),
        (0.07, "0.0700×"),
        (1234.5, "1,234×"),
        (2e24, "2.00e24×"),
        (1e-6, "1e−6×"),
    ],
)
def test_multiple(value: float, text: str) -> None:
    """Three digits count, whatever the size."""
    assert words.multiple(value) == text


def status(**fields: Any) -> Status:
    """Read a status."""
    return Status.model_validate({"phase": "Succeeded", "metrics": {"days": 10}} | fields)


def test_an_undefined_metric_says_why() -> None:
    """And the warning that says so is not said twice."""
    told = status(warnings=["sharpe: zero variance", "weights: scaled"])
    row = next(row for row in words.metric_rows(told) if row.name == "sharpe")
    assert (row.value, row.note) == ("—", "undefined: zero variance")
    assert words.other_warnings(told, None) == ["weights: scaled"]


def test_metrics_that_an_earlier_evaluator_did_not_know_are_left_out() -> None:
    """And those that a later one knows are shown by their names."""
    rows = {row.name: row for row in words.metric_rows(status(metrics={"days": 10, "omega": 1.25}))}
    assert "alpha" not in rows
    assert rows["omega"].value == "1.25"


CLEAN = {"samples": 5, "checked": 5, "changed": 0}


@pytest.mark.parametrize(
    ("fields", "tone", "said"),
    [
        ({"lookAhead": CLEAN}, Tone.GOOD, "5 of 5 cuts"),
        (
            {"lookAhead": CLEAN | {"checked": 2, "note": "no time for more"}},
            Tone.UNSURE,
            "2 of 5 cuts; .* No time for more",
        ),
        ({"lookAhead": CLEAN | {"checked": 0, "note": "no time"}}, Tone.UNSURE, "was not checked. No time"),
        ({"lookAhead": CLEAN | {"deterministic": False}}, Tone.UNSURE, "Not deterministic: two runs"),
        (
            {"lookAhead": CLEAN | {"changed": 1, "firstDate": "2004-05-03", "symbol": "AAPL"}},
            Tone.BAD,
            r"LOOK-AHEAD.*first on 2004-05-03 in AAPL \(1 of 5 cuts\)",
        ),
        ({"conditions": [{"type": "LookAheadClean", "status": "False"}]}, Tone.BAD, "LOOK-AHEAD"),
        ({}, Tone.UNSURE, "was not checked"),
    ],
    ids=["clean", "some", "none", "chance", "changed", "condition", "absent"],
)
def test_the_look_ahead_verdict(fields: dict[str, Any], tone: Tone, said: str) -> None:
    """Good only where every cut was made and changed nothing."""
    verdict = words.look_ahead(status(**fields))
    assert verdict is not None
    assert verdict.tone is tone
    assert re.search(said, verdict.sentence)


def test_without_numbers_there_is_nothing_to_look_ahead_for() -> None:
    """A failed run gets no verdict."""
    assert words.look_ahead(Status(phase="Failed")) is None


def test_months_and_years_compound_to_the_whole() -> None:
    """The initial capital is what the first month starts from."""
    dates = (date(2019, 12, 30), date(2019, 12, 31), date(2020, 1, 2), date(2020, 2, 3))
    curve = Curve(dates, (1.1, 1.2, 0.6, 0.9), drawdown_of((1.1, 1.2, 0.6, 0.9)), None, daily=True)
    assert monthly_returns(curve) == pytest.approx({(2019, 12): 0.2, (2020, 1): -0.5, (2020, 2): 0.5})
    assert yearly_returns(curve) == pytest.approx({2019: 0.2, 2020: -0.25})
    assert curve.drawdown == pytest.approx((0, 0, -0.5, -0.25))


def test_a_first_loss_is_a_drawdown_from_the_initial_capital() -> None:
    """The account began with 1."""
    assert drawdown_of((0.9, 0.95)) == pytest.approx((-0.1, -0.05))


def test_points_of_the_status_are_spread_over_its_days() -> None:
    """The first and the last stand where the status says."""
    points = EquityPoints.model_validate({"from": "2020-01-01", "to": "2020-01-05", "values": [1, 2, 3]})
    curve = curve_of(None, points)
    assert curve is not None
    assert curve.dates == (date(2020, 1, 1), date(2020, 1, 3), date(2020, 1, 5))


@pytest.mark.parametrize("ruined", [{"phase": 7}, {"equity": {"from": "x"}}, {"conditions": "none"}])
def test_an_object_that_is_no_run_is_refused(ruined: dict[str, Any]) -> None:
    """In one line that says where."""
    with pytest.raises(InvalidRunError, match=r"^the run cannot be read: status\."):
        Run.parse({"metadata": {"name": "x", "namespace": "y"}, "status": ruined})


def test_numbers_of_a_status_that_are_none_are_left_out() -> None:
    """Whatever stands in their place."""
    assert status(metrics={"sharpe": "high", "cagr": None, "days": True, "calmar": 10**400, "beta": 1}).metrics == {
        "beta": 1
    }
