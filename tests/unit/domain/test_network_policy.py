"""The NetworkPolicy of a namespace."""

from typing import Any

import pytest

from strategyrun.domain import naming
from strategyrun.domain.network_policy import denies_all, deny_all
from support.builders import job_manifest

OURS = {naming.MANAGED_BY_LABEL: naming.MANAGED_BY}


def test_nothing_in_and_nothing_out() -> None:
    """Both directions are isolated and no rule lets anything through."""
    assert deny_all("research") == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "finlab-sandbox-deny-all",
            "namespace": "research",
            "labels": {"app.kubernetes.io/managed-by": "finlab-sandbox-operator"},
        },
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "finlab-sandbox-operator"}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


def test_it_selects_the_pods_of_a_run() -> None:
    """The labels that it asks for are on every pod that the operator makes."""
    labels = job_manifest()["spec"]["template"]["metadata"]["labels"]
    assert deny_all("research")["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="ours"),
        pytest.param({"podSelector": {}}, id="every pod"),
        pytest.param({"policyTypes": ["Egress", "Ingress"], "ingress": [], "egress": []}, id="written otherwise"),
    ],
)
def test_whoever_made_it_a_policy_that_denies_all_is_one(change: dict[str, Any]) -> None:
    """An administrator's may hold other pods too."""
    assert denies_all({"spec": deny_all("research")["spec"] | change})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"podSelector": {"matchLabels": OURS | {"example.com/any": "a"}}}, id="some pods of runs"),
        pytest.param({"podSelector": {"matchLabels": {naming.MANAGED_BY_LABEL: "others"}}}, id="others' pods"),
        pytest.param(
            {"podSelector": {"matchExpressions": [{"key": naming.RUN_UID_LABEL, "operator": "DoesNotExist"}]}},
            id="all but runs",
        ),
        pytest.param({"policyTypes": ["Ingress"]}, id="one direction"),
        pytest.param({"policyTypes": None}, id="no direction"),
        pytest.param({"ingress": [{}]}, id="lets in"),
        pytest.param({"egress": [{"to": [{"namespaceSelector": {}}]}]}, id="lets out"),
    ],
)
def test_a_policy_that_lets_something_through_is_none(change: dict[str, Any]) -> None:
    """Its name is not enough."""
    assert not denies_all({"spec": deny_all("research")["spec"] | change})
