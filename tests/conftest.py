"""Fixtures of every test that needs a real cluster."""

import re
from collections.abc import Generator, Iterator
from secrets import token_hex

import pytest

from support.cluster import NAMESPACE, SERVICE_ACCOUNT, Cluster, describe
from support.waiting import wait_until


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Connect to the cluster; a test without one fails."""
    return Cluster.connect()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a namespace for one test, and ask for its deletion afterwards without waiting."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    name = f"{slug}-{token_hex(3)}"
    cluster.create(
        {
            "apiVersion": NAMESPACE.api_version,
            "kind": NAMESPACE.kind,
            "metadata": {
                "name": name,
                "labels": {"finlab-sandbox.dev/test": "true"},
                "annotations": {"finlab-sandbox.dev/test": request.node.nodeid},
            },
        }
    )
    wait_until(
        f"namespace {name} can hold pods",
        lambda: cluster.find(SERVICE_ACCOUNT, "default", name),
        lambda account: account is not None,
    )
    yield name
    cluster.delete(NAMESPACE, name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what stood in the test's namespace to the report of its failure."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    if report.failed and report.when == "call" and {"cluster", "namespace"} <= fixtures.keys():
        report.sections.append(("cluster", describe(fixtures["cluster"], fixtures["namespace"])))
    return report
