"""A control plane without containers for all fault tests, and for each a proxy to break its operator's connection."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from strategyrun.domain.crd import crd
from support.bench import Bench, workbench
from support.cluster import Cluster, Kind
from support.definitions import installed
from support.fault_proxy import FaultProxy
from support.namespaces import temporary_namespace
from support.rig import Rig, running_rig
from support.rig_operator import ON_RIG, KillableOperator

StartOperator = Callable[..., KillableOperator]


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """Start the programs once for all tests."""
    with running_rig(ON_RIG.profile.seccomp) as started:
        yield started


@pytest.fixture
def cluster(rig: Rig) -> Cluster:
    """See the rig as its administrator; a test may have restarted its API server."""
    return rig.cluster


@pytest.fixture(scope="session")
def operated_kind(rig: Rig) -> Iterator[Kind]:
    """Install the CRD."""
    with installed(rig.cluster, crd()) as kind:
        yield kind


@pytest.fixture
def bench(cluster: Cluster, operated_kind: Kind, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the test a namespace to work in, and the next one an operator without work."""
    with (
        temporary_namespace(cluster, request.node.nodeid, admission=False) as namespace,
        workbench(cluster, operated_kind, namespace) as lent,
    ):
        yield lent


@pytest.fixture
def proxy(rig: Rig, tmp_path: Path) -> Iterator[FaultProxy]:
    """Put a proxy before the API server."""
    with FaultProxy(rig, tmp_path) as serving:
        yield serving


@pytest.fixture
def operator(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> Iterator[KillableOperator]:
    """Start an operator that lives behind the proxy and sweeps every two seconds."""
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", sweep_seconds=2) as running:
        yield running
