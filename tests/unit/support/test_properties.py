"""What every property is tried with."""

from hypothesis import settings

FOUND = settings.default


def test_no_property_hangs_on_the_machine_or_on_luck() -> None:
    """An example may take its time, and is the same in every run."""
    assert FOUND is not None
    assert (FOUND.deadline, FOUND.derandomize) == (None, True)
