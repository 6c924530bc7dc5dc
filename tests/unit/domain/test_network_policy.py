"""The NetworkPolicy of a namespace."""

from strategyrun.domain.network_policy import deny_all
from support.builders import job_manifest


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
