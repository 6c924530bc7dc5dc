"""Where a local run finds a cgroup of its own."""

import os
from pathlib import Path

import pytest

from strategyrun.local.memory import Cgroup, Watch, below, limit, parents, resident


def test_version_1_is_by_the_hierarchy_of_memory(tmp_path: Path) -> None:
    """The process's own cgroup of that hierarchy."""
    told = "12:cpu,cpuacct:/a\n5:memory:/user\n0::/unified\n"
    assert list(parents(tmp_path, told)) == [tmp_path / "memory" / "user"]


def test_version_2_is_by_who_hands_memory_down(tmp_path: Path) -> None:
    """The nearest cgroup above that has the controller for its children, and never one that keeps it to itself."""
    app = tmp_path / "user" / "app"
    app.mkdir(parents=True)
    for folder, controllers in ((app, ""), (app.parent, "memory pids"), (tmp_path, "cpu memory")):
        (folder / "cgroup.subtree_control").write_text(f"{controllers}\n")
    assert list(parents(tmp_path, "0::/user/app\n")) == [app.parent, tmp_path]


@pytest.mark.parametrize("second", [False, True])
def test_the_kernel_is_told_and_asked_by_the_files_of_its_version(tmp_path: Path, second: bool) -> None:
    """A folder that looks like a cgroup's is written and read like one."""
    folder = tmp_path / "box"
    names = ("memory.max", "memory.events") if second else ("memory.limit_in_bytes", "memory.oom_control")

    class Kernel(type(tmp_path)):  # type: ignore[misc]  # the kernel makes the files with the folder
        def mkdir(self, *arguments: int, **keywords: bool) -> None:
            super().mkdir(*arguments, **keywords)
            (self / names[0]).write_text("max")
            (self / names[1]).write_text("under_oom 0\noom_kill 0\n")

    made = Cgroup(Kernel(folder), 1 << 31)
    assert (folder / names[0]).read_text() == "2147483648"
    made.join()
    assert (folder / "cgroup.procs").read_text() == "0"
    assert not made.exceeded()
    (folder / names[1]).write_text("oom 1\noom_kill 2\n")
    assert made.exceeded()


def test_without_a_cgroup_somebody_watches(tmp_path: Path) -> None:
    """A folder that nobody may write, as an ordinary user's, or none at all."""
    assert isinstance(limit("box", 1, [], root=tmp_path / "none"), Watch)


def test_a_process_is_found_with_what_it_holds() -> None:
    """This one holds something, and is below the one that started it."""
    assert resident(os.getpid()) > 1 << 20
    assert os.getpid() in below(os.getppid())
    assert resident(2**22 + 1) == 0
