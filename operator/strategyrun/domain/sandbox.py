"""The sandbox configuration (config/sandbox.yaml) as a value."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from strategyrun.domain.model import Model

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
