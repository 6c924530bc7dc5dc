"""The sandbox configuration, as a person writes it."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from strategyrun.adapters.settings import InvalidSettingsError, load_settings
from strategyrun.domain.strategyrun import DEFAULT_PROFILE
from support.cluster import CHECKOUT

CONFIG = CHECKOUT / "config" / "sandbox.yaml"

Document = dict[str, Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Document], Path]:
    """Write a configuration with a profile beside it."""

    def written(document: Document) -> Path:
        (tmp_path / "seccomp_profile.json").write_text("{}")
        (tmp_path / "operator.yaml").write_text(OPERATOR)
        path = tmp_path / "sandbox.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return written


OPERATOR = CONFIG.with_name("operator.yaml").read_text(encoding="utf-8")


def checked_in(**changes: Any) -> Document:
    """Read the profile of the checkout, and change fields of its spec."""
    document: Document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    document["spec"] |= changes
    return document


def test_the_checked_in_configuration_is_valid() -> None:
    """What is shipped can be used, and the strategy's ceiling is what the CRD promises."""
    settings = load_settings(CONFIG)
    assert settings.profile.name == DEFAULT_PROFILE
    assert settings.profile.sandbox.limits.memory == "2Gi"
    assert settings.profile.sandbox.timeouts.strategy_seconds == 300
    assert settings.queue.max_active_runs >= settings.queue.max_active_runs_per_namespace >= 1


def test_the_seccomp_profile_is_named_by_its_content() -> None:
    """Nodes and Jobs mean the same bytes."""
    content = (CHECKOUT / "config" / "seccomp_profile.json").read_bytes()
    settings = load_settings(CONFIG)
    profile = settings.profile.seccomp
    assert settings.seccomp == {"seccomp_profile.json": profile}
    assert profile.sha256 == sha256(content).hexdigest()
    assert profile.localhost_profile == f"finlab-sandbox/{profile.sha256[:12]}.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"maxActiveRuns": 4}, "spec.maxActiveRuns: Extra inputs are not permitted"),
        ({"limits": {"cpu": "500m", "memory": "2Gi", "gpu": "1"}}, "spec.limits.gpu: Extra inputs are not permitted"),
        ({"limits": {"cpu": "500m"}}, "spec.limits.memory: Field required"),
        (
            {"timeouts": {"strategySeconds": 0, "startSeconds": 120, "evaluateSeconds": 30}},
            "spec.timeouts.strategySeconds",
        ),
        ({"tmp": "1 GB"}, "spec.tmp: String should match pattern"),
        ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy: Input should be 'Always', 'IfNotPresent' or 'Never'"),
    ],
    ids=["misspelt", "misspelt-inside", "missing", "too-small", "no-quantity", "no-such-policy"],
)
def test_an_error_names_the_field(write: Callable[[Document], Path], change: Document, says: str) -> None:
    """One line says which file, which field and what is wrong with it."""
    path = write(checked_in(**change))
    with pytest.raises(InvalidSettingsError) as refusal:
        load_settings(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


def test_a_missing_profile_is_named(write: Callable[[Document], Path]) -> None:
    """A profile that is not beside the configuration is an error at the start, not at the first pod."""
    path = write(checked_in(seccompProfile="other.json"))
    with pytest.raises(InvalidSettingsError, match=r"no file other\.json; found seccomp_profile\.json"):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("queue: {maxActiveRuns: 0, maxActiveRunsPerNamespace: 1}", "queue.maxActiveRuns: Input should be greater"),
        ("queue: {maxActiveRuns: 1}", "queue.maxActiveRunsPerNamespace: Field required"),
        (OPERATOR + "\nprofile: {}", "profile: Extra inputs are not permitted"),
        ("canary: {namespace: other, everySeconds: 900}", "canary.namespace: Extra inputs are not permitted"),
        ("[", "is not YAML"),
        (None, "cannot be read"),
    ],
    ids=["no-slots", "missing", "unknown", "no-choice-of-namespace", "no-yaml", "no-file"],
)
def test_the_operators_own_settings_are_checked_too(
    write: Callable[[Document], Path], text: str | None, says: str
) -> None:
    """They stand in a file of their own, beside the profile."""
    path = write(checked_in())
    own = path.with_name("operator.yaml")
    own.unlink()
    if text is not None:
        whole = yaml.safe_load(OPERATOR) | (yaml.safe_load(text) if text != "[" else {})
        own.write_text(text if text == "[" else yaml.safe_dump(whole))
    with pytest.raises(InvalidSettingsError, match=r"operator\.yaml") as refusal:
        load_settings(path)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_seccomp_files_may_lie_in_a_folder_of_their_own(write: Callable[[Document], Path], tmp_path: Path) -> None:
    """Every *.json of it is one that a profile may name."""
    folder = tmp_path / "seccomp"
    folder.mkdir()
    (folder / "seccomp_profile.json").write_text("{}")
    (folder / "strict.json").write_text("[]")
    settings = load_settings(write(checked_in()), folder)
    assert set(settings.seccomp) == {"seccomp_profile.json", "strict.json"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"image: [", "is not YAML"),
        (b"", "String should have at least 1 character"),
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
