"""Does the reading in a process of its own, so that a crash of native code on hostile bytes ends in words too."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STOPPING = (signal.SIGTERM,)
FAULT = 2
"""Exit code of a step that could not work, whatever the data."""
TOLD_TO_STOP = 128 + signal.SIGTERM
"""Exit code of a step whose pod is taken away: that is nobody's dataset."""


class CrashError(Exception):
    """A signal ended the process while it read the file `file`."""

    def __init__(self, file: str, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name} while it read {file!r}")
        self.file = file
        self.signal = signal.Signals(number).name


def guarded(work: Callable[[Callable[[str], None]], int]) -> int:
    """Runs `work` in a child and returns its exit code; FAULT for an exception or a crash that is about no file.

    SIGTERM ends child and process with TOLD_TO_STOP.

    `work` gets a function by which it says which file it reads from now on ("" for none). Raises CrashError.
    """
    ear, mouth = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # it waits until there is somebody who knows the child
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.close(ear)
        code = FAULT
        try:
            code = work(lambda file: _say(mouth, file))
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
            traceback.print_exc()
        finally:
            os._exit(code)

    def stop(*_: object) -> None:
        with suppress(ProcessLookupError):  # it has ended just now
            os.kill(child, signal.SIGKILL)
        os._exit(TOLD_TO_STOP)

    before = signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    os.close(mouth)
    file = ""
    with os.fdopen(ear, "rb") as lines:
        for line in lines:
            file = os.fsdecode(line.rstrip(b"\n"))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGTERM, before)
    if status >= 0:
        return status
    if file:
        raise CrashError(file, -status)
    sys.stderr.write(f"the loader was ended by {signal.Signals(-status).name}\n")
    return FAULT


def _say(mouth: int, file: str) -> None:
    os.write(mouth, os.fsencode(file.replace("\n", " ")) + b"\n")
