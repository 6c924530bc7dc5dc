"""The CRD of this checkout on a real API server, apart from the one that an operator acts on."""

from collections.abc import Iterator

import pytest

from strategyrun.domain.crd import crd
from support.admission import Place, under_policies
from support.bench import Bench, workbench
from support.cluster import Cluster, Kind
from support.definitions import installed
from support.namespaces import temporary_namespace


@pytest.fixture(scope="session")
def strategy_run_kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD for tests that need no operator."""
    with installed(cluster, crd()) as kind:
        yield kind


@pytest.fixture(scope="module")
def operated_kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD for the operators of one module, so that they meet nobody else's runs."""
    with installed(cluster, crd()) as kind:
        yield kind


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a namespace in which the test may play the operator and the kubelet."""
    with temporary_namespace(cluster, request.node.nodeid, admission=False) as name:
        yield name


@pytest.fixture
def bench(cluster: Cluster, operated_kind: Kind, namespace: str) -> Iterator[Bench]:
    """Give the test a namespace to work in, and the next one an operator without work."""
    with workbench(cluster, operated_kind, namespace) as lent:
        yield lent


@pytest.fixture(scope="module")
def place(cluster: Cluster, operated_kind: Kind) -> Iterator[Place]:
    """Give the tests of one module a namespace under the policies, and accounts that act in it."""
    with under_policies(cluster, operated_kind) as lent:
        yield lent
