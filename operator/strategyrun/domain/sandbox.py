"""The SandboxProfile resource: what an administrator lets strategies run in, and what was measured of it.

config/sandbox.yaml is one of them, the one named `default`; its CRD is generated from these models (`domain.crd`).
"""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue, StringConstraints

from strategyrun.domain.model import Model, Strict, Timestamp
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.strategyrun import GROUP, TIMEOUT_CEILING_SECONDS, DnsLabel

PROFILE_KIND = "SandboxProfile"
PROFILE_PLURAL = "sandboxprofiles"
NAME_LIMIT = 63
"""A profile's name is the value of a label of its Jobs and pods."""

NODE_LABEL_PREFIX = f"seccomp.{GROUP}/"
NODE_READY = "ready"
"""Value of the label by which a node says that it holds a seccomp file, read back and found whole."""

Quantity = Annotated[str, StringConstraints(max_length=20, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")]
ImageName = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\s]+$")]
FileName = Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-zA-Z0-9][-._a-zA-Z0-9]*\.json$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Resources(Strict):
    """CPU and memory of one container."""

    cpu: Quantity = Field(description="Processor time.")
    memory: Quantity = Field(description="Memory, with what lies in memory-backed volumes.")


class Timeouts(Strict):
    """Clocks of a run, in seconds."""

    strategy_seconds: Annotated[int, Field(ge=1, le=TIMEOUT_CEILING_SECONDS)] = Field(
        description="Default and ceiling of a run's spec.timeoutSeconds."
    )
    start_seconds: Annotated[int, Field(ge=10, le=3600)] = Field(
        description="From the Job's creation until the strategy runs."
    )
    load_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        description="For reading and checking a dataset that is not built in, before it."
    )
    evaluate_seconds: Annotated[int, Field(ge=5, le=600)] = Field(description="For the trusted scoring after it.")


class FallbackImage(Strict):
    """What vetted code runs in where the sandbox cannot start."""

    image: ImageName = Field(description="An image with the harness, the evaluator, numpy and pandas.")
    image_pull_policy: PullPolicy = Field(default="IfNotPresent", description="When nodes pull it.")


def _rule(rule: str, message: str) -> dict[str, JsonValue]:
    return {"rule": rule, "message": message, "reason": "FieldValueInvalid"}


def _at_most(left: str, right: str) -> str:
    return f"quantity(self.{left}).compareTo(quantity(self.{right})) <= 0"


class Sandbox(Strict):
    """What every strategy runs in. Nothing of a StrategyRun can change it."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                _rule(_at_most("requests.cpu", "limits.cpu"), "requests.cpu must not be above limits.cpu"),
                _rule(_at_most("requests.memory", "limits.memory"), "requests.memory must not be above limits.memory"),
                _rule(
                    "!quantity(self.tmp).add(quantity(self.out)).isGreaterThan(quantity(self.limits.memory))",
                    "tmp and out lie in memory: together they must not be above limits.memory",
                ),
            ]
        }
    )

    image: ImageName = Field(description="The image with harness, evaluator and libraries; in production by digest.")
    image_pull_policy: PullPolicy = Field(default="IfNotPresent", description="When nodes pull it.")
    runtime_class_name: DnsLabel | None = Field(
        default=None, description="A RuntimeClass that puts another kernel between strategy and node: gVisor, Kata."
    )
    host_users: bool | None = Field(
        default=None,
        description="False gives a pod users of its own, nobody's on the node, where kernel and runtime can. "
        "Absent, they are the node's, without any privilege.",
    )
    seccomp_profile: FileName = Field(
        description="A file beside the operator's configuration; nodes hold it under a name made of its SHA-256."
    )
    limits: Resources = Field(description="The most that a container gets.")
    requests: Resources = Field(
        description="What a node must have free; memory is not compressible, so all of it should be asked for."
    )
    tmp: Quantity = Field(description="Size of /tmp: memory-backed, counts inside the memory limit.")
    out: Quantity = Field(description="Size of the hand-over: memory-backed; the positions leave the strategy here.")
    data: Quantity = Field(description="Size of a run's own dataset on the node's disk, checked and laid out.")
    timeouts: Timeouts
    allowed_namespaces: Annotated[tuple[DnsLabel, ...], Field(max_length=256)] | None = Field(
        default=None,
        description="Namespaces whose runs may use it; all where it is absent, none where it is empty.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    fallback: FallbackImage | None = Field(
        default=None,
        description="What vetted code may run in where the sandbox cannot start; nothing where absent, "
        "or where there is a runtimeClassName: the fallback has the nodes' own kernel.",
    )

    @property
    def falls_back(self) -> bool:
        """Whether vetted code has a second place: never in the stead of another kernel."""
        return self.fallback is not None and self.runtime_class_name is None


class SeccompProfile(Model):
    """A seccomp profile file, named on nodes by its content."""

    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "SeccompProfile":
        """Identify a profile by its bytes."""
        return cls(sha256=sha256(content).hexdigest())

    @property
    def localhost_profile(self) -> str:
        """Path below the kubelet's seccomp folder."""
        return f"finlab-sandbox/{self.sha256[:12]}.json"

    @property
    def node_label(self) -> str:
        """Label of the nodes that hold the profile; its value is `ready`."""
        return f"{NODE_LABEL_PREFIX}{self.sha256[:12]}"


class Obstacle(Model):
    """Why no pod of a profile could start now, as measured on the cluster."""

    reason: Reason
    message: str
    since: AwareDatetime


class Profile(Model):
    """A sandbox by name, with what was measured of it."""

    name: str
    sandbox: Sandbox
    seccomp: SeccompProfile
    network: str = "Applied"
    """What keeps its pods off the network: a value of `Network`, or `Applied` where nobody measures."""
    obstacle: Obstacle | None = None

    def allows(self, namespace: str) -> bool:
        """Whether runs of a namespace may use it."""
        allowed = self.sandbox.allowed_namespaces
        return allowed is None or namespace in allowed


class ProfileConditionType(StrEnum):
    """What is measured of a profile."""

    SECCOMP_INSTALLED = "SeccompInstalled"
    IMAGE_AVAILABLE = "ImageAvailable"
    NETWORK_ISOLATED = "NetworkIsolated"
    READY = "Ready"


class Network(StrEnum):
    """What keeps the pods of a profile off the network, as measured."""

    POLICY_AND_SECCOMP = "Policy+Seccomp"
    SECCOMP_ONLY = "SeccompOnly"
    UNKNOWN = "Unknown"


class ProfileCondition(Model):
    """A fact about the profile that a program can wait for."""

    type: ProfileConditionType = Field(
        description="SeccompInstalled, ImageAvailable, NetworkIsolated, and Ready (a pod of it can start)."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word for programs.")
    message: str = Field(default="", description="One sentence for people.")
    observed_generation: int = Field(description="The metadata.generation that the condition speaks of.")
    last_transition_time: Timestamp = Field(description="When the condition's status changed last.")


class SandboxProfileStatus(Model):
    """What the operator measured of the profile; never what it assumes."""

    observed_generation: int = Field(description="The metadata.generation that was looked at.")
    seccomp_sha256: str | None = Field(
        default=None,
        alias="seccompSHA256",
        description="Of the file that spec.seccompProfile names; absent where the operator has no such file.",
    )
    network: Network = Field(
        default=Network.UNKNOWN,
        description="Policy+Seccomp: NetworkPolicies are enforced, and sockets are refused. SeccompOnly: sockets alone "
        "are refused. Unknown: the measurement proved nothing.",
    )
    measured_at: Timestamp | None = Field(default=None, description="When pods were started to measure it.")
    conditions: tuple[ProfileCondition, ...] = Field(
        default=(),
        description="SeccompInstalled, ImageAvailable, NetworkIsolated, Ready.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )

    def condition(self, kind: ProfileConditionType) -> ProfileCondition | None:
        """Find a condition."""
        return next((each for each in self.conditions if each.type is kind), None)


class SandboxProfile(Model):
    """The resource: its name, its sandbox, and what was measured of it at an earlier time."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
    generation: int = 1
    spec: Sandbox
    status: SandboxProfileStatus | None = None

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "SandboxProfile":
        """Read a manifest, of the API server or of a file.

        Raises ValidationError.
        """
        meta = body.get("metadata") or {}
        return cls.model_validate(
            {
                "name": meta.get("name", ""),
                "generation": meta.get("generation", 1),
                "spec": body.get("spec"),
                "status": body.get("status"),
            }
        )
