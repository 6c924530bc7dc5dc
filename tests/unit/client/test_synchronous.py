"""The client without await, where no cluster is needed."""

import gc
from importlib.resources import files
from typing import Any

import pytest

from strategyrun import Client
from strategyrun.adapters.runs import RunsApi
from strategyrun.client import NotAskedError


def test_its_own_loop_cannot_wait_for_it() -> None:
    """What runs in its thread and asks it would wait for itself for ever: it is told so."""

    async def connect() -> RunsApi:
        client.results()
        raise AssertionError

    with Client("research", connect=connect) as client, pytest.raises(NotAskedError, match="use AsyncClient there"):
        client.results()


@pytest.mark.filterwarnings("error")
def test_a_client_that_is_closed_says_so() -> None:
    """Whatever is asked of it; closing it once more does nothing, and nothing is left over that nobody awaited."""
    client = Client("research", connect=nobody)
    begun = client.log("run")
    client.close()
    client.close()
    for ask in (
        client.results,
        lambda: client.evaluate("x = 1"),
        lambda: next(client.evaluate_many(["x = 1"])),
        lambda: next(begun),
    ):
        with pytest.raises(NotAskedError, match="this Client is closed; make another"):
            ask()
    gc.collect()


@pytest.mark.parametrize("asked", [{}, {"selector": " "}, {"names": ("a",), "selector": "b=c"}], ids=str)
def test_nothing_is_deleted_for_want_of_a_word(asked: dict[str, Any]) -> None:
    """Neither names nor labels is not all there is; both are not one of them. Nothing is sent."""
    with Client("research", connect=nobody) as client, pytest.raises(NotAskedError, match="give names, or a selector"):
        client.delete(*asked.get("names", ()), selector=asked.get("selector", ""))


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(seconds: float) -> None:
    """Wherever one may be said; nothing is sent."""
    with Client("research", connect=nobody) as client:
        for ask in (
            lambda: client.evaluate("x = 1", timeout=seconds),
            lambda: [*client.evaluate_many(["x = 1"], timeout=seconds)],
            lambda: client.wait("run", timeout=seconds),
        ):
            with pytest.raises(NotAskedError, match="timeout: must be more than 0 seconds"):
                ask()


async def nobody() -> RunsApi:
    """Connect to nothing."""
    raise AssertionError


def test_the_engine_of_this_machine_asks_no_kubeconfig(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no namespace to look up, and no word is said about a file that nobody needs."""
    monkeypatch.setattr("strategyrun.client.asynchronous.default_namespace", None)
    with Client(engine="local") as client:
        assert client.namespace == "local"
    assert caplog.text == ""


def test_its_types_are_there_for_whoever_uses_it() -> None:
    """A type checker reads a package that says so."""
    assert (files("strategyrun") / "py.typed").is_file()
