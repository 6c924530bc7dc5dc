"""The order of a leaderboard, and what it leaves out."""

import pytest

from strategyrun import Board, Result
from strategyrun.client import NotAskedError
from support.answers import body, failed, scored


def runs() -> list[Result]:
    """Three that compare, one that fell back, one that failed, one that nobody has seen."""
    found = {name: scored(sharpe) for name, sharpe in (("low", 0.5), ("high", 2.0), ("mid", 1.0))}
    found["fell-back"] = scored(9.0, executor="Fallback")
    found["broken"] = failed("User")
    return [Result.of(body(name, each)) for name, each in found.items()] + [Result.of(body("new"))]


def test_the_best_comes_first_and_only_what_compares() -> None:
    """The others are counted, by why."""
    board = Board.of(runs(), "sharpe")
    assert [(place.rank, place.result.name) for place in board] == [(1, "high"), (2, "mid"), (3, "low")]
    assert board.left_out == {"Fallback": 1, "failed": 1, "unfinished": 1}


def test_everything_is_shown_on_request_and_has_no_rank() -> None:
    """A fallback's number stands at its place and takes none away."""
    board = Board.of(runs(), "sharpe", everything=True)
    assert [(place.rank, place.result.name) for place in board] == [
        (None, "fell-back"),
        (1, "high"),
        (2, "mid"),
        (3, "low"),
    ]


@pytest.mark.parametrize(("metric", "best"), [("volatility", "calm"), ("maxDrawdown", "calm"), ("cagr", "wild")])
def test_what_is_better_depends_on_the_metric(metric: str, best: str) -> None:
    """Less volatility is better; a drawdown nearer to zero is the greater number."""
    calm = scored(1.0, metrics={"volatility": 0.1, "maxDrawdown": -0.1, "cagr": 0.05})
    wild = scored(1.0, metrics={"volatility": 0.4, "maxDrawdown": -0.5, "cagr": 0.25})
    board = Board.of([Result.of(body("wild", wild)), Result.of(body("calm", calm))], metric)
    assert board.places[0].result.name == best


def test_a_metric_that_there_is_not_is_refused() -> None:
    """With those that there are; a metric that a run lacks is only left out."""
    with pytest.raises(NotAskedError, match=r"metric 'sharp': must be one of totalReturn, .*sharpe"):
        Board.of(runs(), "sharp")
    assert Board.of(runs(), "calmar").left_out["without calmar"] == 4


def test_a_notebook_shows_the_places() -> None:
    """A row and a curve for each, and what was left out."""
    page = Board.of(runs(), "sharpe")._repr_html_()
    assert page.count("<svg") == 3
    assert "Left out: 1 Fallback, 1 failed, 1 unfinished" in page
