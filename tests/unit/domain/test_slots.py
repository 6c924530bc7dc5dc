"""The window of active runs and the line before it."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from strategyrun.domain.slots import Slots
from support.builders import NOW, after


def waiting_line(*uids: str, limit: int = 2) -> Slots:
    """Build a window with a line before it, in this order."""
    slots = Slots(limit)
    for place, uid in enumerate(uids):
        slots.wait(uid, after(place))
    return slots


def test_whoever_came_first_goes_first() -> None:
    """A free slot belongs to the head of the line, not to who asks first."""
    slots = waiting_line("a", "b", "c", limit=1)
    assert [slots.free_for(uid) for uid in "abc"] == [True, False, False]


def test_somebody_new_does_not_pass_the_line() -> None:
    """A run that is not in the line yet stands behind those who are."""
    slots = waiting_line("a", "b", limit=2)
    assert not slots.free_for("new")
    slots.take("a")
    assert not slots.free_for("new")


def test_an_older_run_goes_before_a_younger_one() -> None:
    """The line is in the order of creation, not of arrival."""
    slots = Slots(1)
    slots.wait("young", after(10))
    slots.wait("old", NOW)
    assert slots.next() == ("old",)


def test_a_holder_keeps_its_slot() -> None:
    """Asking again is not asking for a second one."""
    slots = waiting_line("a", limit=1)
    slots.take("a")
    slots.take("a")
    assert slots.free_for("a")
    assert not slots.free_for("b")
    assert slots.next() == ()


def test_a_slot_that_is_given_up_goes_to_the_line() -> None:
    """Whoever leaves tells that there is something to give."""
    slots = waiting_line("a", "b", limit=1)
    slots.take("a")
    assert slots.leave("a")
    assert not slots.leave("a")
    assert slots.next() == ("b",)


def test_a_run_that_goes_back_to_the_line_frees_its_slot() -> None:
    """As one does whose inputs were changed while it ran."""
    slots = Slots(1)
    slots.take("a")
    assert slots.wait("a", NOW)
    assert slots.next() == ("a",)
    assert not slots.wait("a", NOW)


def test_facts_may_exceed_the_limit() -> None:
    """After a restart with a smaller limit all active runs hold a slot, and no other gets one before they end."""
    slots = Slots(1)
    for uid in "abc":
        slots.take(uid)
    slots.wait("d", NOW)
    assert not slots.free_for("d")
    slots.leave("a")
    slots.leave("b")
    assert not slots.free_for("d")
    slots.leave("c")
    assert slots.free_for("d")


class Line(RuleBasedStateMachine):
    """Any order of events: as many are let in as there is room, in the order of creation."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(2)
        self.holders: set[str] = set()
        self.line: set[str] = set()

    @rule(uid=st.sampled_from("abcdef"))
    def take(self, uid: str) -> None:
        """Become active, as the status says."""
        self.slots.take(uid)
        self.holders.add(uid)
        self.line.discard(uid)

    @rule(uid=st.sampled_from("abcdef"))
    def wait(self, uid: str) -> None:
        """Wait for a slot."""
        assert self.slots.wait(uid, NOW + timedelta(seconds=ord(uid))) == (uid in self.holders)
        self.holders.discard(uid)
        self.line.add(uid)

    @rule(uid=st.sampled_from("abcdef"))
    def leave(self, uid: str) -> None:
        """End, or be deleted."""
        assert self.slots.leave(uid) == (uid in self.holders | self.line)
        self.holders.discard(uid)
        self.line.discard(uid)

    @invariant()
    def lets_in_as_many_as_there_is_room(self) -> None:
        """The first of the line and the holders, nobody else."""
        free = max(0, 2 - len(self.holders))
        first = tuple(sorted(self.line))[:free]
        assert self.slots.next() == first
        assert {uid for uid in self.holders | self.line if self.slots.free_for(uid)} == self.holders | set(first)


Line.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLine = Line.TestCase
