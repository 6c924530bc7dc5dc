"""The API server's clock, as far as its answers tell of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.adapters.clock import ServerClock
from strategyrun.adapters.kube import CONFIG_MAPS
from support.answering import answering
from support.builders import NOW, after

TRUTH = NOW.timestamp()


class Machine:
    """A machine whose clock may be wrong, and a server whose clock is right."""

    def __init__(self, wrong_by: float = 0) -> None:
        self.passed, self.wrong_by = 0.0, wrong_by
        self.clock = ServerClock(wall=lambda: TRUTH + self.passed + self.wrong_by, steady=lambda: 1000 + self.passed)

    @property
    def error(self) -> float:
        """How far what is thought of the server's clock is from it."""
        return (self.clock.now() - after(self.passed)).total_seconds()

    def ask(self, there: float = 0.0, back: float = 0.0) -> None:
        """Ask the server for anything; question and answer are under way for so long."""
        asked = self.clock.steady()
        self.passed += there
        date = format_datetime(after(self.passed).replace(microsecond=0), usegmt=True)
        self.passed += back
        self.clock.heard(date, asked, self.clock.steady())


travels = st.floats(0, 30)


@given(st.floats(-7200, 7200), st.lists(st.tuples(travels, travels, travels), min_size=1, max_size=5))
def test_the_servers_time_is_known_as_well_as_its_answers_tell(wrong_by: float, asked: list[tuple[float, ...]]) -> None:
    """To a second, and to what the quickest answer took; a machine that is nearer to it stays there."""
    machine = Machine(wrong_by)
    for pause, there, back in asked:
        machine.passed += pause
        machine.ask(there, back)
    known_to = min(abs(wrong_by), 1 + min(there + back for _, there, back in asked))
    assert abs(machine.error) <= known_to + 1e-5


def test_a_machine_whose_clock_is_right_keeps_its_fractions_of_a_second() -> None:
    """A date is a whole second; times in a status are milliseconds."""
    machine = Machine()
    for _ in range(20):
        machine.passed += 0.37
        machine.ask(0.01, 0.01)
    assert abs(machine.error) < 1e-5


def test_setting_the_machines_clock_changes_nothing() -> None:
    """Not even before the next answer."""
    machine = Machine()
    machine.ask()
    machine.wrong_by = 3600
    machine.passed += 5
    assert abs(machine.error) < 1e-5


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Foo 2026 09:30:00 GMT"])
def test_an_answer_without_a_date_says_nothing(date: str) -> None:
    """What is between here and there may have taken it away."""
    machine = Machine()
    machine.clock.heard(date, 1000, 1000)
    assert abs(machine.error) < 1e-5


def test_any_answer_counts() -> None:
    """A refusal too."""
    then = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(status=404, headers={"Date": format_datetime(then, usegmt=True)}, text="{}")

    async def work() -> datetime:
        async with answering(nothing) as kube:
            assert await kube.get(CONFIG_MAPS, "research", "code") is None
            return kube.clock.now()

    assert abs(asyncio.run(work()) - then) < timedelta(seconds=60)
