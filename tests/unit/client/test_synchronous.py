"""The client without await, where no cluster is needed."""

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
