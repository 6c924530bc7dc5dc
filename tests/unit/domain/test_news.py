"""Events: what there is to tell of a run, and what they say."""

import json
from typing import Any

import pytest

from strategyrun.domain.news import event, news
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.strategyrun import StrategyRun
from support.builders import NOW, failed_run


def posted(run: StrategyRun, instance: str = "one") -> Any:
    """Build the event of a run's failure."""
    return event(run, news(run)[-1], instance)


def test_the_name_is_a_function_of_what_is_on_record() -> None:
    """Two operators, or one before and after a crash, tell of one failure by one name; of the next, by another."""
    name = posted(failed_run())["metadata"]["name"]
    assert posted(failed_run(), "two")["metadata"]["name"] == name
    assert name.startswith("momentum.")
    others = [failed_run(uid="other"), failed_run(inputsHash="b"), failed_run(finishedAt="2026-03-02T09:30:05.124Z")]
    assert len({name, *(posted(other)["metadata"]["name"] for other in others)}) == 4
    assert len(posted(failed_run("n" * 253))["metadata"]["name"]) <= 253


@pytest.mark.parametrize("reason", sorted(FAILURES))
def test_the_reason_is_that_of_the_table(reason: Reason) -> None:
    """And where there is no message, its meaning is one."""
    told = posted(failed_run(reason=reason, message=""))
    assert (told["type"], told["reason"], told["message"]) == ("Warning", reason, FAILURES[reason].meaning)


def test_a_hostile_message_is_cleaned_and_cut_and_a_foreign_reason_does_not_pass() -> None:
    """The API server takes 1024 bytes; a terminal should not be taken over by `kubectl describe`."""
    told = posted(failed_run(reason="Forged", message="\x1b[31m\u202e" + "好" * 5000))
    assert told["reason"] == "Failed"
    assert len(json.dumps(told["message"], ensure_ascii=False).encode()) <= 1024
    assert told["message"].startswith("好")


def test_the_fallback_is_told_while_the_run_goes_on() -> None:
    """Once: what runs behind weaker walls is news to whoever answers for them, however it ends."""
    condition = {
        "type": "FallbackUsed",
        "status": "True",
        "reason": "ImagePullFailed",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-02T09:30:00Z",
    }
    told = {"used": True, "trigger": "ImagePullFailed", "message": "not found"}
    falls = failed_run(phase="Starting", reason="PodStarting", finishedAt=None, fallback=told, conditions=[condition])
    (each,) = news(falls)
    assert each == ("FallbackUsed", "ImagePullFailed: not found", NOW)
    ended = failed_run(fallback=told, conditions=[condition])
    assert news(ended) == [each, *news(failed_run())]
    assert event(ended, each, "one")["metadata"] == event(falls, each, "one")["metadata"]
    unused = failed_run(fallback=told | {"used": False}, conditions=[condition | {"status": "False"}])
    assert [each.reason for each in news(unused)] == ["Timeout"]


def test_what_has_not_ended_is_no_news() -> None:
    """Nor is a run that nobody has seen."""
    assert news(failed_run(finishedAt=None)) == []
    assert news(failed_run().model_copy(update={"status": None})) == []
