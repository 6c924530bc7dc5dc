"""The deny-all NetworkPolicy of a namespace in which strategies run."""

from typing import Any

from strategyrun.domain import naming

POLICY_NAME = "finlab-sandbox-deny-all"
_SELECTED = {naming.MANAGED_BY_LABEL: naming.MANAGED_BY}
_DIRECTIONS = ["Ingress", "Egress"]


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
            "labels": dict(_SELECTED),
        },
        "spec": {"podSelector": {"matchLabels": dict(_SELECTED)}, "policyTypes": list(_DIRECTIONS)},
    }


def denies_all(policy: dict[str, Any]) -> bool:
    """Whether a policy lets nothing in or out of any pod of a run; it may select others' pods too."""
    spec = policy["spec"]
    selector = spec.get("podSelector") or {}
    return (
        (selector.get("matchLabels") or {}).items() <= _SELECTED.items()
        and not selector.get("matchExpressions")
        and set(spec.get("policyTypes") or ()) == set(_DIRECTIONS)
        and not spec.get("ingress")
        and not spec.get("egress")
    )
