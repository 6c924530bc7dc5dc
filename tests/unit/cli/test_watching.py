"""What a terminal is shown, and what a pipe: a real one of each."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from strategyrun import Result
from strategyrun.cli.watching import watching
from strategyrun.domain.strategyrun import RERUN_ANNOTATION
from support.answers import body, scored
from support.cluster import CHECKOUT

PROGRAM = """\
from strategyrun import Result
from strategyrun.cli.cells import now, runs_table
from strategyrun.cli.output import console
from strategyrun.cli.watching import watching
from strategyrun.reporting.material import Material
from strategyrun.reporting.text import for_terminal
from support.answers import body, scored, status

running, ended = (Result.of(body("my-run", each)) for each in (status("Running", "StrategyRunning"), scored(1.5)))
with watching() as tell:
    tell(running)
    tell(running)
    tell(ended)
console().print(runs_table([ended], now()))
print("colours:", "\\x1b" in for_terminal(Material.read(ended.body, None)))
"""
MANY = """\
from strategyrun import Result
from strategyrun.cli import watching
from support.answers import body, scored, status

made = []

def counted(results, *arguments):
    made.append(len(rows := [*results]))
    return table(rows, *arguments)

table, watching.runs_table = watching.runs_table, counted
running, ended = (status("Running", "StrategyRunning"), scored(1.5))
with watching.watching() as tell:
    for written in (running, ended):
        for number in range(500):
            tell(Result.of(body(f"run-{number:03}", written)))
    tell(Result.of(body("run-007", running)))
print("tables:", "few" if len(made) < 500 else "many", "rows:", max(made))
"""
ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT / "tests"), "TERM": "xterm-256color", "COLUMNS": "120"}
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3\dm")
RENEWED = "\x1b[2K"
"""A line of a terminal that is wiped, to be written again."""


def on_a_terminal(*arguments: str, code: int = 0, **environment: str) -> str:
    """Run Python with both its outputs on a terminal of its own, and return what came there."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=ENVIRONMENT | environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as screen, suppress(OSError):  # how Linux says that nobody writes there
        while chunk := screen.read(65536):
            shown += chunk
    assert process.wait(60) == code, shown
    return shown.decode()


def test_a_terminal_has_colours_and_a_table_that_renews_itself() -> None:
    """And goes in the end, when the answer takes its place."""
    shown = on_a_terminal("-c", PROGRAM)
    assert COLOUR.search(shown)
    live, _, answer = shown.rpartition(RENEWED)
    assert "Succeeded" in live
    assert "my-run" in answer
    assert "colours: True" in answer


def test_a_terminal_has_the_runs_that_changed_last_and_the_number_of_the_others() -> None:
    """In a stable order, and in no more lines than it has; a change makes no table, however many runs there are."""
    shown = on_a_terminal("-c", MANY, NO_COLOR="1", LINES="10")
    last = shown.rpartition("NAME")[2]
    assert re.findall(r"run-\d+ +\w+", last) == [
        "run-007   Running",
        *(f"run-{number}   Succeeded" for number in range(494, 500)),
    ]
    assert "and 493 more: 493 Succeeded" in last
    assert "tables: few rows: 7" in last


def test_no_color_takes_the_colours_away_and_nothing_else() -> None:
    """Not the table that renews itself; a report is told too."""
    shown = on_a_terminal("-c", PROGRAM, NO_COLOR="1")
    assert "colours: False" in shown
    assert not COLOUR.search(shown)
    assert RENEWED in shown
    assert "Succeeded" in shown


def test_an_empty_no_color_takes_nothing_away(tmp_path: Path) -> None:
    """Neither of what a cluster answers nor of a run on this machine, which needs no box for a source that is none."""
    assert "colours: True" in on_a_terminal("-c", PROGRAM, NO_COLOR="")
    (tmp_path / "broken.py").write_text("def\n")
    here = ("-m", "strategyrun.local", str(tmp_path / "broken.py"))
    assert COLOUR.search(on_a_terminal(*here, code=10, NO_COLOR=""))
    assert not COLOUR.search(on_a_terminal(*here, code=10, NO_COLOR="1"))


def test_the_answer_of_before_is_told_as_such_and_the_new_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Else whoever asked for a rerun sees an end, and that nothing comes of it."""
    before, after = (body("my-run", scored(1.5, observedRerun=seen)) for seen in (None, "1"))
    for each in (before, after):
        each["metadata"]["annotations"] = {RERUN_ANNOTATION: "1"}
    with watching() as tell:
        tell(Result.of(before))
        tell(Result.of(after))
    assert capsys.readouterr().err.splitlines() == [
        "my-run: Succeeded (Evaluated, the answer of before) sharpe 1.50 after 4.5s",
        "my-run: Succeeded (Evaluated) sharpe 1.50 after 4.5s",
    ]


def test_a_pipe_has_a_line_for_each_change_and_no_control() -> None:
    """What goes on is told on standard error, the answer stands on standard output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.splitlines() == [
        "my-run: Running (StrategyRunning)",
        "my-run: Succeeded (Evaluated) sharpe 1.50 after 4.5s",
    ]
    assert "my-run" in done.stdout
    assert "colours: False" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
