"""Runs by their names, where what they meet is rare."""

import pytest
from aiohttp import web

from support.answers import body, scored
from support.few_runs import DEEP, FewRuns, command, deep


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


def with_a_deep_one() -> FewRuns:
    """Hold two runs, one as deep as an API server takes it."""
    runs = FewRuns()

    async def one() -> web.Response:
        return deep(body("deep", scored(1.5), params={"x": DEEP}))

    async def both() -> web.Response:
        return deep({"metadata": {}, "items": [body("deep", params={"x": DEEP}), body("plain")]})

    runs.instead = {"GET": one, "LIST": both}
    return runs


def test_a_run_that_is_nested_ever_so_deep_is_listed_like_another() -> None:
    """Whoever may submit one keeps nobody from the list of the others."""
    done = command(with_a_deep_one(), "list")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "deep", "plain"]


@pytest.mark.parametrize("words", ["list -o json", "list -o yaml", "compare deep deep"])
def test_what_is_nested_too_deep_to_be_shown_is_one_clear_line(words: str) -> None:
    """As documents are, indented or by their parts."""
    done = command(with_a_deep_one(), *words.split())
    said = "error: what was asked for is nested too deep to be shown so\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
