"""A namespace under the admission policies of this checkout, and what an operator makes in it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from typing import Any, NamedTuple

import kubernetes
import yaml

from strategyrun.domain.admission.accounts import (
    INSTALLER_ACCOUNT,
    JOB_CONTROLLERS,
    KUEUE_ACCOUNT,
    NODES_GROUP,
    OPERATOR_ACCOUNT,
    OPERATOR_NAME,
    OPERATOR_NAMESPACE,
)
from strategyrun.domain.admission.policies import SWITCH_LABEL, SWITCHED_OFF, policies
from strategyrun.domain.canary import CANARY_NAMESPACE
from strategyrun.domain.crd import profile_crd
from strategyrun.domain.inputs import Inputs, build_inputs
from strategyrun.domain.job import job, snapshot
from strategyrun.domain.sandbox import Profile, Resources, SandboxProfile, SeccompProfile
from strategyrun.domain.strategyrun import GROUP, Executor, StrategyRun
from strategyrun.domain.vetting import Kind as SourceKind
from support.builders import CODE, NONCE, SECCOMP, make_attempt, make_run
from support.cluster import CHECKOUT, NAMESPACE, Cluster, Kind, Manifest, nothing, refusal
from support.definitions import installed
from support.namespaces import temporary_namespace
from support.runs import strategy_run
from support.waiting import wait_until

SHIPPED = SandboxProfile.parse(yaml.safe_load((CHECKOUT / "config" / "sandbox.yaml").read_text(encoding="utf-8"))).spec
SANDBOX = SHIPPED.model_copy(
    update={"limits": SHIPPED.limits.model_copy(update={"cpu": "1k"}), "requests": Resources(cpu="1k", memory="2Gi")}
)
"""What is shipped, but for a CPU that no node has: pods are made, and none runs."""

DEFAULT = Profile(name="default", sandbox=SANDBOX, seccomp=SECCOMP)
GVISOR = Profile(
    name="gvisor",
    sandbox=SANDBOX.model_copy(
        update={"image": "other@sha256:" + "a" * 64, "runtime_class_name": "gvisor", "tmp": "64Mi"}
    ),
    seccomp=SeccompProfile.of(b"other"),
)
CLOSED = Profile(
    name="closed",
    sandbox=SANDBOX.model_copy(update={"allowed_namespaces": ("elsewhere",), "fallback": None}),
    seccomp=SECCOMP,
)
POLICY = Kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io/v1", "ClusterRole")
JOB_CONTROLLER = JOB_CONTROLLERS[0]
KUBELET = "test-admission-kubelet"
"""In the group of nodes, and by its name none of them: a node may write of its own pods alone."""

DATASETS: dict[str, Manifest] = {
    "builtin": {"builtin": "us-stocks"},
    "config-map": {"configMapRef": {"name": "prices", "key": "a.csv"}},
    "claim": {"persistentVolumeClaim": {"claimName": "prices", "path": "a.csv"}},
    "image": {"image": {"reference": "prices:1"}},
}

STATUS = {"status": {"phase": "Queued", "reason": "Queued", "observedGeneration": 1, "inputsHash": "0" * 64}}

COMMAND = {"exec": {"command": ["id"]}}
SECRET = {"secretKeyRef": {"name": "any", "key": "any"}}

Mutation = Callable[[Manifest], object]


def acting(cluster: Cluster, user: str, group: str = "") -> Cluster:
    """Connect as somebody else; what that account may do is what RBAC grants it."""
    api = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
    api.set_default_header("Impersonate-User", user)
    if group:
        api.set_default_header("Impersonate-Group", group)
    return Cluster(cluster.kubeconfig, api)


class Place(NamedTuple):
    """A namespace under the policies, one beside it that is switched off, and who acts there."""

    namespace: str
    exempt: str
    suffix: str
    admin: Cluster
    operator: Cluster
    tenant: Cluster
    controller: Cluster
    node: Cluster
    runs: Kind
    profiles: Kind
    canaries: str

    def job(self, dataset: str = "config-map", **spec: Any) -> Manifest:
        """Build the operator's Job of a run in this namespace."""
        spec = {"datasets": [{"name": "prices", **DATASETS[dataset]}]} | spec
        return job_of(make_run(namespace=self.namespace, **spec))

    def pod(self, dataset: str = "config-map") -> Manifest:
        """Build the pod that the job controller makes of it."""
        return pod_of(self.job(dataset))


def job_of(run: StrategyRun, profile: Profile = DEFAULT, executor: Executor = Executor.SANDBOX) -> Manifest:
    """Build the Job that the operator would POST for a run."""
    inputs = build_inputs(run, CODE.encode(), SourceKind.POSITIONS, profile.sandbox)
    return job(run, make_attempt(run, executor=executor), inputs=inputs, nonce=NONCE, profile=profile)


def pod_of(made: Manifest) -> Manifest:
    """Build the pod of a Job."""
    template = copy.deepcopy(made["spec"]["template"])
    meta = made["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": "0", "controller": True}
    template["metadata"] |= {
        "name": f"{meta['name']}-x7k2p",
        "namespace": meta["namespace"],
        "ownerReferences": [owner],
    }
    return {"apiVersion": "v1", "kind": "Pod", **template}


def resource(kind: Kind, profile: Profile) -> Manifest:
    """Build the SandboxProfile of a profile."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": profile.name},
        "spec": profile.sandbox.document(),
    }


def strategy(pod: Manifest) -> Manifest:
    """Find the untrusted container."""
    container: Manifest = pod["initContainers"][-1]
    return container


def evaluate(pod: Manifest) -> Manifest:
    """Find the trusted container."""
    container: Manifest = pod["containers"][0]
    return container


def relabelled(manifest: Manifest, label: str, value: str) -> Manifest:
    """Give a Job and its pods another label."""
    for meta in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
        meta["labels"] = meta["labels"] | {label: value}
    return manifest


@contextmanager
def under_policies(cluster: Cluster, runs: Kind) -> Iterator[Place]:
    """Hold a namespace to these policies and to no deployed ones; RBAC lets operator and tenant do all in it."""
    with ExitStack() as stack:
        namespace = stack.enter_context(temporary_namespace(cluster, "test_admission"))
        exempt = stack.enter_context(temporary_namespace(cluster, "test_admission_exempt"))
        canaries = stack.enter_context(temporary_namespace(cluster, "test_admission_canaries"))
        profiles = stack.enter_context(installed(cluster, profile_crd()))
        suffix = token_hex(4)
        deployed, tested = {SWITCH_LABEL: SWITCHED_OFF}, {f"{SWITCH_LABEL}-{suffix}": SWITCHED_OFF}
        for name, labels in ((namespace, deployed), (exempt, deployed | tested), (canaries, deployed)):
            cluster.merge(NAMESPACE, name, None, {"metadata": {"labels": labels}})
        accounts = ("operator", "tenant")
        profile_group = profiles.api_version.split("/")[0]
        for profile in (DEFAULT, GVISOR, CLOSED):
            cluster.create(resource(profiles, profile))
        operator = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
        use: Manifest = {"apiGroups": [profile_group], "resources": ["sandboxprofiles"], "verbs": ["use"]}
        use["resourceNames"] = [each.name for each in (DEFAULT, GVISOR, CLOSED)]
        grant(stack, cluster, f"test-admission-use-{suffix}", use, operator)
        installer = operator | {"name": "installer"}
        patch = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}
        grant(stack, cluster, f"test-admission-nodes-{suffix}", patch, installer)
        for name in accounts:
            meta = {"name": name, "namespace": namespace}
            cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        for each in (namespace, canaries):
            cluster.create(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": "all", "namespace": each},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": "cluster-admin",
                    },
                    "subjects": [
                        *({"kind": "ServiceAccount", "name": name, "namespace": namespace} for name in accounts),
                        *(
                            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}
                            for name in (KUEUE_ACCOUNT, KUBELET)
                        ),
                    ],
                }
            )
        group = runs.api_version.split("/")[0]
        for document in rendered([namespace, exempt, canaries], suffix, group, profile_group):
            cluster.create(document)
            stack.callback(cluster.delete, Kind.of(document), document["metadata"]["name"])
        account = f"system:serviceaccount:{namespace}:"
        ready = Place(
            namespace,
            exempt,
            suffix,
            cluster,
            acting(cluster, f"{account}operator"),
            acting(cluster, f"{account}tenant"),
            acting(cluster, JOB_CONTROLLER),
            acting(cluster, KUBELET, NODES_GROUP),
            runs,
            profiles,
            canaries,
        )
        wait_enforced(ready)
        yield ready


def rendered(namespaces: list[str], suffix: str, group: str, profiles: str) -> list[Manifest]:
    """Give the policies names and a switch of their own, for these namespaces alone, with another operator.

    The last namespace is that of the canaries; `group` has the StrategyRuns, `profiles` the SandboxProfiles.
    """
    documents = policies()
    names = {document["metadata"]["name"] for document in documents}
    text = yaml.safe_dump_all(documents, width=10_000)
    text = text.replace(OPERATOR_ACCOUNT, f"system:serviceaccount:{namespaces[0]}:operator")
    text = text.replace(INSTALLER_ACCOUNT, f"system:serviceaccount:{namespaces[0]}:installer")
    account = f'serviceAccount("{OPERATOR_NAMESPACE}", "{OPERATOR_NAME}").group("{GROUP}")'
    assert account in text
    text = text.replace(account, f'serviceAccount("{namespaces[0]}", "operator").group("{profiles}")')
    text = text.replace(CANARY_NAMESPACE, namespaces[-1])
    text = text.replace(SWITCH_LABEL, f"{SWITCH_LABEL}-{suffix}")
    only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        spec = document["spec"]
        document["metadata"]["name"] += f"-{suffix}"
        if document["kind"] == POLICY.kind:
            for rule in spec["matchConstraints"]["resourceRules"]:
                if rule["apiGroups"] == [GROUP]:
                    rule["apiGroups"] = [group, profiles]
            if "paramKind" in spec:
                spec["paramKind"]["apiVersion"] = f"{profiles}/v1alpha1"
            # Until its kind of parameter is known, a policy refuses all that it matches, whatever its binding says.
            spec["matchConstraints"]["namespaceSelector"] = {"matchExpressions": [only]}
        else:
            assert spec["policyName"] in names
            spec["policyName"] += f"-{suffix}"
            spec["matchResources"]["namespaceSelector"]["matchExpressions"].append(only)
    return documents


def grant(stack: ExitStack, cluster: Cluster, name: str, rule: Manifest, subject: Manifest) -> None:
    """Give an account a right in the whole cluster."""
    version = "rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    for manifest in (
        {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [subject],
        },
    ):
        cluster.create(manifest)
        stack.callback(cluster.delete, Kind.of(manifest), name)


def wait_enforced(place: Place) -> None:
    """Wait until the API server refuses by each of the policies, and takes what is good."""
    run = strategy_run("probe", place.namespace, kind=place.runs)
    place.admin.create(run)
    maps = snapshot(make_run(namespace=place.namespace), inputs_of(make_run(namespace=place.namespace)))
    path = f"/api/v1/namespaces/{place.namespace}/pods/{place.pod()['metadata']['name']}/exec"
    job, pod = place.job(), place.pod()
    evaluate(job["spec"]["template"]["spec"])["image"] = evaluate(pod["spec"])["image"] = "other:1"
    probes: dict[str, Callable[[], object]] = {
        "profiled-jobs": lambda: place.operator.create(job, dry_run=True),
        "profiled-pods": lambda: place.controller.create(pod, dry_run=True),
        "jobs": lambda: place.tenant.create(place.job(), dry_run=True),
        "pods": lambda: place.tenant.create(place.pod(), dry_run=True),
        "configmaps": lambda: place.tenant.create(maps, dry_run=True),
        "status": lambda: place.tenant.merge(place.runs, "probe", place.namespace, STATUS, subresource="status"),
        "shells": lambda: place.tenant.request("POST", path, {"command": "id", "stdout": "true"}),
    }
    for name, probe in probes.items():
        policy = f"finlab-sandbox-{name}-{place.suffix}"
        wait_until(f"{policy} is enforced", lambda probe=probe: refusal(probe), lambda said, p=policy: f"'{p}'" in said)  # type: ignore[misc]
    wait_let_in(place)


def wait_let_in(place: Place) -> None:
    """Wait until a good Job of each profile that may be used here and a good pod pass."""
    for each in (DEFAULT, GVISOR):
        job = job_of(make_run(namespace=place.namespace), each)
        wait_until(
            f"Jobs of {each.name} are let in",
            lambda job=job: refusal(lambda: place.operator.create(job, dry_run=True)),  # type: ignore[misc]
            nothing,
        )
    wait_until("pods are let in", lambda: refusal(lambda: place.controller.create(place.pod(), dry_run=True)), nothing)


def inputs_of(run: StrategyRun) -> Inputs:
    """Build what the pod of a run is given."""
    return build_inputs(run, CODE.encode(), SourceKind.POSITIONS, SANDBOX)


def messages(kind: str) -> list[str]:
    """Return what the policies of a kind say where they refuse."""
    names = {f"finlab-sandbox-{kind}", f"finlab-sandbox-profiled-{kind}"}
    found = [each for each in policies() if each["kind"] == POLICY.kind and each["metadata"]["name"] in names]
    assert len(found) == len(names)
    return [validation["message"] for policy in found for validation in policy["spec"]["validations"]]
