"""From the exception that ended a strategy to a reason, one line, and a traceback of the strategy's own frames."""

from __future__ import annotations

import errno
import linecache
import traceback
from typing import TYPE_CHECKING, NamedTuple

from finlab_sandbox.harness import reasons
from finlab_sandbox.harness.market import MissingFieldError
from finlab_sandbox.harness.reasons import RunError
from finlab_sandbox.harness.text import clean
from finlab_sandbox.harness.vendor import VendorAuthError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "strategy.py"
FRAMES = 3  # of each end of a long traceback
MESSAGE_CHARS = 400
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_THREAD = "can't start new thread"  # what Python says where the kernel says EAGAIN
FORBIDDEN = "; the sandbox has no network, and starts no programs and no other processes"


class Explanation(NamedTuple):
    """`traceback` ends with a newline where it is not empty."""

    reason: str
    message: str
    traceback: str
    exit_code: int


def explain(error: BaseException, code: str) -> Explanation:
    """Why the strategy in the file `code` ended."""
    if isinstance(error, RunError):
        return Explanation(error.reason, str(error), "", 1)
    frames = [(line, name) for path, line, name in _frames(error) if path == code]
    if isinstance(error, SyntaxError) and error.filename == code and error.lineno:
        frames.append((error.lineno, "<module>"))
    where = f" ({FILE} line {frames[-1][0]})" if frames else ""
    if isinstance(error, SystemExit):
        return _explain_exit(error, where)
    if isinstance(error, VendorAuthError):
        return Explanation(reasons.VENDOR_AUTH_REQUIRED, f"{error}{where}", "", 1)
    what = f"{type(error).__name__}: {_text(error)}".removesuffix(": ") + _hint(error)
    lines = [
        f'  File "{FILE}", line {line}, in {name}\n    {linecache.getline(code, line).strip()}' for line, name in frames
    ]
    if len(lines) > 2 * FRAMES:
        lines[FRAMES:-FRAMES] = [f"  ... {len(lines) - 2 * FRAMES} more calls ..."]
    trace = "\n".join(["Traceback (most recent call last):", *lines, what]) + "\n"
    return Explanation(_reason(error), what + where, trace, 1)


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return reasons.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return reasons.DISK_LIMIT
    if isinstance(error, BlockingIOError) or (isinstance(error, RuntimeError) and NO_THREAD in error.args):
        return reasons.PROCESS_LIMIT
    if isinstance(error, MissingFieldError):
        return reasons.DATA_MISSING
    return reasons.STRATEGY_ERROR


def _hint(error: BaseException) -> str:
    """What a seccomp filter's EPERM leaves unsaid."""
    return FORBIDDEN if isinstance(error, PermissionError) and error.errno == errno.EPERM else ""


def _explain_exit(error: SystemExit, where: str) -> Explanation:
    """sys.exit(): with 0 it left no result; with anything else it failed."""
    if error.code is None or error.code == 0:
        return Explanation(reasons.RESULT_MISSING, f"sys.exit() before positions were returned{where}", "", 0)
    code = error.code & 0xFF if isinstance(error.code, int) else 1
    return Explanation(reasons.STRATEGY_ERROR, f"sys.exit({error.code!r}){where}", "", code)


def _frames(error: BaseException) -> Iterator[tuple[str, int, str]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code.co_filename, line, frame.f_code.co_name


def _text(error: BaseException) -> str:
    """The message, from an exception that may be hostile."""
    try:
        return clean(error.msg if isinstance(error, SyntaxError) else str(error), MESSAGE_CHARS)
    except Exception:
        return "<no message>"
