"""The manifests of one attempt: the snapshot of its inputs, the Job with its steps, the report that stays."""

import base64
from typing import Any, NamedTuple

from strategyrun.domain import naming
from strategyrun.domain.hardening import (
    DATASET_UID,
    EVALUATE_UID,
    STRATEGY_UID,
    container_isolation,
    environment,
    pod_isolation,
)
from strategyrun.domain.inputs import CODE_KEY, DATA_PATH, EVALUATION_KEY, INPUT_KEY, Inputs, timeout_seconds
from strategyrun.domain.model import rfc3339
from strategyrun.domain.sandbox import NODE_READY, Profile, Sandbox
from strategyrun.domain.strategyrun import (
    GROUP,
    KUEUE_LABEL,
    KUEUE_PRIORITY_LABEL,
    Attempt,
    Dataset,
    Executor,
    StrategyRun,
)

REPORT_KEY = "report.json.gz"
DATASET_CONTAINER = "dataset"
STRATEGY_CONTAINER = "strategy"
EVALUATE_CONTAINER = "evaluate"
NONCE_VARIABLE = "FINLAB_NONCE"
DATASET_PATH_VARIABLE = "FINLAB_DATASET_PATH"
EXECUTOR_VARIABLE = "FINLAB_EXECUTOR"
INPUT_VARIABLE = "FINLAB_INPUT_SHA256"
"""Where the same template says what the harness must have read: input.json, which has the hash of the code."""
PINNED_ANNOTATIONS = {name: f"{GROUP}/{name}-sha256" for name in ("code", "input", "evaluation")}
"""Where the Job's immutable pod template says what the evaluator must have read."""
ATTEMPT_ANNOTATION = f"{GROUP}/attempt-created-at"
"""Where it says of which attempt the Job is: names come back when inputs do."""
LOST_NODE_SECONDS = 30
"""How long a pod waits for a node that is not heard of: a cluster's own default is longer than a run."""
LOST_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_TOLERATIONS = [
    {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_SECONDS}
    for taint in LOST_NODE_TAINTS
]


def snapshot(run: StrategyRun, inputs: Inputs) -> dict[str, Any]:
    """Build the immutable ConfigMap that the pod reads its inputs from."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": naming.snapshot_name(run, inputs.content_hash),
            "namespace": run.namespace,
            "labels": naming.labels(run),
            "ownerReferences": [naming.owner_reference(run)],
        },
        "immutable": True,
        "data": inputs.files,
    }


def is_snapshot(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a ConfigMap that has a snapshot's name already is that snapshot: the run's own, the same, for good.

    The name can be foreseen, and whoever may write ConfigMaps in the namespace can be there first.
    """
    owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences") or []}
    (owner,) = wanted["metadata"]["ownerReferences"]
    return owner["uid"] in owners and found.get("immutable") is True and found.get("data") == wanted["data"]


def report(run: StrategyRun, content_hash: str, content: bytes) -> dict[str, Any]:
    """Build the immutable ConfigMap that keeps the full report as long as the run lives."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": naming.report_name(run, content_hash),
            "namespace": run.namespace,
            "labels": naming.labels(run, "report"),
            "ownerReferences": [naming.owner_reference(run)],
        },
        "immutable": True,
        "binaryData": {REPORT_KEY: base64.b64encode(content).decode()},
    }


def job(run: StrategyRun, attempt: Attempt, *, inputs: Inputs, nonce: str, profile: Profile) -> dict[str, Any]:
    """Build the Job of an attempt: an init container runs the strategy to its end, then the main container scores it.

    A dataset that is not in the image is read by an init container before: it is checked once, strategy
    and evaluator see the same, and neither meets the source.

    Three clocks, each a backstop of the one before: the harness ends the strategy at its limit; the
    kubelet ends a pod whose harness does not, and keeps it readable; the Job's own deadline deletes
    pods that never came to a node. It has no time to live: its pod holds an answer that may not have been
    read, so the operator deletes it (`reconcile.expiry`).

    The fallback differs in the image, in the node runtime's own seccomp profile, and in that the harness
    is told, so that it tries the walls that are left. Raises ValueError where the profile has none.
    """
    executor = attempt.executor
    sandbox, step = profile.sandbox, _Step.of(profile.sandbox, executor)
    clocks = sandbox.timeouts
    to_start = start_seconds(run, sandbox)
    pod_deadline = to_start + timeout_seconds(run, sandbox) + clocks.evaluate_seconds
    dataset = run.spec.datasets[0]
    labels = naming.labels(run) | {naming.PROFILE_LABEL: profile.name, naming.EXECUTOR_LABEL: executor.lower()}
    held = {KUEUE_LABEL: run.kueue_queue} if run.kueue_queue else {}
    if held and run.kueue_priority:
        held[KUEUE_PRIORITY_LABEL] = run.kueue_priority
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": attempt.job_name,
            "namespace": run.namespace,
            "labels": labels | held,
            "ownerReferences": [naming.owner_reference(run)],
        },
        "spec": {
            **({"suspend": True} if held else {}),  # Kueue lets it in
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": to_start + pod_deadline,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        ATTEMPT_ANNOTATION: rfc3339(attempt.created_at),
                        **{PINNED_ANNOTATIONS[name]: sha for name, sha in inputs.hashes.items()},
                    },
                },
                "spec": {
                    **placement(profile, executor),
                    "tolerations": _TOLERATIONS,
                    "restartPolicy": "Never",
                    "activeDeadlineSeconds": pod_deadline,
                    "initContainers": [*_dataset_containers(dataset, step), _strategy_container(dataset, step, inputs)],
                    "containers": [_evaluate_container(dataset, step, nonce)],
                    "volumes": [
                        *_volumes(naming.snapshot_name(run, inputs.content_hash), sandbox),
                        *_dataset_volumes(dataset, sandbox),
                    ],
                },
            },
        },
    }


def start_seconds(run: StrategyRun, sandbox: Sandbox) -> int:
    """Return the time from the Job's creation within which the strategy has to start."""
    loads = run.spec.datasets[0].builtin is None
    return sandbox.timeouts.start_seconds + (sandbox.timeouts.load_seconds if loads else 0)


class _Step(NamedTuple):
    """What the containers of a pod have in common."""

    image: str
    pull_policy: str
    resources: dict[str, Any]
    executor: Executor

    @classmethod
    def of(cls, sandbox: Sandbox, executor: Executor) -> "_Step":
        source = sandbox if executor is Executor.SANDBOX else sandbox.fallback
        if source is None:
            raise ValueError("the profile has no fallback image")
        resources = {"limits": sandbox.limits.document(), "requests": sandbox.requests.document()}
        return cls(source.image, source.image_pull_policy, resources, executor)


def placement(profile: Profile, executor: Executor) -> dict[str, Any]:
    """Return the isolation of the pod, and the nodes that can give it."""
    users = {} if profile.sandbox.host_users is None else {"hostUsers": profile.sandbox.host_users}
    if executor is Executor.FALLBACK:
        return {**pod_isolation({"type": "RuntimeDefault"}), **users}
    label = {"key": profile.seccomp.node_label, "operator": "In", "values": [NODE_READY]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [label]}]}
    runtime_class = profile.sandbox.runtime_class_name
    return {
        **pod_isolation({"type": "Localhost", "localhostProfile": profile.seccomp.localhost_profile}),
        **users,
        **({"runtimeClassName": runtime_class} if runtime_class else {}),
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
    }


def _dataset_containers(dataset: Dataset, step: _Step) -> list[dict[str, Any]]:
    if dataset.builtin:
        return []
    return [
        {
            **_container(DATASET_CONTAINER, "finlab_sandbox.load", DATASET_UID, step),
            "env": [*environment(), {"name": DATASET_PATH_VARIABLE, "value": dataset.path}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"name": "source", "mountPath": "/source", "readOnly": True},
                {"name": "data", "mountPath": DATA_PATH},
            ],
        }
    ]


def _data_mounts(dataset: Dataset) -> list[dict[str, Any]]:
    return [] if dataset.builtin else [{"name": "data", "mountPath": DATA_PATH, "readOnly": True}]


def _strategy_container(dataset: Dataset, step: _Step, inputs: Inputs) -> dict[str, Any]:
    pinned = {"name": INPUT_VARIABLE, "value": inputs.hashes["input"]}
    told = [{"name": EXECUTOR_VARIABLE, "value": step.executor}] if step.executor is Executor.FALLBACK else []
    return {
        **_container(STRATEGY_CONTAINER, "finlab_sandbox.harness", STRATEGY_UID, step),
        "env": [*environment(), pinned, *told],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "code", "mountPath": "/code", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod
            {"name": "out", "mountPath": "/out"},
            *_data_mounts(dataset),
        ],
    }


def _evaluate_container(dataset: Dataset, step: _Step, nonce: str) -> dict[str, Any]:
    return {
        **_container(EVALUATE_CONTAINER, "finlab_sandbox.evaluate", EVALUATE_UID, step),
        "env": [*environment(), {"name": NONCE_VARIABLE, "value": nonce}],
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "inputs", "mountPath": "/inputs", "readOnly": True},
            {"name": "out", "mountPath": "/out", "readOnly": True},
            *_data_mounts(dataset),
        ],
    }


def _container(name: str, module: str, uid: int, step: _Step) -> dict[str, Any]:
    return {
        "name": name,
        "image": step.image,
        "imagePullPolicy": step.pull_policy,
        # As isolated as -I, but for the environment, which is ours and fixes the order of sets.
        "command": ["python3", "-P", "-s", "-m", module],
        "securityContext": container_isolation(uid),
        "resources": step.resources,
        "terminationMessagePath": "/dev/termination-log",
    }


def _volumes(snapshot_name: str, sandbox: Sandbox) -> list[dict[str, Any]]:
    return [
        _snapshot_volume("code", snapshot_name, CODE_KEY, INPUT_KEY),
        _snapshot_volume("inputs", snapshot_name, CODE_KEY, INPUT_KEY, EVALUATION_KEY),
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": sandbox.tmp}},
        {"name": "out", "emptyDir": {"medium": "Memory", "sizeLimit": sandbox.out}},
    ]


def _dataset_volumes(dataset: Dataset, sandbox: Sandbox) -> list[dict[str, Any]]:
    if dataset.builtin:
        return []
    source: dict[str, Any] = {"name": "source"}
    if dataset.config_map_ref:
        # All of its keys: the loader says which there are where the one that was asked for is not.
        source["configMap"] = {"name": dataset.config_map_ref.name, "defaultMode": 0o444}
    elif dataset.persistent_volume_claim:
        claim = dataset.persistent_volume_claim.claim_name
        source["persistentVolumeClaim"] = {"claimName": claim, "readOnly": True}
    elif dataset.image:
        source["image"] = {"reference": dataset.image.reference, "pullPolicy": "IfNotPresent"}
    return [source, {"name": "data", "emptyDir": {"sizeLimit": sandbox.data}}]


def _snapshot_volume(volume: str, snapshot_name: str, *keys: str) -> dict[str, Any]:
    return {
        "name": volume,
        "configMap": {
            "name": snapshot_name,
            "defaultMode": 0o444,
            "items": [{"key": key, "path": key} for key in keys],
        },
    }
