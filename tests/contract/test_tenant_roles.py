"""What people may do with runs and profiles: by the project's own roles, and by those that every cluster has."""

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import kubernetes
import pytest
import yaml

from strategyrun.domain.strategyrun import GROUP
from support.cluster import CHECKOUT, Cluster, Kind, Manifest, RefusedError
from support.runs import strategy_run
from support.waiting import wait_until

DOCUMENTS: list[Manifest] = list(
    yaml.safe_load_all((CHECKOUT / "manifests" / "base" / "tenant-roles.yaml").read_text(encoding="utf-8"))
)
ROLES: dict[str, Manifest] = {
    document["metadata"]["name"].removeprefix("finlab-sandbox-"): document
    for document in DOCUMENTS
    if "labels" in document["metadata"]
}
PROFILE_VIEWER = "finlab-sandbox-profile-viewer"
RBAC = "rbac.authorization.k8s.io"
STANDARD = {"viewer": "view", "editor": "edit", "admin": "admin"}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
MAY = {"viewer": VERBS[:3], "editor": VERBS[:7], "admin": VERBS}
"""What each role may do with StrategyRuns; nobody's includes their status."""


def with_token(cluster: Cluster, namespace: str, account: str) -> Cluster:
    """Connect as a service account, by its token and nothing else."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.cert_file = configuration.key_file = None
    token = cluster.kubectl("create", "token", account, "-n", namespace).strip()
    configuration.api_key = {"BearerToken": f"Bearer {token}"}
    return Cluster(cluster.kubeconfig, kubernetes.client.ApiClient(configuration))


@pytest.fixture(scope="module")
def installed_roles(cluster: Cluster, operated_kind: Kind) -> Iterator[dict[str, str]]:
    """Install the roles under names of their own, for the StrategyRuns of the tests' group, which nobody else has."""
    group = operated_kind.api_version.split("/")[0]
    names = {}
    try:
        for role, document in ROLES.items():
            rules = json.loads(json.dumps(document["rules"]).replace(f'"{GROUP}"', f'"{group}"'))
            name = f"{document['metadata']['name']}-{token_hex(4)}"
            cluster.create(document | {"metadata": document["metadata"] | {"name": name}, "rules": rules})
            names[role] = name
        yield names
    finally:
        for name in names.values():
            cluster.delete(Kind(f"{RBAC}/v1", "ClusterRole"), name)


def bound(cluster: Cluster, namespace: str, role: str) -> Cluster:
    """Give an account of a namespace a role there, and connect as it."""
    cluster.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "person", "namespace": namespace}}
    )
    cluster.create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "person", "namespace": namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "person", "namespace": namespace}],
        }
    )
    return with_token(cluster, namespace, "person")


def allowed(
    person: Cluster, namespace: str, group: str, subresource: str = "", *, resource: str = "strategyruns"
) -> set[str]:
    """Ask the API server what somebody may do with a resource."""
    asked = {"namespace": namespace, "group": group, "resource": resource, "subresource": subresource}
    return {verb for verb in VERBS if _allowed(person, asked | {"verb": verb})}


def _allowed(person: Cluster, asked: dict[str, Any]) -> bool:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    return bool(json.loads(person.request("POST", path, body=body))["status"]["allowed"])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("standard", [False, True], ids=["own", "standard"])
def test_a_role_may_what_its_name_says(
    cluster: Cluster, operated_kind: Kind, installed_roles: dict[str, str], namespace: str, role: str, standard: bool
) -> None:
    """And so may the cluster's view, edit and admin; none of them writes a status."""
    group = operated_kind.api_version.split("/")[0]
    person = bound(cluster, namespace, STANDARD[role] if standard else installed_roles[role])
    wait_until("the role has arrived", lambda: allowed(person, namespace, group), lambda may: may == set(MAY[role]))
    assert allowed(person, namespace, group, "status") == set()


def test_an_editor_edits_and_writes_no_status(
    cluster: Cluster, operated_kind: Kind, installed_roles: dict[str, str], namespace: str
) -> None:
    """Real requests, with the account's own token."""
    person = bound(cluster, namespace, installed_roles["editor"])
    run = strategy_run("mine", namespace, kind=operated_kind)
    wait_until("the binding holds", lambda: _created(person, run), bool)
    person.merge(operated_kind, "mine", namespace, {"spec": {"params": {"fast": 1}}})
    assert person.get(operated_kind, "mine", namespace)["spec"]["params"] == {"fast": 1}
    with pytest.raises(RefusedError, match=r"cannot patch resource .strategyruns/status."):
        person.merge(operated_kind, "mine", namespace, {"status": {"phase": "Succeeded"}}, subresource="status")
    with pytest.raises(RefusedError, match="cannot list resource"):
        person.list(operated_kind, "default")
    person.delete(operated_kind, "mine", namespace)


def _created(person: Cluster, run: Manifest) -> bool:
    try:
        person.create(run)
    except RefusedError as error:
        if error.code != 403:
            raise
        return False
    return True


def test_a_viewer_changes_nothing(
    cluster: Cluster, operated_kind: Kind, installed_roles: dict[str, str], namespace: str
) -> None:
    """It reads runs, and that is all."""
    cluster.create(strategy_run("theirs", namespace, kind=operated_kind))
    person = bound(cluster, namespace, installed_roles["viewer"])
    wait_until("the binding holds", lambda: _names(person, operated_kind, namespace), lambda names: names == ["theirs"])
    with pytest.raises(RefusedError, match="cannot create resource"):
        person.create(strategy_run("mine", namespace, kind=operated_kind))
    with pytest.raises(RefusedError, match="cannot patch resource"):
        person.merge(operated_kind, "theirs", namespace, {"spec": {"params": {"fast": 1}}})
    with pytest.raises(RefusedError, match="cannot delete resource"):
        person.delete(operated_kind, "theirs", namespace)


def _names(person: Cluster, kind: Kind, namespace: str) -> list[str]:
    try:
        return [each["metadata"]["name"] for each in person.list(kind, namespace)]
    except RefusedError as error:
        if error.code != 403:
            raise
        return []


def test_everybody_reads_profiles(cluster: Cluster, operated_kind: Kind, namespace: str) -> None:
    """An account without any role: a hint tells its owner to look which profiles there are. It changes none."""
    group = operated_kind.api_version.split("/")[0]
    cluster.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "person", "namespace": namespace}}
    )
    person, name = with_token(cluster, namespace, "person"), f"{PROFILE_VIEWER}-{token_hex(4)}"
    role, binding = json.loads(
        json.dumps(_of_profiles()).replace(f'"{GROUP}"', f'"{group}"').replace(f'"{PROFILE_VIEWER}"', f'"{name}"')
    )
    assert allowed(person, "", group, resource="sandboxprofiles") == set()
    try:
        cluster.create(role)
        cluster.create(binding)
        wait_until(
            "the binding holds",
            lambda: allowed(person, "", group, resource="sandboxprofiles"),
            lambda may: may == {"get", "list", "watch"},
        )
        assert allowed(person, "", group, "status", resource="sandboxprofiles") == set()
    finally:
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            if cluster.find(Kind(f"{RBAC}/v1", kind), name):
                cluster.delete(Kind(f"{RBAC}/v1", kind), name)


def _of_profiles() -> list[Manifest]:
    return [document for document in DOCUMENTS if document["metadata"]["name"] == PROFILE_VIEWER]


def test_no_role_reaches_further_than_its_runs() -> None:
    """One resource, no wildcard; each is aggregated to exactly one role of the cluster's, but for that of profiles."""
    assert set(ROLES) == set(STANDARD)
    assert len(DOCUMENTS) == len(ROLES) + len(_of_profiles())
    of_profiles, binding = _of_profiles()
    rule = {"apiGroups": [GROUP], "resources": ["sandboxprofiles"], "verbs": ["get", "list", "watch"]}
    assert of_profiles["rules"] == [rule]
    assert (binding["roleRef"]["name"], [each["name"] for each in binding["subjects"]]) == (
        PROFILE_VIEWER,
        ["system:authenticated"],
    )
    for role, document in ROLES.items():
        (rule,) = document["rules"]
        assert (rule["apiGroups"], rule["resources"]) == ([GROUP], ["strategyruns"])
        assert document["metadata"]["labels"] == {f"{RBAC}/aggregate-to-{STANDARD[role]}": "true"}
