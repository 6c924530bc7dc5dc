"""The sandbox configuration, as a person writes it."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.adapters.settings import InvalidSettingsError, load_settings
from support.cluster import CHECKOUT

CONFIG = CHECKOUT / "config" / "sandbox.yaml"

Document = dict[str, Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Document], Path]:
    """Write a configuration with a profile beside it."""

    def written(document: Document) -> Path:
        (tmp_path / "seccomp_profile.json").write_text("{}")
        path = tmp_path / "sandbox.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return written


def checked_in() -> Document:
    """Read the configuration of the checkout."""
    document: Document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return document


def test_the_checked_in_configuration_is_valid() -> None:
    """What is shipped can be used, and the strategy's ceiling is what the CRD promises."""
    settings = load_settings(CONFIG)
    assert settings.sandbox.limits.memory == "2Gi"
    assert settings.sandbox.timeouts.strategy_seconds == 300


def test_the_seccomp_profile_is_named_by_its_content() -> None:
    """Nodes and Jobs mean the same bytes."""
    content = (CHECKOUT / "config" / "seccomp_profile.json").read_bytes()
    profile = load_settings(CONFIG).seccomp
    assert profile.sha256 == sha256(content).hexdigest()
    assert profile.localhost_profile == f"finlab-sandbox/{profile.sha256[:12]}.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"maxActiveRun": 4}, "maxActiveRun: Extra inputs are not permitted"),
        ({"limits": {"cpu": "500m", "memory": "2Gi", "gpu": "1"}}, "limits.gpu: Extra inputs are not permitted"),
        ({"limits": {"cpu": "500m"}}, "limits.memory: Field required"),
        ({"timeouts": {"strategySeconds": 0, "startSeconds": 120, "evaluateSeconds": 30}}, "timeouts.strategySeconds"),
        ({"tmp": "1 GB"}, "tmp: String should match pattern"),
        ({"maxActiveRuns": 0}, "maxActiveRuns: Input should be greater than or equal to 1"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy: Input should be 'Always', 'IfNotPresent' or 'Never'"),
    ],
    ids=["misspelt", "misspelt-inside", "missing", "too-small", "no-quantity", "no-slots", "no-such-policy"],
)
def test_an_error_names_the_field(write: Callable[[Document], Path], change: Document, says: str) -> None:
    """One line says which file, which field and what is wrong with it."""
    path = write(checked_in() | change)
    with pytest.raises(InvalidSettingsError) as refusal:
        load_settings(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


def test_a_missing_profile_is_named(write: Callable[[Document], Path]) -> None:
    """A profile that is not beside the configuration is an error at the start, not at the first pod."""
    path = write(checked_in() | {"seccompProfile": "other.json"})
    with pytest.raises(InvalidSettingsError, match=r"other\.json"):
        load_settings(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"image: [", "is not YAML"),
        (b"", "Input should be a valid dictionary"),
        (b"\xff\xfe", "cannot be read"),
    ],
    ids=["yaml", "empty", "bytes"],
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    """Whatever stands in the file, the message is for the one who wrote it."""
    path = tmp_path / "sandbox.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidSettingsError) as refusal:
        load_settings(path)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
