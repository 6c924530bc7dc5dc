"""Runs by their names, where what they meet is rare."""

from support.answers import body, scored
from support.few_runs import FewRuns, command


def test_a_rerun_that_is_taken_back_is_not_waited_for() -> None:
    """What the run says then is its answer again, though nobody has evaluated it once more."""
    runs = FewRuns()
    runs.runs["again"] = body("again", scored(1.5))

    async def take_back() -> None:
        runs.runs["again"]["metadata"]["annotations"].clear()

    runs.instead["LIST"] = take_back
    done = command(runs, "rerun", "again", "--watch", "--output", "name")
    assert (done.exit_code, done.stderr) == (0, "again: Succeeded (Evaluated) sharpe 1.50 after 4.5s\n")
    assert runs.asked[:4] == ["GET again", "PATCH again", "GET again", "LIST"]
