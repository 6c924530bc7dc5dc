"""What the doctor makes of what it finds."""

from typing import Any

import pytest
import yaml

from strategyrun.cli.doctor import ENFORCE_LABEL, OPERATOR_LABEL, held, isolation, readiness
from strategyrun.domain.network_policy import deny_all
from support.cluster import CHECKOUT, Manifest


@pytest.fixture
def deployment() -> Manifest:
    """The operator as it is installed, in a namespace of somebody's choice."""
    documents = yaml.safe_load_all((CHECKOUT / "manifests" / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    found: Manifest = next(each for each in documents if each["kind"] == "Deployment")
    found["metadata"]["namespace"] = "quants"
    return found


def test_the_operator_is_known_by_its_label(deployment: Manifest) -> None:
    """Which both ways to install it set."""
    name, value = OPERATOR_LABEL.split("=")
    assert deployment["metadata"]["labels"][name] == value
    chart = CHECKOUT / "charts" / "finlab-sandbox-operator" / "templates" / "deployment.yaml"
    assert f"{name}: {value}" in chart.read_text(encoding="utf-8")


def test_an_operator_may_be_in_any_namespace(deployment: Manifest) -> None:
    """The words and the command name the one where it was found."""
    waiting = readiness(deployment)
    assert (waiting.level, waiting.said) == ("fail", "no pod of finlab-sandbox-operator in quants is ready")
    assert waiting.fix == "kubectl logs -n quants deployment/finlab-sandbox-operator"
    ready = readiness(deployment | {"status": {"readyReplicas": 1}})
    assert (ready.level, ready.said.partition(",")[0]) == ("ok", "finlab-sandbox-operator in quants is ready")


@pytest.mark.parametrize(
    "labels", [None, {}, {ENFORCE_LABEL: "baseline"}, {"pod-security.kubernetes.io/warn": "restricted"}]
)
def test_a_namespace_that_pod_security_does_not_hold_is_told(labels: Any) -> None:
    """With the command that changes it, for its own name; nothing that is needed is missing."""
    found = held({"metadata": {"name": "research", "labels": labels}})
    assert (found.part, found.level) == ("namespace", "warn")
    assert found.fix.startswith(
        "kubectl label namespace research --overwrite pod-security.kubernetes.io/enforce=restricted "
    )
    assert "docs/operations.md#namespaces-of-runs" in found.fix


def test_a_namespace_that_pod_security_holds_is_well() -> None:
    """Where other Pod Security labels stand beside it too."""
    labels = {ENFORCE_LABEL: "restricted", f"{ENFORCE_LABEL}-version": "v1.32"}
    assert held({"metadata": {"name": "research", "labels": labels}}).level == "ok"


@pytest.mark.parametrize(
    "change",
    [
        {"podSelector": {"matchLabels": {"app": "other"}}},
        {"policyTypes": ["Ingress"]},
        {"ingress": [{}]},
        {"egress": [{"to": [{"namespaceSelector": {}}]}]},
    ],
    ids=["selects others", "one direction", "lets in", "lets out"],
)
def test_a_policy_that_is_not_what_its_name_says_is_told(change: Manifest) -> None:
    """Runs rely on its name; once it is deleted the next run makes it as it should be."""
    policy = deny_all("research")
    found = isolation({policy["metadata"]["name"]: policy | {"spec": policy["spec"] | change}}, "research")
    assert (found.part, found.level) == ("network", "warn")
    assert found.fix.startswith("kubectl delete networkpolicy finlab-sandbox-deny-all -n research;")


def test_a_policy_that_denies_all_is_well() -> None:
    """And so is a namespace that has none yet, whatever others it has."""
    policy = deny_all("research")
    assert isolation({"others": {}, policy["metadata"]["name"]: policy}, "research").level == "ok"
    assert isolation({"others": {}}, "research").said.endswith("yet; the first run makes it")
