"""The map of users in the namespace of a local run."""

import pytest

from strategyrun.local.namespaces import HIGH, Extent, extents, map_for_root

STEPS = (1000, 2000, 3000)
WHOLE = Extent(0, 0, 4_294_967_295)


def outside(lines: list[Extent], user: int) -> int | None:
    """Return who a user of the namespace is outside."""
    found = [line.outside + user - line.inside for line in lines if line.inside <= user < line.inside + line.size]
    assert len(found) <= 1, "lines overlap"
    return found[0] if found else None


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_nobody_outside(step: int) -> None:
    """It is a user whose number no system gives away, and the user of its number keeps another in the namespace."""
    lines = map_for_root([WHOLE], STEPS)
    assert outside(lines, step) == HIGH + step
    assert outside(lines, HIGH + step) == step


def test_everybody_else_is_the_same() -> None:
    """Files are seen with their owners, whoever they are."""
    lines = map_for_root([WHOLE], STEPS)
    for user in (0, 1, 999, 1001, 1999, 65_534, HIGH, HIGH + 999, HIGH + 3001, 4_294_967_294):
        assert outside(lines, user) == user
    assert sum(line.size for line in lines) == WHOLE.size
    assert len(lines) <= 340, "the kernel takes no more lines"


def test_a_container_with_few_users_maps_them_to_themselves() -> None:
    """Where there are no high numbers, nobody changes places."""
    assert map_for_root([Extent(0, 100_000, 65_536)], STEPS) == [Extent(0, 0, 65_536)]


def test_a_map_is_read_as_the_kernel_writes_it() -> None:
    """Columns padded with spaces."""
    assert extents("         0          0 4294967295\n") == [WHOLE]
