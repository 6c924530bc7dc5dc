"""Events of failed runs: which, and how many. tests/contract posts them."""

import asyncio
from datetime import timedelta

from kubernetes.aio import client

from strategyrun.adapters.events import EventRecorder
from strategyrun.adapters.kube import Kube
from strategyrun.domain.strategyrun import Phase, StrategyRun
from support.builders import NOW, after, failed_run


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
    assert outcomes(*[(failed_run(), 10)] * 5) == ([], 1)


def test_only_failures_are_told() -> None:
    """A run that succeeded, waits, or was cancelled by its owner is no warning."""
    for phase, reason in ((Phase.SUCCEEDED, "Evaluated"), (Phase.QUEUED, "Suspended"), (Phase.CANCELLED, "Cancelled")):
        assert outcomes((failed_run(phase=phase, reason=reason), 10)) == ([], 0)


def test_a_run_that_fails_over_and_over_is_told_25_times_and_then_every_five_minutes() -> None:
    """As client-go does; what is dropped is counted."""
    ends = [(NOW + timedelta(seconds=n)).isoformat().replace("+00:00", "Z") for n in range(60)]
    burst = [(failed_run(finishedAt=end), n) for n, end in enumerate(ends[:40])]
    counted, waiting = outcomes(*burst)
    assert (len(counted), waiting) == (15, 25)
    counted, waiting = outcomes(*burst, (failed_run(finishedAt=ends[50]), 310), (failed_run(finishedAt=ends[51]), 311))
    assert (len(counted), waiting) == (16, 26)


def test_a_flood_of_failures_is_cut() -> None:
    """A thousand runs that fail at once are a hundred events: each status says the same."""
    counted, waiting = outcomes(*((failed_run(uid=str(n)), 10) for n in range(1000)))
    assert (waiting, set(counted), len(counted)) == (100, {"Dropped"}, 900)
