"""Since when the API server can be heard."""

import asyncio
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from strategyrun.adapters.clock import ServerClock
from strategyrun.adapters.contact import SILENCE_SECONDS, Contact
from strategyrun.adapters.kube import CONFIG_MAPS, TROUBLE
from support.answering import answering
from support.builders import NOW, after


class Line:
    """A line to the API server, at a time that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = ServerClock(wall=NOW.timestamp, steady=lambda: self.seconds)
        self.contact = Contact(self.clock)

    def at(self, seconds: float, *, heard: bool) -> datetime | None:
        """Ask at a time, with or without an answer; return since when the server can be heard."""
        self.seconds = seconds
        (self.contact.heard if heard else self.contact.missed)()
        return self.contact.since


def test_it_begins_with_the_first_answer() -> None:
    """Not with the questions before it."""
    line = Line()
    assert line.at(0, heard=False) is None
    assert line.at(3, heard=True) == after(3)
    assert line.at(300, heard=True) == after(3)


def test_it_begins_anew_after_a_silence() -> None:
    """However often was asked meanwhile."""
    line = Line()
    line.at(0, heard=True)
    for second in range(10, 100, 10):
        assert line.at(second, heard=False) == after(0)
    assert line.at(100, heard=True) == after(100)
    assert line.at(101, heard=True) == after(100)


def test_nothing_to_ask_is_no_silence() -> None:
    """An operator without work asks once a minute."""
    line = Line()
    line.at(0, heard=True)
    assert line.at(60, heard=True) == after(0)


def test_a_lost_answer_among_others_is_no_silence() -> None:
    """Lines are not perfect."""
    line = Line()
    line.at(0, heard=True)
    line.at(10, heard=False)
    assert line.at(10 + SILENCE_SECONDS, heard=True) == after(0)
    line.at(20, heard=False)
    assert line.at(21, heard=True) == after(0)


def test_one_lost_answer_is_no_silence_however_late_the_next_question_comes() -> None:
    """An operator without work may ask next after a minute."""
    line = Line()
    line.at(0, heard=True)
    line.at(10, heard=False)
    assert line.at(70, heard=True) == after(0)


def test_an_api_server_whose_clock_is_set_back_has_been_heard_for_as_long() -> None:
    """What is known is a length of time, and that lies in no future."""
    line = Line()
    line.at(0, heard=True)
    line.seconds = 10
    line.clock.heard(format_datetime(after(-3600), usegmt=True), 10, 10)
    assert line.contact.since == line.clock.now() - timedelta(seconds=10)


@pytest.mark.parametrize(("status", "heard"), [(200, True), (404, True), (500, True), (502, False), (503, False)])
def test_who_answers_in_place_of_the_api_server_is_not_heard(status: int, heard: bool) -> None:
    """A refusal is an answer, and so is a failure of the API server's own; what a balancer says without it is none."""

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(status=status, text="{}")

    async def work() -> datetime | None:
        async with answering(nothing) as kube:
            try:
                await kube.get(CONFIG_MAPS, "research", "code")
            except TROUBLE:
                assert status >= 500
            return kube.contact.since

    since = asyncio.run(work())
    assert (since is not None) == heard
    assert since is None or datetime.now(since.tzinfo) - since < timedelta(seconds=60)
