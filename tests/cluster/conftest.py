"""Tests of the whole way need the CRD of this checkout on the cluster."""

import pytest

from strategyrun.domain.crd import crd
from support.cluster import CUSTOM_RESOURCE_DEFINITION, Cluster


@pytest.fixture(scope="session", autouse=True)
def current_crd(cluster: Cluster) -> None:
    """Fail at once, and plainly, where the cluster has another CRD than the checkout."""
    expected = crd()
    installed = cluster.find(CUSTOM_RESOURCE_DEFINITION, expected["metadata"]["name"])
    assert installed is not None, "the CRD is not installed; `make up` does that"
    assert installed["spec"]["versions"][0]["schema"] == expected["spec"]["versions"][0]["schema"], (
        "the CRD on the cluster is not that of this checkout; `make up` renews it"
    )
