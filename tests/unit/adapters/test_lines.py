"""Lines whose groups take turns."""

from strategyrun.adapters.lines import Lines


def lines_of(*items: str) -> Lines[str]:
    """Let each stand in the line of the group that its name begins with."""
    lines = Lines[str]()
    for item in items:
        lines.join(item[0], item)
    return lines


def drain(lines: Lines[str]) -> list[str]:
    """Take what waits, in its order."""
    order = []
    while lines:
        order.append(lines.next())
    return order


def test_groups_take_turns_and_each_keeps_its_order() -> None:
    """Who stands in line already does not lose the place by joining again."""
    assert drain(lines_of("a1", "a2", "a3", "a1", "b1", "b2", "c1")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_group_that_comes_back_stands_behind_those_that_wait() -> None:
    """An empty line keeps no turn."""
    lines = lines_of("a1", "b1", "b2")
    assert lines.next() == "a1"
    lines.join("a", "a2")
    assert drain(lines) == ["b1", "a2", "b2"]


def test_what_leaves_costs_its_group_no_turn() -> None:
    """Neither does it hold up others; to leave where nothing stands is nothing."""
    lines = lines_of("a1", "a2", "b1", "b2", "c1")
    for item in ("a1", "c1", "c1", "b3", "d1"):
        lines.leave(item[0], item)
    assert drain(lines) == ["a2", "b1", "b2"]
