"""Whoever ends `strategyrun run` by a signal is left with nothing of it; docker is a stand-in that keeps a record."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from strategyrun.local.engine import About
from strategyrun.local.plan import End, Plan
from strategyrun.local.signals import ENDING, Undisturbed, ended_by_signals
from strategyrun.local.stop import Stop, StoppedError
from support.local import variables
from support.waiting import wait_until

TraceFunction = Callable[[FrameType, str, Any], Any]
PLAN = Plan("run", (), {}, 0, 0)
CODE = "def strategy(data, params):\n    return data.close * 0\n"
DOCKER = """\
#!/bin/sh
case "$1" in
version) echo 27.0.1 ;;
image) echo sha256:00 ;;
inspect) echo '{{"ExitCode": 1, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:00:01Z",
 "OOMKilled": false}}' ;;
{busy}) touch "$0.busy"; while [ ! -e "$0.go" ]; do sleep 0.05; done ;;
esac
echo "$*" >>"$0.did"
"""
"""Takes long to do one thing, until it is let go on."""


@pytest.fixture
def handlers() -> Iterator[None]:
    """Give this process its own answers to signals back: after the first one, the command's stay."""
    before = {each: signal.getsignal(each) for each in ENDING}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@contextmanager
def command(folder: Path, busy: str, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command, and wait until docker does what it takes long for."""
    (folder / "docker").write_text(DOCKER.format(busy=busy))
    (folder / "docker").chmod(0o755)
    (folder / "code.py").write_text(CODE)
    environment = variables(TMPDIR=str(folder), PATH=f"{folder}:{os.environ['PATH']}")
    words = [*before, sys.executable, "-m", "strategyrun.local", str(folder / "code.py"), "--engine", "docker"]
    none = subprocess.DEVNULL
    with subprocess.Popen(words, env=environment, stdin=none, stdout=none, stderr=subprocess.PIPE) as process:
        try:
            wait_until("docker is at it", lambda: (folder / "docker.busy").exists() or process.poll(), bool)
            yield process
        finally:
            (folder / "docker.go").touch()
            process.kill()


def left(folder: Path) -> set[str]:
    """Return the containers and volumes that were made and not removed after that, and the files of runs."""
    found: set[str] = set()
    for words in map(str.split, (folder / "docker.did").read_text().splitlines()):
        match words:
            case ["create" | "run", *options]:
                found |= {each.removeprefix("--name=") for each in options if each.startswith("--name=")}
            case ["volume", "create", *_, name]:
                found.add(name)
            case ["rm", "--force", *names] | ["volume", "rm", "--force", *names]:
                found -= {*names}
    return found | {each.name for each in folder.glob("finlab-sandbox-*")}


HEARS = ("env", "--default-signal=HUP")
"""Below nohup, as tests may be, nobody hears of a terminal that is closed."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_as_shells_have_it(tmp_path: Path, number: signal.Signals) -> None:
    """An exit code for each, and no traceback; the container of the step that ran is gone, and all around it."""
    with command(tmp_path, "wait", *HEARS) as process:
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (128 + number, b"")
    assert "rm" in (tmp_path / "docker.did").read_text().split()
    assert not left(tmp_path)


@pytest.mark.parametrize("busy", ["volume", "run", "create", "rm"])
def test_what_is_being_made_or_removed_is_not_left(tmp_path: Path, busy: str) -> None:
    """A command of docker comes to its end, and what it has made is removed."""
    with command(tmp_path, busy) as process:
        process.terminate()
        (tmp_path / "docker.go").touch()
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (143, b"")
    assert busy in (tmp_path / "docker.did").read_text().split()
    assert not left(tmp_path)


class Tidying:
    """An engine that stops when it is told to, and is sent signals while it takes away what it made."""

    about = About("none", "", ())

    def __init__(self, first: signal.Signals | None = None) -> None:
        self.begun = threading.Event()
        self.tidied = False
        self._first = first

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Wait for the word; a first signal comes to this thread, and the other one has to act on it."""
        assert plan == PLAN
        self.begun.set()
        if self._first:
            signal.raise_signal(self._first)
        try:
            stop.wait(60)
        except StoppedError:
            for again in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            self.tidied = True
            raise
        return []


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_changes_nothing() -> None:
    """The engine is let tidy up, and the exit code is that of the first."""
    engine = Tidying(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, ended_by_signals():
        Undisturbed(engine).run(PLAN, Stop())
    assert (engine.tidied, left.value.code) == (True, 143)


@pytest.mark.usefixtures("handlers")
def test_an_engine_that_has_just_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the signal comes before anybody knows that its thread has started."""
    engine, start = Tidying(), threading.Thread.start

    def broken_off(thread: threading.Thread) -> None:
        start(thread)
        engine.begun.wait()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(threading.Thread, "start", broken_off)
    with pytest.raises(SystemExit), ended_by_signals():
        Undisturbed(engine).run(PLAN, Stop())
    assert engine.tidied


class Moment:
    """Sends a signal when this thread has come to so many lines, of whatever code, while signals are but noted."""

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._raising: object = None

    @property
    def came(self) -> bool:
        """Whether there were so many."""
        return self._left <= 0

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Count the lines inside of this."""
        self._raising = signal.getsignal(signal.SIGINT)
        sys.settrace(self._look)
        try:
            yield
        finally:
            sys.settrace(None)

    def _look(self, _frame: FrameType, event: str, _argument: object) -> TraceFunction:
        if event == "line" and signal.getsignal(signal.SIGINT) is not self._raising:
            self._left -= 1
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)
        return self._look


@pytest.mark.usefixtures("handlers")
def test_a_signal_may_come_at_any_moment() -> None:
    """At each line between the engine's begin and its end: no lock stays taken, and no word is lost."""

    def end(engine: Tidying, moment: Moment) -> None:
        with ended_by_signals(), moment.awaited():
            Undisturbed(engine).run(PLAN, Stop())

    for lines in count(1):
        engine, moment = Tidying(signal.SIGTERM), Moment(lines)
        with pytest.raises(SystemExit) as left:
            end(engine, moment)
        assert engine.tidied == engine.begun.is_set()
        assert left.value.code in (130, 143)
        for each in ENDING:
            signal.signal(each, signal.default_int_handler)
        if not moment.came:
            break


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_was_lost_leaves_nobody_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler raises in a finalizer is printed and goes no further: the next signal counts."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: lost.append(unraisable.exc_value))

    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def scene() -> None:
        with ended_by_signals():
            Last()
            assert lost
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as left:
        scene()
    assert left.value.code == 143


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_breaks_off_no_tidying() -> None:
    """Neither inside of what is ended nor on the way out of the program, whatever has been caught meanwhile."""
    tidied = []

    def tidy() -> None:
        try:
            raise LookupError
        except LookupError:
            signal.raise_signal(signal.SIGTERM)
        tidied.append(True)

    def scene() -> None:
        try:
            with ended_by_signals():
                try:
                    signal.raise_signal(signal.SIGINT)
                finally:
                    tidy()
        finally:
            tidy()

    with pytest.raises(SystemExit) as left:
        scene()
    tidy()
    assert (left.value.code, tidied) == (130, [True] * 3)


def test_a_hangup_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As below nohup: what comes after it ends the command."""
    with command(tmp_path, "wait", "nohup") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def test_the_container_that_holds_the_space_goes_by_itself(tmp_path: Path) -> None:
    """Where nobody is left who could remove it."""
    with command(tmp_path, "create"):
        (made,) = [line for line in (tmp_path / "docker.did").read_text().splitlines() if line.startswith("run ")]
    assert "--rm" in made.split()
