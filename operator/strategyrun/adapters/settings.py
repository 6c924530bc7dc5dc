"""Reading of the sandbox configuration."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from strategyrun.domain.model import complaint
from strategyrun.domain.sandbox import Profile, Sandbox, SeccompProfile
from strategyrun.domain.strategyrun import DEFAULT_PROFILE


@dataclass(frozen=True)
class Settings:
    """The sandbox and the seccomp profile that it names."""

    sandbox: Sandbox
    seccomp: SeccompProfile

    @property
    def profile(self) -> Profile:
        """The default profile."""
        return Profile(name=DEFAULT_PROFILE, sandbox=self.sandbox, seccomp=self.seccomp)


class InvalidSettingsError(Exception):
    """The configuration cannot be used; the message is one line that says what to mend."""


def load_settings(path: Path) -> Settings:
    """Read sandbox.yaml and the profile beside it.

    Raises InvalidSettingsError.
    """
    try:
        sandbox = Sandbox.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        profile = path.parent / sandbox.seccomp_profile
        return Settings(sandbox, SeccompProfile.of(profile.read_bytes()))
    except ValidationError as error:
        raise InvalidSettingsError(f"{path}: {complaint(error)}") from error
    except yaml.YAMLError as error:
        raise InvalidSettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error}") from error
