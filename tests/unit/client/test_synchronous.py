"""The client without await, where no cluster is needed."""

from importlib.resources import files

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
