"""The words of explain: for every reason of the taxonomy, and the commands that come next."""

import re
import shlex
from datetime import UTC, datetime

import pytest
import typer.main

from strategyrun import Result
from strategyrun.cli.explaining import Explanation, explain
from strategyrun.cli.program import application
from strategyrun.domain.outcomes import FAILURES, Reason, named
from strategyrun.domain.strategyrun import RERUN_ANNOTATION
from support.answers import body, failed, scored, status

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
COMMANDS = set(typer.main.get_command(application()).commands)  # type: ignore[attr-defined]


def explained(written: dict[str, object] | None) -> Explanation:
    """Explain a run with this status, five minutes after it was made."""
    return explain(Result.of(body("my-run", written)), NOW)


def of_reason(reason: Reason) -> dict[str, object]:
    """The status that a reason stands in."""
    if reason in FAILURES:
        return failed(FAILURES[reason].class_, reason)
    phase = {
        Reason.EVALUATED: "Succeeded",
        Reason.SELF_REPORTED: "Succeeded",
        Reason.SCRIPT_COMPLETED: "Succeeded",
        Reason.CANCELLED: "Cancelled",
    }.get(reason, "Queued")
    return status(phase, reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words_and_a_next_command(reason: Reason) -> None:
    """The sentence is not the reason's name, and the command is one that there is, for this run."""
    words = explained(of_reason(reason))
    assert reason not in words.headline
    assert len(words.headline.split()) > 3
    if reason in FAILURES:
        assert any("What to do: " in fact for fact in words.facts)
    assert words.next
    for command in words.next:
        program, verb, *rest = shlex.split(command)
        assert program in ("strategyrun", "kubectl")
        if program == "strategyrun":
            assert verb in COMMANDS
            assert rest in (["FILE"], ["my-run", *rest[1:]], ["-n", "research"])  # a tenant's rights suffice
        assert not re.search(r"[{}]", command) or "--patch" in command


@pytest.mark.parametrize("reason", [Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE, Reason.SECCOMP_PROFILE_MISSING])
def test_what_stands_in_the_way_is_said_while_the_run_still_waits(reason: Reason) -> None:
    """It has not failed, and the words do not say so."""
    words = explained(status("Starting", reason, acceptedAt="2026-01-01T00:04:00Z"))
    assert words.headline.startswith("It waits, and this stands in its way: ")
    assert "It was asked for 60s ago." in words.facts
    hint = named(FAILURES[reason].hint, namespace="research", run="my-run", pod="POD")
    assert f"What to do: {hint}" in words.facts


def test_a_job_that_kueue_holds_back_waits_for_no_place_of_the_operator() -> None:
    """The headline is who lets it go on, and the next command shows what was said to its Job."""
    message = "the Job is suspended until Kueue, or whoever suspended it, lets it go on; it takes no slot"
    attempts = [{"number": 1, "jobName": "my-run-0123-1"}]
    words = explained(status("Queued", "WaitingForSlot", message=message, attempts=attempts))
    assert words.headline == f"It waits: {message}."
    assert words.next == ("kubectl describe job my-run-0123-1 -n research", "strategyrun wait my-run -n research")
    line = status("Queued", "WaitingForSlot", queue={"position": 2, "reason": "all 4 slots are taken"})
    assert explained(line).headline == "All places are taken; it waits for one."


@pytest.mark.parametrize(
    "attempts", [[], [{"number": 1, "jobName": "my-run-0123-1", "reason": "Evicted"}]], ids=["first", "next"]
)
def test_a_run_whose_attempt_has_not_begun_is_held_by_nobody(attempts: list[dict[str, object]]) -> None:
    """Its status has no place yet, as that of new inputs; no Job is there to be looked at."""
    message = "waiting for a free slot"
    words = explained(status("Queued", "WaitingForSlot", message=message, attempts=attempts))
    assert words.headline == "It waits for its turn."
    assert f"In its own words: {message}" in words.facts
    assert words.next == ("strategyrun list -n research", "strategyrun wait my-run -n research")


@pytest.mark.parametrize("written", [scored(1.0), failed("User")], ids=["succeeded", "failed"])
def test_what_is_asked_for_again_says_what_it_was_and_that_nobody_has_seen_it(written: dict[str, object]) -> None:
    """It does not wait for what its answer of before failed of."""
    again = body("my-run", written)
    again["metadata"]["annotations"] = {RERUN_ANNOTATION: "1"}
    words = explain(Result.of(again), NOW)
    assert words.headline == explained(written).headline
    assert not words.headline.startswith("It waits")
    assert any(fact.startswith("It was changed, or asked for again, since; ") for fact in words.facts)


@pytest.mark.parametrize(("asked", "more"), [(None, False), (300, False), (60, True)])
def test_more_time_is_suggested_where_there_is_more(asked: int | None, more: bool) -> None:
    """A run that had all it may have needs a faster strategy; a change of the limit alone runs nothing again."""
    spec = {"timeoutSeconds": asked} if asked else {}
    words = explain(Result.of(body("my-run", failed("User", "Timeout"), **spec)), NOW)
    assert words.next[0] == "strategyrun run FILE"
    assert words.next[1:] == (
        (
            """kubectl patch srun my-run -n research --type merge --patch '{"spec":{"timeoutSeconds":300}}'""",
            "strategyrun rerun my-run -n research",
        )
        if more
        else ()
    )


def test_a_run_that_nobody_has_seen() -> None:
    """Leads to the doctor."""
    words = explained(None)
    assert words.headline == "No operator has seen the run yet."
    assert words.next == ("strategyrun doctor -n research",)


def test_the_strategy_is_quoted() -> None:
    """Findings with their lines, then what it printed last."""
    findings = [{"line": 3, "rule": "network", "hint": "use the dataset"}]
    words = explained(failed("User", "CodeRejected", failure={"findings": findings}))
    assert words.evidence == ("line 3: network: use the dataset", "last words")


def test_earlier_attempts_and_the_fallback_are_told() -> None:
    """Whoever reads it learns why it took so long, and what ran in the end."""
    attempts = [
        {"number": 1, "reason": "NodeLost", "message": "node a is gone"},
        {"number": 2, "reason": None},
    ]
    fallback = {"used": True, "trigger": "ImagePullFailed", "message": "not found"}
    words = explained(status("Succeeded", "Evaluated", attempts=attempts, fallback=fallback))
    assert "Attempt 1 ended: NodeLost, node a is gone." in words.facts
    assert "The fallback was used; what led to it: ImagePullFailed, not found." in words.facts


@pytest.mark.parametrize(
    ("found", "said"),
    [({"changed": 2}, "the numbers cannot be earned"), ({"deterministic": False}, "the numbers cannot be repeated")],
    ids=["look-ahead", "chance"],
)
def test_numbers_that_mean_nothing_are_told_so(found: dict[str, object], said: str) -> None:
    """Whatever else the run says of itself."""
    words = explained(status("Succeeded", "Evaluated", lookAhead={"samples": 5, "checked": 5} | found))
    assert [said in fact for fact in words.facts].count(True) == 1


def test_a_name_cannot_become_a_command() -> None:
    """What is printed to be typed is quoted."""
    odd = Result.of(body("a; rm -rf x", failed("User")))
    assert explain(odd, NOW).next == ("strategyrun logs 'a; rm -rf x' -n research",)
