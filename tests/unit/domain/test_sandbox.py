"""The sandbox configuration."""

from hashlib import sha256

import pytest
import yaml
from pydantic import ValidationError

from strategyrun.domain.sandbox import Sandbox, SandboxProfile, SeccompProfile
from support.builders import SANDBOX
from support.cluster import CHECKOUT


def test_the_checked_in_configuration_is_the_documented_sandbox() -> None:
    """2Gi and half a CPU, /tmp of 1Gi, five minutes."""
    sandbox = SandboxProfile.parse(yaml.safe_load((CHECKOUT / "config/sandbox.yaml").read_text())).spec
    assert sandbox.limits.document() == {"cpu": "500m", "memory": "2Gi"}
    assert sandbox.tmp == "1Gi"
    assert sandbox.timeouts.strategy_seconds == 300


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"imagePulPolicy": "Always"}, "imagePulPolicy", id="misspelt-key"),
        pytest.param({"tmp": "1 GiB"}, "tmp", id="no-quantity"),
        pytest.param({"limits": {"cpu": "500m"}}, "limits.memory", id="limit-missing"),
        pytest.param({"limits": {"cpu": "500m", "memory": "2Gi", "gpu": "1"}}, "limits.gpu", id="unknown-limit"),
        pytest.param({"maxActiveRuns": 4}, "maxActiveRuns", id="of-the-queue"),
        pytest.param({"image": "a b"}, "image", id="no-image"),
        pytest.param({"seccompProfile": "../other.json"}, "seccompProfile", id="another-folder"),
        pytest.param({"runtimeClassName": "gVisor"}, "runtimeClassName", id="no-runtime-class"),
        pytest.param({"fallback": {}}, "fallback.image", id="fallback-without-image"),
        pytest.param(
            {"timeouts": {"strategySeconds": 301, "startSeconds": 120, "evaluateSeconds": 30}},
            "timeouts.strategySeconds",
            id="longer-than-the-schema-allows",
        ),
        pytest.param({"imagePullPolicy": "Sometimes"}, "imagePullPolicy", id="policy"),
    ],
)
def test_a_mistake_is_named(change: dict[str, object], complaint: str) -> None:
    """What is written by hand is refused where it is wrong, by the name of its place."""
    with pytest.raises(ValidationError) as refusal:
        Sandbox.model_validate(SANDBOX.document() | change)
    assert complaint in {".".join(map(str, error["loc"])) for error in refusal.value.errors()}


def test_a_seccomp_profile_is_named_by_its_content() -> None:
    """One byte more is another profile under another name."""
    content = b'{"defaultAction": "SCMP_ACT_ERRNO"}'
    profile = SeccompProfile.of(content)
    assert profile.sha256 == sha256(content).hexdigest()
    assert profile.localhost_profile == f"finlab-sandbox/{profile.sha256[:12]}.json"
    assert SeccompProfile.of(content + b"\n").localhost_profile != profile.localhost_profile
