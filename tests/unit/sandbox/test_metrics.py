"""Metrics against published values, and where they have no value."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from finlab_sandbox.evaluate import metrics
from finlab_sandbox.evaluate.metrics import UndefinedError

# The mixed returns that empyrical's own tests use, without their leading NaN, and what those tests expect.
MIXED = np.array([1.0, 10.0, -4.0, 2.0, 3.0, 2.0, 1.0, -10.0]) / 100
TOLERANCE = 1e-9


def equity_of(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The equity curve of returns, from 1 before the first day."""
    return np.cumprod(1 + returns).astype(np.float64)


def test_published_values() -> None:
    """The values in empyrical's tests for its mixed returns. Its leading NaN counts as a day for growth alone."""
    equity = equity_of(np.concatenate(([0.0], MIXED)))
    assert metrics.cagr(equity, 252) == pytest.approx(1.9135925373194231, rel=TOLERANCE)
    assert metrics.volatility(MIXED, 252) == pytest.approx(0.9136465399704637, rel=TOLERANCE)
    assert metrics.sharpe(MIXED, 252, 0.0) == pytest.approx(1.7238613961706866, rel=TOLERANCE)
    assert metrics.sortino(MIXED, 252, 0.0) == pytest.approx(2.605531251673693, rel=TOLERANCE)
    assert metrics.max_drawdown(equity) == pytest.approx(-0.1, rel=TOLERANCE)
    assert metrics.calmar(equity, 252) == pytest.approx(19.135925373194233, rel=TOLERANCE)


@given(returns=arrays(np.float64, st.integers(1, 30), elements=st.floats(-0.99, 3.0)))
def test_returns_of_an_equity_curve_are_what_made_it(returns: NDArray[np.float64]) -> None:
    """The first day counts: equity is 1 before it."""
    np.testing.assert_allclose(metrics.daily_returns(equity_of(returns)), returns, atol=TOLERANCE)


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    """The initial capital is the first peak."""
    assert metrics.max_drawdown(np.array([0.9, 0.95, 1.2])) == pytest.approx(-0.1)


def test_after_ruin_returns_are_zero() -> None:
    """All is lost once."""
    equity = np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(metrics.daily_returns(equity), [0.0, -1.0, 0.0])
    assert metrics.cagr(equity, 252) == -1.0
    assert metrics.max_drawdown(equity) == -1.0


@pytest.mark.parametrize(
    "formula",
    [
        lambda huge: metrics.sharpe(huge, 252, 0.0),
        lambda huge: metrics.sortino(-huge, 252, 0.0),
        lambda huge: metrics.beta(MIXED, huge),
        lambda huge: metrics.alpha(MIXED, huge, 252, 0.0),
    ],
    ids=["sharpe", "sortino", "beta", "alpha"],
)
def test_an_infinite_deviation_makes_no_zero(formula: Callable[[NDArray[np.float64]], float]) -> None:
    """A ratio to what overflows is no number, although 1 / inf is 0."""
    with np.errstate(over="ignore"), pytest.raises(UndefinedError, match="the deviation is not finite"):
        formula(np.array([1e200, 1.0] * 4))


def test_equal_returns_have_no_sharpe() -> None:
    """Their variance is rounding, and a ratio to rounding is no number (others give 2e16)."""
    returns = metrics.daily_returns(equity_of(np.full(99, 0.01)))
    with pytest.raises(UndefinedError, match="zero variance"):
        metrics.sharpe(returns, 252, 0.0)
    with pytest.raises(UndefinedError, match="no day below"):
        metrics.sortino(returns, 252, 0.0)


def test_a_rise_without_a_fall_has_no_calmar() -> None:
    """There is no drawdown to divide by."""
    with pytest.raises(UndefinedError, match="no drawdown"):
        metrics.calmar(np.array([1.0, 1.1, 1.2]), 252)


def test_one_day_is_too_short() -> None:
    """A year cannot be told from a day, nor a deviation from one return."""
    one = np.array([0.01])
    with warnings.catch_warnings(action="error"):
        for undefined in (
            partial(metrics.sharpe, one, 252, 0.0),
            partial(metrics.sortino, one, 252, 0.0),
            partial(metrics.volatility, one, 252),
            partial(metrics.cagr, 1 + one, 252),
        ):
            with pytest.raises(UndefinedError, match="fewer than 2 days"):
                undefined()


def test_beta_and_alpha_by_hand() -> None:
    """Twice the benchmark and a tenth of a percent a day on top; the day without a benchmark does not count."""
    benchmark = np.array([np.nan, 0.01, -0.02, 0.03])
    returns = np.array([0.9, *(2 * benchmark[1:] + 0.001)])
    assert metrics.beta(returns, benchmark) == pytest.approx(2.0)
    assert metrics.alpha(returns, benchmark, 252, 0.0) == pytest.approx(1.001**252 - 1)
    rate = metrics.daily_rate(0.02, 252)
    assert metrics.alpha(returns, benchmark, 252, 0.02) == pytest.approx((1.001 + rate) ** 252 - 1)


@pytest.mark.parametrize(
    ("benchmark", "why"),
    [
        ([np.nan, 0.0, 0.0], "zero variance"),
        ([np.nan, 0.01, 0.01], "zero variance"),
        ([np.nan, np.nan, 0.01], "fewer than 2 days with a return of the benchmark"),
        ([np.nan, np.nan, np.nan], "fewer than 2 days with a return of the benchmark"),
    ],
)
def test_a_benchmark_that_does_not_move_explains_nothing(benchmark: list[float], why: str) -> None:
    """Neither alpha nor beta is a number then; others give 0 or inf."""
    returns = np.array([0.0, 0.01, 0.02])
    for undefined in (partial(metrics.beta, returns), partial(metrics.alpha, returns, periods=252, risk_free=0.0)):
        with pytest.raises(UndefinedError, match=why):
            undefined(benchmark=np.array(benchmark))


def test_an_alpha_that_loses_more_than_everything_is_none() -> None:
    """A mean of -1.99 a day, when beta has had its share, has no compound."""
    with pytest.raises(UndefinedError, match="cannot be compounded"):
        metrics.alpha(np.array([-0.99, -0.98]), np.array([10.0, 10.1]), 252, 0.0)


def test_win_rates() -> None:
    """Days without a move do not count; a trade without a gain is not won."""
    assert metrics.win_rate_days(np.array([0.1, 0.0, -0.1, 0.2])) == pytest.approx(2 / 3)
    assert metrics.win_rate_trades(np.array([1.0, 0.0])) == 0.5
    with pytest.raises(UndefinedError, match="no day"):
        metrics.win_rate_days(np.zeros(3))
    with pytest.raises(UndefinedError, match="no closed trade"):
        metrics.win_rate_trades(np.empty(0))
