"""Exit codes: what a caller needs to know of an outcome, in one number."""

from typing import Any

SUCCEEDED = 0
NOT_RUN = 2
"""Bad usage, or the tool itself does not work here; as the other commands have it, and for wrong words too."""

UNFINISHED = 3
"""The run waits for somebody, as one that is suspended."""

BY_SIGNAL = 128
"""And the signal's number, where one ended it: as shells have it."""

_BY_CLASS = {"User": 10, "Sandbox": 20, "Platform": 30}


def exit_code(status: dict[str, Any]) -> int:
    """Return the exit code for a status: by who has to act on a failure."""
    if status.get("phase") == "Succeeded":
        return SUCCEEDED
    failure = status.get("failure")
    return _BY_CLASS[failure["class"]] if failure else UNFINISHED
