"""Events of failed runs: which, how many, and what they say. tests/contract posts them."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from kubernetes.aio import client

from strategyrun.adapters.events import EventRecorder, event
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
    name = event(failed(), "one")["metadata"]["name"]
    assert event(failed(), "two")["metadata"]["name"] == name
    assert name.startswith("momentum.")
    others = [failed(uid="other"), failed(inputsHash="b"), failed(finishedAt="2026-03-02T09:30:05.124Z")]
    assert len({name, *(event(other, "one")["metadata"]["name"] for other in others)}) == 4
    assert len(event(failed("n" * 253), "one")["metadata"]["name"]) <= 253


@pytest.mark.parametrize("reason", sorted(FAILURES))
def test_the_reason_is_that_of_the_table(reason: Reason) -> None:
    """And where there is no message, its meaning is one."""
    posted = event(failed(reason=reason, message=""), "one")
    assert (posted["type"], posted["reason"], posted["message"]) == ("Warning", reason, FAILURES[reason].meaning)


def test_a_hostile_message_is_cleaned_and_cut_and_a_foreign_reason_does_not_pass() -> None:
    """The API server takes 1024 bytes; a terminal should not be taken over by `kubectl describe`."""
    posted = event(failed(reason="Forged", message="\x1b[31m\u202e" + "好" * 5000), "one")
    assert posted["reason"] == "Failed"
    assert len(json.dumps(posted["message"], ensure_ascii=False).encode()) <= 1024
    assert posted["message"].startswith("好")


def test_what_has_not_ended_has_no_event() -> None:
    """A mistake of the caller."""
    with pytest.raises(ValueError, match="ended"):
        event(failed(finishedAt=None), "one")
