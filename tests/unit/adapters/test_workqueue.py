"""The queue of keys."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.adapters.workqueue import PATIENT_TURN, WorkQueue
from support.clock import NothingWillHappenError, VirtualLoop, run_virtually


def now() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


async def take(queue: WorkQueue) -> str:
    """Get a key and be done with it at once."""
    key = await queue.get()
    queue.done(key)
    return key


def test_keys_come_in_the_order_of_their_first_adding() -> None:
    """Adding a key that waits already changes nothing."""

    async def work() -> list[str]:
        queue = WorkQueue()
        for key in "abcab":
            queue.add(key)
        assert len(queue) == 3
        return [await take(queue) for _ in range(3)]

    assert run_virtually(work()) == ["a", "b", "c"]


def test_what_is_urgent_while_it_is_worked_on_is_so_afterwards() -> None:
    """The end of a run is often told while its last status is being written."""

    async def work() -> list[str]:
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("b")
        queue.add("a", urgent=True)
        queue.add("a")
        queue.done(key)
        return [await take(queue) for _ in range(2)]

    assert run_virtually(work()) == ["a", "b"]


@pytest.mark.parametrize("urgent", [False, True])
def test_namespaces_take_turns_and_each_keeps_its_order(urgent: bool) -> None:
    """In both lanes: behind a burst of one namespace no other waits for more than a key of it."""

    async def work() -> list[str]:
        queue = WorkQueue()
        for key in ("a/1", "a/2", "a/3", "b/1", "b/2", "c/1"):
            queue.add(key, urgent=urgent)
        return [await take(queue) for _ in range(6)]

    assert run_virtually(work()) == ["a/1", "b/1", "c/1", "a/2", "b/2", "a/3"]


def test_what_can_wait_has_its_turns_while_urgent_keys_come_for_ever() -> None:
    """Somebody makes a run whenever one is taken note of: others' slots and deadlines do not wait for the last."""

    async def work() -> list[str]:
        queue, order = WorkQueue(), []
        for key in ("a/0", "a/1", "b/0"):
            queue.add(key)
        for number in range(3 * PATIENT_TURN):
            queue.add(f"c/{number}", urgent=True)
            queue.add(f"c/{number}-too", urgent=True)
            order.append(await take(queue))
        return order

    order = run_virtually(work())
    assert order[PATIENT_TURN - 1 :: PATIENT_TURN] == ["a/0", "b/0", "a/1"]
    assert sum(key.startswith("c") for key in order) == 3 * (PATIENT_TURN - 1)


def test_an_empty_queue_makes_its_workers_wait() -> None:
    """Nothing is handed out that was not added."""
    with pytest.raises(NothingWillHappenError):
        run_virtually(WorkQueue().get())


def test_a_key_added_while_it_is_worked_on_comes_again_after_that() -> None:
    """News that arrives during the work is looked at, once, and not by a second worker meanwhile."""

    async def work() -> None:
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done(key)
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    run_virtually(work())


def test_a_waiting_worker_is_woken() -> None:
    """A key added later reaches a worker that came before it."""

    async def work() -> float:
        queue = WorkQueue()
        asyncio.get_running_loop().call_later(5, queue.add, "a")
        await take(queue)
        return now()

    assert run_virtually(work()) == pytest.approx(5)


@pytest.mark.parametrize("delays", [(30, 2), (2, 30), (2, 2)], ids=str)
def test_the_earliest_of_several_times_counts(delays: tuple[float, ...]) -> None:
    """One key is looked at once, at the first of its times."""

    async def work() -> float:
        queue = WorkQueue()
        for seconds in delays:
            queue.add_after("a", seconds)
        await take(queue)
        moment = now()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 1000)
        return moment

    assert run_virtually(work()) == pytest.approx(2)


def test_a_new_time_counts_after_the_old_one_came() -> None:
    """A key that was looked at can be put off again."""

    async def work() -> list[float]:
        queue, moments = WorkQueue(), []
        queue.add_after("a", 3)
        for seconds in (10, 1):
            await take(queue)
            moments.append(now())
            queue.add_after("a", seconds)
        await take(queue)
        return [*moments, now()]

    assert run_virtually(work()) == pytest.approx([3, 13, 14])


def test_an_earlier_time_wakes_those_who_wait_for_a_later_one() -> None:
    """A worker that sleeps until the next time notices that there is an earlier one."""

    async def work() -> None:
        queue = WorkQueue()
        queue.add_after("late", 100)
        asyncio.get_running_loop().call_later(1, queue.add_after, "soon", 2)
        assert await take(queue) == "soon"
        assert now() == pytest.approx(3)

    run_virtually(work())


def test_a_time_in_the_past_is_now() -> None:
    """A deadline that has passed delays nothing."""

    async def work() -> float:
        queue = WorkQueue()
        queue.add_after("a", -5)
        await take(queue)
        return now()

    assert run_virtually(work()) == 0


def test_a_time_that_comes_during_the_work_counts_after_it() -> None:
    """Being worked on protects a key from a second worker also when its time has come."""

    async def work() -> None:
        queue = WorkQueue()
        queue.add_after("a", 1)
        queue.add("a")
        key = await queue.get()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 10)
        queue.done(key)
        assert await take(queue) == "a"

    run_virtually(work())


def test_waiting_costs_nothing() -> None:
    """Sixteen workers that wait an hour for one key do not turn in circles."""

    async def work() -> int:
        queue = WorkQueue()
        workers = [asyncio.create_task(queue.get()) for _ in range(16)]
        queue.add_after("a", 3600)
        done, pending = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["a"]
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.turns

    assert run_virtually(work()) < 20


@pytest.mark.parametrize("arrived", [False, True])
def test_a_worker_that_is_cancelled_takes_no_key_with_it(arrived: bool) -> None:
    """What it waited for goes to another one, also where it came in the same moment."""

    async def work() -> str:
        queue = WorkQueue()
        first = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        if arrived:
            queue.add("a")
        first.cancel()
        queue.add("a")
        return await take(queue)

    assert run_virtually(work()) == "a"


@dataclass
class Ledger:
    """What was asked for (when, and for when) and what was done, by key."""

    asked: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    begun: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: set[str] = field(default_factory=set)


_KEYS = "abc"
_moments = st.integers(0, 50).map(lambda tenths: tenths / 10)
_orders = st.lists(st.tuples(_moments, st.sampled_from(_KEYS), st.none() | _moments), min_size=1, max_size=20)


@given(orders=_orders, seconds=_moments)
def test_every_wish_is_met_in_time_and_no_key_is_worked_on_twice_at_once(
    orders: list[tuple[float, str, float | None]], seconds: float
) -> None:
    """Work on a key begins after it was asked for, and no later than asked and the work before it allow."""

    async def worker(queue: WorkQueue, ledger: Ledger) -> None:
        while True:
            key = await queue.get()
            assert key not in ledger.busy
            ledger.busy.add(key)
            ledger.begun[key].append(now())
            await asyncio.sleep(seconds)
            ledger.busy.discard(key)
            queue.done(key)

    async def work() -> Ledger:
        queue, ledger = WorkQueue(), Ledger()
        tasks = [asyncio.create_task(worker(queue, ledger)) for _ in _KEYS]
        for moment, key, delay in sorted(orders, key=lambda order: order[0]):
            await asyncio.sleep(moment - now())
            ledger.asked[key].append((now(), now() + (delay or 0)))
            if delay is None:
                queue.add(key)
            else:
                queue.add_after(key, delay)
        await asyncio.sleep(1000)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        return ledger

    ledger, tiny = run_virtually(work()), 1e-6
    for key, wishes in ledger.asked.items():
        assert len(ledger.begun[key]) <= len(wishes)
        for since, due in wishes:
            assert any(since - tiny <= begun <= due + seconds + tiny for begun in ledger.begun[key])


def test_what_ends_a_run_goes_before_a_burst_of_beginnings() -> None:
    """Once, also where it stood in line already; and a later adding is not lost."""

    async def work() -> list[str]:
        queue = WorkQueue()
        for key in ("a", "b", "c"):
            queue.add(key)
        queue.add("c", urgent=True)
        order = [await take(queue)]
        queue.add("c")
        order += [await take(queue) for _ in range(3)]
        assert len(queue) == 0
        return order

    order = run_virtually(work())
    assert order[0] == "c"
    assert sorted(order[1:]) == ["a", "b", "c"]


_steps = st.lists(st.none() | st.tuples(st.sampled_from(["a/1", "a/2", "b/1"]), st.booleans()))


@given(steps=_steps)
def test_what_is_added_is_taken_once_however_often_and_urgently(steps: list[tuple[str, bool] | None]) -> None:
    """No key is lost between the lanes, none is in both."""

    async def work() -> set[str]:
        queue, waiting = WorkQueue(), set[str]()
        for step in steps:
            if step:
                queue.add(step[0], urgent=step[1])
                waiting.add(step[0])
            elif waiting:
                waiting.remove(await take(queue))
            assert len(queue) == len(waiting)
        while len(queue):
            waiting.remove(await take(queue))
        return waiting

    assert run_virtually(work()) == set()
