"""What the pages type to install, change and remove the operator, typed in a cluster that `make installation` makes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.domain.crd import definitions
from support.cluster import (
    CHECKOUT,
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    NAMESPACE,
    STRATEGY_RUN,
    Cluster,
    Kind,
    Manifest,
)
from support.pages import Block, blocks
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)

HOME = "finlab-sandbox-system"
ELSEWHERE = "quant"
"""Where a release may live as well."""

TENANT = "default"
OPERATOR = "finlab-sandbox-operator"
POLICY = Kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
SOURCE = "def strategy(data, params):\n    return (data.adj_close > data.adj_close.rolling(50).mean()) / 5\n"
VALUES = "operator: {settings: {queue: {maxActiveRuns: 2}}}\n"


@pytest.fixture(scope="module", autouse=True)
def empty_cluster(cluster: Cluster) -> None:
    """Refuse a cluster in which something of ours stands already: these tests remove it."""
    homes = [cluster.find(NAMESPACE, name) for name in (HOME, ELSEWHERE)]
    assert homes == [None, None], "this is not the cluster that `make installation` makes"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give the reader a copy of what is installed from, in which files may be changed."""
    for name in ("charts", "config", "crds", "manifests"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(autouse=True)
def emptied(cluster: Cluster) -> Iterator[None]:
    """Leave the next test a cluster without an operator and without definitions."""
    yield
    names = [definition["metadata"]["name"] for definition in definitions()]
    wait_until(
        "the definitions are gone",
        lambda: [name for name in names if cluster.find(CUSTOM_RESOURCE_DEFINITION, name)],
        lambda left: not left,
        seconds=240,
    )
    wait_until(
        "the operator's namespace is gone",
        lambda: [name for name in (HOME, ELSEWHERE) if cluster.find(NAMESPACE, name)],
        lambda left: not left,
        seconds=240,
    )


def block_with(page: str, *passages: str) -> Block:
    """Return the block of a page that has all the passages."""
    found = [
        each
        for each in blocks("sh")
        if each.page == CHECKOUT / "docs" / page and all(passage in each.snippet.text for passage in passages)
    ]
    assert len(found) == 1, f"{len(found)} blocks of {page} have {passages}"
    return found[0]


def type_in(checkout: Path, cluster: Cluster, block: Block, home: str = HOME) -> None:
    """Type the commands of a block, in their order, with another namespace for the operator; each must succeed."""
    tools = os.pathsep.join([str(cluster.kubeconfig.parent / "bin"), os.environ["PATH"]])
    for command in (each.replace(HOME, home) for each in block.snippet.commands):
        environment = {**os.environ, "PATH": tools, "KUBECONFIG": str(cluster.kubeconfig)}
        typed = partial(
            subprocess.run,
            ["bash", "-c", command],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,  # helm's own is 300
        )
        done = typed()
        if "delete the ClusterRole" in done.stderr:  # the page says when, and what to do
            done = typed()
        assert done.returncode == 0, f"{block.where}: {command}\n{done.stdout}{done.stderr}"


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
        seconds=400,
    )
    assert run["status"]["reason"] == "Evaluated", json.dumps(run["status"], indent=2)
    return run


def queue_of(cluster: Cluster, home: str = HOME) -> Any:
    """Read the settings that the operator's pod mounts."""
    pod = cluster.get(DEPLOYMENT, OPERATOR, home)["spec"]["template"]["spec"]
    (name,) = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
    return yaml.safe_load(cluster.get(CONFIG_MAP, name, home)["data"]["operator.yaml"])["queue"]["maxActiveRuns"]


def require_only_answers_are_left(cluster: Cluster, run: Manifest) -> None:
    """After a removal there is neither operator nor policy; definitions, runs and what they say stay."""
    assert cluster.find(DEPLOYMENT, OPERATOR, HOME) is None
    assert not [each for each in cluster.list(POLICY) if "finlab" in each["metadata"]["name"]]
    assert all(cluster.find(CUSTOM_RESOURCE_DEFINITION, each["metadata"]["name"]) for each in definitions())
    assert cluster.get(STRATEGY_RUN, run["metadata"]["name"], TENANT)["status"] == run["status"]


def test_the_life_of_a_release(cluster: Cluster, checkout: Path) -> None:
    """Installed, upgraded, rolled back, removed and installed again by Helm: each operator scores, answers stay."""
    type_in(checkout, cluster, block_with("quickstart.md", "helm install"))
    first = succeeded(cluster, "installed")

    images = {
        "operator": {"image": f"registry.example.com/{OPERATOR}:0.1.0"},
        "sandbox": {"image": "registry.example.com/finlab-sandbox:0.1.0", "timeouts": {"strategySeconds": 60}},
    }
    values = yaml.safe_load(VALUES)
    values = {"operator": values["operator"] | images["operator"], "sandbox": images["sandbox"]}
    (checkout / "values.yaml").write_text(yaml.safe_dump(values))
    type_in(checkout, cluster, block_with("chart.md", "helm upgrade"))
    assert queue_of(cluster) == 2
    assert succeeded(cluster, "upgraded")["status"]["metrics"] == first["status"]["metrics"]

    type_in(checkout, cluster, block_with("chart.md", "helm rollback"))
    assert queue_of(cluster) == 4
    succeeded(cluster, "rolled-back")

    type_in(checkout, cluster, block_with("chart.md", "helm uninstall"))
    require_only_answers_are_left(cluster, first)

    type_in(checkout, cluster, block_with("chart.md", "helm install", "--skip-crds"))
    assert queue_of(cluster) == 2
    succeeded(cluster, "installed-again")
    assert cluster.get(STRATEGY_RUN, "installed", TENANT)["status"] == first["status"]

    type_in(checkout, cluster, block_with("chart.md", "helm uninstall"))
    type_in(checkout, cluster, block_with("chart.md", "kubectl delete", "crds"))
    cluster.kubectl("delete", "namespace", HOME, "--wait")


def test_the_page_of_the_chart_installs_it_in_any_namespace(cluster: Cluster, checkout: Path) -> None:
    """With values of one's own, in a cluster that has nothing of ours: the lease is held, and the policies know whose
    canaries and runs they are."""
    (checkout / "values.yaml").write_text(VALUES)
    type_in(checkout, cluster, block_with("chart.md", "kubectl create namespace", "helm install"), ELSEWHERE)
    assert queue_of(cluster, ELSEWHERE) == 2
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=300s", "sandboxprofile/default", seconds=330)
    succeeded(cluster, "installed")
    type_in(checkout, cluster, block_with("chart.md", "helm uninstall"), ELSEWHERE)
    type_in(checkout, cluster, block_with("chart.md", "kubectl delete", "crds"))
    cluster.kubectl("delete", "namespace", ELSEWHERE, "--wait")


def test_the_life_of_a_kustomization(cluster: Cluster, checkout: Path) -> None:
    """Installed, changed, removed and installed again by kustomize: each operator scores, answers stay."""
    install = block_with("quickstart.md", "-k manifests/base", "rollout status")
    type_in(checkout, cluster, install)
    first = succeeded(cluster, "installed")

    settings = checkout / "config" / "operator.yaml"
    settings.write_text(settings.read_text().replace("maxActiveRuns: 4", "maxActiveRuns: 2"))
    type_in(checkout, cluster, install)
    assert queue_of(cluster) == 2
    assert succeeded(cluster, "changed")["status"]["metrics"] == first["status"]["metrics"]

    remove = block_with("quickstart.md", "kubectl delete -k manifests/base")
    type_in(checkout, cluster, remove)
    require_only_answers_are_left(cluster, first)

    type_in(checkout, cluster, install)
    succeeded(cluster, "installed-again")
    assert cluster.get(STRATEGY_RUN, "installed", TENANT)["status"] == first["status"]

    type_in(checkout, cluster, remove)
    type_in(checkout, cluster, block_with("quickstart.md", "kubectl delete -k crds"))
