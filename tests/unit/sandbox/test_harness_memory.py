"""How much memory is left to a container, from the files of either version of cgroups."""

import subprocess
import sys
from pathlib import Path

import pytest

from finlab_sandbox.harness.memory import UNLIMITED, kills, limit, room
from support.sandbox import IMAGE

MIB = 1 << 20
HOLDS_ONCE = """\
from finlab_sandbox.harness.memory import most_resident, resident
before, peak = resident(), most_resident()
held = b"x" * (64 << 20)
del held
print(before, peak, most_resident())
"""


def cgroup(root: Path, version: int, limit: str, usage: int, reclaimable: int) -> Path:
    """Lay the files out."""
    folder = root if version == 2 else root / "memory"
    folder.mkdir(exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, content in zip(names, (limit, str(usage)), strict=True):
        (folder / name).write_text(f"{content}\n")
    key = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 5\n{key} {reclaimable}\nactive_file 7\n")
    return root


@pytest.mark.parametrize("version", [1, 2])
def test_room_is_the_limit_less_what_cannot_be_given_back(tmp_path: Path, version: int) -> None:
    """Pages of files that nobody uses can."""
    assert room(cgroup(tmp_path, version, str(100 * MIB), 70 * MIB, 20 * MIB)) == 50 * MIB


def test_without_a_limit_there_is_no_bound(tmp_path: Path) -> None:
    """And none where nothing can be read."""
    assert room(tmp_path) is None
    assert room(cgroup(tmp_path, 2, "max", 70 * MIB, 0)) is None


@pytest.mark.parametrize(("version", "none"), [(1, str(0x7FFFFFFFFFFFF000)), (2, "max")])
def test_a_limit_is_told_from_none(tmp_path: Path, version: int, none: str) -> None:
    """Each version has its own way to say that there is no limit."""
    assert limit(tmp_path) is None
    assert limit(cgroup(tmp_path, version, str(100 * MIB), 0, 0)) == 100 * MIB
    told = limit(cgroup(tmp_path, version, none, 0, 0))
    assert told is not None
    assert told >= UNLIMITED


@pytest.mark.parametrize("file", ["memory.events", "memory/memory.oom_control"])
def test_kills_for_want_of_memory_are_counted_by_the_kernel(tmp_path: Path, file: str) -> None:
    """In either version's file; kernels before 4.13 do not count."""
    assert kills(tmp_path) is None
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("under_oom 0\n")
    assert kills(tmp_path) is None
    path.write_text("oom 7\noom_kill 3\noom_group_kill 0\n")
    assert kills(tmp_path) == 3


def test_the_process_knows_what_it_holds() -> None:
    """The peak is never less, and grows with what was held once: in a fresh process, which has not held more before."""
    told = subprocess.run([sys.executable, "-c", HOLDS_ONCE], cwd=IMAGE, capture_output=True, text=True, check=True)
    before, peak, after = map(int, told.stdout.split())
    assert peak >= before > MIB
    assert after >= peak + 32 * MIB
