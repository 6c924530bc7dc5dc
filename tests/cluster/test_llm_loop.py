"""The loop of a language model: five strategies of very different fate, and five answers that tell them apart."""

from collections.abc import Iterator
from secrets import token_hex

import pytest
import yaml

from strategyrun import Client, Result, Trial
from strategyrun.adapters.runs import RunsApi
from support.cluster import CHECKOUT, Cluster, Kind, Manifest, nothing, refusal
from support.operator import configuration_of
from support.waiting import wait_until

PROFILE = Kind("finlab-sandbox.dev/v1alpha1", "SandboxProfile")
ROLE = Kind("rbac.authorization.k8s.io/v1", "ClusterRole")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")


def sample(name: str) -> tuple[str, dict[str, object]]:
    """Read source and parameters of one of the project's own strategies."""
    spec = yaml.safe_load((CHECKOUT / "manifests" / "samples" / f"{name}.yaml").read_text())["spec"]
    return spec["source"]["inline"], spec["params"]


@pytest.fixture
def client(cluster: Cluster, namespace: str) -> Iterator[Client]:
    """The client of the test's namespace."""

    async def connect() -> RunsApi:
        return RunsApi(await configuration_of(cluster))

    with Client(namespace, connect=connect) as opened:
        yield opened


@pytest.fixture
def without_image(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A profile like the default one, which the operator may use, and whose image is nowhere."""
    spec = cluster.get(PROFILE, "default")["spec"]
    name = f"no-image-{token_hex(3)}"
    image = {"image": f"finlab-sandbox:nowhere-{token_hex(3)}", "imagePullPolicy": "Never"}
    role = {"apiGroup": ROLE.api_version.partition("/")[0], "kind": ROLE.kind, "name": name}
    use = {
        "apiGroups": ["finlab-sandbox.dev"],
        "resources": ["sandboxprofiles"],
        "resourceNames": [name],
        "verbs": ["use"],
    }
    operator = {"kind": "ServiceAccount", "name": "finlab-sandbox-operator", "namespace": "finlab-sandbox-system"}
    made: dict[Kind, Manifest] = {
        ROLE: {"rules": [use]},
        ROLE_BINDING: {"roleRef": role, "subjects": [operator]},
        PROFILE: {"spec": spec | image | {"allowedNamespaces": [namespace]}},
    }
    for kind, fields in made.items():
        head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}
        cluster.create(head | fields)
    yield name
    for kind in made:
        wait_until(
            "the policies see that the role is gone",
            lambda kind=kind: refusal(lambda: cluster.delete(kind, name)),  # type: ignore[misc]
            nothing,
        )


def test_five_iterations_get_five_right_answers(client: Client, without_image: str) -> None:
    """Two rank; one names its mistake, one is caught looking ahead, one ran in the fallback and is marked so."""
    turtle, entry = sample("turtle")
    momentum, lookback = sample("momentum")
    fail = {"lookAhead": {"action": "Fail"}}
    loop = [
        Trial(turtle, params=entry, evaluation=fail, name="turtle"),
        Trial(momentum, params=lookback | {"lookback": 126}, evaluation=fail, name="momentum"),
        Trial(turtle.replace('params["atr"]', 'params["ATR"]'), params=entry, evaluation=fail, name="broken"),
        Trial(
            momentum.replace("rise = close.shift(", "rise = close.shift(-"),
            params=lookback,
            evaluation=fail,
            name="peeks",
        ),
        Trial(momentum, params=lookback, evaluation=fail, name="fallback", profile=without_image),
    ]
    answers: dict[str, Result] = {}
    for result in client.evaluate_many(loop, concurrency=3):
        assert result.trial is not None
        answers[result.trial.name] = result
    assert set(answers) == {"turtle", "momentum", "broken", "peeks", "fallback"}

    for name in ("turtle", "momentum"):
        assert answers[name].ranks, answers[name]
        assert answers[name].metrics.sharpe is not None
        assert answers[name].executor == "Sandbox"

    broken = answers["broken"]
    assert (broken.outcome, broken.reason) == ("User", "StrategyError")
    assert broken.failure is not None
    assert "KeyError: 'ATR'" in broken.failure.last_lines

    peeks = answers["peeks"]
    assert (peeks.outcome, peeks.reason) == ("User", "LookAheadDetected")
    assert "LookAhead" in peeks.marks

    fallback = answers["fallback"]
    assert fallback.succeeded, fallback
    assert fallback.fallback is not None
    assert (fallback.executor, fallback.fallback.used, fallback.fallback.trigger) == (
        "Fallback",
        True,
        "ImagePullFailed",
    )
    assert fallback.metrics.sharpe is not None
    assert fallback.marks == ("Fallback",)

    board = client.top("sharpe")
    assert {place.result.name for place in board} == {answers[name].name for name in ("turtle", "momentum")}
    assert [place.value for place in board] == sorted((place.value for place in board), reverse=True)
    assert board.left_out == {"Fallback": 1, "failed": 2}
    everything = {place.result.name: place.rank for place in client.top("sharpe", everything=True)}
    assert everything[fallback.name] is None
