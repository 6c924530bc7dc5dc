"""The chart in a cluster of its own, which `make helm` makes and deletes: install, upgrade, roll back, remove."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.domain.crd import definitions
from support.cluster import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    NAMESPACE,
    STRATEGY_RUN,
    Cluster,
    Kind,
    Manifest,
)
from support.helm import CHART, helm
from support.waiting import wait_until

RELEASE = "finlab-sandbox"
HOME = "finlab-sandbox-system"
TENANT = "default"
OPERATOR = "finlab-sandbox-operator"
POLICY = Kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
SOURCE = "def strategy(data, params):\n    return (data.adj_close > data.adj_close.rolling(50).mean()) / 5\n"


@pytest.fixture(scope="module", autouse=True)
def empty_cluster(cluster: Cluster) -> None:
    """Refuse a cluster in which something of ours stands already: this test removes it."""
    assert cluster.find(NAMESPACE, HOME) is None, "this is not the cluster that `make helm` makes"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME, "labels": labels}})


def release(cluster: Cluster, *arguments: str) -> str:
    """Run a command of helm on the release, and wait as helm does."""
    return helm(*arguments, "--namespace", HOME, "--wait", "--timeout", "180s", kubeconfig=cluster.kubeconfig)


def succeeded(cluster: Cluster, name: str) -> Manifest:
    """Make a run and return it when it has its answer, which is a score."""
    cluster.create(
        {
            "apiVersion": STRATEGY_RUN.api_version,
            "kind": STRATEGY_RUN.kind,
            "metadata": {"name": name, "namespace": TENANT},
            "spec": {"source": {"inline": SOURCE}},
        }
    )
    run: Manifest = wait_until(
        f"{name} is finished",
        lambda: cluster.get(STRATEGY_RUN, name, TENANT),
        lambda run: run.get("status", {}).get("phase") in ("Succeeded", "Failed"),
        seconds=120,
    )
    assert run["status"]["reason"] == "Evaluated", json.dumps(run["status"], indent=2)
    return run


def queue_of(cluster: Cluster) -> Any:
    """Read the settings that the operator's pod mounts."""
    pod = cluster.get(DEPLOYMENT, OPERATOR, HOME)["spec"]["template"]["spec"]
    (name,) = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
    return yaml.safe_load(cluster.get(CONFIG_MAP, name, HOME)["data"]["operator.yaml"])["queue"]["maxActiveRuns"]


def test_the_life_of_a_release(cluster: Cluster, tmp_path: Path) -> None:
    """Each step leaves an operator that scores a run, removal leaves the answers, and a new release finds them."""
    release(cluster, "install", RELEASE, str(CHART))
    first = succeeded(cluster, "installed")

    values = tmp_path / "values.yaml"
    values.write_text("operator: {settings: {queue: {maxActiveRuns: 2}}}\nsandbox: {timeouts: {strategySeconds: 60}}\n")
    release(cluster, "upgrade", RELEASE, str(CHART), "--values", str(values))
    assert queue_of(cluster) == 2
    upgraded = succeeded(cluster, "upgraded")
    assert upgraded["status"]["metrics"] == first["status"]["metrics"]

    release(cluster, "rollback", RELEASE, "1")
    assert queue_of(cluster) == 4
    succeeded(cluster, "rolled-back")

    release(cluster, "uninstall", RELEASE)
    assert cluster.find(DEPLOYMENT, OPERATOR, HOME) is None
    assert not [each for each in cluster.list(POLICY) if "finlab" in each["metadata"]["name"]]
    assert all(cluster.find(CUSTOM_RESOURCE_DEFINITION, each["metadata"]["name"]) for each in definitions())
    assert cluster.get(STRATEGY_RUN, "installed", TENANT)["status"] == first["status"]

    release(cluster, "install", RELEASE, str(CHART))
    succeeded(cluster, "installed-again")
    assert cluster.get(STRATEGY_RUN, "installed", TENANT)["status"] == first["status"]
