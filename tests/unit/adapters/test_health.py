"""The probes, asked as a kubelet asks them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from kubernetes.aio import client
from prometheus_client.parser import text_string_to_metric_families

from strategyrun.adapters.controller import SWEEP_SECONDS
from strategyrun.adapters.health import STALE_SECONDS, UNREADY_SECONDS, Health, health_server
from strategyrun.adapters.kube import ConflictError, Kube
from strategyrun.adapters.lease import Lease
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.watches import LATE_SECONDS
from strategyrun.adapters.workqueue import WorkQueue
from strategyrun.domain.strategyrun import Phase, StrategyRunStatus
from support.builders import make_run
from support.clock import pass_time, standing_clock
from support.ports import free_port


class Still:
    """A controller as the probes see it: nothing happens but what a test does."""

    def __init__(self) -> None:
        self.swept_at: float | None = None
        self.queue = WorkQueue()
        self.unfinished = Counter({Phase.QUEUED: 2})
        self.troubled = 3


class Scene:
    """An operator that a test puts into a state, and asks."""

    def __init__(self, kube: Kube, *, leased: bool) -> None:
        self.work = Still()
        self.observer = Observer(kube)
        self.lease = Lease(kube, "system", "me") if leased else None
        self.observer.shows(self.work, self.lease)
        self.port = free_port()

    async def ask(self, path: str) -> tuple[int, str]:
        """Ask over HTTP."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}", timeout=aiohttp.ClientTimeout(None)) as answer,
        ):
            return answer.status, await answer.text()


def play(act: Callable[[Scene], Awaitable[Any]], *, leased: bool = False) -> Any:
    """Serve the probes while a test acts; what they say of seconds is exact, as only the test lets any pass."""

    async def work() -> Any:
        async with Kube(client.Configuration(host="http://127.0.0.1:1")) as kube:
            scene = Scene(kube, leased=leased)
            async with health_server(Health(scene.work, scene.observer, scene.lease), scene.port):
                with standing_clock():
                    return await act(scene)

    return asyncio.run(work())


def swept(scene: Scene) -> None:
    """Let a sweep have ended now."""
    scene.work.swept_at = asyncio.get_running_loop().time()


def test_not_ready_before_the_first_sweep() -> None:
    """Nothing is known yet, so nothing is admitted. Yet a start may take its time."""

    async def act(scene: Scene) -> None:
        assert await scene.ask("/readyz") == (503, "failed: sweep: the first is not done\n")
        assert await scene.ask("/healthz") == (200, "ok\n")

    play(act)


def test_ready_after_the_first_sweep() -> None:
    """Whatever the later ones do: runs are worked on all the same."""

    async def act(scene: Scene) -> None:
        swept(scene)
        assert await scene.ask("/readyz") == (200, "ok\n")
        pass_time(2 * STALE_SECONDS)
        assert await scene.ask("/readyz") == (200, "ok\n")

    play(act)


def test_a_start_that_never_ends_is_unhealthy() -> None:
    """Five periods without a first sweep: a fresh start may mend it."""

    async def act(scene: Scene) -> None:
        pass_time(STALE_SECONDS + 1)
        assert await scene.ask("/healthz") == (503, "failed: sweep: the first is not done\n")

    play(act)


@pytest.mark.parametrize(("age", "status"), [(SWEEP_SECONDS, 200), (STALE_SECONDS + 1, 503)], ids=["fresh", "stale"])
def test_healthy_while_sweeps_succeed(age: float, status: int) -> None:
    """One failed sweep is bad luck, five in a row are not; the answer says so."""

    async def act(scene: Scene) -> None:
        swept(scene)
        pass_time(age)
        seen, text = await scene.ask("/healthz")
        assert seen == status
        assert text == ("ok\n" if status == 200 else f"failed: sweep: the last ended {age:.0f} s ago\n")

    play(act)


def test_a_watch_that_does_not_tell_makes_unready_and_then_unhealthy() -> None:
    """Readiness within half a minute of the sweep that found it; only long silence asks for a restart."""

    async def act(scene: Scene) -> None:
        swept(scene)
        sweep = scene.observer.sweep()
        sweep.found("Pod", {"metadata": {"uid": "a", "resourceVersion": "7"}})
        sweep.ended()
        assert (await scene.ask("/readyz"))[0] == 200
        pass_time(LATE_SECONDS + 1)
        assert await scene.ask("/readyz") == (503, "failed: watch Pod: 31 s behind\n")
        assert (await scene.ask("/healthz"))[0] == 200
        pass_time(STALE_SECONDS)
        swept(scene)
        assert await scene.ask("/healthz") == (503, "failed: watch Pod: 331 s behind\n")
        scene.observer.watched("Pod", "ADDED", {"metadata": {"uid": "a", "resourceVersion": "7"}})
        assert [await scene.ask(path) for path in ("/healthz", "/readyz")] == [(200, "ok\n")] * 2

    play(act)


def test_a_key_that_waits_makes_unready_and_only_a_stopped_queue_unhealthy() -> None:
    """A long queue is work, and no restart makes it shorter; a queue that nobody takes from is stuck."""

    async def act(scene: Scene) -> None:
        swept(scene)
        queue = scene.work.queue
        queue.add("a")
        queue.add("b")
        pass_time(UNREADY_SECONDS + 1)
        assert await scene.ask("/readyz") == (503, "failed: queue: the oldest key waits for 61 s\n")
        pass_time(STALE_SECONDS - 1)
        swept(scene)
        queue.done(await queue.get())
        assert await scene.ask("/healthz") == (200, "ok\n")
        pass_time(STALE_SECONDS + 1)
        swept(scene)
        assert await scene.ask("/healthz") == (503, "failed: queue: nobody takes a key for 301 s\n")

    play(act)


@pytest.mark.parametrize("heard", [True, False], ids=["heard all the same", "its run is gone"])
def test_a_status_write_that_nobody_repeats_says_nothing(*, heard: bool) -> None:
    """Its answer was lost, or nobody needs it: one is not all, and what all failed a while ago says nothing of now."""

    async def act(scene: Scene) -> None:
        swept(scene)
        run = make_run()
        status = StrategyRunStatus(observed_generation=1, phase=Phase.QUEUED, reason="Suspended", inputs_hash="a")

        async def fail() -> int:
            with pytest.raises(ConnectionError), scene.observer.writing(run, status):
                raise ConnectionError
            return (await scene.ask("/readyz"))[0]

        for expected in (200, 200, 200, 503):
            pass_time(25)
            swept(scene)
            assert await fail() == expected
        if heard:
            scene.observer.saw(run.model_copy(update={"status": status}))
        else:
            pass_time(UNREADY_SECONDS + 1)
        assert (await scene.ask("/readyz"))[0] == 200
        assert await fail() == 200

    play(act)


def test_status_writes_that_all_fail_make_unready() -> None:
    """One that succeeds mends it, and so does one that the API server answers with a conflict."""

    async def act(scene: Scene) -> None:
        swept(scene)
        run = make_run()
        status = StrategyRunStatus(observed_generation=1, phase=Phase.QUEUED, reason="Suspended", inputs_hash="a")
        with pytest.raises(ConnectionError), scene.observer.writing(run, status):
            raise ConnectionError
        for seconds in (UNREADY_SECONDS, 1):
            pass_time(seconds)
            with pytest.raises(ConnectionError), scene.observer.writing(run, status):
                raise ConnectionError
        assert await scene.ask("/readyz") == (503, "failed: writes: all fail for 61 s\n")
        with pytest.raises(ConflictError), scene.observer.writing(run, status):
            raise ConflictError(409, "newer")
        assert (await scene.ask("/readyz"))[0] == 200

    play(act)


def test_who_waits_for_the_lease_is_healthy_and_not_ready() -> None:
    """However long it waits; its time for the first sweep begins when it has the lease."""

    async def act(scene: Scene) -> None:
        assert scene.lease
        scene.lease.holder_seen = "another"
        pass_time(10 * STALE_SECONDS)
        assert (await scene.ask("/healthz"))[0] == 200
        status, text = await scene.ask("/readyz")
        assert status == 503
        assert text.startswith("failed: lease: not held; held by another\n")
        scene.lease.held_since = asyncio.get_running_loop().time()
        assert (await scene.ask("/healthz"))[0] == 200
        swept(scene)
        assert await scene.ask("/readyz") == (200, "ok\n")

    play(act, leased=True)


def test_every_fact_can_be_asked_for() -> None:
    """For people."""

    async def act(scene: Scene) -> None:
        swept(scene)
        _, text = await scene.ask("/readyz?verbose")
        names = [line.split(": ")[1] for line in text.splitlines()[:-1]]
        assert names == ["sweep", "queue", "watch StrategyRun", "watch Job", "watch Pod", "writes"]
        assert text.endswith("\nok\n")

    play(act)


def test_metrics_are_served_beside_the_probes() -> None:
    """In the format that Prometheus reads, with what can be read of the controller at any time."""

    async def act(scene: Scene) -> None:
        status, text = await scene.ask("/metrics")
        assert status == 200
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["finlab_sandbox_runs", "Queued"] == 2
        assert samples["finlab_sandbox_runs", "Running"] == 0
        assert samples["finlab_sandbox_runs_in_trouble",] == 3
        assert samples["finlab_sandbox_lease_held",] == 1
        assert samples["process_resident_memory_bytes",] > 0

    play(act)


def test_a_taken_port_is_an_error() -> None:
    """A second operator on the same port fails at its start."""

    async def act(scene: Scene) -> None:
        with pytest.raises(OSError, match=str(scene.port)):
            async with health_server(Health(scene.work, scene.observer), scene.port):
                pass

    play(act)
