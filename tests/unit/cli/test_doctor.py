"""What the doctor makes of what it finds."""

import pytest
import yaml

from strategyrun.cli.doctor import OPERATOR_LABEL, readiness
from support.cluster import CHECKOUT, Manifest


@pytest.fixture
def deployment() -> Manifest:
    """The operator as it is installed, in a namespace of somebody's choice."""
    documents = yaml.safe_load_all((CHECKOUT / "manifests" / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    found: Manifest = next(each for each in documents if each["kind"] == "Deployment")
    found["metadata"]["namespace"] = "quants"
    return found


def test_the_operator_is_known_by_its_label(deployment: Manifest) -> None:
    """Which both ways to install it set."""
    name, value = OPERATOR_LABEL.split("=")
    assert deployment["metadata"]["labels"][name] == value
    chart = CHECKOUT / "charts" / "finlab-sandbox-operator" / "templates" / "deployment.yaml"
    assert f"{name}: {value}" in chart.read_text(encoding="utf-8")


def test_an_operator_may_be_in_any_namespace(deployment: Manifest) -> None:
    """The words and the command name the one where it was found."""
    waiting = readiness(deployment)
    assert (waiting.level, waiting.said) == ("fail", "no pod of finlab-sandbox-operator in quants is ready")
    assert waiting.fix == "kubectl logs -n quants deployment/finlab-sandbox-operator"
    ready = readiness(deployment | {"status": {"readyReplicas": 1}})
    assert (ready.level, ready.said.partition(",")[0]) == ("ok", "finlab-sandbox-operator in quants is ready")
