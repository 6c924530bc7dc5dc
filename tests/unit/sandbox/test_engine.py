"""The engine against a second one and against sums done by hand."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from finlab_sandbox.evaluate.engine import Account, Costs, gross_carried, simulate, traded
from finlab_sandbox.evaluate.orders import Orders
from finlab_sandbox.evaluate.trades import round_trips
from support.account import keep_books

FREE = Costs(0.0, 0.0)


def run(prices: list[list[float]], orders: dict[int, list[float]], costs: Costs = FREE) -> Account:
    """Simulate orders {row: weights}."""
    return simulate(np.array(prices), orders_of(orders, len(prices[0])), costs)


def orders_of(orders: dict[int, list[float]], n_symbols: int) -> Orders:
    """Orders as the engine takes them."""
    weights = np.array(list(orders.values()), dtype=float).reshape(len(orders), n_symbols)
    return Orders(np.array(list(orders), dtype=np.int64), weights)


def test_an_order_at_a_close_earns_the_next_return() -> None:
    """Bought at 100, the jump of the same day is missed and the next one is earned."""
    account = run([[50.0], [100.0], [150.0]], {1: [1.0]})
    np.testing.assert_allclose(account.equity, [1.0, 1.0, 1.5])
    np.testing.assert_array_equal(account.held, [False, False, True])


def test_shares_are_held_between_orders() -> None:
    """Half and half is not rebalanced by itself: 0.5 * 4 + 0.5 after two doublings of one share."""
    account = run([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]], {0: [0.5, 0.5]})
    np.testing.assert_allclose(account.equity, [1.0, 1.5, 2.5])


def test_an_order_again_rebalances() -> None:
    """The same weights a day later sell what rose: 1.5 * (0.5 * 2 + 0.5)."""
    account = run([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]], {0: [0.5, 0.5], 1: [0.5, 0.5]})
    np.testing.assert_allclose(account.equity, [1.0, 1.5, 2.25])
    np.testing.assert_allclose(traded(account.fills), [[0.5, 0.5], [0.5 - 2 / 3, 0.5 - 1 / 3]])


def test_a_short_position_earns_the_fall() -> None:
    """-1 of a share that halves gives 1.5."""
    account = run([[2.0], [1.0]], {0: [-1.0]})
    np.testing.assert_allclose(account.equity, [1.0, 1.5])


def test_costs_are_paid_on_both_sides_and_tax_on_sales() -> None:
    """1 % to buy: x + 0.01 x = 1. 3 % to sell: all of it at 0.97."""
    account = run([[1.0], [1.0], [1.0]], {0: [1.0], 1: [0.0]}, Costs(0.01, 0.03))
    np.testing.assert_allclose(account.equity, [1 / 1.01, 0.97 / 1.01, 0.97 / 1.01])


def test_no_order_leaves_the_capital_alone() -> None:
    """All cash is a flat line."""
    account = run([[1.0], [2.0]], {})
    np.testing.assert_array_equal(account.equity, [1.0, 1.0])
    assert not account.held.any()


def test_a_price_that_stopped_keeps_its_value() -> None:
    """A delisted share, its price filled forward, is neither lost nor sold."""
    account = run([[1.0, 1.0], [2.0, 1.0], [2.0, 3.0]], {0: [0.5, 0.5]})
    np.testing.assert_allclose(account.equity, [1.0, 1.5, 2.5])


def test_a_short_position_can_ruin_the_account() -> None:
    """From the day on which nothing is left equity is 0, whatever the price does and whatever is ordered later."""
    account = run([[1.0], [3.0], [0.5], [0.5]], {0: [-1.0], 2: [1.0]})
    np.testing.assert_array_equal(account.equity, [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(account.held, [False, True, False, False])
    assert account.ruined_row == 1
    np.testing.assert_array_equal(gross_carried(np.array([[1.0], [3.0], [0.5], [0.5]]), account), [0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(account.fills.rows, [0])


@given(
    moves=arrays(np.float64, (6, 2), elements=st.floats(-0.999, 100.0)),
    weights=arrays(np.float64, (6, 2), elements=st.floats(-1e9, 1e9)),
    buy=st.floats(0.0, 0.9),
    sell=st.floats(0.0, 0.9),
)
@example(np.full((6, 2), 81.0), np.array([[-1.2e7, -3.0], [-1e9, -3.0]] + [[-3.0, -3.0]] * 4), 1e-9, 0.0)
def test_no_leverage_and_no_cost_breaks_the_account(
    moves: NDArray[np.float64], weights: NDArray[np.float64], buy: float, sell: float
) -> None:
    """Equity is a number and never below 0, and from ruin on it is 0."""
    prices = np.cumprod(1 + moves, axis=0).astype(np.float64)
    equity = simulate(prices, Orders(np.arange(6), weights), Costs(buy, sell)).equity
    assert np.isfinite(equity).all()
    assert (equity >= 0.0).all()
    assert not (np.diff((equity > 0.0).astype(int)) > 0).any()


@st.composite
def markets(draw: st.DrawFn) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]], float, float]:
    """Prices that move by up to a half a day, long and short orders with gross 1 at most, and costs."""
    n_days, n_symbols = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    moves = draw(arrays(np.float64, (n_days, n_symbols), elements=st.floats(-0.4, 0.6)))
    prices = 100 * np.cumprod(1 + moves, axis=0)
    rows = sorted(draw(st.sets(st.integers(0, n_days - 1))))
    orders = {}
    for row in rows:
        weights = draw(arrays(np.float64, n_symbols, elements=st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.3, -0.7])))
        orders[row] = weights / max(1.0, float(np.abs(weights).sum()))
    return prices, orders, draw(st.sampled_from([0.0, 0.001, 0.05])), draw(st.sampled_from([0.0, 0.004, 0.05]))


@given(market=markets())
def test_it_agrees_with_the_plain_engine(
    market: tuple[NDArray[np.float64], dict[int, NDArray[np.float64]], float, float],
) -> None:
    """Equity, turnover, days held and the profit of every round trip are those of an account kept share by share."""
    prices, orders, buy, sell = market
    expected = keep_books(prices, orders, buy, sell)
    # How much is left of an account that is nearly ruined depends on the last bit of every number.
    assume(all(equity > 1e-3 for equity in expected.equity))
    costs = Costs(buy, sell)
    given_orders = orders_of({row: list(weights) for row, weights in orders.items()}, prices.shape[1])
    account = simulate(prices, given_orders, costs)
    np.testing.assert_allclose(account.equity, expected.equity, rtol=1e-9)
    np.testing.assert_array_equal(account.held, expected.held)
    assert np.abs(traded(account.fills)).sum() == pytest.approx(expected.traded, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(gross_carried(prices, account), expected.gross, rtol=1e-9, atol=1e-9)
    trips = round_trips(prices, account.fills, costs)
    assert list(zip(trips.symbols, trips.sides, trips.opened, trips.closed, strict=True)) == [
        trip[:4] for trip in expected.trips
    ]
    np.testing.assert_allclose(trips.profits, [trip.profit for trip in expected.trips], rtol=1e-9, atol=1e-9)


def test_a_round_trip_lasts_until_nothing_is_held() -> None:
    """Bought in two steps and sold in two: one trip, with the gain of both parts."""
    prices = np.array([[1.0], [2.0], [4.0], [4.0]])
    account = simulate(prices, orders_of({0: [0.5], 1: [1.0], 2: [0.5], 3: [0.0]}, 1), FREE)
    profits = round_trips(prices, account.fills, FREE).profits
    np.testing.assert_allclose(profits, [account.equity[-1] - 1.0])


def test_what_is_open_at_the_end_is_no_trade() -> None:
    """Buy and hold has no closed trade."""
    prices = np.array([[1.0], [2.0]])
    account = simulate(prices, orders_of({0: [1.0]}, 1), FREE)
    assert len(round_trips(prices, account.fills, FREE).profits) == 0


def test_a_turn_from_long_to_short_is_two_trips() -> None:
    """The long trip gained, the short one lost: 1 * 2, then 2 short of a share that rises by a half."""
    prices = np.array([[1.0], [2.0], [3.0]])
    account = simulate(prices, orders_of({0: [1.0], 1: [-1.0], 2: [0.0]}, 1), FREE)
    np.testing.assert_allclose(round_trips(prices, account.fills, FREE).profits, [1.0, -1.0])


def test_round_trips_know_their_days_and_sides() -> None:
    """In the order of closing: B short from row 1 to 2, A long from row 0 to 3."""
    prices = np.array([[1.0, 4.0], [1.0, 4.0], [2.0, 2.0], [2.0, 2.0]])
    orders = orders_of({0: [0.5, 0.0], 1: [0.5, -0.5], 2: [0.5, 0.0], 3: [0.0, 0.0]}, 2)
    trips = round_trips(prices, simulate(prices, orders, FREE).fills, FREE)
    np.testing.assert_array_equal(trips.symbols, [1, 0])
    np.testing.assert_array_equal(trips.sides, [-1, 1])
    np.testing.assert_array_equal(trips.opened, [1, 0])
    np.testing.assert_array_equal(trips.closed, [2, 3])
    np.testing.assert_allclose(trips.profits, [0.25, 0.5])
    np.testing.assert_array_equal(trips.last(1).symbols, [0])
    np.testing.assert_array_equal(trips.last(9).symbols, [1, 0])


def test_gross_exposure_moves_with_prices() -> None:
    """Half long and half short: 0.5 * 2 + 0.5 of an equity of 1.5 after the long one doubled."""
    prices = np.array([[1.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    account = simulate(prices, orders_of({0: [0.5, -0.5]}, 2), FREE)
    np.testing.assert_allclose(gross_carried(prices, account), [0.0, 1.0, 1.0])
    np.testing.assert_allclose(account.equity, [1.0, 1.5, 1.5])
