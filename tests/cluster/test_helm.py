"""The chart: it renders what kustomize renders, its values reach where they should, and the API server takes it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.cluster import CHECKOUT, Cluster, Manifest, RefusedError
from support.helm import CHART, HelmError, helm

BASE = CHECKOUT / "manifests" / "base"
NAMESPACE = "finlab-sandbox-system"
CONFIG = re.compile(r"finlab-sandbox-config-[a-z0-9]{10}")

Identity = tuple[str, str]


def rendered(*arguments: str, namespace: str = NAMESPACE) -> dict[Identity, Manifest]:
    """What the chart makes with some values, its definitions included."""
    text = helm("template", "release", str(CHART), "--namespace", namespace, "--include-crds", *arguments)
    return by_identity(yaml.safe_load_all(text))


def by_identity(manifests: Iterator[Manifest]) -> dict[Identity, Manifest]:
    """Name objects by kind and name; the hash of the configuration is no part of its name here."""
    return {
        (each["kind"], CONFIG.sub("finlab-sandbox-config", each["metadata"]["name"])): each
        for each in manifests
        if each
    }


def as_read(manifest: Manifest) -> Any:
    """Read the configuration in a manifest as the operator does: comments and order say nothing."""
    text = CONFIG.sub("finlab-sandbox-config", json.dumps(manifest))
    read: Manifest = json.loads(text)
    if "sandbox.yaml" in read.get("data", {}):
        read["data"]["sandbox.yaml"] = yaml.safe_load(read["data"]["sandbox.yaml"])
    return read


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> dict[Identity, Manifest]:
    """What kustomize makes."""
    return by_identity(yaml.safe_load_all(cluster.kubectl("kustomize", str(BASE))))


@pytest.fixture(scope="module")
def default() -> dict[Identity, Manifest]:
    """What the chart makes of its own values."""
    return rendered()


def test_the_chart_is_the_kustomization(base: dict[Identity, Manifest], default: dict[Identity, Manifest]) -> None:
    """With its own values it makes the very objects, but for the namespace, which Helm wants to be there."""
    assert base.keys() - default.keys() == {("Namespace", NAMESPACE)}
    assert default.keys() <= base.keys()
    for identity, manifest in default.items():
        assert as_read(manifest) == as_read(base[identity]), identity


def test_the_configuration_is_the_same_to_the_byte(
    base: dict[Identity, Manifest], default: dict[Identity, Manifest]
) -> None:
    """Nodes know the seccomp profile by the hash of its bytes."""
    config = ("ConfigMap", "finlab-sandbox-config")
    assert default[config]["data"]["seccomp_profile.json"] == base[config]["data"]["seccomp_profile.json"]


def test_helm_finds_nothing_to_say() -> None:
    """The chart is well-formed by helm's own rules."""
    helm("lint", "--strict", str(CHART))


def test_values_reach_their_places() -> None:
    """Images, limits, queue, policy and the operator's pod follow the values, and the policies read the same."""
    operator = {
        "image": "registry.example.com/operator@sha256:0",
        "imagePullPolicy": "Always",
        "resources": {"requests": {"cpu": "50m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"pool": "system"},
        "priorityClassName": "system-cluster-critical",
    }
    sandbox = {"image": "registry.example.com/sandbox@sha256:1", "limits": {"memory": "3Gi"}, "maxActiveRuns": 9}
    values = {"operator": operator, "sandbox": sandbox, "tenantRoles": False}
    made = rendered(
        *(f"--set-json={name}={json.dumps(value)}" for name, value in values.items()), namespace="elsewhere"
    )
    pod = made["Deployment", "finlab-sandbox-operator"]["spec"]["template"]["spec"]
    for name, value in operator.items():
        assert (pod["containers"][0] | pod)[name] == value
    for name in ("finlab-sandbox-config", "finlab-sandbox-policy"):
        told = yaml.safe_load(made["ConfigMap", name]["data"]["sandbox.yaml"])
        assert (told["image"], told["maxActiveRuns"]) == (sandbox["image"], 9)
        assert told["limits"] == {"cpu": "500m", "memory": "3Gi"}
    assert not [name for kind, name in made if kind == "ClusterRole" and name != "finlab-sandbox-operator"]
    assert NAMESPACE not in json.dumps(list(made.values()))
    assert "system:serviceaccount:elsewhere:finlab-sandbox-operator" in json.dumps(list(made.values()))


def test_another_configuration_restarts_the_operator(default: dict[Identity, Manifest]) -> None:
    """Its name is made of its content, and the pod mounts it by that name."""

    def mounted(made: dict[Identity, Manifest]) -> str:
        (volume,) = [
            volume
            for volume in made["Deployment", "finlab-sandbox-operator"]["spec"]["template"]["spec"]["volumes"]
            if volume["name"] == "config"
        ]
        name: str = volume["configMap"]["name"]
        assert name == made["ConfigMap", "finlab-sandbox-config"]["metadata"]["name"]
        return name

    assert mounted(default) == mounted(rendered()) != mounted(rendered("--set", "sandbox.maxActiveRuns=5"))


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("sandbox.limits.memroy=3Gi", "memroy"),
        ("sandbox.limits.memory=much", "memory"),
        ("sandbox.timeouts.strategySeconds=301", "300"),
        ("sandbox.maxActiveRuns=0", "maxActiveRuns"),
        ("operator.imagePullPolicy=Sometimes", "imagePullPolicy"),
        ("sandbx.image=x", "sandbx"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, complaint: str) -> None:
    """The schema of the values names the value; nothing is rendered."""
    with pytest.raises(HelmError, match=complaint):
        rendered("--set", value)


def test_the_api_server_takes_every_object(cluster: Cluster) -> None:
    """Each would be stored as it is, beside what is there; a definition in use may be applied again."""
    for identity, manifest in rendered().items():
        try:
            cluster.apply(manifest, dry_run=True)
        except RefusedError as error:
            pytest.fail(f"{identity}: {error}")
