"""The manifests of one attempt: the snapshot of its inputs, and the Job with its two steps."""

from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.hardening import (
    EVALUATE_UID,
    STRATEGY_UID,
    container_isolation,
    environment,
    pod_isolation,
)
from strategyrun.domain.inputs import CODE_KEY, EVALUATION_KEY, INPUT_KEY, Inputs, timeout_seconds
from strategyrun.domain.sandbox import Sandbox, SeccompProfile
from strategyrun.domain.strategyrun import GROUP, StrategyRun

STRATEGY_CONTAINER = "strategy"
EVALUATE_CONTAINER = "evaluate"
NONCE_VARIABLE = "FINLAB_NONCE"
PINNED_ANNOTATIONS = {name: f"{GROUP}/{name}-sha256" for name in ("code", "input", "evaluation")}
"""Where the Job's immutable pod template says what the evaluator must have read."""


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


def job(
    run: StrategyRun,
    *,
    inputs_hash: str,
    inputs: Inputs,
    attempt: int,
    nonce: str,
    sandbox: Sandbox,
    seccomp: SeccompProfile,
) -> dict[str, Any]:
    """Build the Job: an init container runs the strategy to its end, then the main container scores it.

    Three clocks, each a backstop of the one before: the harness ends the strategy at its limit; the
    kubelet ends a pod whose harness does not, and keeps it readable; the Job's own deadline deletes
    pods that never came to a node.
    """
    clocks = sandbox.timeouts
    pod_deadline = clocks.start_seconds + timeout_seconds(run, sandbox) + clocks.evaluate_seconds
    labels = naming.labels(run)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": naming.job_name(run, inputs_hash, attempt),
            "namespace": run.namespace,
            "labels": labels,
            "ownerReferences": [naming.owner_reference(run)],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": clocks.start_seconds + pod_deadline,
            "ttlSecondsAfterFinished": run.spec.ttl_seconds_after_finished,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {PINNED_ANNOTATIONS[name]: sha for name, sha in inputs.hashes.items()},
                },
                "spec": {
                    **pod_isolation(seccomp.localhost_profile),
                    "restartPolicy": "Never",
                    "activeDeadlineSeconds": pod_deadline,
                    "initContainers": [_strategy_container(sandbox)],
                    "containers": [_evaluate_container(sandbox, nonce)],
                    "volumes": _volumes(naming.snapshot_name(run, inputs.content_hash), sandbox),
                },
            },
        },
    }


def _strategy_container(sandbox: Sandbox) -> dict[str, Any]:
    return {
        **_container(STRATEGY_CONTAINER, "finlab_sandbox.harness", STRATEGY_UID, sandbox),
        "env": environment(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "code", "mountPath": "/code", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod
            {"name": "out", "mountPath": "/out"},
        ],
    }


def _evaluate_container(sandbox: Sandbox, nonce: str) -> dict[str, Any]:
    return {
        **_container(EVALUATE_CONTAINER, "finlab_sandbox.evaluate", EVALUATE_UID, sandbox),
        "env": [*environment(), {"name": NONCE_VARIABLE, "value": nonce}],
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "inputs", "mountPath": "/inputs", "readOnly": True},
            {"name": "out", "mountPath": "/out", "readOnly": True},
        ],
    }


def _container(name: str, module: str, uid: int, sandbox: Sandbox) -> dict[str, Any]:
    return {
        "name": name,
        "image": sandbox.image,
        "imagePullPolicy": sandbox.image_pull_policy,
        # As isolated as -I, but for the environment, which is ours and fixes the order of sets.
        "command": ["python3", "-P", "-s", "-m", module],
        "securityContext": container_isolation(uid),
        "resources": {"limits": sandbox.limits.document(), "requests": sandbox.requests.document()},
        "terminationMessagePath": "/dev/termination-log",
    }


def _volumes(snapshot_name: str, sandbox: Sandbox) -> list[dict[str, Any]]:
    return [
        _snapshot_volume("code", snapshot_name, CODE_KEY, INPUT_KEY),
        _snapshot_volume("inputs", snapshot_name, CODE_KEY, INPUT_KEY, EVALUATION_KEY),
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": sandbox.tmp}},
        {"name": "out", "emptyDir": {"medium": "Memory", "sizeLimit": sandbox.out}},
    ]


def _snapshot_volume(volume: str, snapshot_name: str, *keys: str) -> dict[str, Any]:
    return {
        "name": volume,
        "configMap": {
            "name": snapshot_name,
            "defaultMode": 0o444,
            "items": [{"key": key, "path": key} for key in keys],
        },
    }
