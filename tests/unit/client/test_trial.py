"""What is asked for, as the spec that is sent."""

from pathlib import Path
from typing import Any

import pytest

from strategyrun import Trial
from strategyrun.client import NotAskedError
from strategyrun.client.trial import dataset_of
from strategyrun.domain.strategyrun import StrategyRunSpec


def test_what_is_left_out_stays_out() -> None:
    """The cluster's defaults are the cluster's."""
    assert Trial("x = 1").spec() == {"source": {"inline": "x = 1"}}


def test_every_field_reaches_the_spec() -> None:
    """In the API's own names, whichever of the two spellings was used, and the operator reads them so."""
    asked = Trial(
        "x = 1",
        params={"fast_days": 3},
        dataset="us-stocks",
        evaluation={"fees_bps": 5, "lookAhead": {"action": "Fail"}},
        profile="strict",
        timeout_seconds=60,
        fallback="Never",
        priority=-5,
        report="Discard",
        ttl_seconds_after_finished=0,
        retry_limit=0,
    ).spec()
    assert asked["params"] == {"fast_days": 3}
    assert asked["evaluation"] == {"feesBps": 5, "lookAhead": {"action": "Fail"}}
    read = StrategyRunSpec.model_validate(asked)
    assert read.evaluation.fees_bps == 5
    assert (read.profile, read.timeout_seconds, read.priority, read.fallback.policy) == ("strict", 60, -5, "Never")
    assert (read.report, read.ttl_seconds_after_finished, read.retry.limit) == ("Discard", 0, 0)
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == asked


def test_labels_are_of_the_metadata_and_not_of_the_spec() -> None:
    """Kueue's queue is one of them; whether they fit is for the API server to say."""
    labels = {"night": "first", "kueue.x-k8s.io/queue-name": "research"}
    trial = Trial("x = 1", labels=labels)
    assert trial.metadata("mine") == {"name": "mine", "labels": labels}
    assert trial.spec() == {"source": {"inline": "x = 1"}}
    assert Trial("x = 1").metadata("mine") == {"name": "mine"}
    with pytest.raises(NotAskedError, match="labels: must be JSON: "):
        Trial("x = 1", labels={"night": object()}).metadata("mine")  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("us-stocks", {"builtin": "us-stocks"}),
        ("configmap:mine", {"configMapRef": {"name": "mine"}}),
        ("configmap:mine/a.csv", {"configMapRef": {"name": "mine", "key": "a.csv"}}),
        ("pvc:claim/a/b", {"persistentVolumeClaim": {"claimName": "claim", "path": "a/b"}}),
        ("image:host:5000/x@sha256:00", {"image": {"reference": "host:5000/x@sha256:00"}}),
    ],
)
def test_a_dataset_is_named_in_a_word(text: str, expected: dict[str, Any]) -> None:
    """Each of the four sources, or the fields themselves."""
    assert dataset_of(text) == {"name": "prices"} | expected
    assert dataset_of(expected) == {"name": "prices"} | expected


@pytest.mark.parametrize("text", ["s3:bucket", "configmap:", "image:"])
def test_a_dataset_that_there_is_not_is_refused(text: str) -> None:
    """With what may be written."""
    with pytest.raises(NotAskedError, match=r"must be a built-in name such as us-stocks, configmap:NAME"):
        dataset_of(text)


def test_a_file_of_this_machine_is_no_dataset_of_a_cluster() -> None:
    """It is said how prices reach one, before anything is sent."""
    with pytest.raises(NotAskedError, match=r"^dataset prices\.csv: a cluster does not see .* volume \(pvc:CLAIM"):
        Trial("x = 1", dataset=Path("prices.csv")).spec()


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")], ids=["object", "set", "nan"])
def test_what_is_no_json_is_refused(value: object) -> None:
    """By the field's name, before anything is sent."""
    with pytest.raises(NotAskedError, match="params: must be JSON: "):
        Trial("x = 1", params={"a": value}).spec()


def test_a_file_gives_its_source_and_its_name(tmp_path: Path) -> None:
    """Names are made for Kubernetes."""
    path = tmp_path / "My Strategy_2.py"
    path.write_text("x = 1")
    trial = Trial(path)
    assert trial.spec()["source"]["inline"] == "x = 1"
    assert trial.prefix == "my-strategy-2"
    assert Trial("x", name="動能").prefix == "run"
    with pytest.raises(NotAskedError, match=r"nowhere.py cannot be read"):
        Trial(tmp_path / "nowhere.py").spec()
