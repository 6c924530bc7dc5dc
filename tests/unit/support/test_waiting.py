"""The waits that tests of a cluster, and of what stands in its place, stand on."""

import asyncio
import selectors
import socket
from itertools import count

import pytest

from support.waiting import StillNotError, let_go, wait_until


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


def test_a_loop_is_left_when_its_last_connection_is_closed() -> None:
    """Not before: a connection says goodbye after it is told to close."""
    sockets = selectors.DefaultSelector()

    async def work() -> None:
        near, far = socket.socketpair()
        with far:
            _, writer = await asyncio.open_connection(sock=near)
            leaving = asyncio.create_task(let_go(sockets))
            await asyncio.sleep(0)
            assert not leaving.done()
            writer.close()
            await leaving

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(sockets)) as runner:
        runner.run(work())
