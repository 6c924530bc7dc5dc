"""Pods of runs and canaries are let in where Pod Security is at its strictest, and our namespaces say that it is."""

import copy
import re

import pytest
import yaml

from strategyrun.domain.admission.policies import SWITCH_LABEL, SWITCHED_OFF
from strategyrun.domain.canary import Role, canary_job
from support.admission import DATASETS, DEFAULT, job_of, pod_of
from support.builders import make_run
from support.cluster import CHECKOUT, NAMESPACE, Cluster, Manifest, refusal
from support.waiting import wait_until

OWN: Manifest = yaml.safe_load((CHECKOUT / "manifests" / "base" / "namespace.yaml").read_text(encoding="utf-8"))
RESTRICTED: dict[str, str] = OWN["metadata"]["labels"]
"""What the operator's own namespace has, and what those of runs are to have (docs/operations.md)."""


@pytest.mark.parametrize("role", Role)
def test_canaries_are_admitted_where_pod_security_is_restricted(cluster: Cluster, namespace: str, role: Role) -> None:
    """As their own namespace is."""
    cluster.merge(NAMESPACE, namespace, None, {"metadata": {"labels": RESTRICTED | {SWITCH_LABEL: SWITCHED_OFF}}})
    cluster.create(pod_of(canary_job(DEFAULT, role, namespace=namespace, serial="0a1b2c3d")), dry_run=True)


def test_namespaces_say_which_pod_security_they_have() -> None:
    """Enforced, audited and warned of, by one version: a newer cluster does not change what is let in."""
    documents = yaml.safe_load_all((CHECKOUT / "manifests" / "base" / "canary.yaml").read_text(encoding="utf-8"))
    (canaries,) = [each for each in documents if each["kind"] == "Namespace"]
    assert canaries["metadata"]["labels"] == RESTRICTED
    for mode in ("enforce", "audit", "warn"):
        assert RESTRICTED[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert re.fullmatch(r"v1\.\d+", RESTRICTED[f"pod-security.kubernetes.io/{mode}-version"])
    page = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    demo = (CHECKOUT / "hack" / "demo.sh").read_text(encoding="utf-8")
    for label, value in RESTRICTED.items():
        for text in (page, demo):
            assert f"{label}={value}" in text


@pytest.mark.parametrize("dataset", DATASETS)
def test_pods_of_runs_are_admitted_where_pod_security_is_restricted(
    cluster: Cluster, namespace: str, dataset: str
) -> None:
    """The strictest of Kubernetes' own standards, for every source of data."""
    cluster.merge(NAMESPACE, namespace, None, {"metadata": {"labels": RESTRICTED | {SWITCH_LABEL: SWITCHED_OFF}}})
    manifest = pod_of(job_of(make_run(namespace=namespace, datasets=[{"name": "prices", **DATASETS[dataset]}])))
    privileged = copy.deepcopy(manifest)
    privileged["spec"]["securityContext"]["seccompProfile"] = {"type": "Unconfined"}
    wait_until(
        "Pod Security is enforced",
        lambda: refusal(lambda: cluster.create(privileged, dry_run=True)),
        lambda said: "violates PodSecurity" in said,
    )
    cluster.create(manifest, dry_run=True)
