"""What every test finds, and fixtures of those that need a real cluster."""

import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from support.cluster import Cluster, describe
from support.namespaces import temporary_namespace

# No deadline, because machines are slow at times; the same examples everywhere, because a check must not be luck.
settings.register_profile("everywhere", deadline=None, derandomize=True)
settings.load_profile("everywhere")


def pytest_configure() -> None:
    """Hear interrupts, and let programs that are started hear them: a shell's job in the background ignores them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Connect to the cluster; a test without one fails."""
    return Cluster.connect()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a namespace for one test, and ask for its deletion afterwards without waiting."""
    with temporary_namespace(cluster, request.node.nodeid) as name:
        yield name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what stood in the test's namespace to the report of its failure."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed and report.when == "call":
        if bench := fixtures.get("bench"):
            report.sections.append(("cluster", describe(bench.cluster, bench.namespace, bench.kind)))
        elif {"cluster", "namespace"} <= fixtures.keys():
            report.sections.append(("cluster", describe(fixtures["cluster"], fixtures["namespace"])))
    return report
