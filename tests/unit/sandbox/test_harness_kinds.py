"""The first step as a process: what each kind of strategy finds, and what counts as its result."""

import struct
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from support.sandbox import Ended, Steps


def weights(steps: Steps) -> Any:
    """The weights that were handed over, n x m."""
    content = steps.positions.read_bytes()
    _, rows, columns = struct.unpack("<8sII", content[:16])
    return np.frombuffer(content, "<f8", rows * columns, 16 + 4 * (rows + columns)).reshape(rows, columns)


def completed(ended: Ended) -> dict[str, Any]:
    """The document of a run that came to its end."""
    document = ended.document
    assert (ended.exit_code, document["reason"]) == (0, "Completed"), document
    assert (document["exitCode"], document["signal"]) == (0, None)
    return document


def failed(ended: Ended, reason: str) -> str:
    """The message of a run that failed for the reason."""
    document = ended.document
    assert (ended.exit_code, document["reason"]) == (1, reason), document
    message: str = document["message"]
    return message


def test_a_function_comes_before_a_frame(steps: Steps) -> None:
    """A module that leaves both means the function."""
    completed(
        steps.run(
            """\
            position = data.close * 0.0

            def strategy(data, params):
                return data.close.notna()
            """
        )
    )
    assert np.nanmax(weights(steps)) > 0


def test_a_function_gets_the_data_whatever_the_module_calls_so(steps: Steps) -> None:
    """`from finlab import data` gives the name another meaning in the module, not in the call."""
    source = "data, params = None, None\ndef strategy(data, params):\n    return data.close * params['weight']\n"
    completed(steps.run(source, params={"weight": 0}))
    assert np.nanmax(weights(steps)) == 0.0


@pytest.mark.parametrize("name", ["positions", "position"])
@pytest.mark.parametrize("value", ["data.close.notna()", "data.close['IBM'].notna()"])
def test_a_script_leaves_a_frame(steps: Steps, name: str, value: str) -> None:
    """Or a Series, under either name, made from the data that it finds."""
    completed(steps.run(f"{name} = {value}\n"))
    assert weights(steps).shape == ((3270, 5) if "IBM" not in value else (3270, 1))


def test_of_two_names_the_first_with_a_frame_counts(steps: Steps) -> None:
    """`positions` before `position`, a frame before anything else."""
    completed(steps.run("positions = data.close.notna()\nposition = data.close * 0.0\n"))
    assert np.nanmax(weights(steps)) > 0
    completed(steps.run("positions = []\nposition = data.close * 0.0\n"))
    assert np.nanmax(weights(steps)) == 0.0


def test_a_name_without_a_frame_is_named(steps: Steps) -> None:
    """None, or whatever stands there."""
    assert failed(steps.run("position = None\n"), "ResultInvalid").startswith("`position` is None; ")
    assert failed(steps.run("positions = {'AAPL': 1}\n"), "ResultInvalid").startswith("`positions` is dict; ")
    message = failed(steps.run("strategy = 'SMA'\nposition = 1\n"), "ResultInvalid")
    assert message.startswith("`position` is int; ")


def test_params_are_there_before_a_script_begins(steps: Steps) -> None:
    """As a mapping, with the data."""
    completed(steps.run("position = data['close'] * 0.0 + params['weight']\n", params={"weight": 0.125}))
    assert np.nanmax(weights(steps)) == 0.125


def test_an_exit_after_the_frame_is_an_end(steps: Steps) -> None:
    """sys.exit(0) at the end of a script takes nothing away; before the frame it does."""
    completed(steps.run("import sys\nposition = data.close.notna()\nsys.exit(0)\n"))
    message = failed(steps.run("import sys\nsys.exit()\nposition = data.close.notna()\n"), "ResultMissing")
    assert message == "sys.exit() before positions were returned (strategy.py line 2)"
    failed(steps.run("import sys\nposition = data.close.notna()\nsys.exit(1)\n"), "StrategyError")


def test_the_main_block_of_a_strategy_is_left_out(steps: Steps) -> None:
    """It tries a strategy out, with what only its author has."""
    ended = steps.run(
        """\
        def strategy(data, params):
            return data.close.notna()

        if __name__ == "__main__":
            print("trying it out")
            strategy(open("/home/me/prices.csv"), {})
        """
    )
    completed(ended)
    assert ended.output == b""


def test_the_main_block_runs_where_nothing_else_gave_positions(steps: Steps) -> None:
    """With what stands before it, once, and its lines are named."""
    source = """\
        print("once")

        def main():
            return data.close.notna()

        if __name__ == "__main__":
            position = main()
        """
    ended = steps.run(source)
    completed(ended)
    assert ended.output == b"once\n"
    message = failed(steps.run(dedent(source) + "    1 / 0\n"), "StrategyError")
    assert message == "ZeroDivisionError: division by zero (strategy.py line 8)"


def test_a_main_block_that_leaves_nothing(steps: Steps) -> None:
    """Both ways are named."""
    message = failed(steps.run("def strateggy(): ...\nif __name__ == '__main__':\n    strateggy()\n"), "ResultMissing")
    assert message.startswith("strategy.py left neither a function strategy(data, params) nor a frame")


@pytest.mark.parametrize("kind", ["Result", "Script"])
def test_a_program_is_run_as_python_runs_one(steps: Steps, kind: str) -> None:
    """Its main block runs, its classes can be found by name, it has the data, and threads come to their end."""
    ended = steps.run(
        """\
        import json, pickle, sys, threading, time
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int

        def later():
            time.sleep(0.2)
            print('RESULT {"days": %d}' % len(data.close))

        if __name__ == "__main__":
            assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
            print(params, sys.argv[0] == __file__)
            threading.Thread(target=later).start()
        """,
        kind=kind,
        params={"a": 1},
    )
    document = completed(ended)
    assert ended.output == b"{'a': 1} True\n" + b'RESULT {"days": 3270}\n'
    assert document["result"] == ({"days": 3270.0} if kind == "Result" else None)
    assert not steps.positions.exists()


@pytest.mark.parametrize("kind", ["Result", "Script"])
@pytest.mark.parametrize("end", ["sys.exit()", "sys.exit(0)", "sys.stdout.flush(); os._exit(0)"])
def test_an_exit_with_0_is_an_end_of_a_program(steps: Steps, kind: str, end: str) -> None:
    """By whatever way."""
    completed(steps.run(f"import os, sys\nprint('RESULT {{\"a\": 1}}')\n{end}\n", kind=kind))


@pytest.mark.parametrize("kind", ["Result", "Script"])
def test_a_program_fails_as_any_strategy(steps: Steps, kind: str) -> None:
    """Whatever it printed before, an exception or an exit code is a failure with its line."""
    said = "print('RESULT {\"a\": 1}')\n"
    assert failed(steps.run(said + "1 / 0\n", kind=kind), "StrategyError").endswith("(strategy.py line 2)")
    assert failed(steps.run(said + "import sys\nsys.exit(3)\n", kind=kind), "StrategyError").startswith("sys.exit(3)")
    failed(steps.run(said + "import os\nos.kill(os.getpid(), 11)\n", kind=kind), "Crashed")


def test_a_script_that_prints_is_complete(steps: Steps) -> None:
    """What it printed is kept, and no numbers are read from it."""
    document = completed(steps.run("print('RESULT {\"sharpe\": 3}')\n", kind="Script"))
    assert document["lastLines"] == ['RESULT {"sharpe": 3}']
    assert document["result"] is None
    assert document["lookAhead"] is None


@pytest.mark.parametrize("source", ["x = 1\n", "print()\n", "import os\nprint('lost', end='')\nos._exit(0)\n"])
def test_a_script_without_a_word_is_no_success(steps: Steps, source: str) -> None:
    """The message says how a strategy is scored. A buffer that os._exit() loses was never printed."""
    message = failed(steps.run(source, kind="Script"), "ResultMissing")
    assert "defines strategy(data, params) or leaves a frame of weights in `positions`" in message


def test_positions_of_a_script_that_is_none_count_for_nothing(steps: Steps) -> None:
    """The kind decides, not what the code leaves."""
    ended = steps.run("position = data.close.notna()\n", kind="Script")
    failed(ended, "ResultMissing")
    assert not steps.positions.exists()


def test_the_folder_for_results_is_there_for_every_kind(steps: Steps) -> None:
    """A strategy may keep notes there."""
    source = "import os\nassert os.listdir(os.environ['RESULT_DIR']) == []\nposition = data.close.notna()\nprint('x')\n"
    for kind in ("Positions", "Script"):
        completed(steps.run(source, kind=kind))


def test_nothing_is_checked_where_nothing_was_asked_for(steps: Steps) -> None:
    """No word of a check, and no time for it."""
    document = completed(steps.run("position = data.close.notna()\n"))
    assert document["lookAhead"] is None
    assert document["seconds"]["lookAhead"] == 0.0


def test_finlab_that_is_not_there_is_an_error_as_any(steps: Steps) -> None:
    """In an image without it."""
    message = failed(steps.run("from finlab import data\nposition = data.get('price:收盤價')\n"), "StrategyError")
    assert message == "ModuleNotFoundError: No module named 'finlab' (strategy.py line 1)"


def test_a_nested_source_of_any_kind_is_the_strategys_own_trouble(steps: Steps) -> None:
    """What the parser refuses is no fault of the image."""
    for source in ("x = " + "(" * 5000 + ")" * 5000 + "\n", "x = " + "-" * 100_000 + "1\n", "x = 1\0\n"):
        ended = steps.run(dedent(source))
        assert (ended.exit_code, ended.document["reason"]) in ((1, "StrategyError"), (1, "OutOfMemory")), source[:20]
