"""The first step as a process: every end that a strategy can come to, caused for real."""

import os
import re
import select
import signal
import struct
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from finlab_sandbox.harness import memory
from finlab_sandbox.harness.supervisor import LOG_CAP
from support.sandbox import DIES_IMPORTING, HELD_UP_AT_THE_END, TOLD_TOO_EARLY, Ended, Steps

HOLD = """\
def strategy(data, params):
    return data.close.notna()
"""


def failed(ended: Ended, reason: str) -> dict[str, Any]:
    """The document of a run that failed for the reason."""
    assert ended.exit_code == 1, ended.errors
    document = ended.document
    assert document["reason"] == reason, document
    return document


def test_a_good_strategy_completes(steps: Steps) -> None:
    """Exit code 0, positions of the right size, durations, and a document that says so."""
    ended = steps.run(HOLD)
    assert ended.exit_code == 0, ended.errors
    document = ended.document
    assert document["reason"] == "Completed"
    assert document["exitCode"] == 0
    assert document["signal"] is None
    assert document["seconds"]["imports"] > 0
    assert struct.unpack("<8sII", steps.positions.read_bytes()[:16]) == (b"FLBPOS1\n", 3270, 5)


def test_params_arrive_as_they_were_given(steps: Steps) -> None:
    """Any JSON object, not text."""
    params = {"fast": 20, "names": ["a", {"b": None}], "text": "價格 'quoted' $(VAR)"}
    ended = steps.run(
        """\
        def strategy(data, params):
            print(repr(params))
            return data.close.notna()
        """,
        params=params,
    )
    assert ended.output.decode().strip() == repr(params)


def test_nothing_of_the_cluster_is_inherited(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the address that every container gets, nor what the harness alone is told."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    source = """\
        import os
        print(sorted(name for name in os.environ if name.startswith(("KUBERNETES_", "FINLAB_"))))
        """
    assert steps.run(dedent(source) + HOLD).output == b"[]\n"


def test_seeds_are_fixed(steps: Steps) -> None:
    """Two runs of a strategy that draws lots end the same."""
    source = """\
        import random
        import numpy as np
        def strategy(data, params):
            return data.close * random.random() * np.random.rand(*data.close.shape)
        """
    outcomes = []
    for _ in range(2):
        assert steps.run(source).exit_code == 0
        outcomes.append(steps.positions.read_bytes())
    assert outcomes[0] == outcomes[1]


def test_an_exception_is_named_with_its_line(steps: Steps) -> None:
    """The message says what and where; the last lines are the strategy's own frames and nothing of the harness."""
    document = failed(
        steps.run(
            """\
            def strategy(data, params):
                print("so far so good")
                return helper(data)

            def helper(data):
                return data.close["TSLA"]
            """
        ),
        "StrategyError",
    )
    assert document["message"] == "KeyError: 'TSLA' (strategy.py line 6)"
    assert document["exitCode"] == 1
    assert document["lastLines"] == [
        "so far so good",
        "Traceback (most recent call last):",
        '  File "strategy.py", line 3, in strategy',
        "    return helper(data)",
        '  File "strategy.py", line 6, in helper',
        '    return data.close["TSLA"]',
        "KeyError: 'TSLA'",
    ]


def test_a_syntax_error_is_named_with_its_line(steps: Steps) -> None:
    """The line is that of the error, not of the harness's call."""
    document = failed(steps.run("x = 1\ny = (\n"), "StrategyError")
    assert document["message"] == "SyntaxError: '(' was never closed (strategy.py line 2)"


def test_an_endless_recursion_is_cut_short(steps: Steps) -> None:
    """A thousand frames do not push the message out of the document."""
    document = failed(steps.run("def strategy(data, params):\n    return strategy(data, params)\n"), "StrategyError")
    assert "maximum recursion depth exceeded" in document["message"]
    assert any(re.search(r"\d+ more calls", line) for line in document["lastLines"])


def test_a_hostile_exception_cannot_draw(steps: Steps) -> None:
    """Escapes, bidirectional marks and control characters are gone; the length is bounded; other scripts stay."""
    document = failed(
        steps.run(
            """\
            def strategy(data, params):
                drawn = "\\x1b[31mred\\x1b]0;title\\x07 \\u202egnp.exe\\u2066 \\x00 \\ud800 價格 "
                raise ValueError(drawn + "x" * 10_000_000)
            """
        ),
        "StrategyError",
    )
    assert document["message"].startswith("ValueError: red gnp.exe   價格 xxx")
    assert document["message"].endswith("… (strategy.py line 3)")
    assert len(document["message"]) < 500


def test_an_exception_without_a_message_it_can_tell(steps: Steps) -> None:
    """An exception whose text raises is named by its type."""
    document = failed(
        steps.run(
            """\
            class Sly(Exception):
                def __str__(self):
                    raise RuntimeError

            def strategy(data, params):
                raise Sly
            """
        ),
        "StrategyError",
    )
    assert document["message"] == "Sly: <no message> (strategy.py line 6)"


def test_a_strategy_without_stderr_is_explained_all_the_same(steps: Steps) -> None:
    """Where its traceback cannot be printed, its message still arrives."""
    document = failed(
        steps.run("import os\nos.close(1)\nos.close(2)\ndef strategy(data, params):\n    1 / 0\n"), "StrategyError"
    )
    assert document["message"] == "ZeroDivisionError: division by zero (strategy.py line 5)"
    assert document["lastLines"] == []


def test_a_long_message_arrives(steps: Steps) -> None:
    """A name of thirty thousand bytes is cut, not the document."""
    document = failed(
        steps.run(
            """\
            def strategy(data, params):
                return data.close.rename(columns={"AAPL": "價" * 9999})
            """
        ),
        "ResultInvalid",
    )
    assert document["message"].startswith("columns '價價價")


def test_no_function_is_said(steps: Steps) -> None:
    """The contract is named."""
    document = failed(steps.run("def strateggy(data, params): ...\n"), "ResultMissing")
    assert document["message"] == (
        "strategy.py left neither a function strategy(data, params) nor a frame `positions` or `position`"
    )


def test_a_missing_field_names_what_there_is(steps: Steps) -> None:
    """DataMissing, where a look at the attribute or the item finds nothing."""
    document = failed(steps.run('def strategy(data, params):\n    return data["pe"]\n'), "DataMissing")
    expected = "data has no 'pe'; it has open, high, low, close, adj_close, volume (strategy.py line 2)"
    assert document["message"] == f"MissingFieldError: {expected}"


def test_a_missing_dataset_is_said(steps: Steps, tmp_path: Path) -> None:
    """Before any line of the strategy has run."""
    ended = steps.run(HOLD, dataset={"name": "prices", "path": str(tmp_path / "nowhere")})
    assert failed(ended, "DataMissing")["message"].startswith("there is no dataset at ")


def test_out_of_time(steps: Steps) -> None:
    """The harness's own kill is a Timeout and no OutOfMemory, and the last lines say where the strategy was."""
    document = failed(
        steps.run(
            """\
            import signal
            def strategy(data, params):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    try:
                        while True: pass
                    except BaseException:
                        pass
            """,
            timeout=40,
        ),
        "Timeout",
    )
    assert document["message"] == "ran longer than the limit of 40 s"
    assert document["signal"] == "SIGKILL"
    assert 'strategy.py", line 6 in strategy' in "\n".join(document["lastLines"])
    assert "finlab_sandbox" not in "\n".join(document["lastLines"])


def test_who_ends_when_asked_where_it_is_was_still_out_of_time(steps: Steps) -> None:
    """A handler of its own for the signal changes nothing."""
    source = """\
        import os, signal
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
        def strategy(data, params):
            while True: pass
        """
    document = failed(steps.run(source, timeout=40), "Timeout")
    assert document["exitCode"] == 0


def test_who_ended_in_time_is_not_late(steps: Steps) -> None:
    """However late the harness, which may have been held up itself, comes to look at its clock."""
    steps.write("def strategy(data, params):\n    return data.close.notna()\n")
    ended = steps.end(steps.start(before=HELD_UP_AT_THE_END))
    assert ended.document["reason"] == "Completed", ended.errors


def test_an_interrupt_does_not_end_the_harness(steps: Steps, tmp_path: Path) -> None:
    """The one signal that Python itself would let end the first process of a pod."""
    steps.write(
        """\
        import os
        def strategy(data, params):
            print("here")
            while not os.path.exists(params["go"]): pass
            return data.close.notna()
        """,
        params={"go": str(tmp_path / "go")},
    )
    process = steps.start()
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 100) == b"here\n"
    process.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    ended = steps.end(process)
    assert ended.exit_code == 0, ended.errors
    assert ended.document["reason"] == "Completed"


def test_a_strategy_that_kills_itself_has_not_run_out_of_memory(steps: Steps) -> None:
    """Where the kernel counts its kills; else SIGKILL that is not the harness's own is taken for the kernel's."""
    ended = steps.run("import os\ndef strategy(data, params):\n    os.kill(os.getpid(), 9)\n")
    assert failed(ended, "OutOfMemory" if memory.kills() is None else "Crashed")["signal"] == "SIGKILL"


def test_memory_error_is_out_of_memory(steps: Steps) -> None:
    """An allocation that is refused says how much was asked."""
    ended = steps.run("import numpy as np\ndef strategy(data, params):\n    return np.zeros(10**15)\n")
    assert "Unable to allocate 7.11 PiB" in failed(ended, "OutOfMemory")["message"]


def test_no_space_is_disk_limit(steps: Steps) -> None:
    """A full device."""
    document = failed(
        steps.run('def strategy(data, params):\n    open("/dev/full", "w").write("x" * 10**6)\n'), "DiskLimit"
    )
    assert document["message"] == "OSError: [Errno 28] No space left on device (strategy.py line 2)"


def test_a_segmentation_fault_is_a_crash(steps: Steps) -> None:
    """The signal is named, and the last lines say where it happened."""
    document = failed(steps.run("import ctypes\ndef strategy(data, params):\n    ctypes.string_at(0)\n"), "Crashed")
    assert document["message"] == "killed by SIGSEGV"
    assert document["signal"] == "SIGSEGV"
    assert document["exitCode"] is None
    assert 'strategy.py", line 3 in strategy' in "\n".join(document["lastLines"])


def test_sigsys_is_a_syscall_violation(steps: Steps) -> None:
    """The signal of a seccomp filter that kills."""
    document = failed(
        steps.run("import os, signal\ndef strategy(data, params):\n    os.kill(os.getpid(), signal.SIGSYS)\n"),
        "SyscallViolation",
    )
    assert document["signal"] == "SIGSYS"


def test_an_early_exit_has_no_result(steps: Steps) -> None:
    """Exit code 0 without positions is no success."""
    document = failed(steps.run("import os\nos._exit(0)\n"), "ResultMissing")
    assert document["exitCode"] == 0
    document = failed(steps.run("import sys\ndef strategy(data, params):\n    sys.exit()\n"), "ResultMissing")
    assert document["message"] == "sys.exit() before positions were returned (strategy.py line 3)"


def test_an_exit_code_is_an_error(steps: Steps) -> None:
    """With sys.exit there is a line to name, with os._exit there is none."""
    document = failed(steps.run("import sys\ndef strategy(data, params):\n    sys.exit(3)\n"), "StrategyError")
    assert document["message"] == "sys.exit(3) (strategy.py line 3)"
    assert document["exitCode"] == 3
    document = failed(steps.run("import os\nos._exit(137)\n"), "StrategyError")
    assert document["message"] == "the process ended with exit code 137 and no exception"


def test_a_positions_file_of_another_shape_is_no_result(steps: Steps) -> None:
    """What only looks like the file by name."""
    source = f"""\
        import os
        open({str(steps.positions)!r}, "wb").write(b"FLBPOS1\\n" + bytes(100))
        os._exit(0)
        """
    failed(steps.run(source), "ResultMissing")


def test_a_result_that_is_no_frame_is_invalid(steps: Steps) -> None:
    """The message is the user's to act on."""
    document = failed(steps.run("def strategy(data, params):\n    data.close\n"), "ResultInvalid")
    assert document["message"].startswith("strategy returned None; it must be a DataFrame of weights")


def test_a_flood_of_output_is_cut_and_its_end_is_kept(steps: Steps) -> None:
    """The log has a cap and says so; the strategy runs on, and its last line is there."""
    ended = steps.run(
        """\
        def strategy(data, params):
            for _ in range(300):
                print("x" * 9999)
            print("the end")
            return data.close.notna()
        """
    )
    assert ended.exit_code == 0
    assert LOG_CAP <= len(ended.output) < LOG_CAP + 200
    assert b"output is cut here" in ended.output[-200:]
    assert ended.document["lastLines"][-1] == "the end"
    assert len(ended.document["lastLines"][-2]) == 200


def test_output_up_to_the_cap_is_whole(steps: Steps) -> None:
    """Not a byte more than the cap is needed for all of it."""
    ended = steps.run(
        f"""\
        import os
        def strategy(data, params):
            for _ in range({LOG_CAP} // 4096):
                os.write(1, b"x" * 4096)
            return data.close.notna()
        """
    )
    assert ended.output == b"x" * LOG_CAP


def test_output_appears_while_the_strategy_runs(steps: Steps) -> None:
    """A line is passed on when it is printed, not when the run ends."""
    steps.write("def strategy(data, params):\n    print('here')\n    while True: pass\n")
    process = steps.start()
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 60)
    assert readable
    assert os.read(process.stdout.fileno(), 100) == b"here\n"
    process.terminate()
    ended = steps.end(process)
    assert ended.document["message"] == "the run was told to stop (SIGTERM)"
    assert process.returncode == 128 + signal.SIGTERM


def test_who_is_told_to_stop_before_it_listens_has_heard_it(steps: Steps) -> None:
    """The signal waits: the first process of a pod would never hear of one that came too early."""
    steps.write("def strategy(data, params):\n    while True: pass\n")
    process = steps.start(before=TOLD_TOO_EARLY)
    assert steps.end(process).document["message"] == "the run was told to stop (SIGTERM)"
    assert process.returncode == 128 + signal.SIGTERM


def test_input_finds_nothing(steps: Steps) -> None:
    """stdin is closed, so that nobody waits for an answer."""
    document = failed(steps.run("def strategy(data, params):\n    input()\n"), "StrategyError")
    assert document["message"].startswith("EOFError")


def test_lies_about_the_end_are_not_believed(steps: Steps) -> None:
    """A strategy that finds the pipe may blame itself, but can neither succeed nor blame the platform."""
    for reason in ("Completed", "ImageInvalid", "Tampered", "Evaluated", ["x"]):
        source = f"""\
            import json, os
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, json.dumps({{"reason": {reason!r}, "message": "a lie"}}).encode())
                except OSError:
                    pass
            os._exit(0)
            """
        failed(steps.run(source), "ResultMissing")


def test_a_forged_document_is_overwritten(steps: Steps) -> None:
    """The harness has the last word, whatever is in its place, and follows no link."""
    forged = steps.folder / "document.json"
    source = f"open({str(forged)!r}, 'w').write('{{}}' * 10000)\n"
    assert failed(steps.run(source + HOLD.replace("notna", "nota")), "StrategyError")["exitCode"] == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"schema": 1}, "input.json has schema 1, not 2"),
        ({"kind": "Guess"}, "input.json has kind 'Guess', none of Positions, Result, Script"),
        ({"timeoutSeconds": "soon"}, "input.json: ValueError"),
    ],
)
def test_inputs_that_do_not_fit_are_the_platforms(steps: Steps, document: dict[str, Any], message: str) -> None:
    """No line of the strategy has run, and the exit code says who is to blame."""
    ended = steps.run("print('ran')\n" + HOLD, **document)
    assert ended.exit_code == 2
    assert ended.document["reason"] == "ImageInvalid"
    assert ended.document["message"].startswith(message)
    assert ended.output == b""


def test_other_code_than_the_inputs_is_not_run(steps: Steps) -> None:
    """What was neither vetted nor asked for: the bytes that are hashed are those that would run."""
    ended = steps.run("print('ran')\n" + HOLD, codeSHA256="0" * 64)
    assert (ended.exit_code, ended.output) == (2, b"")
    assert ended.document["reason"] == "Tampered"
    assert ended.document["message"].startswith("strategy.py has sha256 ")


def test_another_input_than_the_pinned_one_is_not_understood(steps: Steps) -> None:
    """With code and input both replaced, the template of the Job is what tells them from those of the run."""
    steps.write(HOLD)
    pinned = steps.pin()
    steps.write("print('ran')\n" + HOLD, timeout=1)
    ended = steps.end(steps.start(pinned))
    assert (ended.exit_code, ended.output) == (2, b"")
    assert ended.document["reason"] == "Tampered"
    assert ended.document["message"].endswith(f", not {pinned}")
    assert ended.document["walls"] is None


def test_an_input_that_nobody_pinned_is_not_understood(steps: Steps) -> None:
    """A template without the hash is none of this version's."""
    steps.write("print('ran')\n" + HOLD)
    ended = steps.end(steps.start(""))
    assert (ended.exit_code, ended.output) == (2, b"")
    assert ended.document["reason"] == "ImageInvalid"
    assert ended.document["message"].startswith("FINLAB_INPUT_SHA256 is not set")


def test_no_input_is_the_platforms(steps: Steps) -> None:
    """The mount is missing."""
    process = steps.start("0" * 64)
    ended = steps.end(process)
    assert ended.exit_code == 2
    assert ended.document["message"].startswith("input.json: FileNotFoundError")


def test_a_child_that_dies_while_it_imports_is_the_platforms(steps: Steps) -> None:
    """A crash before the strategy's first line cannot be its fault."""
    steps.write(HOLD)
    ended = steps.end(steps.start(before=DIES_IMPORTING))
    assert ended.exit_code == 2
    assert ended.document["message"] == "killed by SIGILL before the strategy was started"
