"""What users apply: the CRD and the samples."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.cluster import CHECKOUT, STRATEGY_RUN, Cluster, Kind, Manifest

SAMPLES = sorted((CHECKOUT / "manifests/samples").glob("*.yaml"))


def documents(path: Path) -> Iterator[Manifest]:
    """Read the manifests of a file; a kustomization is for kubectl and not for the server."""
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document and not document["apiVersion"].startswith("kustomize.config.k8s.io/"):
            yield document


def test_crd_file_is_accepted(cluster: Cluster) -> None:
    """`kubectl apply -k crds` works, on a cluster that has the CRD and on one that has not."""
    applied = cluster.kubectl("apply", "--dry-run=server", "-k", str(CHECKOUT / "crds"))
    assert "customresourcedefinition.apiextensions.k8s.io/strategyruns.finlab-sandbox.dev" in applied


def test_there_are_samples() -> None:
    """An empty folder would pass the test below without a word."""
    assert [document["kind"] for path in SAMPLES for document in documents(path)].count("StrategyRun") >= 6


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_is_accepted(cluster: Cluster, strategy_run_kind: Kind, path: Path) -> None:
    """Every sample passes the schema, with unknown fields refused."""
    for document in documents(path):
        metadata = {"namespace": "default"} | document["metadata"]
        api_version = document["apiVersion"]
        if Kind.of(document) == STRATEGY_RUN:
            api_version = strategy_run_kind.api_version
        cluster.create(document | {"apiVersion": api_version, "metadata": metadata}, dry_run=True)
