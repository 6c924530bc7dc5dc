"""The window of active runs, shared fairly between the lines of the namespaces."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from strategyrun.domain.slots import Place, Slots, Ticket
from support.builders import NOW, after


def ticket(key: str, *, since: float = 0, namespace: str = "a", priority: int = 0) -> Ticket:
    """Build the wish of a run."""
    return Ticket(key, namespace, priority, after(since))


def line(*keys: str, limit: int = 2, namespace: str = "a", slots: Slots | None = None) -> Slots:
    """Build a window with a line of one namespace before it, in this order."""
    slots = slots or Slots(limit)
    for since, key in enumerate(keys):
        slots.wait(ticket(key, since=since, namespace=namespace))
    return slots


def test_whoever_came_first_goes_first() -> None:
    """A free slot belongs to the head of the line, not to who asks first."""
    slots = line("x", "y", "z", limit=1)
    assert slots.next(NOW) == ("x",)
    assert [slots.place(ticket(key, since=n), NOW).position for n, key in enumerate("xyz")] == [0, 1, 2]


def test_somebody_new_does_not_pass_the_line() -> None:
    """A run that is not in the line yet stands where it would stand, and asking leaves no trace."""
    slots = line("x", "y", limit=2)
    assert slots.place(ticket("new", since=9), NOW).position == 1
    assert not slots.leave("new")


def test_an_older_run_goes_before_a_younger_one() -> None:
    """The line is in the order of creation, not of arrival."""
    slots = Slots(1)
    slots.wait(ticket("young", since=10))
    slots.wait(ticket("old"))
    assert slots.next(NOW) == ("old",)


def test_priority_goes_before_age_within_a_namespace() -> None:
    """And a changed priority changes the place."""
    slots = line("x", "y", limit=1)
    slots.wait(ticket("urgent", since=99, priority=5))
    assert slots.next(NOW) == ("urgent",)
    slots.wait(ticket("urgent", since=99, priority=-5))
    assert slots.next(NOW) == ("x",)
    assert slots.place(ticket("urgent", since=99, priority=-5), NOW).position == 2


def test_a_burst_does_not_make_others_wait() -> None:
    """Whoever has the fewest active runs is next, whatever the number and the priority of somebody else's."""
    slots = Slots(4)
    for number in range(100):
        slots.wait(ticket(f"burst-{number:03}", since=number, namespace="loud", priority=1000))
    slots.wait(ticket("one", since=500, namespace="quiet"))
    assert slots.next(NOW) == ("burst-000", "one", "burst-001", "burst-002")
    for number in range(4):
        slots.take(f"burst-{number:03}", "loud")
    assert slots.place(ticket("one", since=500, namespace="quiet"), NOW).position == 1
    assert slots.place(ticket("burst-004", since=4, namespace="loud"), NOW).position == 2


def test_a_namespace_that_is_full_does_not_block_the_others() -> None:
    """Its runs wait behind its own window, and the message says whose window it is."""
    slots = Slots(10, per_namespace=1)
    line("x", "y", slots=slots)
    slots.take("x", "a")
    line("z", namespace="b", slots=slots)
    assert slots.next(NOW) == ("z",)
    assert slots.place(ticket("y", since=1), NOW) == Place(1, "1 of 1 slots of namespace a are taken")


def test_a_spent_quota_pauses_its_namespace_alone() -> None:
    """Until the pause is over; then it is tried again."""
    slots = line("x", limit=4)
    slots.pause("a", after(15))
    slots.wait(ticket("z", namespace="b"))
    assert slots.next(NOW) == ("z",)
    assert slots.place(ticket("x"), NOW).quota
    assert slots.next(after(15)) == ("x", "z")


def test_the_end_of_a_run_ends_its_namespaces_pause() -> None:
    """What it used of the quota may be free; the quota of another namespace is as spent as before."""
    slots = line("x", limit=4)
    for namespace in ("a", "b"):
        slots.take(f"held in {namespace}", namespace)
        slots.pause(namespace, after(15))
    slots.wait(ticket("z", namespace="b"))
    assert slots.leave("held in a")
    assert slots.next(NOW) == ("x",)


def test_a_holder_keeps_its_slot() -> None:
    """Asking again is not asking for a second one."""
    slots = line("x", limit=1)
    slots.take("x", "a")
    slots.take("x", "a")
    assert slots.place(ticket("x"), NOW) == Place(0)
    assert slots.place(ticket("y"), NOW) == Place(1, "1 of 1 slots are taken")
    assert slots.next(NOW) == ()


def test_a_slot_that_is_given_up_goes_to_the_line() -> None:
    """Whoever leaves tells that there is something to give."""
    slots = line("x", "y", limit=1)
    slots.take("x", "a")
    assert slots.leave("x")
    assert not slots.leave("x")
    assert slots.next(NOW) == ("y",)


def test_what_is_active_after_a_restart_is_a_fact() -> None:
    """Beyond the limit nobody starts until there is room again."""
    slots = Slots(1)
    slots.take("x", "a")
    slots.take("y", "a")
    slots.wait(ticket("z"))
    slots.leave("x")
    assert slots.next(NOW) == ()
    slots.leave("y")
    assert slots.next(NOW) == ("z",)


KEYS = st.sampled_from([f"{namespace}/{number}" for namespace in "abc" for number in range(4)])
PRIORITIES = st.integers(-1, 1)


class Window(RuleBasedStateMachine):
    """Any order of events, beside a model that only knows who holds and who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(3, per_namespace=2)
        self.holders: set[str] = set()
        self.waiting: dict[str, Ticket] = {}
        self.paused: set[str] = set()
        self.now = NOW

    @rule(key=KEYS, priority=PRIORITIES)
    def wait(self, key: str, priority: int) -> None:
        """Stand in line, again perhaps, with another priority perhaps."""
        wish = ticket(key, since=int(key[-1]), namespace=key[0], priority=priority)
        assert self.slots.wait(wish) is (key in self.holders)
        self._release(key)
        self.waiting[key] = wish

    @rule()
    def start_next(self) -> None:
        """Give every free slot to whose turn it is."""
        for key in self.slots.next(self.now):
            self.slots.take(key, key[0])
            del self.waiting[key]
            self.holders.add(key)

    @rule(key=KEYS)
    def leave(self, key: str) -> None:
        """End."""
        assert self.slots.leave(key) is (key in self.holders or key in self.waiting)
        self._release(key)
        self.waiting.pop(key, None)

    @rule(namespace=st.sampled_from("abc"))
    def pause(self, namespace: str) -> None:
        """Meet a spent quota."""
        self.slots.pause(namespace, self.now + timedelta(seconds=10))
        self.paused.add(namespace)

    @rule()
    def time_passes(self) -> None:
        """Let every pause end."""
        self.now += timedelta(seconds=11)
        self.paused.clear()

    def _release(self, key: str) -> None:
        if key in self.holders:
            self.holders.discard(key)
            self.paused.discard(key[0])

    @invariant()
    def a_slot_is_kept_until_it_is_given_up(self) -> None:
        """Whoever holds one need not ask for it again."""
        for key in self.holders:
            assert self.slots.place(ticket(key, namespace=key[0]), self.now) == Place(0)

    @invariant()
    def no_slot_is_idle_while_somebody_may_have_it(self) -> None:
        """As many are next as there are free slots and runs that may go, in fair turns."""
        chosen = self.slots.next(self.now)
        active = {namespace: sum(key[0] == namespace for key in self.holders) for namespace in "abc"}
        may_go = sum(
            min(max(0, 2 - active[namespace]), sum(key[0] == namespace for key in self.waiting))
            for namespace in set("abc") - self.paused
        )
        assert len(chosen) == min(3 - len(self.holders), may_go)
        for key in chosen:
            assert self.slots.place(self.waiting[key], self.now).position == 0
        for key, wish in self.waiting.items():
            if key not in chosen:
                assert self.slots.place(wish, self.now).position >= 1
            if key[0] not in self.paused and key not in chosen and active[key[0]] + 1 < 2:
                behind = [other for other in chosen if active[other[0]] > active[key[0]] + 1]
                assert not behind, "a fuller namespace went first"


Window.TestCase.settings = settings(max_examples=200, stateful_step_count=30)
TestWindow = Window.TestCase
