"""Tests of the whole way need the CRD of this checkout on the cluster."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from strategyrun.domain.crd import crd
from support.bench import Bench, workbench
from support.cluster import CUSTOM_RESOURCE_DEFINITION, Cluster, Kind
from support.definitions import installed
from support.journal import Journal, Open
from support.namespaces import temporary_namespace
from support.waiting import IN_LINE


@pytest.fixture(scope="session", autouse=True)
def current_crd(cluster: Cluster) -> None:
    """Fail at once, and plainly, where the cluster has another CRD than the checkout."""
    expected = crd()
    installed = cluster.find(CUSTOM_RESOURCE_DEFINITION, expected["metadata"]["name"])
    assert installed is not None, "the CRD is not installed; `make up` does that"
    assert installed["spec"]["versions"][0]["schema"] == expected["spec"]["versions"][0]["schema"], (
        "the CRD on the cluster is not that of this checkout; `make up` renews it"
    )


@pytest.fixture(scope="module")
def kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD for this module's own operators."""
    with installed(cluster, crd()) as own:
        yield own


@pytest.fixture
def journal(cluster: Cluster, namespace: str) -> Iterator[Open]:
    """Open journals of the test's namespace, and close them with the test."""
    with ExitStack() as journals:
        yield lambda kind: journals.enter_context(Journal(cluster, kind, namespace))


@pytest.fixture
def bench(cluster: Cluster, kind: Kind, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the test a namespace in which real pods run for an operator of its own."""
    with (
        temporary_namespace(cluster, request.node.nodeid, admission=False) as namespace,
        workbench(cluster, kind, namespace, IN_LINE) as lent,
    ):
        yield lent
