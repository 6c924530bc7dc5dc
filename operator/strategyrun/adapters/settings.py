"""Reading of the sandbox configuration."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from strategyrun.domain.sandbox import Sandbox, SeccompProfile


@dataclass(frozen=True)
class Settings:
    """The sandbox and the seccomp profile that it names."""

    sandbox: Sandbox
    seccomp: SeccompProfile


def load_settings(path: Path) -> Settings:
    """Read sandbox.yaml and the profile beside it.

    Raises FileNotFoundError, yaml.YAMLError or pydantic.ValidationError naming what is wrong.
    """
    sandbox = Sandbox.model_validate(yaml.safe_load(path.read_text()))
    profile = path.parent / sandbox.seccomp_profile
    return Settings(sandbox, SeccompProfile.of(profile.read_bytes()))
