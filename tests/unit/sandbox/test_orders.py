"""From positions to orders."""

import numpy as np
import pytest

from finlab_sandbox.evaluate.orders import Orders, delayed, fill_forward, orders_from
from finlab_sandbox.evaluate.positions import Positions

NAN = float("nan")


def orders(
    weights: list[list[float]],
    prices: list[list[float]] | None = None,
    *,
    on_change: bool = False,
    allow_leverage: bool = False,
) -> tuple[Orders, list[str]]:
    """Orders from a row of weights for each day, on prices of 1 unless given."""
    n_days, n_symbols = len(weights), len(weights[0])
    positions = Positions(np.arange(n_days), np.arange(n_symbols), np.array(weights))
    known = prices or [[1.0] * n_symbols] * n_days
    return orders_from(positions, np.array(known), on_change=on_change, allow_leverage=allow_leverage)


def test_a_row_of_nan_holds() -> None:
    """It is no order at all, unlike a row of zeros, which sells."""
    found, warnings = orders([[1.0, 0.0], [NAN, NAN], [0.0, 0.0]])
    np.testing.assert_array_equal(found.rows, [0, 2])
    np.testing.assert_array_equal(found.weights, [[1.0, 0.0], [0.0, 0.0]])
    assert warnings == []


def test_nan_beside_a_number_is_weight_zero() -> None:
    """A row with one weight is an order for all symbols."""
    found, _ = orders([[NAN, 0.5]])
    np.testing.assert_array_equal(found.weights, [[0.0, 0.5]])


def test_rows_above_one_are_scaled_and_said() -> None:
    """The sum of |w| counts, so that a short position uses up capital too."""
    found, warnings = orders([[3.0, -1.0], [0.4, 0.4]])
    np.testing.assert_allclose(found.weights, [[0.75, -0.25], [0.4, 0.4]])
    assert warnings == ["weights: 1 of 2 orders summed to more than 1 and were scaled to 1"]


def test_rounding_is_not_leverage() -> None:
    """A sum that exceeds 1 by what float64 cannot say is no reason for a warning."""
    found, warnings = orders([[1.0 / 3] * 3, [0.1 + 1e-12, 0.9, 0.0]])
    assert warnings == []
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)


def test_what_rounding_leaves_is_no_position() -> None:
    """A sum of floats that should be 0 is 0, of either sign, and next to weights that scaling makes small."""
    found, warnings = orders([[7e-15, 0.5], [-9.9e-10, 0.0], [1e-9, -2e-9]])
    np.testing.assert_array_equal(found.weights, [[0.0, 0.5], [0.0, 0.0], [1e-9, -2e-9]])
    assert warnings == []
    scaled, _ = orders([[1e9, 0.5]])
    np.testing.assert_array_equal(scaled.weights != 0, [[True, False]])


def test_leverage_may_be_allowed() -> None:
    """Then weights stay as they are."""
    found, warnings = orders([[3.0, -1.0]], allow_leverage=True)
    np.testing.assert_array_equal(found.weights, [[3.0, -1.0]])
    assert warnings == []


def test_what_cannot_be_bought_yet_stays_in_cash() -> None:
    """Before its first price a symbol has no weight, and the others get no more for it."""
    found, warnings = orders([[0.5, 0.5], [0.5, 0.5]], [[1.0, NAN], [1.0, 1.0]])
    np.testing.assert_array_equal(found.weights, [[0.5, 0.0], [0.5, 0.5]])
    assert warnings == ["weights: 1 were asked before the symbol's first price and stayed in cash"]


def test_on_change_an_equal_row_is_no_order() -> None:
    """A row is compared with the order before it, across rows that hold."""
    found, _ = orders([[1.0], [1.0], [NAN], [1.0], [0.5], [0.5], [1.0]], on_change=True)
    np.testing.assert_array_equal(found.rows, [0, 4, 6])


@pytest.mark.parametrize("on_change", [False, True])
def test_nothing_but_nan_is_no_order(on_change: bool) -> None:
    """A strategy may stay out of the market for ever."""
    found, _ = orders([[NAN], [NAN]], on_change=on_change)
    assert len(found.rows) == 0


def test_gaps_are_filled_with_the_last_known_price() -> None:
    """Nothing is known before the first price; after the last one it stays."""
    filled = fill_forward(np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [3.0, NAN]]))
    np.testing.assert_array_equal(filled, [[NAN, 1.0], [2.0, 1.0], [2.0, 1.0], [3.0, 1.0]])


def test_delayed_orders_are_filled_later_or_never() -> None:
    """The last row has no close after it."""
    found = delayed(Orders(np.array([0, 2]), np.array([[1.0], [0.0]])), 1, 3)
    np.testing.assert_array_equal(found.rows, [1])
    np.testing.assert_array_equal(found.weights, [[1.0]])
