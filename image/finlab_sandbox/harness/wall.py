"""The second wall: what the child takes away from itself, for good, before the first line of the strategy.

The first wall is the pod's; in the fallback it is the node runtime's alone, and the second one does its work as well.
The supervisor stands outside of the second.
"""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING

from finlab_sandbox.harness import executors, landlock, seccomp

if TYPE_CHECKING:
    from finlab_sandbox.harness.paths import Paths

PR_SET_NO_NEW_PRIVS = 38
WRITABLE_FOLDERS = ("/tmp", "/dev/shm")  # noqa: S108 - the pod's own
WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")

# RLIMIT_NPROC is none of them: it counts the user's processes on the whole node, those of other pods too.
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 1 << 30,
    resource.RLIMIT_NOFILE: 1024,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
}
# Parallel work is done by threads, of which there are as many as BLAS is allowed.
WITHOUT_PROCESSES = {"JOBLIB_MULTIPROCESSING": "0", "LOKY_MAX_CPU_COUNT": "1"}


def begin(paths: Paths) -> int | None:
    """What imports can do without. To be called while there is one thread: Landlock binds those that come after it.

    Returns the version of Landlock's ABI, None where there is none.
    """
    os.environ.update(WITHOUT_PROCESSES)
    for kind, limit in LIMITS.items():
        with suppress(OSError, ValueError):  # kernels in user space know fewer of them
            _, hard = resource.getrlimit(kind)
            most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (most, most))
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return landlock.restrict(
        (*WRITABLE_FOLDERS, os.path.dirname(paths.positions), paths.result),
        WRITABLE_DEVICES,
    )


def complete(executor: str) -> None:
    """What only imports needed. Where the kernel refuses, the self-check is the one to say so."""
    with suppress(OSError):
        seccomp.install(alone=executor == executors.FALLBACK)
