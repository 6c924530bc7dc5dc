"""The gallery of mistakes, applied as a user does: each comes to what its annotation and its page say."""

from collections.abc import Iterator

import pytest

from support.cluster import CHECKOUT, Cluster
from support.mistakes import EXPECTED, MANIFESTS, entries
from support.namespaces import temporary_namespace
from support.runs import condition, wait_finished


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Apply all of them at once."""
    with temporary_namespace(cluster, f"{request.node.nodeid}::mistakes") as name:
        cluster.kubectl("apply", "--namespace", name, "--filename", str(CHECKOUT / "manifests" / "mistakes"))
        yield name


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_mistake_comes_to_what_its_page_says(cluster: Cluster, namespace: str, name: str) -> None:
    """Phase, reason and class are those of the page, the texts hold what it quotes, and nothing is tried twice."""
    run = wait_finished(cluster, namespace, name)
    status, told = run["status"], entries()[name].status
    failure = status.get("failure", {})
    assert f"{status['phase']}/{status['reason']}" == MANIFESTS[name]["metadata"]["annotations"][EXPECTED], status
    assert (failure.get("class"), failure.get("reason")) == (
        told.get("class"),
        told["reason"] if status["phase"] == "Failed" else None,
    )
    assert told.get("message", "") in status["message"]
    assert told.get("warning", "") in "\n".join(status.get("warnings", []))
    assert status.get("selfReported", {}).get("values") == told.get("selfReported")
    assert condition(run, "LookAheadClean") == told.get("lookAheadClean", "Unknown")
    assert ("metrics" in status) is (status["reason"] == "Evaluated")
    assert len(status.get("attempts", [])) == (0 if told["reason"] in ("CodeRejected", "VendorAuthRequired") else 1)
