"""What carries our labels has the hardened shape and the right maker, or the API server refuses it."""

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from secrets import token_hex
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from strategyrun.adapters.settings import load_settings
from strategyrun.domain import naming
from strategyrun.domain.admission.accounts import INSTALLER_ACCOUNT, KUEUE_ACCOUNT, OPERATOR_ACCOUNT
from strategyrun.domain.admission.policies import policies
from strategyrun.domain.canary import CANARY_NAMESPACE, Role, canary_job
from strategyrun.domain.job import report, snapshot
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.sandbox import NODE_LABEL_PREFIX, Profile
from strategyrun.domain.strategyrun import GROUP, KUEUE_LABEL, KUEUE_PRIORITY_LABEL, Executor, StrategyRun
from support.admission import (
    CLOSED,
    CLUSTER_ROLE,
    COMMAND,
    DATASETS,
    DEFAULT,
    GVISOR,
    POLICY,
    SANDBOX,
    SECRET,
    STATUS,
    Mutation,
    Place,
    acting,
    evaluate,
    grant,
    inputs_of,
    job_of,
    messages,
    pod_of,
    relabelled,
    resource,
    strategy,
    wait_let_in,
)
from support.builders import make_run, specs
from support.cluster import (
    CHECKOUT,
    CONFIG_MAP,
    JOB,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE_ACCOUNT,
    Cluster,
    Kind,
    Manifest,
    RefusedError,
    nothing,
    refusal,
)
from support.runs import strategy_run
from support.waiting import wait_until


class Bad(NamedTuple):
    """One change to a good pod, and the words of its refusal."""

    change: Mutation
    said: str
    on: tuple[str, ...] = ("Job", "Pod")


def volume(pod: Manifest, name: str) -> Manifest:
    """Find a volume."""
    found: Manifest
    (found,) = [each for each in pod["volumes"] if each["name"] == name]
    return found


def source(**kind: Any) -> Mutation:
    """Take the data from elsewhere."""

    def change(pod: Manifest) -> None:
        found = volume(pod, "source")
        found.clear()
        found |= {"name": "source", **kind}

    return change


def of_pod(**fields: Any) -> Mutation:
    """Set fields of the pod."""
    return lambda pod: pod.update(fields)


def of_context(**fields: Any) -> Mutation:
    """Set fields of the pod's security context."""
    return lambda pod: pod["securityContext"].update(fields)


def of_strategy(**fields: Any) -> Mutation:
    """Set fields of the untrusted container."""
    return lambda pod: strategy(pod).update(fields)


def of_evaluate(**fields: Any) -> Mutation:
    """Set fields of the trusted container."""
    return lambda pod: evaluate(pod).update(fields)


def of_security(**fields: Any) -> Mutation:
    """Set fields of the untrusted container's security context."""
    return lambda pod: strategy(pod)["securityContext"].update(fields)


def of_limits(**fields: Any) -> Mutation:
    """Set limits of the untrusted container, with its requests below them."""
    return lambda pod: strategy(pod).update(resources={"limits": fields})


def more(which: str, **fields: Any) -> Mutation:
    """Put a container like the evaluator beside the others."""
    return lambda pod: pod[which].insert(0, evaluate(pod) | {"name": "more"} | fields)


def variable(**fields: Any) -> Mutation:
    """Add an environment variable to the evaluator."""
    return lambda pod: evaluate(pod)["env"].append(fields)


def mount(at: str, **fields: Any) -> Mutation:
    """Change a mount of the evaluator."""
    return lambda pod: next(each for each in evaluate(pod)["volumeMounts"] if each["mountPath"] == at).update(fields)


def without(*path: str) -> Mutation:
    """Take a field away."""

    def change(pod: Manifest) -> None:
        for key in path[:-1]:
            pod = pod[key]
        del pod[path[-1]]

    return change


BAD = {
    "sidecar": Bad(more("containers"), "must be the steps of a run alone"),
    "another-init-container": Bad(more("initContainers"), "must be the steps of a run alone"),
    "strategy-beside-the-evaluator": Bad(of_strategy(restartPolicy="Always"), "must be the steps of a run alone"),
    "evaluator-first": Bad(lambda pod: pod["initContainers"].reverse(), "must be the steps of a run alone"),
    "may-be-root": Bad(of_context(runAsNonRoot=False), "the pod must runAsNonRoot"),
    "pod-user": Bad(of_context(runAsUser=2000), "the pod must runAsNonRoot"),
    "pod-group": Bad(of_context(runAsGroup=0), "the pod must runAsNonRoot"),
    "group-of-files": Bad(of_context(fsGroup=0), "fsGroup, supplementalGroups and sysctls must be absent"),
    "more-groups": Bad(of_context(supplementalGroups=[0]), "fsGroup, supplementalGroups and sysctls must be absent"),
    "sysctl": Bad(
        of_context(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "0"}]),
        "fsGroup, supplementalGroups and sysctls must be absent",
    ),
    "no-seccomp": Bad(of_context(seccompProfile={"type": "Unconfined"}), "seccompProfile must be Localhost"),
    "default-seccomp": Bad(of_context(seccompProfile={"type": "RuntimeDefault"}), "seccompProfile must be Localhost"),
    "other-seccomp": Bad(
        of_context(seccompProfile={"type": "Localhost", "localhostProfile": "finlab-sandbox/other/a.json"}),
        "below finlab-sandbox/",
    ),
    "unset-seccomp": Bad(without("securityContext", "seccompProfile"), "seccompProfile must be Localhost"),
    "container-without-seccomp": Bad(
        of_security(seccompProfile={"type": "Unconfined"}), "no container may have a seccomp"
    ),
    "container-without-apparmor": Bad(
        of_security(appArmorProfile={"type": "Unconfined"}), "no container may have a seccomp"
    ),
    "container-as-another-windows-user": Bad(
        of_security(windowsOptions={"runAsUserName": "ContainerAdministrator"}), "no container may have a seccomp"
    ),
    "pod-as-another-windows-user": Bad(
        of_context(windowsOptions={"runAsUserName": "ContainerAdministrator"}), "no container may have a seccomp"
    ),
    "pod-with-apparmor": Bad(of_context(appArmorProfile={"type": "Unconfined"}), "no container may have a seccomp"),
    "pod-with-selinux-role": Bad(of_context(seLinuxOptions={"role": "any"}), "no container may have a seccomp"),
    "token": Bad(of_pod(automountServiceAccountToken=True), "automountServiceAccountToken must be false"),
    "token-by-default": Bad(without("automountServiceAccountToken"), "automountServiceAccountToken must be false"),
    "account": Bad(of_pod(serviceAccountName="operator"), "serviceAccountName must be default"),
    "service-links": Bad(of_pod(enableServiceLinks=True), "enableServiceLinks must be false"),
    "host-network": Bad(of_pod(hostNetwork=True), "hostNetwork, hostPID, hostIPC and shareProcessNamespace"),
    "host-pid": Bad(of_pod(hostPID=True), "hostNetwork, hostPID, hostIPC and shareProcessNamespace"),
    "host-ipc": Bad(of_pod(hostIPC=True), "hostNetwork, hostPID, hostIPC and shareProcessNamespace"),
    "shared-processes": Bad(of_pod(shareProcessNamespace=True), "hostNetwork, hostPID, hostIPC and"),
    "dns": Bad(of_pod(dnsPolicy="Default"), "dnsPolicy must be None"),
    "resolver": Bad(of_pod(dnsConfig={"nameservers": ["192.0.2.1"]}), "dnsPolicy must be None"),
    "host-aliases": Bad(of_pod(hostAliases=[{"ip": "192.0.2.1", "hostnames": ["a"]}]), "dnsPolicy must be None"),
    "long-end": Bad(of_pod(terminationGracePeriodSeconds=3), "terminationGracePeriodSeconds must be 2 at most"),
    "scheduler": Bad(of_pod(schedulerName="another"), "schedulerName must be the cluster's default", ("Job",)),
    "toleration": Bad(of_pod(tolerations=[{"operator": "Exists"}]), "tolerations must be of lost nodes", ("Job",)),
    "toleration-for-ever": Bad(
        of_pod(tolerations=[{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}]),
        "tolerations must be of lost nodes",
        ("Job",),
    ),
    "toleration-of-another": Bad(
        of_pod(tolerations=[{"key": "pool", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]),
        "tolerations must be of lost nodes",
        ("Job",),
    ),
    "pull-secret": Bad(of_pod(imagePullSecrets=[{"name": "any"}]), "imagePullSecrets must be absent", ("Job",)),
    "restart": Bad(of_pod(restartPolicy="OnFailure"), "restartPolicy must be Never"),
    "no-deadline": Bad(without("activeDeadlineSeconds"), "activeDeadlineSeconds must be set"),
    "late-deadline": Bad(of_pod(activeDeadlineSeconds=571), "activeDeadlineSeconds must be set"),
    "node": Bad(of_pod(nodeName="any"), "nodeName must be absent"),
    "runtime-class": Bad(of_pod(runtimeClassName="any"), "runtimeClassName must be the profile's", ("Job",)),
    "users": Bad(of_pod(hostUsers=False), "hostUsers must be the profile's"),
    "priority": Bad(of_pod(priorityClassName="any"), "priorityClassName must be absent", ("Job",)),
    "system-priority": Bad(of_pod(priorityClassName="system-node-critical"), "priorityClassName must be absent"),
    "device": Bad(of_pod(resourceClaims=[{"name": "a", "resourceClaimName": "a"}]), "resourceClaims must be absent"),
    "device-of-a-container": Bad(
        lambda pod: (
            pod.update(resourceClaims=[{"name": "a", "resourceClaimName": "a"}]),
            strategy(pod)["resources"].update(claims=[{"name": "a"}]),
        ),
        "resourceClaims must be absent",
    ),
    "image": Bad(of_strategy(image="other:1"), "container strategy: the image must be the profile's"),
    "evaluator-image": Bad(of_evaluate(image="other:1"), "container evaluate: the image must be the profile's"),
    "command": Bad(of_evaluate(command=["python3", "-c", "pass"]), "command must be the step's own"),
    "no-command": Bad(lambda pod: evaluate(pod).pop("command"), "command must be the step's own"),
    "arguments": Bad(of_evaluate(args=["--any"]), "without args and workingDir"),
    "folder": Bad(of_evaluate(workingDir="/out"), "without args and workingDir"),
    "container-may-be-root": Bad(of_security(runAsNonRoot=False), "container strategy: must runAsNonRoot"),
    "evaluators-user": Bad(of_security(runAsUser=2000), "container strategy: must runAsNonRoot"),
    "evaluators-group": Bad(of_security(runAsGroup=2000), "container strategy: must runAsNonRoot"),
    "privileged": Bad(of_security(privileged=True, allowPrivilegeEscalation=True), "privileged must be false"),
    "escalation": Bad(of_security(allowPrivilegeEscalation=True), "allowPrivilegeEscalation must be false"),
    "writable-root": Bad(of_security(readOnlyRootFilesystem=False), "readOnlyRootFilesystem must be true"),
    "capability": Bad(of_security(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}), "must drop ALL and add none"),
    "capabilities-kept": Bad(of_security(capabilities={"drop": ["NET_RAW"]}), "must drop ALL and add none"),
    "no-limits": Bad(of_strategy(resources={}), "limits of cpu and memory must be set"),
    "no-memory-limit": Bad(of_limits(cpu="1"), "limits of cpu and memory must be set"),
    "too-much-cpu": Bad(of_limits(cpu="1001", memory="1Gi"), "not above the profile's"),
    "too-much-memory": Bad(of_limits(cpu="1", memory="2049Mi"), "not above the profile's"),
    "gpu": Bad(of_limits(cpu="1", memory="1Gi", **{"example.com/gpu": "1"}), "and of nothing else"),
    "port": Bad(of_evaluate(ports=[{"containerPort": 80}]), "ports and hostPorts must be absent"),
    "host-port": Bad(of_evaluate(ports=[{"containerPort": 80, "hostPort": 80}]), "ports and hostPorts must be absent"),
    "hook": Bad(of_evaluate(lifecycle={"preStop": COMMAND}), "lifecycle hooks and probes must be absent"),
    "liveness": Bad(of_evaluate(livenessProbe=COMMAND), "lifecycle hooks and probes must be absent"),
    "readiness": Bad(of_evaluate(readinessProbe=COMMAND), "lifecycle hooks and probes must be absent"),
    "startup": Bad(of_evaluate(startupProbe=COMMAND), "lifecycle hooks and probes must be absent"),
    "preload": Bad(variable(name="LD_PRELOAD", value="/out/a.so"), "env must be the step's own"),
    "feigned-fallback": Bad(
        lambda pod: strategy(pod)["env"].append({"name": "FINLAB_EXECUTOR", "value": "Fallback"}),
        "env must be the step's own",
    ),
    "changed-variable": Bad(variable(name="HOME", value="/out"), "env must be the step's own"),
    "secret-variable": Bad(variable(name="FINLAB_NONCE", valueFrom=SECRET), "env must be the step's own"),
    "secret-variables": Bad(of_evaluate(envFrom=[{"secretRef": {"name": "any"}}]), "env must be the step's own"),
    "stdin": Bad(of_evaluate(stdin=True), "stdin and tty must be false"),
    "terminal": Bad(of_evaluate(tty=True), "stdin and tty must be false"),
    "verdict-from-the-strategy": Bad(of_evaluate(terminationMessagePath="/out/a"), "the verdict leaves by them"),
    "verdict-from-the-log": Bad(
        of_evaluate(terminationMessagePolicy="FallbackToLogsOnError"), "the verdict leaves by them"
    ),
    "evaluator-writes": Bad(mount("/out", readOnly=False), "container evaluate: volumeMounts must be the step's own"),
    "evaluator-sees-the-source": Bad(mount("/data", name="source"), "volumeMounts must be the step's own"),
    "mounted-elsewhere": Bad(mount("/inputs", mountPath="/opt"), "volumeMounts must be the step's own"),
    "mounted-in-part": Bad(mount("/out", subPath="a"), "volumeMounts must be the step's own"),
    "mounted-by-a-variable": Bad(mount("/out", subPathExpr="$(HOME)"), "volumeMounts must be the step's own"),
    "mounts-of-the-host": Bad(
        mount("/out", mountPropagation="HostToContainer"), "container evaluate: volumeMounts must be the step's own"
    ),
    "raw-device": Bad(
        lambda pod: (
            source(persistentVolumeClaim={"claimName": "any", "readOnly": True})(pod),
            evaluate(pod).update(volumeDevices=[{"name": "source", "devicePath": "/dev/any"}]),
        ),
        "container evaluate: volumeMounts must be the step's own",
    ),
    "host-path": Bad(source(hostPath={"path": "/"}), "volume source: volumes must be those of a run"),
    "secret": Bad(source(secret={"secretName": "any"}), "volume source: volumes must be those of a run"),
    "projected": Bad(
        source(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        "volume source: volumes must be those of a run",
    ),
    "writable-claim": Bad(
        source(persistentVolumeClaim={"claimName": "any"}), "volume source: volumes must be those of a run"
    ),
    "positions-from-elsewhere": Bad(
        lambda pod: volume(pod, "out").update(emptyDir=None, configMap={"name": "any"}),
        "volumes must be those of a run",
    ),
    "another-volume": Bad(
        lambda pod: pod["volumes"].append({"name": "any", "emptyDir": {}}), "volume any: volumes must be those of a run"
    ),
    "too-much-room": Bad(
        lambda pod: volume(pod, "tmp")["emptyDir"].update(sizeLimit="1025Mi"), "volume tmp: sizeLimit must be set"
    ),
    "room-without-end": Bad(
        lambda pod: volume(pod, "data")["emptyDir"].pop("sizeLimit"), "volume data: sizeLimit must be set"
    ),
    "positions-on-disk": Bad(
        lambda pod: volume(pod, "out")["emptyDir"].pop("medium"), "volume out: sizeLimit must be set"
    ),
}


@pytest.mark.parametrize("case", [name for name, bad in BAD.items() if "Job" in bad.on])
def test_a_job_of_another_shape_is_refused(place: Place, case: str) -> None:
    """Even the operator's own, with the reason; so a stolen token of the operator starts nothing else."""
    manifest = place.job()
    BAD[case].change(manifest["spec"]["template"]["spec"])
    with pytest.raises(RefusedError, match=re.escape(BAD[case].said)) as refused:
        place.operator.create(manifest, dry_run=True)
    assert refused.value.code == 403
    assert re.search(f"finlab-sandbox-(profiled-)?jobs-{place.suffix}", refused.value.message)


def test_a_run_pulls_with_the_secrets_of_the_namespaces_account(place: Place) -> None:
    """The API server adds them to its pod, which is let in: it is the one way to a private registry."""
    secrets = [{"name": "registry"}]
    place.admin.merge(SERVICE_ACCOUNT, "default", place.namespace, {"imagePullSecrets": secrets})
    try:
        wait_until(
            "a pod has the secrets of its account",
            lambda: place.controller.create(place.pod(), dry_run=True)["spec"].get("imagePullSecrets"),
            lambda found: found == secrets,
        )
    finally:
        place.admin.merge(SERVICE_ACCOUNT, "default", place.namespace, {"imagePullSecrets": None})


JOB_BAD: dict[str, tuple[Manifest, str]] = {
    "beside-each-other": ({"parallelism": 2}, "parallelism and completions must be 1"),
    "more-than-once": ({"completions": 2}, "parallelism and completions must be 1"),
    "again-after-a-failure": ({"backoffLimit": 1}, "and backoffLimit 0"),
    "another-controller": ({"managedBy": "example.com/any"}, "managedBy, podFailurePolicy and successPolicy must be"),
    "failures-that-do-not-count": (
        {"podFailurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [0]}}]}},
        "managedBy, podFailurePolicy and successPolicy must be absent",
    ),
    "success-of-its-own": (
        {"completionMode": "Indexed", "successPolicy": {"rules": [{"succeededCount": 1}]}},
        "managedBy, podFailurePolicy and successPolicy must be absent",
    ),
    "pods-of-others": (
        {"manualSelector": True, "selector": {"matchLabels": {naming.MANAGED_BY_LABEL: naming.MANAGED_BY}}},
        "manualSelector, managedBy",
    ),
    "no-deadline": ({"activeDeadlineSeconds": None}, "the Job's activeDeadlineSeconds must be set"),
    "late-deadline": ({"activeDeadlineSeconds": 811}, "the Job's activeDeadlineSeconds must be set"),
}


@pytest.mark.parametrize("case", JOB_BAD)
def test_a_job_that_is_more_than_one_pod_once_is_refused(place: Place, case: str) -> None:
    """Whatever else a Job can be: the operator makes none of it."""
    change, said = JOB_BAD[case]
    manifest = place.job()
    manifest["spec"] = {key: value for key, value in (manifest["spec"] | change).items() if value is not None}
    with pytest.raises(RefusedError, match=re.escape(said)):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize("case", [name for name, bad in BAD.items() if "Pod" in bad.on])
def test_a_pod_of_another_shape_is_refused(place: Place, case: str) -> None:
    """Even the job controller's, whatever Job it comes from."""
    manifest = place.pod()
    BAD[case].change(manifest["spec"])
    with pytest.raises(RefusedError, match=re.escape(BAD[case].said)) as refused:
        place.controller.create(manifest, dry_run=True)
    assert refused.value.code == 403
    assert re.search(f"finlab-sandbox-(profiled-)?pods-{place.suffix}", refused.value.message)


ELSEWHERE = {
    "only system:serviceaccount:": "the tests of makers",
    "labels and hashes of a run's pod stay": "test_a_pod_cannot_leave_its_walls",
    "a Job and its pods must carry": "test_a_jobs_pods_cannot_go_without_labels",
    "must own it": "test_what_no_run_owns_is_refused",
    "image and limits stay what they were": "test_the_image_of_a_pod_cannot_be_exchanged",
    "label finlab-sandbox.dev/profile must name": "test_a_label_must_name_a_profile",
    "a run's pod must carry the label": "test_a_pod_without_a_profile_is_refused",
    "runs of this namespace may not use": "test_a_profile_may_be_for_other_namespaces",
    "ephemeralContainers must be absent": "test_nobody_debugs_a_pod_of_a_run",
    "tolerations stay what they were": "test_a_pod_waits_for_the_nodes_that_it_was_made_for",
}


@pytest.mark.parametrize("policy", ["jobs", "pods"])
def test_every_clause_has_its_case(policy: str) -> None:
    """No word of a policy is without a test that shows it."""
    shown = [bad.said.partition(": ")[2] or bad.said for bad in BAD.values()] + list(ELSEWHERE)
    shown += [said for _, said in JOB_BAD.values()]
    assert [each for each in messages(policy) if not any(said in each for said in shown)] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_operators_job_and_its_pod_are_let_in(place: Place, dataset: str) -> None:
    """Whatever the source of the data."""
    place.operator.create(place.job(dataset), dry_run=True)
    place.controller.create(place.pod(dataset), dry_run=True)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs)
def test_the_job_of_any_run_is_let_in(place: Place, spec: Manifest) -> None:
    """No spec that the schema takes makes a Job that the policies do not."""
    manifest = job_of(make_run(namespace=place.namespace, **spec))
    place.operator.create(manifest, dry_run=True)
    place.controller.create(pod_of(manifest), dry_run=True)


def test_a_job_lives_and_goes_under_the_policies(place: Place) -> None:
    """The job controller makes its pod, the scheduler says why it waits, and the garbage collector removes both."""
    owner = place.admin.create(strategy_run("lives", place.namespace, kind=place.runs))
    made = place.operator.create(job_of(StrategyRun.parse(owner)))
    name = made["metadata"]["name"]
    pod = _wait_pod(place, name)
    wait_until(
        "the scheduler wrote its status",
        lambda: place.admin.get(POD, pod["metadata"]["name"], place.namespace).get("status", {}).get("conditions"),
        bool,
    )
    place.admin.delete(place.runs, "lives", place.namespace)
    for kind, each in ((JOB, name), (POD, pod["metadata"]["name"])):
        wait_until(
            f"{kind.kind} is gone",
            lambda kind=kind, each=each: place.admin.find(kind, each, place.namespace),  # type: ignore[misc]
            lambda found: found is None,
        )


def _wait_pod(place: Place, job_name: str) -> Manifest:
    found = wait_until(
        f"the pod of {job_name}",
        lambda: place.admin.list(POD, place.namespace, labels=f"batch.kubernetes.io/job-name={job_name}"),
        bool,
    )
    return found[0]


@pytest.fixture
def living(place: Place) -> tuple[Manifest, Manifest]:
    """A Job and its pod that no node has room for. They live no longer than the policies let a Job of a run."""
    owner = place.admin.create(strategy_run(f"living-{token_hex(4)}", place.namespace, kind=place.runs))
    made = place.operator.create(job_of(StrategyRun.parse(owner)))
    return made, _wait_pod(place, made["metadata"]["name"])


@pytest.mark.parametrize("who", ["tenant", "admin"])
def test_only_the_operator_makes_jobs_of_runs(place: Place, who: str) -> None:
    """With our labels on the Job, or on its pods alone."""
    for change in (None, "managed", "template"):
        manifest = place.job()
        if change == "managed":
            del manifest["metadata"]["labels"][naming.RUN_UID_LABEL]
        elif change == "template":
            manifest["metadata"]["labels"] = {}
        with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
            getattr(place, who).create(manifest, dry_run=True)


@pytest.mark.parametrize("who", ["tenant", "admin", "operator"])
def test_only_the_job_controller_makes_pods_of_runs(place: Place, who: str) -> None:
    """A pod that says it is a run's, and is not a Job's, is not let in."""
    with pytest.raises(RefusedError, match="makes pods of runs"):
        getattr(place, who).create(place.pod(), dry_run=True)


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_what_no_run_owns_is_refused(place: Place, kind: str) -> None:
    """It would stay when the run goes."""
    client, manifest = (place.operator, place.job()) if kind == "Job" else (place.controller, place.pod())
    del manifest["metadata"]["ownerReferences"]
    with pytest.raises(RefusedError, match="must own it"):
        client.create(manifest, dry_run=True)


@pytest.mark.parametrize("label", [naming.RUN_UID_LABEL, naming.MANAGED_BY_LABEL, naming.COMPONENT_LABEL])
def test_a_jobs_pods_cannot_go_without_labels(place: Place, label: str) -> None:
    """The deny-all policy finds them by these."""
    manifest = place.job()
    manifest["spec"]["template"]["metadata"]["labels"] = {**manifest["metadata"]["labels"]}
    del manifest["spec"]["template"]["metadata"]["labels"][label]
    with pytest.raises(RefusedError, match="must carry the same labels"):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {naming.MANAGED_BY_LABEL: None}}},
        {"metadata": {"labels": {naming.RUN_UID_LABEL: "another"}}},
        {"spec": {"suspend": True}},
        {"spec": {"activeDeadlineSeconds": 100_000}},
    ],
    ids=["label", "run", "suspend", "deadline"],
)
def test_nobody_else_changes_a_job(place: Place, living: tuple[Manifest, Manifest], change: Manifest) -> None:
    """Neither its labels nor its spec."""
    with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
        place.tenant.merge(JOB, living[0]["metadata"]["name"], place.namespace, change)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {naming.MANAGED_BY_LABEL: None}},
        {"labels": {naming.RUN_UID_LABEL: None}},
        {"annotations": {f"{GROUP}/code-sha256": "0"}},
    ],
    ids=["label", "run", "hash"],
)
def test_a_pod_cannot_leave_its_walls(place: Place, living: tuple[Manifest, Manifest], change: Manifest) -> None:
    """Without its labels the network policy would no longer hold it."""
    with pytest.raises(RefusedError, match="labels and hashes of a run's pod stay"):
        place.tenant.merge(POD, living[1]["metadata"]["name"], place.namespace, {"metadata": change})


def test_nobody_passes_a_pod_or_a_job_of_his_own_for_a_runs(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """By giving it our labels when it is there already."""
    job_name, pod_name = "own", "own-0123456789ab-1-abcde"
    own, pod = place.job(), place.pod()
    for each in (own["spec"]["template"], own, pod):
        each["metadata"] = {"namespace": place.namespace}
    own["metadata"] |= {"name": job_name}
    pod["metadata"] |= {"name": pod_name}
    del own["spec"]["template"]["metadata"]
    own["spec"]["suspend"] = True
    place.tenant.create(own)
    place.tenant.create(pod)
    labels = {"metadata": {"labels": living[1]["metadata"]["labels"]}}
    with pytest.raises(RefusedError, match="labels and hashes of a run's pod stay"):
        place.tenant.merge(POD, pod_name, place.namespace, labels)
    labels = {"metadata": {"labels": living[0]["metadata"]["labels"]}}
    with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
        place.tenant.merge(JOB, job_name, place.namespace, labels)


def test_a_pod_waits_for_the_nodes_that_it_was_made_for(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """Kubernetes lets anybody who may change pods add tolerations; the nodes of others are kept from strategies."""
    pod = living[1]
    more_of_them = [*pod["spec"]["tolerations"], {"key": "example.com/any", "operator": "Exists"}]
    with pytest.raises(RefusedError, match="tolerations stay what they were"):
        place.tenant.merge(POD, pod["metadata"]["name"], place.namespace, {"spec": {"tolerations": more_of_them}})


def test_the_image_of_a_pod_cannot_be_exchanged(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """Kubernetes allows that change, while it waits for instance."""
    containers = [each | {"image": "other:1"} for each in living[1]["spec"]["containers"]]
    with pytest.raises(RefusedError, match="image and limits stay what they were"):
        place.tenant.merge(POD, living[1]["metadata"]["name"], place.namespace, {"spec": {"containers": containers}})


def test_limits_of_a_pod_cannot_be_raised(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """By the subresource that is there for it."""
    containers = copy.deepcopy(living[1]["spec"]["containers"])
    for amounts in containers[0]["resources"].values():
        amounts["cpu"] = "1001"
    with pytest.raises(RefusedError, match="image and limits stay what they were"):
        place.tenant.merge(
            POD,
            living[1]["metadata"]["name"],
            place.namespace,
            {"spec": {"containers": containers}},
            subresource="resize",
        )


@pytest.mark.parametrize("who", ["tenant", "admin"])
def test_nobody_debugs_a_pod_of_a_run(place: Place, living: tuple[Manifest, Manifest], who: str) -> None:
    """An ephemeral container would run beside the evaluator."""
    change = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "any"}]}}
    name = living[1]["metadata"]["name"]
    with pytest.raises(RefusedError, match="ephemeralContainers must be absent"):
        getattr(place, who).merge(POD, name, place.namespace, change, subresource="ephemeralcontainers")


def test_what_is_not_ours_of_a_pod_may_change(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """Controllers and network plugins write labels and annotations of their own."""
    change = {"metadata": {"labels": {"example.com/any": "a"}, "annotations": {"example.com/any": "a"}}}
    place.tenant.merge(POD, living[1]["metadata"]["name"], place.namespace, change)


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_nobody_enters_the_pod_of_a_run(place: Place, living: tuple[Manifest, Manifest], subresource: str) -> None:
    """Who is inside the evaluator could write the verdict; other pods are none of ours."""
    for name, expected in ((living[1]["metadata"]["name"], "nobody enters"), ("web-7ccbc8694c-9w2mg", "not found")):
        path = f"/api/v1/namespaces/{place.namespace}/pods/{name}/{subresource}"
        with pytest.raises(RefusedError, match=expected):
            place.tenant.request("POST", path, {"command": "id", "stdout": "true"})


@pytest.mark.parametrize("made", ["snapshot", "report"])
def test_only_the_operator_makes_config_maps_of_runs(place: Place, made: str) -> None:
    """A tenant's ConfigMap cannot pass for a snapshot or a report, and its own are its own."""
    run = make_run(namespace=place.namespace)
    manifest = snapshot(run, inputs_of(run)) if made == "snapshot" else report(run, "0", b"any")
    place.operator.create(manifest, dry_run=True)
    for client in (place.tenant, place.admin):
        with pytest.raises(RefusedError, match="makes or changes snapshots and reports of runs"):
            client.create(manifest, dry_run=True)
    place.tenant.create(manifest | {"metadata": {"name": "own", "namespace": place.namespace}}, dry_run=True)


def test_only_the_operator_changes_config_maps_of_runs(place: Place) -> None:
    """Taking the label away is a change too; deleting is not held back, and changes no verdict."""
    owner = StrategyRun.parse(place.admin.create(strategy_run("kept", place.namespace, kind=place.runs)))
    name = place.operator.create(snapshot(owner, inputs_of(owner)))["metadata"]["name"]
    with pytest.raises(RefusedError, match="makes or changes snapshots and reports of runs"):
        place.tenant.merge(CONFIG_MAP, name, place.namespace, {"metadata": {"labels": {naming.RUN_UID_LABEL: None}}})
    place.tenant.delete(CONFIG_MAP, name, place.namespace)


@pytest.mark.parametrize("change", ["labels", "owner"])
def test_the_operator_makes_no_other_config_map(place: Place, change: str) -> None:
    """A stolen token of it does not configure what others run."""
    run = make_run(namespace=place.namespace)
    manifest = snapshot(run, inputs_of(run))
    del manifest["metadata"]["labels" if change == "labels" else "ownerReferences"]
    with pytest.raises(RefusedError, match=r"with the labels of a run alone|must own it"):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize("kind", [JOB, CONFIG_MAP], ids=["Job", "ConfigMap"])
def test_the_operator_deletes_nothing_of_others(place: Place, kind: Kind) -> None:
    """Its right is for all namespaces; what carries no label of a run or a canary is not its own."""
    name = f"others-{kind.kind.lower()}"
    spec = place.job()["spec"] | {"suspend": True}
    del spec["template"]["metadata"]
    body = {"spec": spec} if kind == JOB else {"data": {"any": "a"}}
    meta = {"name": name, "namespace": place.namespace}
    place.tenant.create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta} | body)
    with pytest.raises(RefusedError, match="deletes Jobs and ConfigMaps of runs and canaries alone"):
        place.operator.delete(kind, name, place.namespace)
    place.tenant.delete(kind, name, place.namespace)


def test_the_operator_deletes_its_own(place: Place) -> None:
    """Jobs and snapshots of runs, and canaries."""
    owner = StrategyRun.parse(place.admin.create(strategy_run("tidied", place.namespace, kind=place.runs)))
    canary = canary_job(DEFAULT, Role.FREE, namespace=place.canaries, serial="0c1b2c3d")
    canary["spec"]["suspend"] = True
    for manifest in (job_of(owner), snapshot(owner, inputs_of(owner)), canary):
        meta = place.operator.create(manifest)["metadata"]
        place.operator.delete(Kind.of(manifest), meta["name"], meta["namespace"])


LET_THROUGH: dict[str, Manifest] = {
    "selects-nothing": {"podSelector": {"matchLabels": {"example.com/any": "a"}}},
    "selects-fewer": {"podSelector": {"matchExpressions": [{"key": naming.RUN_UID_LABEL, "operator": "DoesNotExist"}]}},
    "one-direction": {"policyTypes": ["Ingress"]},
    "lets-in": {"ingress": [{}]},
    "lets-out": {"egress": [{}]},
}


@pytest.mark.parametrize("case", LET_THROUGH)
def test_the_deny_all_policy_is_what_its_name_says(place: Place, case: str) -> None:
    """The operator looks at it before a Job alone; nobody makes another of it, nor changes one into it."""
    good = deny_all(place.namespace)
    change = copy.deepcopy(LET_THROUGH[case])
    if case == "selects-fewer":
        change["podSelector"]["matchLabels"] = good["spec"]["podSelector"]["matchLabels"]
    bad = good | {"spec": good["spec"] | change}
    for client in (place.tenant, place.admin, place.operator):
        with pytest.raises(RefusedError, match="must select every pod of runs and let nothing in or out"):
            client.create(bad, dry_run=True)
    place.operator.create(good)
    with pytest.raises(RefusedError, match="must select every pod of runs and let nothing in or out"):
        place.tenant.apply(bad)
    place.tenant.delete(NETWORK_POLICY, POLICY_NAME, place.namespace)


def test_the_operator_makes_no_other_network_policy(place: Place) -> None:
    """Policies add up: one that lets everything through would undo those of others. Tenants make their own."""
    other = deny_all(place.namespace)
    other["metadata"]["name"] = "others"
    place.tenant.create(other, dry_run=True)
    with pytest.raises(RefusedError, match="makes no NetworkPolicy but finlab-sandbox-deny-all"):
        place.operator.create(other, dry_run=True)


def test_only_the_operator_writes_the_status(place: Place) -> None:
    """RBAC aside: even an administrator of the cluster does not write a verdict."""
    place.admin.create(strategy_run("judged", place.namespace, kind=place.runs))
    for client in (place.tenant, place.admin):
        with pytest.raises(RefusedError, match="writes the status of runs"):
            client.merge(place.runs, "judged", place.namespace, STATUS, subresource="status")
    place.operator.merge(place.runs, "judged", place.namespace, STATUS, subresource="status")


def test_only_the_operator_writes_the_status_of_profiles(place: Place) -> None:
    """It says what keeps pods off the network, and runs go by it."""
    status = {"status": {"observedGeneration": 1, "network": "Policy+Seccomp", "conditions": []}}
    with pytest.raises(RefusedError, match="writes the status of runs and profiles"):
        place.admin.merge(place.profiles, "default", None, status, subresource="status")


def words(message: str) -> Manifest:
    """Build the status of a pod whose evaluator has said something."""
    state = {"terminated": {"exitCode": 0, "message": message}}
    said = {"name": "evaluate", "state": state, "ready": False, "restartCount": 0, "image": "", "imageID": ""}
    return {"status": {"phase": "Succeeded", "containerStatuses": [said]}}


def unready(said: str) -> Manifest:
    """Build the status of a pod that is not ready, in words that no other test has written."""
    return {"status": {"conditions": [{"type": "Ready", "status": "False", "message": said}]}}


@pytest.mark.parametrize("who", ["tenant", "admin", "operator"])
def test_only_a_node_says_what_became_of_a_container(place: Place, living: tuple[Manifest, Manifest], who: str) -> None:
    """Whoever may write the status of pods could write the evaluator's report, with the nonce and hashes of its Job."""
    name = living[1]["metadata"]["name"]
    for change in (words("{}"), unready(f"says {who}"), {"status": {"phase": "Failed"}}):
        with pytest.raises(RefusedError, match="write the status of a run's pod"):
            getattr(place, who).merge(POD, name, place.namespace, change, subresource="status")


def test_controllers_write_of_a_pod_what_no_container_said(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """That it has no node, that its node is lost; nothing that a verdict is read from."""
    name = living[1]["metadata"]["name"]
    for account in ("system:kube-scheduler", "system:serviceaccount:kube-system:node-controller"):
        writer = acting(place.admin, account)
        change = unready(f"says {account}")
        wait_until(
            f"{account} may write",
            lambda writer=writer, change=change: refusal(
                lambda: writer.merge(POD, name, place.namespace, change, subresource="status")
            ),  # type: ignore[misc]
            nothing,
        )
        with pytest.raises(RefusedError, match="only its node says what became of a container"):
            writer.merge(POD, name, place.namespace, words("{}"), subresource="status")


def test_a_node_writes_the_status_of_its_pods(place: Place) -> None:
    """And others write annotations that way, as network plugins do; but no labels of ours."""
    owner = place.admin.create(strategy_run("told", place.namespace, kind=place.runs))
    made = place.operator.create(job_of(StrategyRun.parse(owner)))
    name = _wait_pod(place, made["metadata"]["name"])["metadata"]["name"]
    note = {"metadata": {"annotations": {"example.com/address": "192.0.2.1"}}}
    place.tenant.merge(POD, name, place.namespace, note, subresource="status")
    for label in (naming.MANAGED_BY_LABEL, naming.RUN_UID_LABEL):
        change = {"metadata": {"labels": {label: None}}}
        with pytest.raises(RefusedError, match="labels and hashes of a run's pod stay"):
            place.tenant.merge(POD, name, place.namespace, change, subresource="status")
    place.node.merge(POD, name, place.namespace, words("{}"), subresource="status")


def test_only_the_job_controller_writes_the_status_of_jobs(place: Place, living: tuple[Manifest, Manifest]) -> None:
    """Nor are a Job's labels changed that way."""
    name = living[0]["metadata"]["name"]
    for client in (place.tenant, place.admin, place.operator):
        with pytest.raises(RefusedError, match="writes the status of Jobs of runs"):
            client.merge(JOB, name, place.namespace, {"status": {"active": 0}}, subresource="status")
    unlabelled = {"metadata": {"labels": {naming.RUN_UID_LABEL: None}}}
    with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
        place.tenant.merge(JOB, name, place.namespace, unlabelled, subresource="status")


@pytest.fixture
def profiled(place: Place) -> Iterator[Callable[[Profile | None], None]]:
    """Replace the profile named default, or take all profiles away, and put everything back."""

    def write(profile: Profile | None) -> None:
        if profile is None:
            let_use(place)
            for each in (DEFAULT, GVISOR, CLOSED):
                wait_until(
                    f"{each.name} is deleted",
                    lambda name=each.name: refusal(lambda: place.admin.delete(place.profiles, name)),  # type: ignore[misc]
                    nothing,
                )
        else:
            place.admin.apply(resource(place.profiles, profile))

    yield write
    for each in (DEFAULT, GVISOR, CLOSED):
        place.admin.apply(resource(place.profiles, each))
    let_use(place, DEFAULT, GVISOR, CLOSED)
    wait_let_in(place)


def let_use(place: Place, *profiles: Profile) -> None:
    """Let the operator use these profiles and no others."""
    rules = {"rules": [use_of(place, *profiles)] if profiles else []}
    place.admin.merge(CLUSTER_ROLE, f"test-admission-use-{place.suffix}", None, rules)


def use_of(place: Place, *profiles: Profile) -> Manifest:
    """Write the rule of a role that lets these profiles be used."""
    group, names = place.profiles.api_version.split("/")[0], [each.name for each in profiles]
    return {"apiGroups": [group], "resources": ["sandboxprofiles"], "resourceNames": names, "verbs": ["use"]}


@pytest.mark.usefixtures("profiled")
def test_any_role_lets_a_profile_be_used(place: Place) -> None:
    """One of the profile's own is as good as that of the installation, which an upgrade puts back."""
    manifest = other_job(place, GVISOR)

    def refused() -> str:
        return refusal(lambda: place.operator.create(manifest, dry_run=True))

    let_use(place, DEFAULT)
    wait_until("the installation's role names another one alone", refused, bool)
    operator = {"kind": "ServiceAccount", "name": "operator", "namespace": place.namespace}
    with ExitStack() as stack:
        grant(stack, place.admin, f"test-admission-own-{place.suffix}", use_of(place, GVISOR), operator)
        wait_until("a role of its own counts", refused, nothing)


def test_a_profile_that_may_be_used_cannot_be_deleted(place: Place) -> None:
    """Its name would be bound by no clause of a profile, as long as there is another one."""
    for name in ("default", "gvisor"):
        with pytest.raises(RefusedError, match=rf"{name}.*delete the ClusterRole"):
            place.admin.delete(place.profiles, name)


def test_the_next_job_is_held_to_what_the_profile_says_now(
    place: Place, profiled: Callable[[Profile | None], None]
) -> None:
    """Image, also by digest, and sizes."""
    changed = {"image": "registry.example:5000/team/sandbox@sha256:" + "a" * 64, "out": "63Mi"}
    other = DEFAULT.model_copy(update={"sandbox": SANDBOX.model_copy(update=changed)})
    profiled(other)
    manifest = job_of(make_run(namespace=place.namespace), other)
    wait_until("it holds", lambda: refusal(lambda: place.operator.create(manifest, dry_run=True)), nothing)
    assert "the image must be the profile's" in refusal(lambda: place.operator.create(place.job(), dry_run=True))


def test_what_is_masked_in_proc_stays_so_for_users_of_its_own(
    place: Place, profiled: Callable[[Profile | None], None]
) -> None:
    """Elsewhere the API server itself refuses to unmask it."""
    own = DEFAULT.model_copy(update={"sandbox": SANDBOX.model_copy(update={"host_users": False})})
    profiled(own)
    manifest = job_of(make_run(namespace=place.namespace), own)
    wait_until("it holds", lambda: refusal(lambda: place.operator.create(manifest, dry_run=True)), nothing)
    strategy(manifest["spec"]["template"]["spec"])["securityContext"]["procMount"] = "Unmasked"
    with pytest.raises(RefusedError, match="and procMount the default"):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_what_was_made_before_a_change_goes_however_it_is_deleted(
    place: Place, profiled: Callable[[Profile | None], None], policy: str
) -> None:
    """Controllers take their finalizers and owners off pods and Jobs that today would be refused."""
    owner = place.admin.create(strategy_run(f"old-{policy.lower()}", place.namespace, kind=place.runs))
    name = place.operator.create(job_of(StrategyRun.parse(owner)))["metadata"]["name"]
    pod = _wait_pod(place, name)["metadata"]["name"]
    profiled(None)
    wait_until("it holds", lambda: refusal(lambda: place.operator.create(place.job(), dry_run=True)), bool)
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs/{name}"
    place.tenant.request("DELETE", path, {"propagationPolicy": policy})
    wait_until("the Job is gone", lambda: place.admin.find(JOB, name, place.namespace), lambda found: found is None)
    if policy == "Orphan":
        place.tenant.delete(POD, pod, place.namespace)
    wait_until("the pod is gone", lambda: place.admin.find(POD, pod, place.namespace), lambda found: found is None)


def test_without_a_profile_nothing_runs(place: Place, profiled: Callable[[Profile | None], None]) -> None:
    """What is not there is not guessed, and a pod that comes late does not start."""
    profiled(None)
    wait_until("it holds", lambda: refusal(lambda: place.operator.create(place.job(), dry_run=True)), bool)
    wait_until(
        "pods are held too",
        lambda: refusal(lambda: place.controller.create(place.pod(), dry_run=True)),
        lambda said: "finlab-sandbox-profiled-pods" in said,
    )


def test_without_a_profile_others_run_as_before(place: Place, profiled: Callable[[Profile | None], None]) -> None:
    """Whoever deletes the last profile stops strategies and nothing else; controllers still tidy up."""
    profiled(None)
    wait_until("it holds", lambda: refusal(lambda: place.operator.create(place.job(), dry_run=True)), bool)
    manifest = place.job()
    manifest["metadata"]["labels"] = {}
    manifest["spec"]["template"]["metadata"]["labels"] = {}
    place.tenant.create(manifest, dry_run=True)


def test_a_namespace_can_be_switched_off(place: Place) -> None:
    """By a label that only who administers the cluster can give: to look into a failure, or for tests."""
    manifest = place.job()
    manifest["metadata"]["namespace"] = place.exempt
    manifest["spec"]["template"]["spec"]["dnsPolicy"] = "Default"
    place.admin.create(manifest, dry_run=True)


def test_other_jobs_are_none_of_ours(place: Place) -> None:
    """Without our labels everything is as before."""
    manifest = place.job()
    manifest["metadata"]["labels"] = {}
    manifest["spec"]["template"]["metadata"]["labels"] = {}
    place.tenant.create(manifest, dry_run=True)


def test_policies_fail_closed_and_type_check(place: Place) -> None:
    """An error refuses, a missing configuration refuses, and no expression names a field that is not there."""
    for document in policies():
        spec = document["spec"]
        if document["kind"] == POLICY.kind:
            assert spec["failurePolicy"] == "Fail"
            continue
        assert spec["validationActions"] == ["Deny"]
        assert spec.get("paramRef", {"parameterNotFoundAction": "Deny"})["parameterNotFoundAction"] == "Deny"
        name = f"{document['metadata']['name']}-{place.suffix}"
        checked = wait_until(
            f"{name} is type-checked",
            lambda name=name: place.admin.get(POLICY, name).get("status", {}),  # type: ignore[misc]
            lambda status: status.get("observedGeneration"),
        )
        assert checked.get("typeChecking", {}).get("expressionWarnings", []) == []


def test_the_manifests_name_the_accounts_and_the_namespace_of_the_policies(cluster: Cluster) -> None:
    """What is deployed together fits together."""
    documents = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(CHECKOUT / "manifests" / "base"))))
    accounts = [each["metadata"] for each in documents if each["kind"] == "ServiceAccount"]
    assert {f"system:serviceaccount:{each['namespace']}:{each['name']}" for each in accounts} == {
        OPERATOR_ACCOUNT,
        INSTALLER_ACCOUNT,
    }
    settings = load_settings(CHECKOUT / "config" / "sandbox.yaml")
    assert settings.canary_namespace == CANARY_NAMESPACE
    deployed = {(each["kind"], each["metadata"]["name"]) for each in documents}
    assert ("Namespace", CANARY_NAMESPACE) in deployed
    assert ("SandboxProfile", settings.profile.name) in deployed
    assert {(each["kind"], each["metadata"]["name"]) for each in policies()} <= deployed


def other_job(place: Place, profile: Profile, executor: Executor = Executor.SANDBOX) -> Manifest:
    """Build the Job of a run that asks for another profile, or falls back."""
    return job_of(make_run(namespace=place.namespace), profile, executor)


@pytest.mark.parametrize(
    ("profile", "executor"),
    [(GVISOR, Executor.SANDBOX), (GVISOR, Executor.FALLBACK), (DEFAULT, Executor.FALLBACK)],
    ids=["another", "fallback-of-another", "fallback"],
)
def test_the_jobs_of_other_profiles_and_fallbacks_are_let_in(
    place: Place, profile: Profile, executor: Executor
) -> None:
    """Each with its own image, runtime class, sizes and seccomp file."""
    manifest = other_job(place, profile, executor)
    place.operator.create(manifest, dry_run=True)
    pod = pod_of(manifest)
    if "runtimeClassName" not in pod["spec"]:  # else the API server asks whether there is one
        place.controller.create(pod, dry_run=True)


@pytest.mark.parametrize(
    ("profile", "executor", "label", "value", "said"),
    [
        (GVISOR, Executor.SANDBOX, naming.PROFILE_LABEL, "default", "must be the profile's"),
        (DEFAULT, Executor.SANDBOX, naming.PROFILE_LABEL, "gvisor", "must be the profile's"),
        (DEFAULT, Executor.FALLBACK, naming.EXECUTOR_LABEL, "sandbox", "must be Localhost|must be the profile's"),
        (DEFAULT, Executor.SANDBOX, naming.EXECUTOR_LABEL, "fallback", "must be RuntimeDefault|must be the profile's"),
        (DEFAULT, Executor.FALLBACK, naming.PROFILE_LABEL, "closed", "may not use the profile"),
    ],
    ids=["of-another", "as-another", "fallback-as-sandbox", "sandbox-as-fallback", "no-such-fallback"],
)
def test_a_job_cannot_pass_for_another(
    place: Place, profile: Profile, executor: Executor, label: str, value: str, said: str
) -> None:
    """Its label says what it is held to, whatever it is; of several policies that refuse it, one says so."""
    manifest = relabelled(other_job(place, profile, executor), label, value)
    with pytest.raises(RefusedError, match=said):
        place.operator.create(manifest, dry_run=True)


def test_a_runtime_class_is_not_left_out(place: Place) -> None:
    """Of a profile that has one."""
    manifest = other_job(place, GVISOR)
    del manifest["spec"]["template"]["spec"]["runtimeClassName"]
    with pytest.raises(RefusedError, match="runtimeClassName must be the profile's"):
        place.operator.create(manifest, dry_run=True)


@pytest.mark.parametrize("name", ["granted-to-nobody", "", None], ids=["unknown", "empty", "none"])
def test_a_label_must_name_a_profile(place: Place, name: str | None) -> None:
    """One that names none would be held to none: a stolen token of the operator would choose its image."""
    manifest = relabelled(place.job(), naming.PROFILE_LABEL, name or "")
    if name is None:
        for meta in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
            del meta["labels"][naming.PROFILE_LABEL]
    with pytest.raises(RefusedError, match=r"must name a profile|must carry the same labels"):
        place.operator.create(manifest, dry_run=True)


def test_a_pod_without_a_profile_is_refused(place: Place) -> None:
    """Whatever Job it comes from."""
    manifest = place.pod()
    del manifest["metadata"]["labels"][naming.PROFILE_LABEL]
    with pytest.raises(RefusedError, match=r"must carry the label finlab-sandbox\.dev/profile"):
        place.controller.create(manifest, dry_run=True)


def test_a_profile_may_be_for_other_namespaces(place: Place) -> None:
    """The API server holds to that too."""
    manifest = other_job(place, CLOSED)
    for client, each in ((place.operator, manifest), (place.controller, pod_of(manifest))):
        with pytest.raises(RefusedError, match="runs of this namespace may not use the profile"):
            client.create(each, dry_run=True)


def test_the_operator_makes_no_jobs_without_labels(place: Place) -> None:
    """They would be nobody's, and bound by nothing; a stolen token of the operator would run what it likes."""
    manifest = place.job()
    manifest["metadata"]["labels"] = {}
    manifest["spec"]["template"]["metadata"]["labels"] = {}
    with pytest.raises(RefusedError, match="must carry the same labels"):
        place.operator.create(manifest, dry_run=True)


def test_kueue_lets_its_jobs_in_and_nobody_elses(place: Place) -> None:
    """It resumes a suspended Job and chooses its nodes; the shape stays, and other Jobs are not its business."""
    kueue = acting(place.admin, KUEUE_ACCOUNT)
    flavour = {"nodeSelector": {"pool": "strategies"}, "tolerations": [{"key": "pool", "operator": "Exists"}]}
    resume = {"spec": {"suspend": False, "template": {"spec": flavour}}}
    for name, label in (("queued", {KUEUE_LABEL: "team", KUEUE_PRIORITY_LABEL: "urgent"}), ("unqueued", {})):
        owner = place.admin.create(strategy_run(name, place.namespace, kind=place.runs))
        manifest = job_of(StrategyRun.parse(owner))
        manifest["metadata"]["labels"] = manifest["metadata"]["labels"] | label
        manifest["spec"]["suspend"] = True
        job_name = place.operator.create(manifest)["metadata"]["name"]
        if not label:
            with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
                kueue.merge(JOB, job_name, place.namespace, resume)
            continue
        other = {"spec": {"template": {"spec": {"runtimeClassName": "other"}}}}
        with pytest.raises(RefusedError):
            kueue.merge(JOB, job_name, place.namespace, other)
        with pytest.raises(RefusedError, match="makes or changes Jobs of runs"):
            place.tenant.merge(JOB, job_name, place.namespace, resume)
        kueue.merge(JOB, job_name, place.namespace, resume)


def installer_on(place: Place, node: str) -> Cluster:
    """Act as the installer with a token that says on which node its pod runs."""
    client = acting(place.admin, f"system:serviceaccount:{place.namespace}:installer")
    client._api.set_default_header("Impersonate-Extra-authentication.kubernetes.io%2fnode-name", node)
    return client


@pytest.fixture
def node(place: Place) -> Iterator[str]:
    """A node that no kubelet has, with a label of somebody else's."""
    name = f"test-admission-{place.suffix}"
    meta = {"name": name, "labels": {"example.com/pool": "a"}}
    spec = {"unschedulable": True, "taints": [{"key": "example.com/none", "effect": "NoExecute"}]}
    place.admin.create({"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec})
    yield name
    place.admin.delete(NODE, name)


OURS = f"{NODE_LABEL_PREFIX}0123456789ab"


def test_the_installer_labels_its_own_node(place: Place, node: str) -> None:
    """With the one value, and takes the label away again."""
    client = installer_on(place, node)
    for value in ("ready", None):
        client.merge(NODE, node, None, {"metadata": {"labels": {OURS: value}}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"labels": {OURS: "perhaps"}}}, "and no others"),
        ({"metadata": {"labels": {"example.com/pool": "b"}}}, "and no others"),
        ({"metadata": {"labels": {"example.com/pool": None}}}, "and no others"),
        ({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}, "and no others"),
        ({"metadata": {"annotations": {"example.com/any": "a"}}}, "changes nothing of a node but labels"),
        ({"metadata": {"finalizers": ["example.com/any"]}}, "changes nothing of a node but labels"),
        ({"spec": {"unschedulable": False}}, "changes nothing of a node but labels"),
        ({"spec": {"taints": []}}, "changes nothing of a node but labels"),
    ],
    ids=["value", "changed", "removed", "role", "annotation", "finalizer", "schedulable", "taints"],
)
def test_the_installer_changes_nothing_else_of_a_node(place: Place, node: str, change: Manifest, said: str) -> None:
    """Its right to patch nodes is wide; the policy is not."""
    with pytest.raises(RefusedError, match=said):
        installer_on(place, node).merge(NODE, node, None, change)


def test_the_installer_labels_no_other_node(place: Place, node: str) -> None:
    """Nor one at all, with a token that names no node."""
    change = {"metadata": {"labels": {OURS: "ready"}}}
    account = f"system:serviceaccount:{place.namespace}:installer"
    for client in (installer_on(place, "another"), acting(place.admin, account)):
        with pytest.raises(RefusedError, match="labels the node that it runs on"):
            client.merge(NODE, node, None, change)
