"""Exit codes."""

import pytest

from strategyrun import Result
from strategyrun.cli.exits import exit_of
from support.answers import body, cancelled, failed, scored

SUCCEEDED, USER, SANDBOX, PLATFORM = scored(1.0), failed("User"), failed("Sandbox"), failed("Platform")


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ([], 0),
        ([SUCCEEDED, SUCCEEDED], 0),
        ([SUCCEEDED, USER], 10),
        ([SANDBOX, USER], 20),
        ([USER, PLATFORM, SANDBOX], 30),
        ([cancelled(), SUCCEEDED], 40),
        ([cancelled(), USER], 10),
    ],
)
def test_the_code_is_that_of_who_has_to_act(written: list[dict[str, object]], code: int) -> None:
    """Of several the one first that no strategy can mend."""
    assert exit_of(Result.of(body(f"run-{at}", each)) for at, each in enumerate(written)) == code
