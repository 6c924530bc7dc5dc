"""The wait that cluster tests stand on."""

from itertools import count

import pytest

from support.waiting import StillNotError, wait_until


def test_returns_the_observation_that_holds() -> None:
    """The caller goes on with what was seen, without looking again."""
    numbers = count()
    assert wait_until("a number above 2", lambda: next(numbers), lambda seen: seen > 2, every=0) == 3


def test_looks_once_more_than_never() -> None:
    """A fact that holds already needs no time at all."""
    assert wait_until("truth", lambda: True, bool, seconds=0) is True


def test_failure_says_what_was_waited_for_and_seen_last() -> None:
    """The message is enough to know what stood instead."""
    with pytest.raises(StillNotError, match=r"(?s)after 0.01 s still not: the pod runs.*'phase': 'Pending'"):
        wait_until("the pod runs", lambda: {"phase": "Pending"}, lambda _: False, seconds=0.01, every=0.001)
