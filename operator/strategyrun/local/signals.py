"""How a signal ends a command: at once, but not before an engine at work has taken away what it made."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock
from typing import Any

from strategyrun.local.engine import Engine
from strategyrun.local.exits import BY_SIGNAL
from strategyrun.local.plan import End, Plan
from strategyrun.local.stop import Stop

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.1
"""A signal that another thread is given does not wake the one that has to act on it."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise SystemExit inside of this for the first signal that comes; those after it change nothing any more.

    One that is ignored, as SIGHUP is below nohup, stays so.
    """
    before = {each: handler for each in ENDING if (handler := signal.getsignal(each)) is not signal.SIG_IGN}
    heard: list[int] = []

    def end(number: int, _: Any) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise SystemExit(BY_SIGNAL + number)

    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        if not heard:
            for each, handler in before.items():
                signal.signal(each, handler)


class Undisturbed:
    """An engine that works in a thread of its own: no signal breaks it off there, it hears that it is to stop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.about = engine.about

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Run the plan. What ends the wait for it is raised when the engine has stopped."""
        at_work = Lock()

        def work() -> list[End]:
            with at_work:
                stop.check()
                return self._engine.run(plan, stop)

        with ThreadPoolExecutor(1) as thread:
            try:
                ends = thread.submit(work)
                while wait([ends], LOOK_SECONDS).not_done:
                    pass
            except BaseException:
                stop.ask()
                with at_work:  # the pool does not know a thread whose start was broken off
                    raise
        return ends.result()
