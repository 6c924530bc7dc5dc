"""Metrics against published values and against empyrical."""

import warnings
from functools import partial

import empyrical
import numpy as np
import pytest
from hypothesis import assume, given
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


@given(
    returns=arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.3, 0.4)),
    periods=st.sampled_from([12, 52, 252, 365]),
    risk_free=st.sampled_from([0.0, 0.02, -0.005]),
)
def test_they_are_those_of_empyrical(returns: NDArray[np.float64], periods: int, risk_free: float) -> None:
    """Every metric that empyrical has, on any series with variance, a loss and a drawdown."""
    daily = metrics.daily_rate(risk_free, periods)
    assume(returns.std() > 1e-6)
    assume((returns - daily).min() < -1e-6)
    assume(returns.min() < -1e-6)
    check_against_empyrical(returns, periods, risk_free)


def test_they_are_those_of_empyrical_on_real_prices(us_stocks_directory: str) -> None:
    """Thirteen years of each share."""
    prices = np.load(f"{us_stocks_directory}/adj_close.npy")
    for column in prices.T:
        known = column[~np.isnan(column)]
        check_against_empyrical(known[1:] / known[:-1] - 1, 252, 0.02)


def check_against_empyrical(returns: NDArray[np.float64], periods: int, risk_free: float) -> None:
    """Compare all of them to nine digits."""
    equity = equity_of(returns)
    daily = metrics.daily_rate(risk_free, periods)
    found = {
        "cagr": metrics.cagr(equity, periods),
        "volatility": metrics.volatility(returns, periods),
        "sharpe": metrics.sharpe(returns, periods, risk_free),
        "sortino": metrics.sortino(returns, periods, risk_free),
        "maxDrawdown": metrics.max_drawdown(equity),
        "calmar": metrics.calmar(equity, periods),
    }
    expected = {
        "cagr": empyrical.cagr(returns, annualization=periods),
        "volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, risk_free=daily, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, required_return=daily, annualization=periods),
        "maxDrawdown": empyrical.max_drawdown(returns),
        "calmar": empyrical.calmar_ratio(returns, annualization=periods),
    }
    assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


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


def test_win_rates() -> None:
    """Days without a move do not count; a trade without a gain is not won."""
    assert metrics.win_rate_days(np.array([0.1, 0.0, -0.1, 0.2])) == pytest.approx(2 / 3)
    assert metrics.win_rate_trades(np.array([1.0, 0.0])) == 0.5
    with pytest.raises(UndefinedError, match="no day"):
        metrics.win_rate_days(np.zeros(3))
    with pytest.raises(UndefinedError, match="no closed trade"):
        metrics.win_rate_trades(np.empty(0))
