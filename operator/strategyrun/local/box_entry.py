"""The first program of a box, before the step itself: it takes away what a step must not have, then becomes the step.

Its source is handed to `python3 -I -S -c`, so the box needs no file of it: settings as JSON, then the command. The
standard library alone.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
FILTER_MODE = 2
CAPABILITIES = 64
"""More than any kernel has."""

CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(settings: dict[str, Any], command: list[str]) -> None:
    """Take on limits, user and filter, and become the command. Raises OSError where the kernel refuses."""
    if (user := settings["becomes"]) is not None:
        for capability in range(CAPABILITIES):
            _LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        _check(_LIBC.capset((ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()), "capset")
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the kernel forgets it where the user changes
    for name, limit in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    program = bytes.fromhex(settings["filter"])
    held = ctypes.create_string_buffer(program, len(program))
    _prctl(PR_SET_SECCOMP, FILTER_MODE, struct.pack("@HP", len(program) // 8, ctypes.addressof(held)))
    os.execvp(command[0], command)  # noqa: S606 - the step is what the box is for


def _prctl(option: int, *values: Any) -> None:
    _check(_LIBC.prctl(option, *values, *(0,) * (4 - len(values))), f"prctl({option})")


def _check(returned: int, what: str) -> None:
    if returned:
        raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError) as error:
        sys.exit(f"finlab-sandbox: {error}")
