"""The program of the pods that measure: on sockets of this machine's loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from finlab_sandbox import canary
from support.ports import free_port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow one another at once."""
    monkeypatch.setattr(canary, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def peer() -> Iterator[tuple[str, int]]:
    """Somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[:2]


def answers(*rounds: bool) -> Callable[[], bool]:
    """Answer so in each round, and as in the last one from then on."""
    left = list(rounds)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_listener_is_reached_and_a_closed_port_is_not(peer: tuple[str, int]) -> None:
    """A refused connection is no connection."""
    assert canary.connects(*peer)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not canary.connects(*unused.getsockname())


def test_the_peer_takes_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as come."""
    port = free_port()
    monkeypatch.setattr(canary, "PORT", port)
    threading.Thread(target=canary.listen, daemon=True).start()
    assert canary.free({"peer": lambda: canary.connects("127.0.0.1", port)}, seconds=60) == {"reached": ["peer"]}
    assert canary.connects("127.0.0.1", port)


def test_a_resolver_is_reached_when_it_answers_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that there is no such name."""
    monkeypatch.setattr(canary, "ATTEMPT_SECONDS", 30.0)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            question, client = server.recvfrom(512)
            server.sendto(question[:2] + b"\x81\x83", client)

        threading.Thread(target=serve, daemon=True).start()
        assert canary.resolves(*server.getsockname())


def test_a_resolver_that_is_silent_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for as long as for anybody."""
    monkeypatch.setattr(canary, "ATTEMPT_SECONDS", 0.05)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        assert not canary.resolves(*server.getsockname())


@pytest.mark.parametrize(
    ("text", "found"),
    [("search a\nnameserver 10.96.0.10\nnameserver 1.1.1.1\n", "10.96.0.10"), ("options ndots:5\n", None)],
    ids=["first", "none"],
)
def test_the_resolver_is_the_pods_own(text: str, found: str | None) -> None:
    """As its resolv.conf says."""
    assert canary.nameserver(text) == found


def test_the_free_pod_tries_until_everybody_has_answered() -> None:
    """A network that takes a moment is no wall."""
    assert canary.free({"api": answers(False, True), "peer": answers(True)}, seconds=60) == {"reached": ["api", "peer"]}
    assert canary.free({"api": answers(True), "dns": answers(False)}, seconds=0) == {"reached": ["api"]}


def test_the_bound_pod_is_cut_off_when_two_rounds_reach_nothing() -> None:
    """One could be an accident."""
    found = canary.bound({"api": answers(True, False, True, False), "peer": answers(True, True, False)}, seconds=60)
    assert found["reached"] == []


def test_the_bound_pod_tells_what_it_reached_to_the_last() -> None:
    """And nothing else."""
    found = canary.bound({"api": answers(True), "dns": answers(False)}, seconds=0)
    assert found["reached"] == ["api"]


def test_threads_are_counted_until_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where none is, that is the answer."""
    assert canary.threads(most=5) is None
    start, left = threading.Thread.start, iter(range(3))

    def refuse_the_fourth(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_fourth)
    assert canary.threads(most=100) == 4


def test_without_a_filter_sockets_open() -> None:
    """Here there is none, so that the answer must say so."""
    assert "AF_INET" in canary.sandbox()["opened"]  # type: ignore[operator]
