"""What a client makes of a run's document."""

from typing import Any

import pytest

from strategyrun import Result, Trial
from strategyrun.client import (
    ClusterError,
    NotAskedError,
    PlatformError,
    RunCancelledError,
    RunError,
    SandboxError,
    UserError,
)
from strategyrun.domain.outcomes import Reason
from strategyrun.domain.strategyrun import NOT_SEEN, RERUN_ANNOTATION, RERUN_LIMIT
from support.answers import body, cancelled, failed, scored, status

PEEKS = {"samples": 5, "checked": 5, "changed": 2}
OWN = {"source": "SelfReported", "values": {"sharpe": 99.0}}


def result(written: dict[str, Any] | None = None, **spec: Any) -> Result:
    """Read a run with this status."""
    return Result.of(body("run", written, **spec))


@pytest.mark.parametrize("written", [NOT_SEEN, None], ids=["stand-in", "older-definition"])
def test_a_run_that_nobody_has_seen_is_pending(written: dict[str, Any] | None) -> None:
    """It has no answer, and to ask for one is an error."""
    found = result(written)
    assert (found.message, found.current) == ("no operator has seen it yet", False)
    assert (found.phase, found.reason, found.finished, found.outcome) == ("Pending", "NotSeen", False, "")
    with pytest.raises(NotAskedError, match="run has no answer yet: it is Pending"):
        found.raise_for_failure()


def test_an_answer_to_an_earlier_spec_is_none() -> None:
    """The operator has not yet taken note of the change."""
    stale = body("run", scored(1.0))
    stale["metadata"]["generation"] = 2
    assert not Result.of(stale).finished


@pytest.mark.parametrize(
    ("asked", "observed", "finished"),
    [
        (None, None, True),
        (None, "1", False),
        ("2", None, False),
        ("2", "1", False),
        ("2", "2", True),
        ("", None, False),
        ("\u202e", "\u202e", True),
        ("x" * RERUN_LIMIT + "y", "x" * RERUN_LIMIT, True),
        ("y" * 2 * RERUN_LIMIT, "x" * RERUN_LIMIT, False),
    ],
    ids=["never", "no more", "first", "another", "seen", "empty", "to the letter", "long", "another long"],
)
def test_an_answer_to_an_earlier_rerun_is_none(asked: str | None, observed: str | None, finished: bool) -> None:
    """The annotation raises no generation; the operator repeats how it begins, and nothing where there is none."""
    again = body("run", scored(1.0, observedRerun=observed))
    again["metadata"]["annotations"] = {} if asked is None else {RERUN_ANNOTATION: asked}
    assert Result.of(again).finished is finished


@pytest.mark.parametrize(
    ("written", "outcome", "error"),
    [
        (failed("User"), "User", UserError),
        (failed("Sandbox"), "Sandbox", SandboxError),
        (failed("Platform"), "Platform", PlatformError),
        (cancelled(), "Cancelled", RunCancelledError),
        (status("Failed", "OfALaterVersion"), "Platform", PlatformError),
    ],
    ids=["user", "sandbox", "platform", "cancelled", "unknown"],
)
def test_how_it_ended_decides_the_error(written: dict[str, Any], outcome: str, error: type[RunError]) -> None:
    """A failure without a class is nobody's strategy's."""
    found = result(written)
    assert found.outcome == outcome
    with pytest.raises(error) as raised:
        found.raise_for_failure()
    assert type(raised.value) is error
    assert raised.value.result is found


@pytest.mark.parametrize(
    ("written", "marks"),
    [
        (scored(1.0), ()),
        (scored(1.0, executor="Fallback"), ("Fallback",)),
        (scored(1.0, lookAhead=PEEKS), ("LookAhead",)),
        (scored(1.0, lookAhead={"samples": 5, "deterministic": False}), ("NonDeterministic",)),
        (status("Succeeded", "SelfReported", kind="Result", selfReported=OWN), ("SelfReported",)),
    ],
    ids=["sandbox", "fallback", "look-ahead", "chance", "self-reported"],
)
def test_numbers_that_do_not_compare_are_marked(written: dict[str, Any], marks: tuple[str, ...]) -> None:
    """And only those without a mark rank."""
    found = result(written)
    assert found.marks == marks
    assert found.ranks == (not marks)


def test_a_script_without_positions_does_not_rank() -> None:
    """It succeeded, and there is nothing to compare."""
    assert not result(status("Succeeded", "ScriptCompleted", kind="Script")).ranks


def test_metrics_are_numbers_by_name_and_absent_ones_none() -> None:
    """Self-reported numbers are no metrics."""
    found = result(scored(1.5))
    assert (found.metrics.sharpe, found.metrics.calmar, found.metrics.trades) == (1.5, None, 12)
    assert (found.value("maxDrawdown"), found.value("calmar")) == (-0.25, None)
    own = result(status("Succeeded", "SelfReported", kind="Result", selfReported=OWN))
    assert own.metrics.sharpe is None
    assert own.value("sharpe") == 99.0


def test_texts_of_a_status_are_harmless() -> None:
    """Whoever could write one cannot drive a terminal or a page."""
    written = failed("User", failure={"lastLines": ["\x1b[2Jgone \u202eabc"]})
    found = result(written | {"message": "\x1b]0;title\x07<script>alert(1)</script>"})
    assert found.message == "<script>alert(1)</script>"
    assert found.failure is not None
    assert found.failure.last_lines == ("gone abc",)
    page = found._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_hint_of_a_refused_trial_can_be_typed() -> None:
    """It names the namespace, and not the word that stands for one."""
    refused = Result.refused(Trial("x = 1", name="Mine"), "research", Reason.POLICY_DENIED, "the policy says no")
    assert (refused.name, refused.outcome, refused.message) == ("mine", "Platform", "the policy says no")
    assert refused.hint is not None
    assert "-n research" in refused.hint
    assert not {"NAMESPACE", "RUN"} & {*refused.hint.split()}


def test_every_end_without_an_answer_has_the_labels_of_its_trial() -> None:
    """A loop tells by these what it has tried: also where nothing of it is in the cluster."""
    trial = Trial("x = 1", labels={"trial": "days-20"})
    refused = Result.refused(trial, "research", Reason.POLICY_DENIED, "the policy says no")
    late = Result.late(trial, Result.unheard("mine", "research", trial), 5, cancelled=True)
    assert refused.labels == late.labels == {"trial": "days-20"}


def test_a_run_that_will_have_no_answer_keeps_none_of_what_was_asked_for_before() -> None:
    """As where it is deleted after a rerun that nobody has seen."""
    seen = body("run", scored(1.5, observedRerun="1"))
    seen["metadata"]["annotations"] = {RERUN_ANNOTATION: "2"}
    found = Result.unanswered(seen, "Deleted", "gone")
    assert (found.outcome, found.finished, found.metrics.sharpe, found.equity) == ("Cancelled", True, None, None)


def test_a_run_that_will_have_no_answer_is_cancelled_and_keeps_what_was_seen_of_it() -> None:
    """Whoever asked has a result that has ended, and an error by class."""
    seen = body("run", status("Queued", "WaitingForSlot", queue={"position": 3}), params={"n": 1})
    seen["metadata"] |= {"generation": 2, "labels": {"night": "first"}, "annotations": {RERUN_ANNOTATION: "again"}}
    found = Result.unanswered(seen, "DeadlineExceeded", "too late")
    assert (found.outcome, found.reason, found.message, found.finished) == (
        "Cancelled",
        "DeadlineExceeded",
        "too late",
        True,
    )
    assert (found.labels, found.body["spec"]) == ({"night": "first"}, {"params": {"n": 1}})
    assert not Result.of(seen).finished
    with pytest.raises(RunCancelledError, match="run: DeadlineExceeded: too late"):
        found.raise_for_failure()


def test_what_is_no_run_is_refused() -> None:
    """In one line that names what does not fit."""
    with pytest.raises(ClusterError, match=r"StrategyRun run cannot be read: failure"):
        result(status("Failed", "X", failure="text"))


def test_a_notebook_shows_numbers_and_the_curve() -> None:
    """One SVG that loads nothing."""
    page = result(scored(1.5))._repr_html_()
    assert page.count("<svg") == 1
    assert "Sharpe" in page
    assert "1.50" in page
    assert "http" not in page
    assert "Fallback" in result(scored(1.0, executor="Fallback"))._repr_html_()


def test_its_repr_says_how_it_ended() -> None:
    """In a line of a log."""
    assert repr(result(scored(1.5, executor="Fallback"))) == "<Result run Succeeded Evaluated sharpe=1.50 Fallback>"
