"""Events of failed runs: which, how many, and what they say. tests/contract posts them."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from kubernetes.aio import client

from strategyrun.adapters.events import EventRecorder, event, news
from strategyrun.adapters.kube import Kube
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.strategyrun import Phase, StrategyRun
from support.builders import NOW, after, run_body


def failed(name: str = "momentum", *, uid: str = "uid", **status: Any) -> StrategyRun:
    """Build a run that failed."""
    facts = {
        "observedGeneration": 1,
        "phase": "Failed",
        "reason": "Timeout",
        "inputsHash": "a",
        "message": "the strategy used up its 300 s",
        "finishedAt": "2026-03-02T09:30:05.123Z",
    }
    return StrategyRun.parse(run_body(name, uid=uid, status=facts | status))


def posted(run: StrategyRun, instance: str = "one") -> Any:
    """Build the event of a run's failure."""
    return event(run, news(run)[-1], instance)


def outcomes(*runs: tuple[StrategyRun, float]) -> tuple[list[str], int]:
    """Show runs to a recorder at seconds after NOW; return what is counted, and how many events wait to be posted."""

    async def work() -> tuple[list[str], int]:
        counted: list[str] = []
        async with Kube(client.Configuration(host="http://127.0.0.1:1")) as kube:
            recorder = EventRecorder(kube, "here", count=counted.append)
            for run, seconds in runs:
                recorder.saw(run, after(seconds))
            return counted, recorder._waiting.qsize()

    return asyncio.run(work())


def test_a_failure_is_told_once_however_often_it_is_seen() -> None:
    """Sweeps and watches show it again and again."""
    assert outcomes(*[(failed(), 10)] * 5) == ([], 1)


def test_only_failures_are_told() -> None:
    """A run that succeeded, waits, or was cancelled by its owner is no warning."""
    for phase, reason in ((Phase.SUCCEEDED, "Evaluated"), (Phase.QUEUED, "Suspended"), (Phase.CANCELLED, "Cancelled")):
        assert outcomes((failed(phase=phase, reason=reason), 10)) == ([], 0)


def test_a_run_that_fails_over_and_over_is_told_25_times_and_then_every_five_minutes() -> None:
    """As client-go does; what is dropped is counted."""
    ends = [(NOW + timedelta(seconds=n)).isoformat().replace("+00:00", "Z") for n in range(60)]
    burst = [(failed(finishedAt=end), n) for n, end in enumerate(ends[:40])]
    counted, waiting = outcomes(*burst)
    assert (len(counted), waiting) == (15, 25)
    counted, waiting = outcomes(*burst, (failed(finishedAt=ends[50]), 310), (failed(finishedAt=ends[51]), 311))
    assert (len(counted), waiting) == (16, 26)


def test_a_flood_of_failures_is_cut() -> None:
    """A thousand runs that fail at once are a hundred events: each status says the same."""
    counted, waiting = outcomes(*((failed(uid=str(n)), 10) for n in range(1000)))
    assert (waiting, set(counted), len(counted)) == (100, {"Dropped"}, 900)


def test_the_name_is_a_function_of_what_is_on_record() -> None:
    """Two operators, or one before and after a crash, tell of one failure by one name; of the next, by another."""
    name = posted(failed())["metadata"]["name"]
    assert posted(failed(), "two")["metadata"]["name"] == name
    assert name.startswith("momentum.")
    others = [failed(uid="other"), failed(inputsHash="b"), failed(finishedAt="2026-03-02T09:30:05.124Z")]
    assert len({name, *(posted(other)["metadata"]["name"] for other in others)}) == 4
    assert len(posted(failed("n" * 253))["metadata"]["name"]) <= 253


@pytest.mark.parametrize("reason", sorted(FAILURES))
def test_the_reason_is_that_of_the_table(reason: Reason) -> None:
    """And where there is no message, its meaning is one."""
    told = posted(failed(reason=reason, message=""))
    assert (told["type"], told["reason"], told["message"]) == ("Warning", reason, FAILURES[reason].meaning)


def test_a_hostile_message_is_cleaned_and_cut_and_a_foreign_reason_does_not_pass() -> None:
    """The API server takes 1024 bytes; a terminal should not be taken over by `kubectl describe`."""
    told = posted(failed(reason="Forged", message="\x1b[31m\u202e" + "好" * 5000))
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
    falls = failed(phase="Starting", reason="PodStarting", finishedAt=None, fallback=told, conditions=[condition])
    (each,) = news(falls)
    assert each == ("FallbackUsed", "ImagePullFailed: not found", NOW)
    ended = failed(fallback=told, conditions=[condition])
    assert outcomes((falls, 1), (falls, 2), (ended, 10), (ended, 11)) == ([], 2)
    unused = failed(fallback=told | {"used": False}, conditions=[condition | {"status": "False"}])
    assert [each.reason for each in news(unused)] == ["Timeout"]


def test_what_has_not_ended_is_no_news() -> None:
    """Nor is a run that nobody has seen."""
    assert news(failed(finishedAt=None)) == []
    assert news(failed().model_copy(update={"status": None})) == []
