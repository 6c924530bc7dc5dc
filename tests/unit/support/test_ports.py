"""Ports that are given to those who listen on them a moment later."""

from itertools import islice
from socket import socket

import pytest

from support import ports
from support.ports import free_port, ports_of


def test_no_port_is_given_twice() -> None:
    """Though nobody listens on the first when the second is asked for; none is one that a connection may be given."""
    given = [free_port() for _ in range(500)]
    assert len({*given}) == len(given)
    assert all(10_000 <= port < 30_000 for port in given)


def test_workers_have_ports_of_their_own() -> None:
    """Three that pick at once pick different ones; beyond the range that there is they begin again."""
    shares = [{*islice(ports_of(f"gw{number}"), 1000)} for number in range(21)]
    assert {len(share) for share in shares} == {1000}
    assert len(set[int]().union(*shares[:20])) == 20_000
    assert shares[20] == shares[0]


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any address."""
    taken, free = free_port(), free_port()
    monkeypatch.setattr(ports, "_ours", iter([taken, free]))
    with socket() as listening:
        listening.bind(("127.0.0.1", taken))
        listening.listen()
        assert free_port() == free
