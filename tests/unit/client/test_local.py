"""The client with an engine of this machine, where none gets as far as a box."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from traceback import walk_stack
from typing import Any

import pytest
from typer.testing import CliRunner

from strategyrun import AsyncClient, Client, Result
from strategyrun.cli.program import application
from strategyrun.client import ClusterError, NotAskedError
from strategyrun.client.following import Progress
from strategyrun.client.loops import run
from strategyrun.domain.strategyrun import KUEUE_LABEL
from support.clock import pass_time
from support.interpreters import killed_at_once
from support.local import variables
from support.waiting import wait_until

CODE = "def strategy(data, params):\n    return data.close * 0\n"
SECONDS = 600
"""The time of whoever waits, which a leap of the clock ends."""
DOCKER = """\
#!/bin/sh
echo "$1" >>"$0.asked"
case "$1" in
version) echo 27.0.1 ;;
image) echo sha256:00 ;;
*) echo "no space left" >&2; exit 1 ;;
esac
"""
"""Has its daemon and the image, and can make nothing."""

LOOKED_FOR = """\
#!/bin/sh
echo "$1" >>"$0.asked"
while [ ! -e "$0.go" ]; do /bin/sleep 0.05; done
exit 1
"""
"""Says that it does not work, when it is let."""
NO_THREAD = f"""\
import asyncio, threading
from strategyrun import AsyncClient
async def evaluate():
    async with AsyncClient(engine="docker") as client:
        await client.evaluate({CODE!r})
def refused(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refused
try:
    asyncio.run(evaluate())
except RuntimeError as error:
    print(error)
"""
"""A program on a machine that gives no more threads."""

SLOW = """\
#!/bin/sh
case "$1" in
version) echo 27.0.1 ;;
image) echo sha256:00 ;;
wait) : >"$0.waited"; exec /bin/sleep 600 ;;
rm) echo "$3" >>"$0.removed" ;;
inspect) echo '{"ExitCode": 143, "StartedAt": "", "FinishedAt": "", "OOMKilled": false}' ;;
esac
"""
"""Makes boxes that do not end by themselves."""


def install(programs: Path, script: str) -> Path:
    """Put a docker in the folder of programs."""
    docker = programs / "docker"
    docker.write_text(script)
    docker.chmod(0o755)
    return docker


def evaluated(code: str, progress: Progress, **asked: Any) -> Result:
    """Evaluate in this thread's loop, whose clock `progress` may move."""

    async def evaluate() -> Result:
        async with AsyncClient(engine="docker") as client:
            return await client.evaluate(code, timeout=SECONDS, progress=progress, **asked)

    return run(evaluate())


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which programs are found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_is_taken_by_its_name_or_not_at_all() -> None:
    """One that is not here is not replaced; `local` takes any."""
    with Client(engine="docker") as client, pytest.raises(ClusterError, match="a strategy: docker is not installed"):
        client.evaluate(CODE)
    with Client(engine="bubblewrap") as client, pytest.raises(ClusterError, match="a strategy: bubblewrap is not"):
        client.evaluate(CODE)
    with Client(engine="local") as client, pytest.raises(ClusterError, match=r"no engine works here: bubble.*; docker"):
        client.evaluate(CODE)
    with pytest.raises(NotAskedError, match="must be one of cluster, local, bubblewrap, docker"):
        Client(engine="podman")  # type: ignore[arg-type]


def test_a_client_remembers_its_engine(programs: Path) -> None:
    """The next trial does not look for it again."""
    install(programs, DOCKER)
    with Client(engine="docker") as client:
        for _ in range(2):
            with pytest.raises(ClusterError, match="no space left"):
                client.evaluate(CODE)
    assert (programs / "docker.asked").read_text().split().count("version") == 1


def looking() -> int:
    """Return how many trials of this process want an engine now."""
    stacks = [[each.f_code.co_name for each, _ in walk_stack(top)] for top in sys._current_frames().values()]
    return sum("_conduct" in names and "_chosen" in names for names in stacks)


def test_one_trial_looks_for_the_engine_at_a_time(programs: Path) -> None:
    """The others wait; one that nobody waits for any more does not look in its turn."""
    docker = install(programs, LOOKED_FOR)

    async def evaluate() -> None:
        async with AsyncClient(engine="docker") as client:
            first = asyncio.create_task(client.evaluate(CODE))
            await asyncio.to_thread(wait_until, "one looks", looking, bool)
            second = asyncio.create_task(client.evaluate(CODE))
            await asyncio.to_thread(wait_until, "both want one", looking, lambda now: now == 2)
            second.cancel()
            await asyncio.sleep(0)
            await asyncio.to_thread(Path(f"{docker}.go").touch)
            with pytest.raises(ClusterError, match="docker is installed, but its daemon does not answer"):
                await first
            with pytest.raises(asyncio.CancelledError):
                await second

    run(evaluate())
    assert Path(f"{docker}.asked").read_text().split() == ["version"]


def test_a_thread_that_cannot_be_started_is_no_trouble_at_the_end() -> None:
    """The caller hears of it, and the interpreter waits for nothing that never began."""
    words = [sys.executable, "-c", NO_THREAD]
    done = subprocess.run(words, env=variables(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("can't start new thread\n", "", 0)


def test_labels_are_carried_and_no_queue_holds_a_run_back(programs: Path) -> None:
    """What a loop finds its runs by is in the result here too; Kueue has no say on this machine."""
    install(programs, DOCKER)
    told: list[Result] = []
    labels = {"night": "first", KUEUE_LABEL: "research"}
    with Client(engine="docker") as client, pytest.raises(ClusterError, match="no space left"):
        client.evaluate(CODE, labels=labels, report="Discard", ttl_seconds_after_finished=0, progress=told.append)
    assert told[-1].labels == labels
    assert [result.reason for result in told if result.reason == "WaitingForSlot"] == []
    assert (told[-1].phase, told[-1].reason) == ("Running", "StrategyRunning")


def test_a_source_that_could_not_be_read_to_its_end_is_no_fault_of_its_own(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's want of memory is this machine's: there is no result, and no traceback of what was held up."""
    monkeypatch.setattr(sys, "executable", killed_at_once(programs))
    said = "nothing on this machine can run a strategy: the source could not be vetted: something ended the vetting"
    with Client(engine="docker") as client, pytest.raises(ClusterError, match=said):
        client.evaluate(CODE)
    (programs / "code.py").write_text(CODE)
    done = CliRunner().invoke(application(), ["run", str(programs / "code.py")])
    assert (done.exit_code, done.stderr) == (
        2,
        "error: the source could not be vetted: something ended the vetting child: -9\n",
    )


def test_boxes_are_gone_when_their_time_is_over(programs: Path) -> None:
    """The result says so, as a cluster's does, and where the run was."""
    docker = install(programs, SLOW)
    box = Path(f"{docker}.waited")

    def told(result: Result) -> None:
        if result.phase == "Running":
            wait_until("somebody waits for a box", box.exists, bool)
            pass_time(SECONDS)

    result = evaluated(CODE, told, name="slow")
    assert (result.outcome, result.reason) == ("Cancelled", "DeadlineExceeded")
    said = f"no answer within {SECONDS} s, so it was cancelled; it was Running (StrategyRunning)"
    assert result.message.startswith(said)
    removed = Path(f"{docker}.removed").read_text().split()
    assert any(name.endswith("-strategy") for name in removed)
    assert any(name.endswith("-hold") for name in removed)


def test_an_answer_that_comes_as_the_time_is_over_is_given_all_the_same() -> None:
    """The time ends a run, and not what it has come to."""

    def working() -> bool:
        return any(thread.name == "strategyrun-local" for thread in threading.enumerate())

    def told(result: Result) -> None:
        if not result.finished:
            wait_until("the run has ended", working, lambda going: not going)
            pass_time(SECONDS)

    assert evaluated("def\n", told).reason == "CodeRejected"
