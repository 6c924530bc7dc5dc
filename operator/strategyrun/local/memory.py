"""The memory limit of a box: a cgroup where one can be made, else limits of the process and somebody who watches.

The standard library alone. Bytes throughout.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

CGROUPS = Path("/sys/fs/cgroup")
CLOSING_TRIES, CLOSING_PAUSE = 20, 0.01


class Limit(Protocol):
    """What keeps the processes of a box within their memory."""

    name: str
    own: bool
    """Whether the kernel keeps it, and not this program."""

    def join(self) -> None:
        """Put the calling process, from which the box will be made, under the limit."""

    def look(self, box: int) -> None:
        """Act where the processes below the process `box` have taken too much."""

    def exceeded(self) -> bool:
        """Whether somebody was killed for it."""

    def mounts(self) -> list[tuple[str, str]]:
        """Return what the box may read of the limit: path here, path there."""

    def close(self) -> None:
        """Take the limit away; the box is gone."""


class Cgroup:
    """A limit that the kernel keeps, tmpfs included; version 1 or 2, by the names of its files."""

    own = True

    def __init__(self, folder: Path, size: int) -> None:
        self.name = "cgroup"
        self._folder = folder
        folder.mkdir()
        try:
            self._second = (folder / "memory.max").exists()
            (folder / ("memory.max" if self._second else "memory.limit_in_bytes")).write_text(str(size))
            swap, most = ("memory.swap.max", 0) if self._second else ("memory.memsw.limit_in_bytes", size)
            with suppress(OSError):
                (folder / swap).write_text(str(most))
        except OSError:
            folder.rmdir()
            raise

    def join(self) -> None:
        """Put the calling process under the limit."""
        (self._folder / "cgroup.procs").write_text("0")

    def look(self, box: int) -> None:
        """Leave it to the kernel."""

    def exceeded(self) -> bool:
        """Whether the kernel has killed somebody."""
        events = self._folder / ("memory.events" if self._second else "memory.oom_control")
        counts = dict(line.split() for line in events.read_text().splitlines())
        return int(counts.get("oom_kill", 0)) > 0

    def mounts(self) -> list[tuple[str, str]]:
        """Return the cgroup's own folder, at the place where a container has it."""
        return [(str(self._folder), "/sys/fs/cgroup" if self._second else "/sys/fs/cgroup/memory")]

    def close(self) -> None:
        """Remove the cgroup; what is left in it has been killed."""
        for _ in range(CLOSING_TRIES):
            try:
                self._folder.rmdir()
            except OSError:  # the kernel is still taking the last processes away
                time.sleep(CLOSING_PAUSE)
            else:
                break


class Watch:
    """A limit that is kept by looking often: resident memory of all processes, and files in scratch space."""

    own = False

    def __init__(self, size: int, scratch: Iterable[str]) -> None:
        self.name = "watch"
        self._size = size
        self._scratch = tuple(scratch)
        self._killed = False

    def join(self) -> None:
        """Nothing to join."""

    def look(self, box: int) -> None:
        """Kill the largest process of the box where all of them have taken too much."""
        taken = {pid: resident(pid) for pid in below(box)}
        if taken and sum(taken.values()) + sum(_used(path) for path in self._scratch) > self._size:
            self._killed = True
            with suppress(ProcessLookupError):
                os.kill(max(taken, key=lambda pid: taken[pid]), signal.SIGKILL)

    def exceeded(self) -> bool:
        """Whether somebody was killed for it."""
        return self._killed

    def mounts(self) -> list[tuple[str, str]]:
        """Nothing tells."""
        return []

    def close(self) -> None:
        """Nothing to remove."""


def limit(name: str, size: int, scratch: Iterable[str], root: Path = CGROUPS) -> Limit:
    """Return the best limit that can be had here."""
    for folder in parents(root, Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace")):
        with suppress(OSError):
            return Cgroup(folder / name, size)
    return Watch(size, scratch)


def parents(root: Path, memberships: str) -> Iterator[Path]:
    """Yield cgroups below which this process may make one that limits memory, the nearest first.

    In version 2 a cgroup that hands memory down has no processes of its own, so that is never the one it is in.
    """
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/")
        elif not controllers:
            folder = root / path.lstrip("/")
            while folder.is_relative_to(root):
                with suppress(OSError):
                    if "memory" in (folder / "cgroup.subtree_control").read_text().split():
                        yield folder
                folder = folder.parent


def below(pid: int) -> list[int]:
    """Return the processes below one, however deep."""
    found: list[int] = []
    todo = [pid]
    while todo:
        with suppress(OSError):
            children = Path(f"/proc/{(at := todo.pop())}/task/{at}/children").read_text().split()
            todo += map(int, children)
            found += map(int, children)
    return found


def resident(pid: int) -> int:
    """Return what a process holds of its own and shares with others, but not of files."""
    total = 0
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name in ("RssAnon", "RssShmem"):
                total += int(value.split()[0]) * 1024
    return total


def _used(path: str) -> int:
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize
