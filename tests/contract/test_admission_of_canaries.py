"""A Job that measures a profile has the shape of a canary and nothing else, or the API server refuses it."""

from typing import Any

import pytest

from strategyrun.domain import naming
from strategyrun.domain.canary import ROLE_LABEL, Role, canary_job
from support.admission import (
    COMMAND,
    DEFAULT,
    GVISOR,
    SANDBOX,
    SECRET,
    Mutation,
    Place,
    evaluate,
    messages,
    pod_of,
    relabelled,
)
from support.cluster import POD, Manifest, RefusedError
from support.waiting import wait_until


@pytest.mark.parametrize("role", Role)
def test_the_operators_canaries_are_let_in(place: Place, role: Role) -> None:
    """In their namespace, of every profile; elsewhere a canary is a Job of no run."""
    for profile in (DEFAULT, GVISOR):
        manifest = canary_job(profile, role, namespace=place.canaries, serial="0a1b2c3d", peer="10.244.0.9")
        place.operator.create(manifest, dry_run=True)
        for client in (place.tenant, place.admin):
            with pytest.raises(RefusedError, match="makes Jobs of this namespace"):
                client.create(manifest, dry_run=True)
    manifest["metadata"]["namespace"] = place.namespace
    with pytest.raises(RefusedError, match="must carry the same labels"):
        place.operator.create(manifest, dry_run=True)


def of_canary(**fields: Any) -> Mutation:
    """Set fields of the pod of a canary."""
    return lambda job: job["spec"]["template"]["spec"].update(fields)


def of_its_container(**fields: Any) -> Mutation:
    """Set fields of a canary's one container."""
    return lambda job: evaluate(job["spec"]["template"]["spec"]).update(fields)


def of_its_security(**fields: Any) -> Mutation:
    """Set fields of the security context of a canary's container."""
    return lambda job: evaluate(job["spec"]["template"]["spec"])["securityContext"].update(fields)


def of_its_job(**fields: Any) -> Mutation:
    """Set fields of the Job of a canary."""
    return lambda job: job["spec"].update(fields)


def of_its_context(**fields: Any) -> Mutation:
    """Set fields of the security context of a canary's pod."""
    return lambda job: job["spec"]["template"]["spec"]["securityContext"].update(fields)


def with_variable(**fields: Any) -> Mutation:
    """Add an environment variable to a canary."""
    return lambda job: evaluate(job["spec"]["template"]["spec"])["env"].append(fields)


def unlabelled(*labels: str) -> Mutation:
    """Take labels off a Job and its pods; all of them where none is named."""

    def change(job: Manifest) -> None:
        for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
            meta["labels"] = {key: value for key, value in meta["labels"].items() if labels and key not in labels}

    return change


LIMITS = {"cpu": "1", "memory": "128Mi"}
HOST = [{"name": "any", "hostPath": {"path": "/"}}]
CANARY_BAD: dict[str, tuple[Mutation, str]] = {
    "no-labels": (unlabelled(), "must name a profile"),
    "no-profile": (unlabelled(naming.PROFILE_LABEL), "must name a profile"),
    "unknown-profile": (
        lambda job: relabelled(job, naming.PROFILE_LABEL, "granted-to-nobody"),
        "must name a profile",
    ),
    "no-role": (unlabelled(ROLE_LABEL), "must carry the same labels, with its role"),
    "unknown-role": (lambda job: relabelled(job, ROLE_LABEL, "any"), "must carry the same labels, with its role"),
    "pods-of-another-role": (
        lambda job: job["spec"]["template"].update(
            metadata={"labels": job["metadata"]["labels"] | {ROLE_LABEL: "peer"}}
        ),
        "must carry the same labels, with its role",
    ),
    "image": (of_its_container(image="other:1"), "a canary's image must be the profile's"),
    "command": (of_its_container(command=["sh"]), "command must be the step's own"),
    "arguments": (of_its_container(args=["x"]), "command must be the step's own"),
    "another-name": (of_its_container(name="evaluate"), "a canary is one container"),
    "sidecar": (
        lambda job: job["spec"]["template"]["spec"]["containers"].append(
            evaluate(job["spec"]["template"]["spec"]) | {"name": "more"}
        ),
        "a canary is one container",
    ),
    "init-container": (
        lambda job: job["spec"]["template"]["spec"].update(
            initContainers=[evaluate(job["spec"]["template"]["spec"]) | {"name": "more"}]
        ),
        "a canary is one container",
    ),
    "token": (of_canary(automountServiceAccountToken=True), "automountServiceAccountToken must be false"),
    "account": (of_canary(serviceAccountName="operator"), "serviceAccountName must be default"),
    "volume": (of_canary(volumes=HOST), "a canary has no volumes"),
    "resolver": (of_canary(dnsConfig={"nameservers": ["192.0.2.1"]}), "a canary asks the cluster's resolver"),
    "deadline": (of_its_job(activeDeadlineSeconds=121), "activeDeadlineSeconds of a canary must be set"),
    "parallel": (of_its_job(parallelism=2), "parallelism and completions must be 1"),
    "tolerations": (of_canary(tolerations=[{"operator": "Exists"}]), "tolerations must be of lost nodes"),
    "scheduler": (of_canary(schedulerName="another"), "schedulerName must be the cluster's default"),
    "node": (of_canary(nodeName="any"), "nodeName must be absent"),
    "host-network": (of_canary(hostNetwork=True), "hostNetwork, hostPID, hostIPC and shareProcessNamespace"),
    "restart": (of_canary(restartPolicy="OnFailure"), "restartPolicy must be Never"),
    "long-end": (of_canary(terminationGracePeriodSeconds=30), "terminationGracePeriodSeconds must be 2 at most"),
    "no-seccomp": (of_its_context(seccompProfile={"type": "Unconfined"}), "seccompProfile must be Localhost"),
    "other-seccomp": (
        of_its_context(seccompProfile={"type": "Localhost", "localhostProfile": "any.json"}),
        "seccompProfile must be Localhost",
    ),
    "own-seccomp": (of_its_security(seccompProfile={"type": "Unconfined"}), "no container may have a seccomp"),
    "pod-user": (of_its_context(runAsUser=0, runAsNonRoot=False), "the pod must runAsNonRoot"),
    "user": (of_its_security(runAsUser=0, runAsNonRoot=False), "must runAsNonRoot as the step's own user"),
    "privileged": (of_its_security(privileged=True, allowPrivilegeEscalation=True), "privileged must be false"),
    "capability": (of_its_security(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}), "must drop ALL and add none"),
    "writable-root": (of_its_security(readOnlyRootFilesystem=False), "readOnlyRootFilesystem must be true"),
    "probe": (of_its_container(livenessProbe=COMMAND), "lifecycle hooks and probes must be absent"),
    "hook": (of_its_container(lifecycle={"postStart": COMMAND}), "lifecycle hooks and probes must be absent"),
    "port": (of_its_container(ports=[{"containerPort": 80}]), "ports and hostPorts must be absent"),
    "preload": (with_variable(name="LD_PRELOAD", value="/tmp/a.so"), "env of a canary is its role"),
    "another-role": (with_variable(name="FINLAB_CANARY", value="sandbox"), "env of a canary is its role"),
    "peer-by-name": (with_variable(name="FINLAB_CANARY_PEER", value="example.com"), "env of a canary is its role"),
    "secret-variable": (with_variable(name="FINLAB_CANARY_PEER", valueFrom=SECRET), "env of a canary is its role"),
    "secret-variables": (of_its_container(envFrom=[{"secretRef": {"name": "any"}}]), "env of a canary is its role"),
    "runtime-class": (of_canary(runtimeClassName="any"), "runtimeClassName of a canary must be"),
    "no-limits": (of_its_container(resources={}), "limits of a canary must be set"),
    "too-much-memory": (of_its_container(resources={"limits": LIMITS | {"memory": "129Mi"}}), "limits of a canary"),
    "too-much-cpu": (of_its_container(resources={"limits": LIMITS | {"cpu": "1001"}}), "limits of a canary"),
    "gpu": (of_its_container(resources={"limits": LIMITS | {"example.com/gpu": "1"}}), "limits of a canary"),
}


@pytest.mark.parametrize("case", CANARY_BAD)
def test_a_canary_of_another_shape_is_refused(place: Place, case: str) -> None:
    """Even the operator's own: a stolen token of it starts nothing there but a measurement."""
    manifest = canary_job(DEFAULT, Role.FREE, namespace=place.canaries, serial="0a1b2c3d")
    change, said = CANARY_BAD[case]
    change(manifest)
    with pytest.raises(RefusedError, match=said):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        of_its_context(seccompProfile={"type": "RuntimeDefault"}),
        of_canary(dnsPolicy="Default"),
        of_canary(runtimeClassName="any"),
    ],
    ids=["seccomp", "resolver", "runtime-class"],
)
def test_a_canary_with_the_seccomp_file_is_as_a_strategys_pod(place: Place, change: Mutation) -> None:
    """Else it would measure another."""
    manifest = canary_job(DEFAULT, Role.SANDBOX, namespace=place.canaries, serial="0a1b2c3d")
    change(manifest)
    with pytest.raises(
        RefusedError, match=r"must be Localhost|with the seccomp file nobody|runtimeClassName of a canary"
    ):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize("who", ["tenant", "admin", "operator"])
def test_only_the_job_controller_makes_pods_where_canaries_are(place: Place, who: str) -> None:
    """Whatever their labels; what it makes comes from a Job, and each of those is looked at."""
    made = canary_job(DEFAULT, Role.FREE, namespace=place.canaries, serial="0a1b2c3d")
    pod = pod_of(made)
    place.controller.create(pod, dry_run=True)
    pod["metadata"]["labels"] = {}
    with pytest.raises(RefusedError, match="pods of this namespace are made by the job controller"):
        getattr(place, who).create(pod, dry_run=True)


def test_nobody_changes_or_enters_a_canary(place: Place) -> None:
    """Who could make one say that the network is cut off would be believed."""
    profile = DEFAULT.model_copy(update={"sandbox": SANDBOX.model_copy(update={"requests": SANDBOX.limits})})
    manifest = canary_job(profile, Role.BOUND, namespace=place.canaries, serial="0b1b2c3d")
    evaluate(manifest["spec"]["template"]["spec"])["resources"]["requests"]["cpu"] = "1k"
    job_name = place.operator.create(manifest)["metadata"]["name"]
    (pod,) = wait_until(
        "the canary's pod",
        lambda: place.admin.list(POD, place.canaries, labels=f"batch.kubernetes.io/job-name={job_name}"),
        bool,
    )
    name = pod["metadata"]["name"]
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "any"}]}}
    unbound = {"metadata": {"labels": {naming.MANAGED_BY_LABEL: None}}}
    for change, subresource in ((debug, "ephemeralcontainers"), (unbound, "")):
        with pytest.raises(RefusedError, match="and stay what they were"):
            place.admin.merge(POD, name, place.canaries, change, subresource=subresource)
    with pytest.raises(RefusedError, match="write the status of a run's pod"):
        place.admin.merge(POD, name, place.canaries, {"status": {"podIP": "192.0.2.1"}}, subresource="status")
    path = f"/api/v1/namespaces/{place.canaries}/pods/{name}/exec"
    with pytest.raises(RefusedError, match="nobody enters"):
        place.admin.request("POST", path, {"command": "id", "stdout": "true"})


def test_every_clause_for_canaries_has_its_case() -> None:
    """But those that pods of runs have as well, and whose cases are there."""
    shown = [said for _, said in CANARY_BAD.values()] + ["only system:serviceaccount:"]
    of_runs = {*messages("jobs"), *messages("pods")}
    assert [each for each in messages("canaries") if each not in of_runs and not any(s in each for s in shown)] == []
