"""What the rig's nodes play, as stages of kwok: the life of a run's pod, without its containers.

The first word of a run's name says how its pod goes: `scored-7` ends with the evaluator's report, `held-1`
runs until somebody ends it by hand. Nonce and hashes of a report are those of the pod, as the evaluator's are.
"""

import json
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.job import (
    DATASET_CONTAINER,
    EVALUATE_CONTAINER,
    NONCE_VARIABLE,
    PINNED_ANNOTATIONS,
    STRATEGY_CONTAINER,
)
from support.builders import last_words, report_document

SCORED, HELD, FAILING, OUT_OF_MEMORY, UNPULLABLE = "scored", "held", "failing", "oom", "unpullable"
REPORTED = "reported"
"""Scored too, and promises a full report; no log of a simulated pod has it."""
UNCONFIGURED, UNSCORED, OVERDUE, UNLOADED, NEVER = "unconfigured", "unscored", "overdue", "unloaded", "never"
"""What the node's runtime refuses; whose evaluator and whose loader end without a word; what the kubelet ends at the
pod's deadline; what no node ever starts."""
ENDS = {SCORED: "Evaluated", REPORTED: "Evaluated", FAILING: "StrategyError", OUT_OF_MEMORY: "OutOfMemory"}
"""The plays that end by themselves, with the reasons."""

_PLAY = f'.metadata.labels["{naming.RUN_NAME_LABEL}"] // "" | split("-")[0]'
_NONCE = (
    "{{ range (index .spec.containers 0).env }}"
    f"{{{{ if eq .name `{NONCE_VARIABLE}` }}}}{{{{ .value }}}}{{{{ end }}}}"
    "{{ end }}"
)
"""Templates quote with backquotes, which JSON leaves as they are."""
_STRATEGY_MILLISECONDS = 100
_IMAGE_ID = "finlab-sandbox@sha256:feed"
_NOW = "{{ Now }}"
_BEGUN = ".status.initContainerStatuses.[] | select(.state.running != null) | .name"


def kwok_configuration() -> list[dict[str, Any]]:
    """Build kwok's configuration: of the nodes, and of every play."""
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "metadata": {"name": "kwok"},
        "options": {
            "manageNodesWithLabelSelector": "type=kwok",
            "podPlayStageParallelism": 16,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
            "podsOnNodeSyncParallelism": 4,
            "enablePodsOnNodeSyncListPager": False,
            "enablePodsOnNodeSyncStreamWatch": True,
            "nodeLeaseDurationSeconds": 12,  # renewed four times as often
        },
    }
    begun = _pod("Pending", _running(), _waiting("PodInitializing"))
    ended = {
        SCORED: _scored(),
        REPORTED: _scored(full="f" * 64),
        UNSCORED: _pod("Failed", _ended(message=last_words("Completed", "", exitCode=0)), _ended(1, "Error")),
        OVERDUE: _pod("Failed", _ended(137, "Error"), _waiting("PodInitializing")) | {"reason": "DeadlineExceeded"},
        FAILING: _pod("Failed", _ended(1, "Error", last_words()), _waiting("PodInitializing")),
        OUT_OF_MEMORY: _pod("Failed", _ended(137, "OOMKilled"), _waiting("PodInitializing")),
    }
    refused = _waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
    unconfigured = _pod("Pending", refused, _waiting("PodInitializing"))
    unloaded = _pod("Failed", _waiting("PodInitializing"), _waiting("PodInitializing"), dataset=_ended(1, "Error"))
    killed = _pod("Failed", _ended(137, "Error"), _waiting("PodInitializing"))
    unpulled = _pod("Pending", _waiting("ImagePullBackOff", "Back-off pulling image"), _waiting("PodInitializing"))
    fresh, running = _is(".status.initContainerStatuses", "DoesNotExist"), _is(_BEGUN, "Exists")
    alive, leaving = _is(".metadata.deletionTimestamp", "DoesNotExist"), _is(".metadata.deletionTimestamp", "Exists")
    over = ("Succeeded", "Failed")
    return [
        options,
        _node_ready(),
        _stage("begin", [alive, fresh, _is(_PLAY, "In", HELD, *ended)], begun),
        _stage("refuse-image", [alive, fresh, _is(_PLAY, "In", UNPULLABLE)], unpulled),
        _stage("refuse-container", [alive, fresh, _is(_PLAY, "In", UNCONFIGURED)], unconfigured),
        _stage("fail-to-load", [alive, fresh, _is(_PLAY, "In", UNLOADED)], unloaded),
        *(
            _stage(f"end-{play}", [alive, running, _is(_PLAY, "In", play)], status, after=_STRATEGY_MILLISECONDS)
            for play, status in ended.items()
        ),
        # A kubelet ends the containers of a pod that has to go, says so, and then lets go of it.
        _stage("kill", [leaving, _is(".status.phase", "NotIn", *over)], killed),
        _stage("let-go", [leaving, _is(".status.phase", "In", *over)], None),
    ]


def _is(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _stage(
    name: str, when: list[dict[str, Any]], status: dict[str, Any] | None, *, kind: str = "Pod", after: int = 0
) -> dict[str, Any]:
    """Build a stage that writes a status, or that deletes where there is none to write."""
    delay = {"durationMilliseconds": after, "jitterDurationMilliseconds": 2 * after} if after else None
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            **({"delay": delay} if delay else {}),
            # JSON is YAML.
            "next": {"delete": True} if status is None else {"statusTemplate": json.dumps(status)},
        },
    }


def _pod(
    phase: str, strategy: dict[str, Any], evaluate: dict[str, Any], dataset: dict[str, Any] | None = None
) -> dict[str, Any]:
    def container(name: str, state: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "state": state, "ready": False, "restartCount": 0, "image": "", "imageID": _IMAGE_ID}

    return {
        "phase": phase,
        "startTime": _NOW,
        "initContainerStatuses": [
            *([container(DATASET_CONTAINER, dataset)] if dataset else []),
            container(STRATEGY_CONTAINER, strategy),
        ],
        "containerStatuses": [container(EVALUATE_CONTAINER, evaluate)],
    }


def _running() -> dict[str, Any]:
    return {"running": {"startedAt": _NOW}}


def _waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def _ended(exit_code: int = 0, reason: str = "Completed", message: str = "") -> dict[str, Any]:
    end = {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": _NOW, "finishedAt": _NOW}
    return {"terminated": end}


def _scored(*, full: str | None = None) -> dict[str, Any]:
    return _pod("Succeeded", _ended(message=last_words("Completed", "", exitCode=0)), _ended(message=_report(full)))


def _report(full: str | None) -> str:
    """Write the evaluator's report with templates where a pod's own values go."""
    hashes = {name: f"{{{{ index .metadata.annotations `{key}` }}}}" for name, key in PINNED_ANNOTATIONS.items()}
    document = report_document(full=full)
    return json.dumps(document | {"nonce": "NONCE", "hashes": document["hashes"] | hashes}).replace("NONCE", _NONCE)


def _node_ready() -> dict[str, Any]:
    """Build the stage that makes a node ready; kwok renews its lease."""
    room = {"cpu": "1000", "memory": "4000Gi", "pods": "10000"}
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "simulated",
        "lastHeartbeatTime": _NOW,
        "lastTransitionTime": _NOW,
    }
    status = {"conditions": [condition], "allocatable": room, "capacity": room, "phase": "Running"}
    unready = _is('.status.conditions.[] | select(.type == "Ready") | .status', "NotIn", "True")
    return _stage("ready", [unready], status, kind="Node")
