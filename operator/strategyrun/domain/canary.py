"""The pods that measure a profile, and what their answers mean.

Four roles. `free` and `bound` differ in one thing: `bound` carries the label that the deny-all NetworkPolicy
selects. What `free` reached and `bound` did not, the policy took. Where `free` reached nothing, nothing is proved.
`peer` is there to be reached. `sandbox` has the hardened shape of a strategy's pod: it tells whether image, runtime
class and seccomp file load, and whether the file refuses sockets.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.hardening import STRATEGY_UID, container_isolation
from strategyrun.domain.job import placement
from strategyrun.domain.observation import ContainerState, observe_container
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.sandbox import Network, Profile
from strategyrun.domain.strategyrun import GROUP, Executor
from strategyrun.domain.text import clean
from strategyrun.domain.verdict import waiting_reason

CANARY_NAMESPACE = "finlab-sandbox-canary"
"""It has no other pods, and the admission policies name it."""

COMMAND = ("python3", "-P", "-s", "-m", "finlab_sandbox.canary")
COMPONENT = "canary"
ROLE_LABEL = f"{GROUP}/canary"
SERIAL_LABEL = f"{GROUP}/canary-serial"
DEADLINE_SECONDS = 120
MEMORY = "128Mi"
ROLE_VARIABLE = "FINLAB_CANARY"
PEER_VARIABLE = "FINLAB_CANARY_PEER"
_CONTAINER = "canary"
_MESSAGE_LIMIT = 300


class Role(StrEnum):
    """What a canary does."""

    PEER = "peer"
    FREE = "free"
    BOUND = "bound"
    SANDBOX = "sandbox"


def canary_job(profile: Profile, role: Role, *, namespace: str, serial: str, peer: str = "") -> dict[str, Any]:
    """Build the Job of one role; `serial` tells one measurement from the next, `peer` is the address to reach."""
    sandbox = profile.sandbox
    labels = {
        naming.COMPONENT_LABEL: COMPONENT,
        naming.PROFILE_LABEL: profile.name,
        ROLE_LABEL: role.value,
        SERIAL_LABEL: serial,
        **({naming.MANAGED_BY_LABEL: naming.MANAGED_BY} if role in (Role.BOUND, Role.SANDBOX) else {}),
    }
    name = f"{naming.readable(profile.name)}-{role}-{serial}"
    variables = {ROLE_VARIABLE: role.value, **({PEER_VARIABLE: peer} if peer else {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": DEADLINE_SECONDS,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    **(placement(profile, Executor.SANDBOX) if role is Role.SANDBOX else _pod()),
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": _CONTAINER,
                            "image": sandbox.image,
                            "imagePullPolicy": sandbox.image_pull_policy,
                            "command": list(COMMAND),
                            "env": [{"name": name, "value": value} for name, value in variables.items()],
                            "securityContext": container_isolation(STRATEGY_UID),
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "32Mi"},
                                "limits": {"cpu": sandbox.limits.cpu, "memory": MEMORY},
                            },
                        }
                    ],
                },
            },
        },
    }


def _pod() -> dict[str, Any]:
    """Return a pod without our seccomp file: what is refused there, a NetworkPolicy refuses."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": STRATEGY_UID,
            "runAsGroup": STRATEGY_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


@dataclass(frozen=True)
class Canary:
    """A pod that measures, as the API server shows it."""

    role: str
    address: str | None
    container: ContainerState
    unscheduled: str | None
    gone: bool

    @property
    def answered(self) -> bool:
        """Whether it said all that it will say."""
        return self.container.terminated or self.gone or waiting_reason(self.container) is not None


def observe_canary(body: dict[str, Any]) -> Canary:
    """Read a pod of the API server."""
    status = body.get("status") or {}
    scheduled: dict[str, Any] = next((c for c in status.get("conditions") or [] if c["type"] == "PodScheduled"), {})
    return Canary(
        role=(body["metadata"].get("labels") or {}).get(ROLE_LABEL, ""),
        address=status.get("podIP"),
        container=observe_container(status.get("containerStatuses"), _CONTAINER),
        unscheduled=scheduled.get("message") if scheduled.get("reason") == "Unschedulable" else None,
        gone=status.get("phase") in ("Succeeded", "Failed"),
    )


@dataclass(frozen=True)
class Finding:
    """Whether something holds, which is not known where it was not to be measured, and one word and sentence why."""

    holds: bool | None
    reason: str
    message: str


@dataclass(frozen=True)
class Measurement:
    """What the pods of one profile told."""

    at: datetime
    network: Network
    network_message: str
    image: Finding
    seccomp: Finding
    """Whether the file, where a node holds it, loads and refuses sockets."""
    trouble: Reason | None = None
    """Why a hardened pod did not start or did not hold, for the runs that would not either."""
    threads: str = ""
    """What a hardened pod found of a limit of its threads: a node's kubelet has it, or none has."""


def conclude(pods: tuple[Canary, ...], at: datetime, *, refused: str = "") -> Measurement:
    """Tell what the pods' answers mean; `refused` is what the API server said to a Job, if it took one of them not."""
    by_role = {pod.role: pod for pod in pods}
    network, message = _network(by_role.get(Role.FREE), by_role.get(Role.BOUND), refused)
    image, seccomp, trouble = _sandbox(by_role.get(Role.SANDBOX), by_role.values(), refused)
    return Measurement(at, network, message, image, seccomp, trouble, _threads(_answer(by_role.get(Role.SANDBOX))))


def _network(free: Canary | None, bound: Canary | None, refused: str) -> tuple[Network, str]:
    open_to, left = _answer(free), _answer(bound)
    reached = _words(open_to.get("reached")) if open_to else frozenset()
    if not reached:
        unproved = "an unlabelled pod reached nothing, so that a labelled one would prove nothing"
        return Network.UNKNOWN, refused or _silence(free) or unproved
    if left is None:
        return Network.UNKNOWN, refused or _silence(bound) or "the labelled pod did not answer"
    names = ", ".join(sorted(reached))
    if leaked := reached & _words(left.get("reached")):
        return Network.SECCOMP_ONLY, f"no NetworkPolicy holds: a pod under deny-all reached {', '.join(sorted(leaked))}"
    seconds = left.get("seconds")
    return Network.POLICY_AND_SECCOMP, f"a pod under deny-all was cut off from {names} after {seconds} s"


def _sandbox(pod: Canary | None, all_pods: Any, refused: str) -> tuple[Finding, Finding, Reason | None]:
    image = _image(pod, all_pods)
    unknown = Finding(None, "NotMeasured", refused or _silence(pod) or "no pod in the hardened shape has answered")
    if pod is None:
        return image, unknown, None
    answer = _answer(pod)
    if answer is None:
        reason = waiting_reason(pod.container)
        if reason is None or reason is Reason.IMAGE_PULL_FAILED:
            return image, unknown, reason
        return image, Finding(False, reason, _short(pod.container.message)), reason
    opened = ", ".join(sorted(_words(answer.get("opened"))))
    if opened or answer.get("filtered") is not True:
        message = f"a pod with the seccomp file opened {opened}" if opened else "no seccomp filter is in force in a pod"
        return image, Finding(False, "NotEnforced", message), Reason.SECCOMP_PROFILE_MISSING
    return image, Finding(True, "Enforced", "a pod with the seccomp file was refused every socket"), None


def _threads(answer: dict[str, Any] | None) -> str:
    most = answer.get("threads", False) if answer else False
    if most is None:
        return "nothing limits its threads: set podPidsLimit for the kubelets"
    return f"it had {most} threads when one was refused" if isinstance(most, int) and most else ""


def _image(pod: Canary | None, all_pods: Any) -> Finding:
    for each in (pod, *all_pods):
        if each and (each.container.running or _answer(each) is not None):
            return Finding(True, "Started", f"a container of it started ({each.container.image_id or 'by its name'})")
    for each in (pod, *all_pods):
        if each and waiting_reason(each.container) in (Reason.IMAGE_PULL_FAILED, Reason.IMAGE_INVALID):
            reason = str(waiting_reason(each.container))
            return Finding(False, reason, _short(f"{each.container.waiting}: {each.container.message}"))
    return Finding(None, "NotMeasured", "no pod of it has started")


def _answer(pod: Canary | None) -> dict[str, Any] | None:
    """Read what a pod that ended well said; what is no answer is none."""
    if pod is None or not pod.container.terminated or pod.container.exit_code != 0:
        return None
    try:
        said = json.loads(pod.container.message)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _silence(pod: Canary | None) -> str:
    """Say why a pod did not answer, as far as it shows."""
    if pod is None:
        return ""
    if pod.unscheduled:
        return _short(pod.unscheduled)
    if waiting_reason(pod.container):
        return _short(f"{pod.container.waiting}: {pod.container.message}")
    if pod.container.terminated and pod.container.exit_code != 0:
        return f"a pod ended with exit code {pod.container.exit_code}"
    return ""


def _words(value: object) -> frozenset[str]:
    return frozenset(str(each)[:20] for each in value) if isinstance(value, list) else frozenset()


def _short(text: str) -> str:
    return clean(text)[:_MESSAGE_LIMIT]
