"""The report document: what it says, and that it is bounded, whole and always the same."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finlab_sandbox.evaluate import document, printing
from finlab_sandbox.evaluate.document import MAX_BYTES, Limits, significant
from finlab_sandbox.evaluate.verdict import SUMMARY_POINTS, summary
from support.real_prices import bokeh_bars, skfolio_stocks
from support.scoring import daily, evaluate_frame, market_of, score_frame, unframe
from support.strategies import moving_average_cross

NAN = float("nan")


def built(weights: pd.DataFrame, prices: pd.DataFrame) -> bytes:
    """The compressed document of a score."""
    return document.build(score_frame(weights, prices), list(weights.columns), market_of(prices).calendar)


def read(content: bytes) -> dict[str, Any]:
    """The document in the bytes."""
    found: dict[str, Any] = json.loads(gzip.decompress(content).decode("ascii"))
    return found


def test_it_tells_what_happened(tmp_path: Path) -> None:
    """B is sold short and falls; A is bought and rises; what is open at the end is no trade."""
    prices = daily([1.0, 1.0, 2.0, 2.0], B=[4.0, 4.0, 2.0, 3.0])
    weights = pd.DataFrame({"A": [0.0, 0.5, 1.0, 1.0], "B": [-0.5, -0.5, 0.0, 0.0]}, prices.index)
    found = evaluate_frame(tmp_path, weights, prices)
    assert found.document == {
        "schema": 1,
        "dates": ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"],
        "equity": [1.0, 1.0, 1.75, 1.75],
        "drawdown": [0.0, 0.0, 0.0, 0.0],
        "benchmark": [1.0, 1.0, 1.25, 1.5625],
        "exposure": [0.0, 0.5, 1.0, 1.0],
        "symbols": ["A", "B"],
        "orders": [
            {"date": "2020-01-01", "weights": {"B": -0.5}},
            {"date": "2020-01-02", "weights": {"A": 0.5, "B": -0.5}},
            {"date": "2020-01-03", "weights": {"A": 1.0}},
            {"date": "2020-01-04", "weights": {"A": 1.0}},
        ],
        "trades": [
            {"symbol": "B", "side": "Short", "opened": "2020-01-01", "closed": "2020-01-03", "days": 2, "profit": 0.25}
        ],
        "truncated": [],
    }
    assert found.report["equity"] == {"from": "2020-01-01", "to": "2020-01-04", "values": [1.0, 1.0, 1.75, 1.75]}


def test_it_agrees_with_the_metrics(tmp_path: Path) -> None:
    """Curve, drawdown, exposure and trades are those that the numbers were taken from."""
    close = bokeh_bars("AAPL")[["Adj Close"]]
    report, found, _ = evaluate_frame(tmp_path, moving_average_cross(close), close, feesBps=10.0)
    metrics = report["metrics"]
    assert len(found["dates"]) == len(found["equity"]) == len(found["exposure"]) == metrics["days"]
    assert found["equity"][-1] == pytest.approx(1 + metrics["totalReturn"], rel=1e-5)
    assert min(found["drawdown"]) == pytest.approx(metrics["maxDrawdown"], rel=1e-5)
    assert np.mean(np.array(found["exposure"]) > 0) == pytest.approx(metrics["exposure"])
    assert len(found["trades"]) == metrics["trades"]
    won = [trade["profit"] > 0 for trade in found["trades"]]
    assert np.mean(won) == pytest.approx(metrics["winRateTrades"])
    assert report["equity"]["values"][-1] == found["equity"][-1]
    assert [report["equity"]["from"], report["equity"]["to"]] == [found["dates"][0], found["dates"][-1]]
    assert len(report["equity"]["values"]) == SUMMARY_POINTS


def test_equal_runs_print_equal_bytes(tmp_path: Path) -> None:
    """No time and no name is in them, and the report has their hash."""
    close = bokeh_bars("IBM")[["Adj Close"]]
    first, again = (evaluate_frame(tmp_path, moving_average_cross(close), close) for _ in range(2))
    assert first.printed == again.printed
    title = first.printed.partition(b"\n")[0].decode()
    assert title.split()[3] == first.report["hashes"]["report"]


def test_a_run_without_orders_has_a_flat_curve(tmp_path: Path) -> None:
    """Cash all along."""
    found = evaluate_frame(tmp_path, daily([NAN, NAN]), daily([1.0, 2.0])).document
    assert found["equity"] == [1.0, 1.0]
    assert found["exposure"] == [0.0, 0.0]
    assert found["orders"] == found["trades"] == found["truncated"] == []


def test_the_curve_goes_on_after_ruin(tmp_path: Path) -> None:
    """At 0, with nothing carried any more and no later order."""
    found = evaluate_frame(tmp_path, daily([-1.0, NAN, 1.0, NAN]), daily([1.0, 3.0, 1.0, 1.0])).document
    assert found["equity"] == [1.0, 0.0, 0.0, 0.0]
    assert found["drawdown"] == [0.0, -1.0, -1.0, -1.0]
    assert found["exposure"] == [0.0, 1.0, 0.0, 0.0]
    assert [order["date"] for order in found["orders"]] == ["2020-01-01"]


def test_without_a_benchmark_there_is_no_curve_of_one(tmp_path: Path) -> None:
    """A symbol without two prices."""
    prices = daily([1.0, 2.0], B=[NAN, NAN])
    report, found, _ = evaluate_frame(tmp_path, daily([1.0, 1.0]), prices, benchmark="B")
    assert found["benchmark"] is None
    assert "beta: fewer than 2 days with a return of the benchmark" in report["warnings"]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    """JSON has no word for it, and the run is evaluated all the same."""
    report, found, _ = evaluate_frame(tmp_path, daily([1.0] * 4), daily([1e-300, 1e300, 1e-300, 1e300]))
    assert report["reason"] == "Evaluated"
    assert None in found["equity"]
    assert report["equity"] is None


def random_weights(days: int, symbols: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Weights that change every day, and prices."""
    random = np.random.default_rng(0)
    index = pd.date_range("2000-01-03", periods=days)
    names = [f"SYMBOL{number:04d}" for number in range(symbols)]
    prices = pd.DataFrame(np.exp(np.cumsum(random.normal(0, 0.01, (days, symbols)), axis=0)), index, names)
    weights = random.random((days, symbols))
    return pd.DataFrame(weights / weights.sum(axis=1, keepdims=True), index, names), prices


def test_the_largest_usual_run_is_cut_and_says_so() -> None:
    """20 stocks, rebalanced on each of 5785 days: every day of the curves, the last orders."""
    weights, prices = random_weights(5785, 20)
    content = built(weights, prices)
    assert len(content) <= MAX_BYTES
    found = read(content)
    assert len(found["dates"]) == len(found["equity"]) == len(found["benchmark"]) == 5785
    assert found["truncated"] == [f"orders: the last {len(found['orders'])} of 5785 are kept"]
    assert len(found["orders"]) > 1000
    assert found["orders"][-1]["date"] == found["dates"][-1]
    expected = significant(weights.iloc[-1].to_numpy(), 6)
    assert list(found["orders"][-1]["weights"].values()) == expected.tolist()


def test_the_largest_possible_run_fits() -> None:
    """1000 symbols on 5785 days are near the limit of the positions file."""
    weights, prices = random_weights(5785, 1000)
    content = built(weights, prices)
    assert len(content) <= MAX_BYTES
    found = read(content)
    assert len(found["equity"]) == 5785
    assert len(found["symbols"]) == 1000
    assert found["truncated"] == [f"orders: the last {len(found['orders'])} of 5785 are kept"]


def test_many_trades_are_cut_to_the_last() -> None:
    """In and out every other day for 20 years."""
    weights = daily([1.0, 0.0] * 2600)
    found = read(built(weights, daily([1.0] * 5200)))
    assert len(found["trades"]) == 2000
    assert found["trades"][-1]["closed"] == found["dates"][-1]
    assert found["truncated"] == ["trades: the last 2000 of 2600 are kept"]


def test_centuries_of_days_are_thinned() -> None:
    """Every curve keeps its last day."""
    random = np.random.default_rng(0)
    prices = daily(np.exp(np.cumsum(random.normal(0, 0.01, 40_000))).tolist())
    found = read(built(daily([1.0]), prices))
    assert found["truncated"] == ["dates: one in 3 of 40000 is kept"]
    assert len(found["dates"]) == len(found["equity"]) == 13_334
    assert found["dates"][-1] == str(prices.index[-1].date())


def test_what_does_not_compress_is_halved_until_it_fits() -> None:
    """Long names in no order, in more symbols than are kept."""
    random = np.random.default_rng(0)
    names = [random.bytes(100).hex() for _ in range(9000)]
    prices = pd.DataFrame(1.0, pd.date_range("2020-01-01", periods=2), names)
    content = built(pd.DataFrame(1 / 9000, prices.index, names), prices)
    assert len(content) <= MAX_BYTES
    said = " ".join(read(content)["truncated"])
    assert "symbols: the first" in said
    assert "orders: the last 0 of 2" in said


def test_limits_end_at_nothing() -> None:
    """However large a score is, some document fits."""
    limits = Limits()
    for _ in range(20):
        limits = limits.halved()
    assert set(limits) == {0}
    weights, prices = random_weights(3, 2)
    cut = document._document(score_frame(weights, prices), ["A", "B"], market_of(prices).calendar, limits)
    assert cut["dates"] == ["2000-01-05"]
    assert cut["orders"] == cut["symbols"] == []


def test_numbers_have_six_digits() -> None:
    """Of small ones and large ones; rounding is to the nearest number that reads short."""
    values = np.array([0.0, 1 / 3, -2 / 3, 123.456789, 1234567.89, 1e-9 / 3, 1e300, np.nan, np.inf])
    expected = [0.0, 0.333333, -0.666667, 123.457, 1234568.0, 3.33333e-10, 1e300, np.nan, np.inf]
    np.testing.assert_array_equal(significant(values, 6), expected)


def test_a_long_curve_has_48_points_in_the_report() -> None:
    """The first and the last day among them."""
    calendar = np.arange(10_000, 15_785, dtype=np.int32)
    found = summary(calendar, np.linspace(1.0, 2.0, 5785).astype(np.float64))
    assert found is not None
    assert (found.first, found.last) == ("1997-05-19", "2013-03-20")
    assert len(found.values) == 48
    assert (found.values[0], found.values[-1]) == (1.0, 2.0)
    np.testing.assert_allclose(np.diff(found.values), 1 / 47, atol=2e-4)


def test_lines_are_short_enough_for_any_log() -> None:
    """No line is longer than 4096 characters, and together they are the content."""
    content = np.random.default_rng(0).bytes(100_000)
    lines = printing.frame(content, "f" * 64).splitlines()
    assert lines[0] == b"FINLAB-REPORT 1 100000 " + b"f" * 64
    assert max(len(line) for line in lines) == 4096
    with pytest.raises(AssertionError):
        unframe(printing.frame(content, "f" * 64))


def test_twenty_real_stocks_are_all_in(tmp_path: Path) -> None:
    """A strategy that rebalances monthly for 22 years is not cut at all."""
    close = skfolio_stocks().loc["2000":]
    weights = moving_average_cross(close).iloc[::21] / 20
    found = evaluate_frame(tmp_path, weights, close).document
    assert found["truncated"] == []
    assert len(found["orders"]) == len(weights)
