"""The deny-all NetworkPolicy of a namespace in which strategies run."""

from typing import Any

from strategyrun.domain import naming

POLICY_NAME = "finlab-sandbox-deny-all"


def deny_all(namespace: str) -> dict[str, Any]:
    """Build the policy: pods with our label get nothing in and nothing out.

    One static object for a namespace, there before its first Job: a policy made beside a pod
    would race with it.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": POLICY_NAME,
            "namespace": namespace,
            "labels": {naming.MANAGED_BY_LABEL: naming.MANAGED_BY},
        },
        "spec": {
            "podSelector": {"matchLabels": {naming.MANAGED_BY_LABEL: naming.MANAGED_BY}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }
