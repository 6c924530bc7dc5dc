"""The child's life: import, read, close the walls, run, and check what was handed over.

The steps are apart, so that a child can import before it knows what to run.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from finlab_sandbox.harness import reasons, selfcheck, wall
from finlab_sandbox.harness.reasons import RunError

if TYPE_CHECKING:
    from types import ModuleType

    from finlab_sandbox.harness.paths import Paths

WALLS = b"W"
STARTED = b"S"
HANDED_OVER = b"H"
MESSAGE_CHARS = 1000


def live(document: bytes, paths: Paths, status: int, deadline: float, *, executor: str, walls_must_hold: bool) -> int:
    """Says on `status` which walls hold, when the strategy starts, how it ended, and what a check found.

    Returns the exit code. `document` is input.json, `deadline` the time.monotonic() of the run's limit. Where the walls
    must hold, no line of the strategy runs behind one that does not.
    """
    try:
        _prepare_process()
        os.makedirs(paths.result, exist_ok=True)
        os.environ["RESULT_DIR"] = paths.result
        abi = wall.begin(paths)
        steps = _import()
        run = steps.read(document, paths)
        wall.complete(executor)
        _check_walls(status, selfcheck.look(abi, executor), must_hold=walls_must_hold)
    except RunError as error:
        return _say(status, error.reason, str(error))
    except Exception as error:
        return _say(status, reasons.IMAGE_INVALID, f"{type(error).__name__}: {error}")
    os.write(status, STARTED)
    end = run.perform()
    with suppress(BaseException):
        sys.stdout.flush()
    if end is None:
        os.write(status, HANDED_OVER)
        if (found := run.look_ahead(deadline)) is not None:
            os.write(status, json.dumps({"lookAhead": found}).encode())
        return 0
    _say(status, end.reason, end.message)
    with suppress(OSError):
        os.write(2, end.traceback.encode("utf-8", "backslashreplace"))
    return int(end.exit_code)


def _check_walls(status: int, walls: dict[str, Any], *, must_hold: bool) -> None:
    """Says which walls hold. Raises RunError for one that must and does not."""
    os.write(status, WALLS + json.dumps(walls).encode() + b"\n")
    if must_hold and (gaps := selfcheck.gaps(walls)):
        place = walls["executor"].lower()
        found = ", ".join(f"{name} is {json.dumps(walls[name])}" for name in gaps)
        raise RunError(reasons.IMAGE_INVALID, f"the {place} does not hold: {found}; nothing of the strategy was run")


def _import() -> ModuleType:
    """The first step: nearly all of the time that most runs take."""
    gc.disable()  # nothing that an import makes is garbage
    from finlab_sandbox.harness import perform  # noqa: PLC0415 - heavy, and only the child may pay for it

    gc.freeze()
    gc.enable()
    return perform


def _prepare_process() -> None:
    """Output appears line by line; a fatal signal, and SIGUSR1 at the time limit, print where the strategy was."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)


def _say(status: int, reason: str, message: str) -> int:
    os.write(status, json.dumps({"reason": reason, "message": message[:MESSAGE_CHARS]}).encode())
    return 1
