"""The look-ahead check around a run: what it finds, and that nothing it meets can lose the result."""

import re
import signal
from dataclasses import replace
from datetime import date
from textwrap import dedent
from typing import Any

import pytest

from finlab_sandbox.harness import memory
from finlab_sandbox.harness.ending import NON_DETERMINISTIC
from support.sandbox import Ended, Steps

# The number of times that the code has run in this process: environment variables outlive a module.
COUNTED = """\
import os
RUN = os.environ["RUN"] = str(int(os.environ.get("RUN", "0")) + 1)
position = data.close.notna()
"""

NOTHING_FOUND = {
    "samples": 5,
    "checked": 0,
    "changed": 0,
    "firstDate": None,
    "symbol": None,
    "note": "",
    "deterministic": True,
}
BY_CHANCE = {"deterministic": False, "note": "two runs on the same data differ, so nothing can be said"}


def checked(steps: Steps, source: str, samples: int = 5, **document: Any) -> Ended:
    """Run a source with the check, to completion."""
    ended = steps.run(source, lookAhead={"samples": samples}, **document)
    assert (ended.exit_code, ended.document["reason"]) == (0, "Completed"), ended.document
    assert steps.positions.exists()
    return ended


def found(ended: Ended) -> dict[str, Any]:
    """What the check says."""
    said: dict[str, Any] = ended.document["lookAhead"]
    return said


def test_an_honest_strategy_is_clean(steps: Steps) -> None:
    """On all futures; the time of the check is apart from the strategy's."""
    ended = checked(steps, "position = data.close > data.close.rolling(20).mean()\n")
    assert found(ended) == NOTHING_FOUND | {"checked": 5}
    assert ended.document["warnings"] == []
    assert ended.document["seconds"]["lookAhead"] > 0


@pytest.mark.parametrize(
    "source",
    [
        "position = data.close.shift(-1) > data.close\n",
        "def strategy(data, params):\n    return (data.close - data.close.mean()) / data.close.std() * 0.1\n",
        "FUTURE = data.close.shift(-5)\ndef strategy(data, params):\n    return FUTURE > data.close\n",
        "if __name__ == '__main__':\n    position = data.close > data.close.mean()\n",
    ],
)
def test_a_look_into_the_future_is_found(steps: Steps, source: str) -> None:
    """Wherever in the module it is taken; with the first date and symbol that show it."""
    said = found(checked(steps, source))
    assert said["changed"] > 0
    assert date(2000, 3, 1) <= date.fromisoformat(said["firstDate"]) <= date(2013, 3, 1)
    assert said["symbol"] in ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def test_a_look_into_the_datasets_own_files_is_not_clean(steps: Steps) -> None:
    """They have no other future, so nothing was tried."""
    source = f"""\
        import numpy as np
        import pandas as pd

        prices = np.load("{steps.dataset}/close.npy")
        position = pd.DataFrame(prices, data.dates, data.symbols)
        position = position.shift(-1) > position
        """
    said = found(checked(steps, source))
    assert (said["checked"], said["changed"]) == (0, 0)
    assert said["note"] == "run again, the strategy read no field of `data`, so it saw no other future"


def test_nothing_is_kept_from_one_run_to_the_next(steps: Steps) -> None:
    """Neither seeds, nor params, nor what was put on the data, nor a module's own names."""
    source = """\
        import random
        import numpy as np

        def strategy(data, params):
            params["runs"] += 1
            data.runs = getattr(data, "runs", 0) + 1
            globals()["RUNS"] = globals().get("RUNS", 0) + 1
            weight = params["runs"] + data.runs + RUNS + random.random() + np.random.rand()
            return data.close.notna() * weight / 100
        """
    ended = checked(steps, source, params={"runs": 0})
    assert found(ended)["changed"] == 0
    assert ended.document["warnings"] == []


@pytest.mark.parametrize(
    "position", ["data.close.notna() * 0.19", "(data.close.shift(-1) > data.close) * 0.19"], ids=["honest", "leaking"]
)
def test_two_equal_runs_that_differ_are_said(steps: Steps, position: str) -> None:
    """A warning in its words, and nothing that could pass for a look that found nothing."""
    ended = checked(steps, f"import numpy as np\nposition = {position} + np.random.default_rng().random() * 1e-3\n")
    assert ended.document["warnings"] == [NON_DETERMINISTIC]
    assert found(ended) == NOTHING_FOUND | BY_CHANCE


def test_what_the_check_prints_is_nobodys_to_read(steps: Steps) -> None:
    """Python's output, descriptors and warnings: all appear once."""
    source = COUNTED + dedent(
        """\
        import sys, warnings
        print("printed")
        sys.stderr.write("an error\\n")
        os.write(1, b"written\\n")
        warnings.warn("careful")
        """
    )
    output = checked(steps, source).output.decode()
    for line in ("printed", "an error", "written", "careful"):
        assert len(re.findall(rf"{line}$", output, re.MULTILINE)) == 1, output


def test_a_strategy_without_output_is_checked_all_the_same(steps: Steps) -> None:
    """Where the descriptors are closed, and where Python's streams are no streams."""
    for gone in (
        "os.close(1); os.close(2)",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; del sys.stdout",
    ):
        assert found(checked(steps, f"{COUNTED}if RUN == '1':\n    {gone}\n"))["checked"] == 5, gone


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("1 / 0", {"note": "ZeroDivisionError on another future"}),
        ("import sys; sys.exit()", {"checked": 5}),
        ("import sys; sys.exit(3)", {"note": "SystemExit on another future"}),
        ("raise KeyboardInterrupt", {"note": "KeyboardInterrupt on another future"}),
        ("position = None", {"note": "RunError on another future"}),
        ("del position", {"note": "RunError on another future"}),
        ("position = position.iloc[:100]", BY_CHANCE),
        ("position = data.close.iloc[:, :1].notna()", BY_CHANCE),
    ],
)
def test_a_strategy_that_ends_otherwise_on_another_future_is_complete(
    steps: Steps, then: str, said: dict[str, Any]
) -> None:
    """The note says why nothing was compared; an end without an error is one."""
    assert found(checked(steps, COUNTED + f"if RUN != '1':\n    {then}\n")) == NOTHING_FOUND | said


@pytest.mark.parametrize(
    ("then", "note"),
    [
        ("os.kill(os.getpid(), 11)", "the check was ended by SIGSEGV"),
        (
            "os.kill(os.getpid(), 9)",
            "the check was ended at the memory limit (SIGKILL)"
            if memory.kills() is None
            else "the check was ended by SIGKILL",
        ),
        ("os._exit(3)", "the strategy ended the check with exit code 3"),
        ("os._exit(0)", "the strategy ended the check with exit code 0"),
    ],
)
def test_a_process_that_ends_in_the_check_is_complete(steps: Steps, then: str, note: str) -> None:
    """Its positions were safe before."""
    ended = checked(steps, COUNTED + f"if RUN == '3':\n    {then}\n")
    assert found(ended) == NOTHING_FOUND | {"note": note}
    assert (ended.document["exitCode"], ended.document["signal"]) == (0, None)


def test_a_check_that_does_not_end_is_ended(steps: Steps) -> None:
    """At a limit of its own, seconds after the positions were safe, however much time the run has left."""
    ended = checked(replace(steps, spare=20), COUNTED + "while RUN == '3':\n    pass\n", timeout=600)
    assert found(ended)["note"] == "the check was ended: it took too long"


def test_a_forbidden_call_in_the_check_is_a_violation(steps: Steps) -> None:
    """Positions that are safe are no licence for it."""
    source = COUNTED + f"if RUN == '3':\n    os.kill(os.getpid(), {int(signal.SIGSYS)})\n"
    ended = steps.run(source, lookAhead={"samples": 5})
    assert (ended.exit_code, ended.document["reason"]) == (1, "SyscallViolation")


def test_positions_that_the_check_destroys_are_missing(steps: Steps) -> None:
    """Who deletes his own result has none."""
    source = COUNTED + f"if RUN == '2':\n    os.unlink({str(steps.positions)!r})\n"
    ended = steps.run(source, lookAhead={"samples": 1})
    assert (ended.exit_code, ended.document["reason"]) == (1, "ResultMissing")


@pytest.mark.parametrize("kind", ["Result", "Script"])
def test_only_positions_are_checked(steps: Steps, kind: str) -> None:
    """There is nothing to compare in other kinds."""
    ended = steps.run("print('RESULT {\"a\": 1}')\n", kind=kind, lookAhead={"samples": 5})
    assert ended.exit_code == 0
    assert ended.document["lookAhead"] is None
    assert ended.document["seconds"]["lookAhead"] == 0.0
    assert ended.output == b'RESULT {"a": 1}\n'
