"""How much memory this process took, and how much its container may take. Bytes; None where it cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 62  # what both versions of cgroups mean by a limit that is none
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file")
KILLS = ("memory.events", "memory/memory.oom_control")


def resident() -> int | None:
    """What this process holds now."""
    return _of_process("VmRSS")


def most_resident() -> int | None:
    """The most that this process ever held."""
    return _of_process("VmHWM")


def limit(cgroup: Path = CGROUP) -> int | None:
    """The most that the container may take; UNLIMITED or more where nobody set a limit."""
    for file, *_ in (V2, V1):
        try:
            told = (cgroup / file).read_text().strip()
        except OSError:
            continue
        return int(told) if told.isdigit() else UNLIMITED
    return None


def room(cgroup: Path = CGROUP) -> int | None:
    """What the container may still take before the kernel ends it: its limit less what cannot be given back."""
    for limit_file, usage_file, reclaimable in (V2, V1):
        try:
            most = (cgroup / limit_file).read_text().strip()
            usage = int((cgroup / usage_file).read_text())
            stat = (cgroup / usage_file).with_name("memory.stat").read_text()
        except (OSError, ValueError):
            continue
        if not most.isdigit():
            return None
        found = re.search(rf"^{reclaimable} (\d+)$", stat, re.MULTILINE)
        return int(most) - usage + (int(found[1]) if found else 0)
    return None


def kills(cgroup: Path = CGROUP) -> int | None:
    """How often the kernel has killed a process of the container for want of memory."""
    for file in KILLS:
        try:
            found = re.search(r"^oom_kill (\d+)$", (cgroup / file).read_text(), re.MULTILINE)
        except OSError:
            continue
        return int(found[1]) if found else None
    return None


def _of_process(key: str) -> int | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
