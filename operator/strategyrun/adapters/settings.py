"""Reading of the configuration: the operator's own settings, the profile beside them, and the seccomp files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from strategyrun.domain.canary import CANARY_NAMESPACE
from strategyrun.domain.model import Strict, complaint
from strategyrun.domain.sandbox import Profile, SandboxProfile, SeccompProfile

OPERATOR_FILE = "operator.yaml"


class QueueSettings(Strict):
    """How many runs may be active at once."""

    max_active_runs: Annotated[int, Field(ge=1)]
    max_active_runs_per_namespace: Annotated[int, Field(ge=1)]


class CanarySettings(Strict):
    """How often profiles are measured."""

    every_seconds: Annotated[int, Field(ge=30)]


class OperatorFile(Strict):
    """What operator.yaml says."""

    queue: QueueSettings
    canary: CanarySettings


@dataclass(frozen=True)
class Settings:
    """The default profile, what may run at once, how profiles are measured, and the seccomp files by name."""

    profile: Profile
    queue: QueueSettings
    canary: CanarySettings
    seccomp: dict[str, SeccompProfile]
    canary_namespace: str = CANARY_NAMESPACE
    """In no file: the admission policies name it."""


class InvalidSettingsError(Exception):
    """The configuration cannot be used; the message is one line that says what to mend."""


def load_settings(path: Path, seccomp_folder: Path | None = None) -> Settings:
    """Read sandbox.yaml, operator.yaml beside it, and the seccomp files of a folder (by default the same).

    Raises InvalidSettingsError.
    """
    seccomp = {name: SeccompProfile.of(content) for name, content in seccomp_files(seccomp_folder or path.parent)}
    profile = _profile(path)
    if profile.spec.seccomp_profile not in seccomp:
        found = ", ".join(seccomp) or "none"
        raise InvalidSettingsError(
            f"{path}: spec.seccompProfile: no file {profile.spec.seccomp_profile}; found {found}"
        )
    beside = path.parent / OPERATOR_FILE
    try:
        own = OperatorFile.model_validate(_document(beside))
    except ValidationError as error:
        raise InvalidSettingsError(f"{beside}: {complaint(error)}") from error
    default = Profile(name=profile.name, sandbox=profile.spec, seccomp=seccomp[profile.spec.seccomp_profile])
    return Settings(default, own.queue, own.canary, seccomp)


def seccomp_files(folder: Path) -> list[tuple[str, bytes]]:
    """Read every *.json of a folder, by name.

    Raises InvalidSettingsError.
    """
    try:
        return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    except OSError as error:
        raise InvalidSettingsError(f"{folder} cannot be read: {error}") from error


def _profile(path: Path) -> SandboxProfile:
    try:
        document = _document(path)
        return SandboxProfile.parse(document if isinstance(document, dict) else {})
    except ValidationError as error:
        raise InvalidSettingsError(f"{path}: {complaint(error)}") from error


def _document(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InvalidSettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error}") from error
