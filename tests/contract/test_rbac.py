"""What the operator may do: what it does, and nothing else."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from secrets import token_hex
from typing import Any, NamedTuple

import kopf
import pytest
import yaml
from kubernetes.aio import client

from strategyrun.adapters.controller import Controller
from strategyrun.adapters.kopf_source import Shell
from strategyrun.adapters.kube import Kube, RefusedError, Resource
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.settings import load_settings
from strategyrun.domain.crd import profile_crd
from strategyrun.domain.network_policy import POLICY_NAME
from strategyrun.domain.sandbox import NODE_READY, PROFILE_KIND, PROFILE_PLURAL
from strategyrun.domain.strategyrun import GROUP
from support.bench import Bench, count, owned
from support.clock import run_virtually
from support.cluster import CHECKOUT, CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, JOB, NODE, Cluster, Kind, Manifest
from support.cluster import RefusedError as Refused
from support.operator import UNSCHEDULABLE, RunningOperator, configuration_of, resource_of
from support.waiting import wait_until

RBAC = CHECKOUT / "manifests" / "base" / "rbac.yaml"
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io/v1", "ClusterRole")
CLUSTER_ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")


class Right(NamedTuple):
    """One verb on one kind of object."""

    verb: str
    group: str
    resource: str


USE = "finlab-sandbox-profiles"
"""The role that no request of the operator needs: the admission policies ask for it (test_admission.py)."""


def manifests() -> dict[str, Manifest]:
    """Read the manifests of the operator's rights by kind."""
    documents = [each for each in documents_of() if each["metadata"]["name"] != USE]
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind


def documents_of() -> list[Manifest]:
    """Read all that rbac.yaml has."""
    return list(yaml.safe_load_all(RBAC.read_text(encoding="utf-8")))


def rights(rules: list[dict[str, Any]]) -> set[Right]:
    """Spell rules out."""
    return {
        Right(verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


GRANTED = rights(manifests()["ClusterRole"]["rules"]) | rights(manifests()["Role"]["rules"])


def in_group(granted: set[Right], group: str) -> set[Right]:
    """Move the rights on StrategyRuns to the group of a test."""
    return {right._replace(group=group if right.group == GROUP else right.group) for right in granted}


class Account(NamedTuple):
    """A service account that has the operator's rights."""

    namespace: str
    token: str


@pytest.fixture
def account(cluster: Cluster, operated_kind: Kind, namespace: str) -> Iterator[Account]:
    """Apply the manifests under names of their own, for the StrategyRuns of the test's group."""
    group = resource_of(operated_kind).group
    name = f"finlab-sandbox-operator-{token_hex(4)}"
    role = manifests()["ClusterRole"]
    rules = json.loads(json.dumps(role["rules"]).replace(f'"{GROUP}"', f'"{group}"'))
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    cluster.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": namespace}}
    )
    cluster.create(role | {"metadata": {"name": name}, "rules": rules})
    cluster.create(
        manifests()["ClusterRoleBinding"]
        | {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        }
    )
    here = {"metadata": {"name": "operator", "namespace": namespace}}
    cluster.create(manifests()["Role"] | here)
    reference = manifests()["RoleBinding"]["roleRef"] | {"name": "operator"}
    cluster.create(manifests()["RoleBinding"] | here | {"subjects": [subject], "roleRef": reference})
    try:
        yield Account(namespace, cluster.kubectl("create", "token", "operator", "-n", namespace).strip())
    finally:
        cluster.delete(CLUSTER_ROLE_BINDING, name)
        cluster.delete(CLUSTER_ROLE, name)


def watched(runs: Resource) -> set[Right]:
    """Enumerate what kopf does: it lists and watches what has a handler."""

    async def registry() -> kopf.OperatorRegistry:
        kube = Kube(client.Configuration(), runs=runs)
        observer, profiles = Observer(kube), replace(runs, plural=PROFILE_PLURAL)
        controller = Controller(kube, UNSCHEDULABLE, observer, profiles=profiles)
        return Shell(kube, controller, observer, asyncio.Event(), profiles).registry()

    handlers = run_virtually(registry())._watching.get_all_handlers()
    selectors = [each.selector for each in handlers if each.selector]
    return {Right(verb, str(each.group), str(each.any_name)) for each in selectors for verb in ("list", "watch")}


def test_the_manifests_bind_one_account_to_one_role() -> None:
    """And the account's token is mounted only where a pod asks for it."""
    found = manifests()
    assert set(found) == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    name = found["ServiceAccount"]["metadata"]["name"]
    binding = found["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == found["ClusterRole"]["metadata"]["name"]
    assert [(each["kind"], each["name"]) for each in binding["subjects"]] == [("ServiceAccount", name)]
    assert binding["subjects"][0]["namespace"] == found["ServiceAccount"]["metadata"]["namespace"]
    assert found["RoleBinding"]["subjects"] == binding["subjects"]
    assert found["RoleBinding"]["roleRef"]["name"] == found["Role"]["metadata"]["name"]
    assert found["Role"]["metadata"]["namespace"] == found["ServiceAccount"]["metadata"]["namespace"]
    assert found["ServiceAccount"]["automountServiceAccountToken"] is False


def test_no_right_is_a_way_to_more() -> None:
    """No wildcard, no secret, no shell in a pod, no pod of its own making, no say in who may do what."""
    assert not {right for right in GRANTED if "*" in "".join(right)}
    assert {right.verb for right in GRANTED} <= {"get", "list", "watch", "create", "update", "delete", "patch"}
    assert {right.resource for right in GRANTED if right.verb not in ("get", "list", "watch")} == {
        "strategyruns/status",
        "sandboxprofiles/status",
        "jobs",
        "configmaps",
        "networkpolicies",
        "events",
        "leases",
    }
    groups = {right.group for right in GRANTED}
    assert groups == {"", "batch", "coordination.k8s.io", "networking.k8s.io", GROUP}
    assert {right.resource for right in GRANTED if right.group == ""} == {
        "pods",
        "pods/log",
        "configmaps",
        "nodes",
        "events",
    }
    assert {right.resource for right in rights(manifests()["ClusterRole"]["rules"])}.isdisjoint({"leases"})


def test_the_operator_may_use_the_profile_that_is_shipped_and_no_other() -> None:
    """By name: a policy asks for it when a Job says which profile it is of."""
    used = [each for each in documents_of() if each["metadata"]["name"] == USE]
    role, binding = used
    name = load_settings(CHECKOUT / "config" / "sandbox.yaml").profile.name
    assert role["rules"] == [
        {"apiGroups": [GROUP], "resources": [PROFILE_PLURAL], "resourceNames": [name], "verbs": ["use"]}
    ]
    assert binding["roleRef"]["name"] == USE
    assert binding["subjects"] == manifests()["ClusterRoleBinding"]["subjects"]


def test_the_operator_reads_no_policy_but_its_own() -> None:
    """By name."""
    rules = [each for each in manifests()["ClusterRole"]["rules"] if each["resources"] == ["networkpolicies"]]
    assert [(each["verbs"], each.get("resourceNames")) for each in rules] == [
        (["create"], None),
        (["get"], [POLICY_NAME]),
    ]


def test_the_api_server_grants_what_the_manifests_say(cluster: Cluster, operated_kind: Kind, account: Account) -> None:
    """Nothing comes to it from another binding, but what every account of the namespace may."""

    async def review(token: str) -> set[Right]:
        async with Kube(await configuration_of(cluster, token=token)) as kube:
            path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            answer = await kube.send("POST", path, body={"spec": {"namespace": account.namespace}})
        return rights(answer["status"]["resourceRules"])

    anybody = cluster.kubectl("create", "token", "default", "-n", account.namespace).strip()
    wait_until(
        "the operator has its rights and no others",
        lambda: asyncio.run(review(account.token)) - asyncio.run(review(anybody)),
        in_group(GRANTED, resource_of(operated_kind).group).__eq__,
    )


@pytest.fixture
def profiles(cluster: Cluster, operated_kind: Kind) -> Iterator[Resource]:
    """Install the CRD of profiles in the group of the runs, with a profile whose pods no node has room for."""
    group, definition = resource_of(operated_kind).group, profile_crd()
    name = f"{PROFILE_PLURAL}.{group}"
    cluster.create(definition | {"metadata": {"name": name}, "spec": definition["spec"] | {"group": group}})
    try:
        resource = replace(resource_of(operated_kind), plural=PROFILE_PLURAL)
        body = {
            "apiVersion": operated_kind.api_version,
            "kind": PROFILE_KIND,
            "metadata": {"name": UNSCHEDULABLE.profile.name},
            "spec": UNSCHEDULABLE.profile.sandbox.document(),
        }
        wait_until("a profile can be made", lambda: _made(cluster, body), lambda made: made)
        yield resource
    finally:
        cluster.delete(CUSTOM_RESOURCE_DEFINITION, name)


def _made(cluster: Cluster, body: Manifest) -> bool:
    try:
        cluster.apply(body)
    except Refused as error:
        if error.code != 404:
            raise
        return False
    return True


@pytest.fixture
def holder(cluster: Cluster) -> Iterator[None]:
    """Have a node that says it holds the seccomp file, and takes no pods."""
    name = f"test-rbac-{token_hex(3)}"
    labels = {UNSCHEDULABLE.profile.seccomp.node_label: NODE_READY}
    spec = {"unschedulable": True, "taints": [{"key": "example.com/none", "effect": "NoExecute"}]}
    cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec})
    yield
    cluster.delete(NODE, name)


@pytest.mark.usefixtures("holder")
def test_every_right_is_used_and_none_is_missing(
    bench: Bench, operated_kind: Kind, account: Account, profiles: Resource
) -> None:
    """With these rights alone the operator does all that it ever does, and it does need each of them."""
    runs = resource_of(operated_kind)
    with RunningOperator(
        bench.cluster, bench.kind, token=account.token, lease_namespace=account.namespace, profiles=profiles
    ) as operator:
        wait_until(
            "the profile's status was written",
            lambda: operator.calls,
            lambda calls: any(call.resource == f"{PROFILE_PLURAL}/status" for call in calls),
        )
        bench.apply("edited")
        bench.wait_pod("edited")
        (old,) = bench.names(JOB)
        bench.edit({"spec": {"params": {"new": 1}}}, "edited")  # the Job of the old inputs is deleted
        bench.wait_names(JOB, lambda names: names and old not in names)
        bench.cluster.delete(JOB, bench.wait("a Job", _job_of, "edited")["attempts"][0]["jobName"], bench.namespace)
        bench.wait("another attempt", lambda seen: len(seen["attempts"]) == 2, "edited")  # it was looked for
        bench.apply("late", source={"configMapRef": {"name": "code"}})
        bench.wait_reason("SourceMissing", name="late")
        bench.apply("bad", source={"inline": "x ="})
        bench.wait_reason("CodeRejected", name="bad")
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "evaluate", "image": "none"}]}}
        bench.cluster.create(owned(bench.run("bad"), JOB, "stray", spec={"suspend": True, "template": template}))
        bench.wait_names(JOB, lambda names: "stray" not in names)  # its run was read again
        bench.apply("whole")
        bench.succeed("whole", full="f" * 64)  # its log is looked for, though no node has one
        bench.wait_names(CONFIG_MAP, lambda names: not any(name.startswith("whole") for name in names))
        bench.spend("pods")
        bench.apply("podless")  # why its Job has no pod, its events tell
        wait_until("events are read", lambda: operator.calls, lambda calls: count(calls, "list", "events"))
    calls = operator.calls
    used = {Right(call.verb, call.group, call.resource) for call in calls if call.verb != "discover"} | watched(runs)
    assert used == in_group(GRANTED, runs.group)


def _job_of(status: Manifest) -> bool:
    attempts = status.get("attempts", [])
    return bool(attempts and attempts[-1].get("jobUID"))


FORBIDDEN: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read-secrets": ("GET", "/api/v1/namespaces/{namespace}/secrets", None),
    "read-all-secrets": ("GET", "/api/v1/secrets", None),
    "shell-in-a-pod": ("POST", "/api/v1/namespaces/{namespace}/pods/any/exec?command=id&stdout=true", {}),
    "start-a-pod": ("POST", "/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "any"}}),
    "delete-a-pod": ("DELETE", "/api/v1/namespaces/{namespace}/pods/any", None),
    "delete-a-policy": (
        "DELETE",
        "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/finlab-sandbox-deny-all",
        None,
    ),
    "read-policies": ("GET", "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies", None),
    "read-anothers-policy": ("GET", "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/any", None),
    "change-a-job": ("PATCH", "/apis/batch/v1/namespaces/{namespace}/jobs/any", {}),
    "change-a-config-map": ("PATCH", "/api/v1/namespaces/{namespace}/configmaps/any", {}),
    "make-a-run": ("POST", "/apis/{runs}/namespaces/{namespace}/strategyruns", {"metadata": {"name": "any"}}),
    "change-a-run": ("PATCH", "/apis/{runs}/namespaces/{namespace}/strategyruns/any", {}),
    "delete-a-run": ("DELETE", "/apis/{runs}/namespaces/{namespace}/strategyruns/any", None),
    "make-a-token": ("POST", "/api/v1/namespaces/{namespace}/serviceaccounts/operator/token", {}),
    "raise-its-rights": (
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {"metadata": {"name": "any"}},
    ),
    "label-a-node": ("PATCH", "/api/v1/nodes/any", {"metadata": {"labels": {"any": "any"}}}),
    "change-a-profile": ("PATCH", "/apis/{runs}/sandboxprofiles/default", {"spec": {"image": "any"}}),
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_what_it_has_no_business_with_is_refused(
    cluster: Cluster, operated_kind: Kind, account: Account, attempt: str
) -> None:
    """A stolen token of the operator is worth no more than its work."""
    method, path, body = FORBIDDEN[attempt]

    async def attempted() -> None:
        async with Kube(await configuration_of(cluster, token=account.token)) as kube:
            content = "application/merge-patch+json" if method == "PATCH" else "application/json"
            where = path.format(namespace=account.namespace, runs=operated_kind.api_version)
            await kube.send(method, where, body=body, content=content)

    with pytest.raises(RefusedError, match="cannot") as refusal:
        asyncio.run(attempted())
    assert refusal.value.status == 403
