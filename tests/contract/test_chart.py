"""The chart: it renders what kustomize renders, its values reach where they should, and the API server takes it."""

import json
import re
from collections.abc import Iterator
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import yaml

from support.cluster import CHECKOUT, Cluster, Manifest, RefusedError
from support.helm import CHART, HelmError, helm
from support.pages import blocks

NAMESPACE = "finlab-sandbox-system"
HASHED = re.compile(r"(finlab-sandbox-(?:config|seccomp))-[a-z0-9]{10}\b")

Identity = tuple[str, str]


def rendered(*arguments: str, namespace: str = NAMESPACE) -> dict[Identity, Manifest]:
    """What the chart makes with some values, its definitions included."""
    text = helm("template", "release", str(CHART), "--namespace", namespace, "--include-crds", *arguments)
    return by_identity(yaml.safe_load_all(text))


def by_identity(manifests: Iterator[Manifest]) -> dict[Identity, Manifest]:
    """Name objects by kind and name; the hash of the content is no part of its name here."""
    return {(each["kind"], HASHED.sub(r"\1", each["metadata"]["name"])): each for each in manifests if each}


def as_read(manifest: Manifest) -> Any:
    """Read the configuration in a manifest as the operator does: comments and order say nothing."""
    read: Manifest = json.loads(HASHED.sub(r"\1", json.dumps(manifest)))
    for name, text in read.get("data", {}).items():
        if name.endswith(".yaml"):
            read["data"][name] = yaml.safe_load(text)
    return read


@pytest.fixture(scope="module")
def base(cluster: Cluster) -> dict[Identity, Manifest]:
    """What the two kustomizations make."""
    return {
        identity: manifest
        for folder in (CHECKOUT / "crds", CHECKOUT / "manifests" / "base")
        for identity, manifest in by_identity(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder)))).items()
    }


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


def test_the_seccomp_file_is_the_same_to_the_byte(default: dict[Identity, Manifest]) -> None:
    """Nodes know it by the hash of its bytes: those that the operator reads, and those that are installed."""
    file = (CHECKOUT / "config" / "seccomp_profile.json").read_text()
    for name in ("finlab-sandbox-config", "finlab-sandbox-seccomp"):
        assert default["ConfigMap", name]["data"]["seccomp_profile.json"] == file


def test_monitoring_is_the_kustomization_beside_it(cluster: Cluster, default: dict[Identity, Manifest]) -> None:
    """Where the values ask for it; what is for Prometheus Operator is asked for by itself."""
    folder = CHECKOUT / "manifests" / "monitoring"
    beside = by_identity(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))
    assert added(default, "enabled") == beside
    texts = [(folder / name).read_text() for name in ("servicemonitor.yaml", "alerts.yaml")]
    files = by_identity(map(yaml.safe_load, texts))
    assert added(default, "enabled", "serviceMonitor", "alerts") == beside | files


def test_prometheus_operator_selects_by_labels_of_ones_own(default: dict[Identity, Manifest]) -> None:
    """ServiceMonitor and PrometheusRule have them beside their own, wherever the release is."""
    label = ("--set", "monitoring.labels.release=kube-prometheus-stack")
    made = added(default, "enabled", "serviceMonitor", "alerts", more=label, namespace="elsewhere")
    wanted = {"release": "kube-prometheus-stack", "app.kubernetes.io/name": "finlab-sandbox-operator"}
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert made[kind, "finlab-sandbox"]["metadata"]["labels"] == wanted
    assert {each["metadata"]["namespace"] for each in made.values()} == {"elsewhere"}


@pytest.mark.parametrize(
    ("asked", "needs"), [(["serviceMonitor"], "enabled"), (["enabled", "alerts"], "serviceMonitor")]
)
def test_a_switch_of_monitoring_without_the_one_before_it_is_refused(asked: list[str], needs: str) -> None:
    """Alerts without numbers would say for ever that the operator is down. The complaint names both values."""
    with pytest.raises(HelmError, match=rf"monitoring\.{asked[-1]} needs monitoring\.{needs}"):
        rendered(*switched_on(*asked))


def added(
    default: dict[Identity, Manifest], *switches: str, more: tuple[str, ...] = (), namespace: str = NAMESPACE
) -> dict[Identity, Manifest]:
    """What some switches of monitoring add to the chart's objects."""
    made = rendered(*switched_on(*switches), *more, namespace=namespace)
    return {identity: made[identity] for identity in made.keys() - default.keys()}


def switched_on(*switches: str) -> list[str]:
    """Write switches of monitoring as arguments."""
    return [f"--set=monitoring.{switch}=true" for switch in switches]


def test_helm_finds_nothing_to_say() -> None:
    """The chart is well-formed by helm's own rules."""
    helm("lint", "--strict", str(CHART))


def test_values_reach_their_places() -> None:
    """Images, limits, queue and the pods of operator and installer follow the values."""
    operator = {
        "image": "registry.example.com/operator@sha256:0",
        "imagePullPolicy": "Always",
        "resources": {"requests": {"cpu": "50m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"pool": "system"},
        "priorityClassName": "system-cluster-critical",
    }
    installer = {"nodeSelector": {"pool": "strategies"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    sandbox = {"image": "registry.example.com/sandbox@sha256:1", "limits": {"memory": "3Gi"}}
    values = {
        "operator": operator | {"settings": {"queue": {"maxActiveRuns": 9}}, "logFormat": "json"},
        "installer": installer,
        "sandbox": sandbox,
        "tenantRoles": False,
    }
    made = rendered(
        *(f"--set-json={name}={json.dumps(value)}" for name, value in values.items()), namespace="elsewhere"
    )
    for kind, name, wanted in (
        ("Deployment", "finlab-sandbox-operator", operator),
        (
            "DaemonSet",
            "finlab-sandbox-installer",
            installer | {"image": operator["image"], "imagePullPolicy": "Always"},
        ),
    ):
        pod = made[kind, name]["spec"]["template"]["spec"]
        assert {each: (pod["containers"][0] | pod)[each] for each in wanted} == wanted
    arguments = made["Deployment", "finlab-sandbox-operator"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[-2:] == ["--log-format", "json"]
    config = made["ConfigMap", "finlab-sandbox-config"]["data"]
    profile = made["SandboxProfile", "default"]
    assert yaml.safe_load(config["sandbox.yaml"]) == profile
    assert profile["spec"]["image"] == sandbox["image"]
    assert profile["spec"]["limits"] == {"cpu": "500m", "memory": "3Gi"}
    assert profile["spec"]["fallback"]["image"] == operator["image"]
    assert yaml.safe_load(config["operator.yaml"])["queue"] == {"maxActiveRuns": 9, "maxActiveRunsPerNamespace": 4}
    assert not [
        name for kind, name in made if kind == "ClusterRole" and name.endswith(("-viewer", "-editor", "-admin"))
    ]
    assert NAMESPACE not in json.dumps(list(made.values()))
    assert "system:serviceaccount:elsewhere:finlab-sandbox-operator" in json.dumps(list(made.values()))


def test_another_configuration_restarts_who_reads_it(default: dict[Identity, Manifest]) -> None:
    """Its name is made of its content, and pods mount it by that name."""

    def mounted(made: dict[Identity, Manifest], kind: str, name: str) -> str:
        volumes = made[kind, name]["spec"]["template"]["spec"]["volumes"]
        (mounted,) = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
        assert mounted == made["ConfigMap", HASHED.sub(r"\1", mounted)]["metadata"]["name"]
        return str(mounted)

    operator, installer = ("Deployment", "finlab-sandbox-operator"), ("DaemonSet", "finlab-sandbox-installer")
    longer = rendered("--set", "operator.settings.queue.maxActiveRuns=5")
    assert mounted(default, *operator) == mounted(rendered(), *operator) != mounted(longer, *operator)
    assert mounted(default, *installer) == mounted(longer, *installer)
    other = rendered("--set-json", 'seccompProfile="{}"')
    assert mounted(default, *operator) != mounted(other, *operator)
    assert mounted(default, *installer) != mounted(other, *installer)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("sandbox.limits.memroy=3Gi", "memroy"),
        ("sandbox.limits.memory=much", "memory"),
        ("sandbox.timeouts.strategySeconds=301", "300"),
        ("operator.settings.queue.maxActiveRuns=0", "maxActiveRuns"),
        ("operator.settings.canary.namespace=other", "namespace"),
        ("operator.imagePullPolicy=Sometimes", "imagePullPolicy"),
        ("operator.logFormat=xml", "logFormat"),
        ("sandbx.image=x", "sandbx"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, complaint: str) -> None:
    """The schema of the values names the value; nothing is rendered."""
    with pytest.raises(HelmError, match=complaint):
        rendered("--set", value)


def test_the_values_of_the_pages_are_taken() -> None:
    """What they show as values is rendered."""
    shown = [block for block in blocks("yaml") if block.title == "values.yaml"]
    for block in shown:
        with NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(block.snippet.text)
            file.flush()
            assert rendered("--values", file.name)
    assert shown


def test_the_api_server_takes_every_object(cluster: Cluster) -> None:
    """Each would be stored as it is, beside what is there; a definition in use may be applied again."""
    for identity, manifest in rendered().items():
        try:
            cluster.apply(manifest, dry_run=True)
        except RefusedError as error:
            pytest.fail(f"{identity}: {error}")
