"""Whether the walls hold: tried from inside, between the last import and the first line of the strategy."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

from finlab_sandbox.harness import executors, memory, syscalls

REFUSED, ALLOWED = "refused", "allowed"
PRESENT, ABSENT = "present", "absent"
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, RAW = 1, 3
SOCKETS = ((UNIX, STREAM), (INET, STREAM), (INET6, STREAM), (NETLINK, RAW))
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FILTERING = "2"
FILTERS = 2  # the pod's and the harness's
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where one would be
PROBE = "/.finlab-sandbox"
PR_GET_NO_NEW_PRIVS = 39
UNLISTED = "inotify_init1"  # harmless, in every runtime's default profile, and not in ours


def look(landlock: int | None, executor: str) -> dict[str, Any]:
    """The walls as they are found; `landlock` is the version of its ABI that is in force."""
    status = _status()
    return {
        "executor": executor,
        "uid": os.getuid(),
        "noNewPrivs": _no_new_privs(),
        "capabilities": _capabilities(status),
        "seccompFilters": _filters(status),
        "unlisted": REFUSED if _refused(UNLISTED) else ALLOWED,
        "sockets": REFUSED if all(_refused("socket", *each) for each in SOCKETS) else ALLOWED,
        "rootReadOnly": _root_is_read_only(),
        "token": PRESENT if os.path.lexists(TOKEN) else ABSENT,
        "memoryLimit": memory.limit(),
        "exec": REFUSED if _refused("execve") else ALLOWED,
        "fork": REFUSED if _fork_is_refused() else ALLOWED,
        "landlock": landlock,
    }


def gaps(walls: dict[str, Any]) -> list[str]:
    """The walls that a pod must have and that do not hold. Landlock is none of them: not every kernel has it.

    Filters that the kernel does not count (before 5.9) are known by what they refuse. Calls that our profile does not
    list are refused by the profile, and in the fallback by the harness's own filter, which must hold on every kernel.
    A limit of memory that cannot be read is none that is missing: not every box shows its cgroup.
    """
    filters = walls["seccompFilters"]
    unlisted, limit = walls["unlisted"] == REFUSED, walls["memoryLimit"]
    holds = {
        "uid": walls["uid"] != 0,
        "noNewPrivs": walls["noNewPrivs"],
        "capabilities": walls["capabilities"] == 0,
        "seccompFilters": filters is None or filters >= FILTERS,
        "unlisted": unlisted or (filters is None and walls["executor"] == executors.SANDBOX),
        "sockets": walls["sockets"] == REFUSED,
        "rootReadOnly": walls["rootReadOnly"],
        "token": walls["token"] == ABSENT,
        "memoryLimit": limit is None or limit < memory.UNLIMITED,
        "exec": walls["exec"] == REFUSED,
        "fork": walls["fork"] == REFUSED,
    }
    return [name for name, held in holds.items() if not held]


def _status() -> dict[str, str]:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    except OSError:
        return {}


def _no_new_privs() -> bool:
    """Asked of the kernel itself: one in user space need not tell it in /proc."""
    try:
        return syscalls.call("prctl", PR_GET_NO_NEW_PRIVS) == 1
    except OSError:
        return False


def _capabilities(status: dict[str, str]) -> int | None:
    """How many there are in any of the sets; None where no set can be read."""
    sets = [int(status[name], 16) for name in CAPABILITY_SETS if name in status]
    union = 0
    for each in sets:
        union |= each
    return union.bit_count() if sets else None


def _filters(status: dict[str, str]) -> int | None:
    """How many filters bind this process; None where the kernel does not count them."""
    if status.get("Seccomp", FILTERING) != FILTERING:
        return 0
    counted = status.get("Seccomp_filters", "")
    return int(counted) if counted.isdigit() else None


def _refused(name: str, *arguments: int) -> bool:
    """Whether a call is forbidden, and not merely in vain. An execve of nothing starts nothing."""
    try:
        returned = syscalls.call(name, *arguments)
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES)
    if name in ("socket", UNLISTED):
        os.close(returned)
    return False


def _fork_is_refused() -> bool:
    try:
        child = syscalls.call("clone", int(signal.SIGCHLD))
    except OSError as error:
        return error.errno == errno.EPERM
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return False


def _root_is_read_only() -> bool:
    """By its mount and not by the rights of this user, which another one might have."""
    try:
        descriptor = os.open(PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error.errno == errno.EROFS or (error.errno in (errno.EPERM, errno.EACCES) and _mounted_read_only())
    os.close(descriptor)
    os.unlink(PROBE)
    return False


def _mounted_read_only() -> bool:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            options = [fields[3].split(",") for fields in map(str.split, file) if fields[1] == "/"]
    except OSError:
        return False
    return bool(options) and "ro" in options[-1]
