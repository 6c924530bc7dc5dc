"""The CRD of this checkout on a real API server, apart from the one that an operator acts on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest

from strategyrun.domain.crd import crd
from support.cluster import CUSTOM_RESOURCE_DEFINITION, Cluster, Kind, RefusedError
from support.waiting import wait_until

_LABEL = "finlab-sandbox.dev/contract-test"


@pytest.fixture(scope="session")
def strategy_run_kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD under a group of its own.

    The schema, columns and names are those of the checkout; the group is another, so that no
    operator answers what these tests write, and no running installation is changed.
    """
    _sweep(cluster)
    definition = crd()
    spec = definition["spec"]
    spec["group"] = f"t{token_hex(4)}.contract.finlab-sandbox.dev"
    name = f"{spec['names']['plural']}.{spec['group']}"
    kind = Kind(f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"])
    cluster.create(definition | {"metadata": {"name": name, "labels": {_LABEL: "true"}}})
    wait_until(f"{name} is served", lambda: _listing(cluster, kind), lambda answer: answer == "served")
    yield kind
    cluster.delete(CUSTOM_RESOURCE_DEFINITION, name)


def _listing(cluster: Cluster, kind: Kind) -> str:
    try:
        cluster.list(kind)
    except RefusedError as error:
        return str(error)
    return "served"


def _sweep(cluster: Cluster) -> None:
    """Delete what sessions left behind that were killed more than an hour ago."""
    for old in cluster.list(CUSTOM_RESOURCE_DEFINITION, labels=_LABEL):
        created = datetime.fromisoformat(old["metadata"]["creationTimestamp"])
        if datetime.now(UTC) - created > timedelta(hours=1):
            cluster.delete(CUSTOM_RESOURCE_DEFINITION, old["metadata"]["name"])
