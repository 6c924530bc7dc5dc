"""The sandbox configuration (config/sandbox.yaml) as a value."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from strategyrun.domain.model import Model
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.strategyrun import GROUP

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")]


class _Strict(Model):
    """Configuration is written by hand: a misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid")


class Resources(_Strict):
    """CPU and memory of one container."""

    cpu: Quantity
    memory: Quantity


class Timeouts(_Strict):
    """Clocks of a run, in seconds."""

    strategy_seconds: Annotated[int, Field(ge=1, le=300)]
    start_seconds: Annotated[int, Field(ge=10)]
    load_seconds: Annotated[int, Field(ge=5)]
    evaluate_seconds: Annotated[int, Field(ge=5)]


class FallbackImage(_Strict):
    """What vetted code runs in where the sandbox cannot start."""

    image: str
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class Sandbox(_Strict):
    """What every strategy runs in. Nothing of a StrategyRun can change it."""

    image: str
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    seccomp_profile: str
    limits: Resources
    requests: Resources
    tmp: Quantity
    out: Quantity
    data: Quantity
    timeouts: Timeouts
    max_active_runs: Annotated[int, Field(ge=1)]
    runtime_class_name: str | None = None
    allowed_namespaces: tuple[str, ...] | None = None
    """Namespaces whose runs may use it; None for all."""
    fallback: FallbackImage | None = None


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
        return f"seccomp.{GROUP}/{self.sha256[:12]}"


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
    """What keeps its pods off the network."""
    obstacle: Obstacle | None = None

    def allows(self, namespace: str) -> bool:
        """Whether runs of a namespace may use it."""
        allowed = self.sandbox.allowed_namespaces
        return allowed is None or namespace in allowed
