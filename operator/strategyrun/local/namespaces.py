"""A user and a mount namespace for one run: scratch space of a bounded size that goes when the run does.

The standard library alone: this runs before anything else is imported.
"""

import ctypes
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 16384, 1 << 18
HIGH = 0x70000000
"""User ids from here on belong to nobody: no system gives them to people, services or containers."""

LAST = 0xFFFFFFFE
_LIBC = ctypes.CDLL(None, use_errno=True)


class Extent(NamedTuple):
    """A line of /proc/PID/uid_map: ids from `inside` on are those from `outside` on in the namespace around."""

    inside: int
    outside: int
    size: int


def extents(text: str) -> list[Extent]:
    """Read /proc/PID/uid_map."""
    return [Extent(*map(int, line.split())) for line in text.splitlines()]


def map_for_root(around: Iterable[Extent], steps: Iterable[int]) -> list[Extent]:
    """Map every id of the namespace around to itself, but those of the steps, which change places with high ones.

    So files are seen with their owners, and no step is anybody outside. Where there are no high ids (in a container),
    the steps are the users of these numbers.
    """
    known = list(around)
    steps = sorted(steps)
    roomy = any(each.inside <= HIGH and HIGH + max(steps) < each.inside + each.size for each in known)
    found = []
    for inside, count in ((each.inside, each.size) for each in known):
        cuts = sorted({inside, inside + count} | ({c for s in steps for c in (s, s + 1, HIGH + s, HIGH + s + 1)}))
        cuts = [cut for cut in cuts if inside <= cut <= inside + count] if roomy else [inside, inside + count]
        for first, last in pairwise(cuts):
            other = HIGH + first if first in steps else first - HIGH if first - HIGH in steps else first
            found.append(Extent(first, other if roomy else first, last - first))
    return found


def enter(uids: list[Extent], gids: list[Extent]) -> None:
    """Move this process, of one thread, into namespaces of its own. Raises OSError where the kernel refuses."""
    go, stop = os.pipe(), os.pipe()
    own = os.getpid()
    helper = os.fork()
    if helper == 0:
        # Only a process outside may write maps of several lines.
        code = 1
        try:
            os.close(go[1])
            if os.read(go[0], 1):
                if len(uids) == 1 and uids[0].size == 1:
                    _write(f"/proc/{own}/setgroups", "deny")
                for name, lines in (("uid_map", uids), ("gid_map", gids)):
                    _write(f"/proc/{own}/{name}", "".join(f"{a} {b} {c}\n" for a, b, c in lines))
                code = 0
        except OSError as error:
            os.write(stop[1], str(error).encode())
        finally:
            os._exit(code)
    for unused in (go[0], stop[1]):
        os.close(unused)
    try:
        _check(_LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
        os.write(go[1], b"!")
    finally:
        os.close(go[1])
        status = os.waitpid(helper, 0)[1]
    if status:
        raise OSError(f"the user namespace's map could not be written: {os.read(stop[0], 500).decode()}")
    os.close(stop[0])
    _check(_LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate")


def mount_scratch(path: str, size: int) -> None:
    """Put an empty file system of that many bytes, in memory and open to all, at a path."""
    options = f"size={size},mode=0777".encode()
    _check(_LIBC.mount(b"scratch", os.fsencode(path), b"tmpfs", MS_NOSUID | MS_NODEV, options), f"mount {path}")


def _write(path: str, content: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(content)


def _check(returned: int, what: str) -> None:
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
