"""What the process that runs boxes does around them; its boxes are ordinary processes here, in no namespaces."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from support.cluster import CHECKOUT
from support.waiting import wait_until

PROGRAM = """\
import os, sys
sys.path.insert(0, {operator!r})
from strategyrun.local import memory, pod_process
pod_process.enter_namespaces = lambda users: None
pod_process.namespaces.mount_scratch = lambda path, size: None
memory.limit = lambda name, size, scratch: memory.Watch(size, scratch)
{more}
pod_process.main()
"""
LEAVES_ONE = """\
import os, time
if os.fork() == 0:
    left = os.fork()
    if left == 0:
        {orphan}
        time.sleep(600)
    with open("writing", "w") as file:
        file.write(str(left))
    os.rename("writing", "left")
    os._exit(0)
os.wait()
{then}
"""
"""Makes a process that is no child of it any more, as bubblewrap's inner one is none where the outer is killed."""

LETS_GO = "os.close(1); os.close(2)"
HOLDS_ON = "pass"
SLEEPS = "time.sleep(600)"
LATE_THEN = "pod_process.time.monotonic = lambda: 1e6 if os.path.exists('left') else 0"
"""The deadline is over when the box has left one."""


LIMITED = """\
import signal
def ended(now):
    if now == {when!r}:
        os.kill(os.getpid(), signal.SIGTERM)
class Limit(memory.Watch):
    def close(self):
        ended("as it is taken away")
        os.mkdir("closed")
def limit(name, size, scratch):
    ended("as it is made")
    return Limit(size, scratch)
memory.limit = limit
"""
"""A limit that has to be taken away, and somebody who ends the supervisor in a moment of it."""


@contextmanager
def supervisor(
    folder: Path, code: str, *, more: str = "", parent: int | None = None, interpreter: str = sys.executable
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process with the order to run a few lines of Python; what they leave does not outlive the test."""
    step: dict[str, Any] = {"name": "strategy", "seal": [], "entry": [], "settings": {"limits": {}}, "command": []}
    step["box"] = [interpreter, "-I", "-S", "-c", code]
    order = {"name": "run", "users": [], "scratch": {}, "words": str(folder), "memory": 1 << 40, "deadline": 600}
    words = [sys.executable, "-I", "-S", "-c", PROGRAM.format(operator=f"{CHECKOUT}/operator", more=more)]
    (folder / "order").write_text(
        json.dumps(order | {"steps": [step], "parent": os.getpid() if parent is None else parent})
    )
    with (folder / "order").open() as said:
        process = subprocess.Popen(words, cwd=folder, stdin=said, stdout=subprocess.PIPE)
    with process:
        try:
            yield process
        finally:
            process.kill()
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((folder / "left").read_text()), signal.SIGKILL)


def is_gone(folder: Path) -> bool:
    """Whether no process is left of the one that lost its parent."""
    return not Path("/proc", (folder / "left").read_text()).exists()


def test_what_a_box_leaves_is_gone_when_its_supervisor_is(tmp_path: Path) -> None:
    """Though it has lost its parent, and holds nothing that anybody waits for."""
    with supervisor(tmp_path, LEAVES_ONE.format(orphan=LETS_GO, then="")) as process:
        told, _ = process.communicate(timeout=60)
        assert is_gone(tmp_path)
    (end,) = json.loads(told)["ends"]
    assert (end["exitCode"], end["late"]) == (0, False)


def test_whoever_ends_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    """It goes when they have gone."""
    with supervisor(tmp_path, LEAVES_ONE.format(orphan=LETS_GO, then=SLEEPS)) as process:
        wait_until("the box has left one", (tmp_path / "left").exists, bool)
        process.terminate()
        assert process.wait(timeout=60) == 1
        assert is_gone(tmp_path)


def test_the_deadline_ends_what_has_left_its_box(tmp_path: Path) -> None:
    """A process that would hold up the answer: it could still print."""
    with supervisor(tmp_path, LEAVES_ONE.format(orphan=HOLDS_ON, then=SLEEPS), more=LATE_THEN) as process:
        told, _ = process.communicate(timeout=60)
        assert is_gone(tmp_path)
    (end,) = json.loads(told)["ends"]
    assert (end["exitCode"], end["late"]) == (137, True)


def test_an_order_of_one_who_has_died_is_not_carried_out(tmp_path: Path) -> None:
    """The kernel tells only of a death that comes after it was asked to."""
    with supervisor(tmp_path, LEAVES_ONE.format(orphan=LETS_GO, then=""), parent=0) as process:
        told, _ = process.communicate(timeout=60)
    assert (told, process.returncode, (tmp_path / "left").exists()) == (b"", 0, False)


@pytest.mark.parametrize("when", ["as it is made", "as it is taken away"])
def test_whoever_ends_the_supervisor_leaves_no_limit(tmp_path: Path, when: str) -> None:
    """In whichever moment the word comes."""
    code = "import time; time.sleep(600)" if when == "as it is made" else "pass"
    with supervisor(tmp_path, code, more=LIMITED.format(when=when)) as process:
        told, _ = process.communicate(timeout=60)
    assert (told, process.returncode, (tmp_path / "closed").exists()) == (b"", 1, True)


def test_a_box_that_cannot_be_started_leaves_no_limit(tmp_path: Path) -> None:
    """It is an error of the supervisor."""
    with supervisor(tmp_path, "pass", more=LIMITED.format(when=""), interpreter="/nonexistent") as process:
        process.communicate(timeout=60)
    assert (process.returncode, (tmp_path / "closed").exists()) == (1, True)
