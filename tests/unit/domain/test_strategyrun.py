"""The resource as the operator reads it."""

import pytest
from hypothesis import given
from pydantic import ValidationError

from strategyrun.domain.strategyrun import NOT_SEEN, Phase, StrategyRun, written_status
from support.builders import CODE, NOW, Document, make_run, run_body, specs


def test_reads_what_the_api_server_returns() -> None:
    """Metadata that decisions are made of, and the spec with its defaults."""
    run = make_run("momentum", namespace="research", generation=3, version=42, rerun="again")
    assert (run.name, run.namespace, run.generation, run.resource_version) == ("momentum", "research", 3, "42")
    assert (run.created_at, run.rerun, run.deleting, run.status) == (NOW, "again", False, None)
    assert run.spec.source.inline == CODE
    assert run.spec.retry.limit == 2
    assert [dataset.builtin for dataset in run.spec.datasets] == ["us-stocks"]


def test_kueues_labels_are_read() -> None:
    """Queue and priority; other labels are nobody's business."""
    body = run_body()
    queued = {"kueue.x-k8s.io/queue-name": "team-a", "kueue.x-k8s.io/priority-class": "urgent", "team": "a"}
    body["metadata"]["labels"] = queued
    run = StrategyRun.parse(body)
    assert (run.kueue_queue, run.kueue_priority) == ("team-a", "urgent")
    assert (make_run().kueue_queue, make_run().kueue_priority) == (None, None)


def test_a_run_that_is_being_deleted_says_so() -> None:
    """A foreground deletion leaves it visible for a while."""
    assert make_run(deleting=True).deleting


def test_an_empty_status_is_no_status() -> None:
    """Somebody who patches a status to {} starts the run anew."""
    assert make_run(status={}).status is None


def test_what_stands_in_for_a_status_is_no_status() -> None:
    """The API server shows it until an operator writes one; a definition of before that shows nothing."""
    assert make_run(status=NOT_SEEN).status is make_run().status is None


@pytest.mark.parametrize("status", [None, {}, NOT_SEEN, NOT_SEEN | {"observedGeneration": -2}])
def test_a_status_that_speaks_of_no_generation_was_not_written(status: Document | None) -> None:
    """Nor was one that is not there."""
    assert written_status({"status": status}) is None


@pytest.mark.parametrize("status", [{"observedGeneration": 0}, {"reason": "NotSeen"}, {"observedGeneration": "-1"}])
def test_any_other_status_was_written(status: Document) -> None:
    """Whether it fits the model is another question."""
    assert written_status({"status": status}) is status


def test_unknown_fields_are_the_api_servers_business() -> None:
    """An object of a newer version can be read."""
    body = run_body(futureField={"a": 1})
    body["metadata"]["managedFields"] = []
    assert StrategyRun.parse(body).spec.source.inline == CODE


@given(specs)
def test_reads_every_valid_spec(spec: Document) -> None:
    """What the schema allows, the model takes."""
    assert StrategyRun.parse(run_body(**spec)).spec.source.document() == {
        key: value if key == "inline" else {"key": "strategy.py", **value} for key, value in spec["source"].items()
    }


def test_a_status_that_is_none_is_refused() -> None:
    """What the operator cannot have written, it does not act on."""
    with pytest.raises(ValidationError, match="phase"):
        make_run(status={"observedGeneration": 1, "phase": "Dreaming", "reason": "x", "inputsHash": "y"})


@pytest.mark.parametrize(
    ("phase", "active", "final"),
    [
        (Phase.QUEUED, False, False),
        (Phase.STARTING, True, False),
        (Phase.RUNNING, True, False),
        (Phase.SUCCEEDED, False, True),
        (Phase.FAILED, False, True),
    ],
    ids=str,
)
def test_a_phase_holds_a_slot_or_is_final_or_waits(phase: Phase, active: bool, final: bool) -> None:
    """Never two of them at once."""
    assert (phase.active, phase.final) == (active, final)
