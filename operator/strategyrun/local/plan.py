"""What a Job asks of whoever runs it, without Kubernetes; and what became of it, as a kubelet would write it down."""

import base64
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

LOG_TAIL_BYTES = 2048
LOG_TAIL_LINES = 80
SIGKILL = 9
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class NotRunnableError(Exception):
    """The Job needs what only a cluster has; the message is one line that says what."""


@dataclass(frozen=True)
class Files:
    """Small files, by name; read-only for every step."""

    content: dict[str, bytes]


@dataclass(frozen=True)
class Scratch:
    """Empty space that is shared by the steps that mount it."""

    size: int
    """In bytes."""


@dataclass(frozen=True)
class Host:
    """A file or folder of this machine; read-only for every step."""

    path: Path


Volume = Files | Scratch | Host


@dataclass(frozen=True)
class Mount:
    """A volume at a path of a step."""

    volume: str
    path: str
    read_only: bool


@dataclass(frozen=True)
class Step:
    """One container: a program of the sandbox image, as a user of its own."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    user: int
    mounts: tuple[Mount, ...]
    tells_by_log: bool
    """Whether the end of its output is its message where it left none and failed."""


@dataclass(frozen=True)
class Plan:
    """Steps, one after the other, each to its end before the next begins."""

    name: str
    steps: tuple[Step, ...]
    volumes: dict[str, Volume]
    memory: int
    """Bytes for each step, its files in memory included."""
    seconds: int
    """For all steps together."""


@dataclass(frozen=True)
class End:
    """How a step ended. A signal is told as containers do, by an exit code above 128."""

    name: str
    exit_code: int
    started_at: datetime
    finished_at: datetime
    message: bytes
    log: bytes
    out_of_memory: bool = False
    late: bool = False
    """Whether the plan's own limit ended it."""


def plan_of(job: dict[str, Any], config_maps: dict[str, dict[str, bytes]], dataset: Path | None) -> Plan:
    """Read a Job. `dataset` stands in for whatever its volume `source` is. Raises NotRunnableError."""
    spec = job["spec"]["template"]["spec"]
    containers = [*spec["initContainers"], *spec["containers"]]
    return Plan(
        name=job["metadata"]["name"],
        steps=tuple(_step(each) for each in containers),
        volumes={each["name"]: _volume(each, config_maps, dataset) for each in spec["volumes"]},
        memory=max(_bytes(each["resources"]["limits"]["memory"]) for each in containers),
        seconds=spec["activeDeadlineSeconds"],
    )


def begun_pod_of(job: dict[str, Any], plan: Plan, now: datetime, *, node: str, image_id: str) -> dict[str, Any]:
    """Write the pod of a Job as its API server would hold it while the first step runs."""
    running = {"name": plan.steps[0].name, "imageID": image_id, "state": {"running": {"startedAt": now.isoformat()}}}
    return _pod(job, plan, {"phase": "Pending", "initContainerStatuses": [running]}, now, node)


def pod_of(job: dict[str, Any], plan: Plan, ends: list[End], *, node: str, image_id: str) -> dict[str, Any]:
    """Write the pod of a Job as its API server would hold it after the last of these ends."""
    last = ends[-1]
    failed = len(ends) < len(plan.steps) or last.exit_code != 0
    statuses = [_status(step, end, image_id) for step, end in zip(plan.steps, ends, strict=False)]
    status: dict[str, Any] = {
        "phase": "Failed" if failed else "Succeeded",
        "initContainerStatuses": statuses[: len(plan.steps) - 1],
        "containerStatuses": statuses[len(plan.steps) - 1 :],
    }
    if last.late:
        status |= {"reason": "DeadlineExceeded", "message": f"the run was still active after {plan.seconds} s"}
    return _pod(job, plan, status, ends[0].started_at, node)


def _pod(job: dict[str, Any], plan: Plan, status: dict[str, Any], began: datetime, node: str) -> dict[str, Any]:
    meta = job["metadata"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": began.isoformat()}
    return {
        "metadata": {
            "name": plan.name,
            "namespace": meta["namespace"],
            "uid": f"{meta['uid']}-pod",
            "resourceVersion": "1",
            "creationTimestamp": began.isoformat(),
            "labels": meta["labels"],
            "ownerReferences": [{"kind": "Job", "uid": meta["uid"], "name": meta["name"], "controller": True}],
        },
        "spec": {"nodeName": node, "initContainers": job["spec"]["template"]["spec"]["initContainers"]},
        "status": {**status, "conditions": [scheduled]},
    }


def _step(container: dict[str, Any]) -> Step:
    return Step(
        name=container["name"],
        image=container["image"],
        command=tuple(container["command"]),
        environment={each["name"]: each["value"] for each in container["env"]},
        user=container["securityContext"]["runAsUser"],
        mounts=tuple(
            Mount(each["name"], each["mountPath"], each.get("readOnly", False)) for each in container["volumeMounts"]
        ),
        tells_by_log=container["terminationMessagePolicy"] == "FallbackToLogsOnError",
    )


def _volume(volume: dict[str, Any], config_maps: dict[str, dict[str, bytes]], dataset: Path | None) -> Volume:
    if "emptyDir" in volume:
        return Scratch(_bytes(volume["emptyDir"]["sizeLimit"]))
    if volume["name"] == "source" and dataset is not None:
        return Host(dataset)
    if "configMap" in volume:
        content = config_maps[volume["configMap"]["name"]]
        items = volume["configMap"].get("items") or [{"key": key, "path": key} for key in content]
        return Files({item["path"]: content[item["key"]] for item in items})
    kind = next(iter(volume.keys() - {"name"}))
    raise NotRunnableError(f"volume {volume['name']} is a {kind}, which only a cluster has")


def _status(step: Step, end: End, image_id: str) -> dict[str, Any]:
    message = end.message.decode(errors="replace")
    if not message and end.exit_code and step.tells_by_log:
        tail = end.log[-LOG_TAIL_BYTES:].decode(errors="replace")
        message = "".join(tail.splitlines(keepends=True)[-LOG_TAIL_LINES:])
    reason = "OOMKilled" if end.out_of_memory else "Error" if end.exit_code else "Completed"
    terminated = {
        "exitCode": end.exit_code,
        "reason": reason,
        "message": message,
        "startedAt": end.started_at.isoformat(),
        "finishedAt": end.finished_at.isoformat(),
    }
    return {"name": step.name, "imageID": image_id, "state": {"terminated": terminated}}


def _bytes(quantity: str) -> int:
    number = quantity.rstrip("kKiMG")
    return int(float(number) * _UNITS[quantity.removeprefix(number)])


def files_of(config_map: dict[str, Any]) -> dict[str, bytes]:
    """Return the content of a ConfigMap's manifest, by key."""
    text = {name: str(value).encode() for name, value in (config_map.get("data") or {}).items()}
    return text | {name: base64.b64decode(value) for name, value in (config_map.get("binaryData") or {}).items()}


def uid_of(*parts: str) -> str:
    """Return an id in the shape of Kubernetes' own, the same for the same parts."""
    digest = sha256("\0".join(parts).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
