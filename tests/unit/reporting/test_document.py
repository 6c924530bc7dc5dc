"""The full report, read without trust."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from strategyrun.reporting.document import Document, InvalidDocumentError

SMALL: dict[str, Any] = {
    "schema": 1,
    "dates": ["2020-01-01", "2020-01-02"],
    "equity": [1.0, 1.1],
    "drawdown": [0.0, 0.0],
    "benchmark": None,
    "exposure": [0, 1],
    "symbols": ["A"],
    "orders": [{"date": "2020-01-01", "weights": {"A": 1.0}}],
    "trades": [],
    "truncated": [],
}


def test_the_evaluators_own_report_is_read(thirteen_years: Any) -> None:
    """Every day, order and trade of it."""
    content = thirteen_years.document
    document = Document.parse(json.dumps(content).encode())
    assert len(document.dates) == len(content["dates"]) == 3270
    assert document.equity == tuple(content["equity"])
    assert len(document.orders) == len(content["orders"])
    assert len(document.trades) == thirteen_years.metrics["trades"]
    assert document.daily


def test_a_report_of_another_schema_is_refused() -> None:
    """The message names both."""
    with pytest.raises(InvalidDocumentError, match=r"^the report has schema 2; this version reads 1$"):
        Document.parse(json.dumps(SMALL | {"schema": 2}).encode())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"equity": [1.0]}, "equity has 1 values for 2 dates"),
        ({"equity": [1.0, None]}, "equity: Value error, value 1 is not finite, so there is nothing to draw"),
        ({"equity": [1.0, -0.1]}, "equity.1: "),
        ({"equity": [1.0, 1e300]}, "equity.1: "),
        ({"drawdown": [0.0, 0.1]}, "drawdown.1: "),
        ({"benchmark": [1.0]}, "benchmark has 1 values"),
        ({"dates": ["2020-01-02", "2020-01-01"]}, "dates do not increase"),
        ({"dates": []}, "dates: "),
        ({"dates": ["2020-01-01", "never"]}, "dates.1: "),
        (
            {"orders": [{"date": "2020-01-02", "weights": {}}, {"date": "2020-01-01", "weights": {}}]},
            "not in the order",
        ),
        ({"orders": [{"date": "2020-01-01", "weights": {"A": "much"}}]}, "orders.0.weights.A: "),
        ({"trades": [{"symbol": "A", "side": "Up"}]}, "trades.0."),
        ({"symbols": ["A"] * 20_001}, "symbols: "),
        ({"exposure": None}, "exposure: "),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(changes: dict[str, Any], complaint: str) -> None:
    """The message is one line that says where."""
    with pytest.raises(InvalidDocumentError) as refused:
        Document.parse(json.dumps(SMALL | changes).encode())
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": 1, "equity": [NaN]}',
        b'{"schema": ' + b"9" * 10_000 + b"}",
        json.dumps(SMALL).replace("1.1", "1e999").encode(),
    ],
    ids=["empty", "list", "null", "bytes", "deep", "NaN", "large", "infinite"],
)
def test_what_is_no_report_is_refused(content: bytes) -> None:
    """With the one error, whatever it is."""
    with pytest.raises(InvalidDocumentError):
        Document.parse(content)


def test_names_are_cleaned() -> None:
    """Of what turns or hides text on its way to a terminal."""
    order = {"date": "2020-01-01", "weights": {"A\u202eB\x1b[31m": 1.0}}
    document = Document.parse(json.dumps(SMALL | {"symbols": ["A\u202eB\x1b[31m"], "orders": [order]}).encode())
    assert document.symbols == ("AB",)
    assert document.orders[0].weights == {"AB": 1.0}


def test_a_report_that_is_thinned_out_is_not_daily() -> None:
    """So that nothing is computed from neighbouring days."""
    thinned = SMALL | {"truncated": ["dates: one in 2 of 4 is kept"]}
    assert not Document.parse(json.dumps(thinned).encode()).daily


def test_a_report_that_cannot_be_read_is_as_good_as_absent(
    thirteen_years: Any, material: Callable[..., Any], run_of: Callable[..., dict[str, Any]]
) -> None:
    """The points of the status are drawn instead, with the reason."""
    found = type(material(thirteen_years)).read(run_of(thirteen_years), b"{}")
    assert found.document is None
    assert found.curve is not None
    assert not found.curve.daily
    assert found.absent == "the report has schema null; this version reads 1"
