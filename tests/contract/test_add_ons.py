"""What is installed beside the operator, as a real API server takes it."""

import shlex

import yaml

from support.cluster import CHECKOUT, CONFIG_MAP, Cluster
from support.snippets import snippets

ADDED = CHECKOUT / "manifests"


def test_the_monitoring_manifests_are_taken(cluster: Cluster) -> None:
    """A Service and a dashboard, in the operator's namespace."""
    documents = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(ADDED / "monitoring"))))
    assert {document["kind"] for document in documents} == {"Service", "ConfigMap"}
    for document in documents:
        taken = cluster.apply(document, dry_run=True)
        assert taken["metadata"]["namespace"] == "finlab-sandbox-system"


def test_argo_cds_configmap_takes_the_health_check(cluster: Cluster, namespace: str) -> None:
    """As the page says, beside what it has."""
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm", "namespace": namespace},
            "data": {"url": "https://argocd.example.com"},
        }
    )
    patch = ADDED / "gitops" / "argocd-cm.yaml"
    (block,) = snippets(CHECKOUT / "docs" / "gitops.md", "sh")
    (command,) = block.commands
    here = command.replace("-n argocd", f"-n {namespace}").replace("manifests/gitops/argocd-cm.yaml", str(patch))
    cluster.kubectl(*shlex.split(here)[1:])
    data = cluster.get(CONFIG_MAP, "argocd-cm", namespace)["data"]
    assert data == {"url": "https://argocd.example.com"} | yaml.safe_load(patch.read_text())["data"]
