"""How a signal ends a command: at once, but not before an engine at work has taken away what it made."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any

from strategyrun.local.engine import Engine
from strategyrun.local.exits import BY_SIGNAL
from strategyrun.local.plan import End, Plan
from strategyrun.local.stop import Stop

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DONE, _MANY = b"\0", 64


class _Ended(SystemExit):
    """The end by a signal."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise SystemExit inside of this for a signal; those that come while it is on its way out change nothing."""
    before, out = _handlers(), False

    def end(number: int, _: Any) -> None:
        if not (out or _on_its_way()):
            raise _Ended(BY_SIGNAL + number)

    for each in before:
        signal.signal(each, end)
    try:
        yield
    except _Ended:
        out = True
        raise
    finally:
        if not out:
            for each, handler in before.items():
                signal.signal(each, handler)


def _on_its_way() -> bool:
    """Whether something is tidied up for the end. What is raised in a finalizer is lost, and the next signal counts."""
    error = sys.exception()
    while error and not isinstance(error, _Ended):
        error = error.__context__
    return error is not None


class Undisturbed:
    """An engine that works in a thread of its own: no signal breaks it off there, it hears that it is to stop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.about = engine.about

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Run the plan. A signal does what it did before, but only when the engine has stopped."""
        ends: Future[list[End]] = Future()
        with _noted() as (news, mouth):

            def work() -> None:
                try:
                    ends.set_result(self._engine.run(plan, stop))
                except BaseException as error:  # noqa: BLE001 - it is raised where the plan is waited for
                    ends.set_exception(error)
                os.write(mouth, _DONE)

            thread = Thread(target=work)
            thread.start()
            if _DONE not in os.read(news, _MANY):
                stop.ask()
                while _DONE not in os.read(news, _MANY):
                    pass
            thread.join()
        return ends.result()


@contextmanager
def _noted() -> Iterator[tuple[int, int]]:
    """Write the numbers of signals that come inside of this into a pipe, and raise the first of them again afterwards.

    A handler that raises could do so in the middle of whatever hands work from thread to thread, and leave its locks
    taken. And what one thread is sent wakes no other, but for what is written by the wake-up descriptor.
    """
    heard: list[int] = []
    news, mouth = os.pipe()
    os.set_blocking(mouth, False)
    before = _handlers()
    woken = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    try:
        for each in before:
            signal.signal(each, lambda number, _: heard.append(number))
        yield news, mouth
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(woken)
        os.close(news)
        os.close(mouth)
        if heard:
            signal.raise_signal(heard[0])


def _handlers() -> dict[signal.Signals, Any]:
    """Return what is done for the signals that end a command, but for one that is ignored, as SIGHUP is below nohup."""
    return {each: handler for each in ENDING if (handler := signal.getsignal(each)) is not signal.SIG_IGN}
