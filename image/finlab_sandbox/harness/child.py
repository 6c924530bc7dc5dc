"""The child's life: import, read, run. The steps are apart, so that a child can import before it knows what to run."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from finlab_sandbox.harness import reasons
from finlab_sandbox.harness.reasons import RunError

if TYPE_CHECKING:
    from types import ModuleType

    from finlab_sandbox.harness.paths import Paths

STARTED = b"S"
MESSAGE_CHARS = 1000


def live(paths: Paths, status: int) -> int:
    """Says on `status` when the strategy starts and how it failed; returns the exit code."""
    try:
        _prepare_process()
        steps = _import()
        task, market = steps.read(paths)
    except RunError as error:
        return _say(status, error.reason, str(error))
    except Exception as error:
        return _say(status, reasons.IMAGE_INVALID, f"{type(error).__name__}: {error}")
    os.write(status, STARTED)
    end = steps.run(task, market, paths)
    with suppress(BaseException):
        sys.stdout.flush()
    if end is None:
        return 0
    _say(status, end.reason, end.message)
    with suppress(OSError):
        os.write(2, end.traceback.encode("utf-8", "backslashreplace"))
    return int(end.exit_code)


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
