"""Places for which groups take turns."""

import asyncio

from strategyrun.adapters.turns import Turns
from support.clock import run_virtually


class Visitors:
    """Tasks that hold a place for a second of virtual time, and what order they got it in."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.order: list[str] = []
        self.inside = self.most = 0

    async def visit(self, name: str) -> None:
        """Wait for a place of the group that the name begins with."""
        async with self.turns.place(name[0]):
            self.order.append(name)
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(1)
            self.inside -= 1


def test_groups_take_turns_and_each_keeps_its_order() -> None:
    """The second of one comes after the first of all others."""

    async def work() -> list[str]:
        visitors = Visitors(1)
        await asyncio.gather(*map(visitors.visit, ["a1", "a2", "a3", "b1", "b2", "c1"]))
        return visitors.order

    assert run_virtually(work()) == ["a1", "a2", "b1", "c1", "a3", "b2"]


def test_no_more_have_a_place_than_there_are() -> None:
    """And no fewer, where enough wait, also after somebody has gone."""

    async def work() -> tuple[int, int]:
        visitors = Visitors(2)
        await asyncio.gather(*map(visitors.visit, ["a1", "a2", "a3", "b1"]))
        first, visitors.most = visitors.most, 0
        await asyncio.gather(*map(visitors.visit, ["a4", "a5", "a6"]))
        return first, visitors.most

    assert run_virtually(work()) == (2, 2)


def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    """Neither in the line nor in the moment in which the place comes."""

    async def work() -> list[str]:
        visitors = Visitors(1)

        async def hold() -> None:
            await visitors.visit("a1")
            served.cancel()

        holder = asyncio.create_task(hold())
        in_line, served, last = (asyncio.create_task(visitors.visit(name)) for name in ("b1", "c1", "d1"))
        await asyncio.sleep(0.5)
        in_line.cancel()
        await asyncio.gather(holder, in_line, served, last, return_exceptions=True)
        return visitors.order

    assert run_virtually(work()) == ["a1", "d1"]
