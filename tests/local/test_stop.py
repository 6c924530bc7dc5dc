"""Whoever does not want a run on this machine any more is left with no process of it."""

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from strategyrun import AsyncClient
from support.local import in_boxes, manifest, variables
from support.waiting import wait_until

ENDLESS = "import time\ntime.sleep(250)\n"
ONE = f"client.evaluate({ENDLESS!r}, timeout_seconds=300)"
MANY = f"""\
for result in client.evaluate_many([Trial({ENDLESS!r}, timeout_seconds=300), Trial("print('done')")]):
    Path("read").touch()
    time.sleep(250)
"""
HEAD = """\
import time
from pathlib import Path
from strategyrun import Client, Trial
client = Client(engine="local")
"""


def processes_of(folder: Path) -> list[Path]:
    """Wait until a step of a box in this folder runs, and return what runs the boxes."""
    return wait_until("a box runs", lambda: in_boxes(folder), lambda found: len(found) > 2)


def none_is_left(folder: Path) -> None:
    """Nothing runs any more, and no file is left behind."""
    assert not in_boxes(folder)
    assert not [*folder.glob("finlab-sandbox-*")]


@contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that keeps its boxes in a folder, and end it at all events."""
    words, environment = [sys.executable, *command], variables(TMPDIR=str(folder))
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE) as program:
        try:
            yield program
        finally:
            program.kill()


def command_on(folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start the command with a run that does not end by itself."""
    return started(folder, "-m", "strategyrun.local", str(manifest(folder, ENDLESS, timeoutSeconds=300)))


def test_a_cancelled_task_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task ends when its boxes have, and long before their time limit."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def cancel() -> None:
        async with AsyncClient(engine="local") as client:
            task = asyncio.create_task(client.evaluate(ENDLESS, timeout_seconds=300))
            await asyncio.to_thread(processes_of, tmp_path)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            none_is_left(tmp_path)

    asyncio.run(cancel())


@pytest.mark.parametrize("script", [ONE, MANY], ids=["while it waits", "between two results"])
def test_an_interrupted_script_leaves_no_process(tmp_path: Path, script: str) -> None:
    """Wherever the interrupt finds it."""
    with started(tmp_path, "-c", HEAD + script) as program:
        if script == MANY:
            wait_until("one result is read", (tmp_path / "read").exists, bool)
        processes_of(tmp_path)
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=60)
    assert program.returncode == -signal.SIGINT, told
    none_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """The exit code is that of shells, and there is no traceback."""
    with command_on(tmp_path) as command:
        processes_of(tmp_path)
        command.send_signal(number)
        assert (command.communicate(timeout=60)[1], command.returncode) == (b"", 128 + number)
    none_is_left(tmp_path)


def test_a_command_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """Its boxes go after it; nobody waits for them."""
    with command_on(tmp_path) as command:
        processes_of(tmp_path)
        command.kill()
        command.communicate(timeout=60)
    wait_until("no box is left", lambda: in_boxes(tmp_path), lambda left: not left)
