"""Reading and running a strategy. Importing this module imports numpy, pandas and all else that a run needs."""

from __future__ import annotations

import ast
import copy
import gc
import io
import random
import sys
import threading
import time
from contextlib import suppress
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finlab_sandbox.harness import found, handover, memory, reasons
from finlab_sandbox.harness.explain import Explanation, explain
from finlab_sandbox.harness.market import Market, read_market
from finlab_sandbox.harness.quiet import quiet
from finlab_sandbox.harness.reasons import RunError
from finlab_sandbox.harness.result import to_positions
from finlab_sandbox.harness.tables import Data, on_trading_days
from finlab_sandbox.harness.task import POSITIONS, Task, read_task
from finlab_sandbox.harness.vendor import Vendor, uses_finlab

if TYPE_CHECKING:
    from finlab_sandbox.harness.handover import Positions
    from finlab_sandbox.harness.paths import Paths

SEED = 0
LEFT = ("positions", "position")  # the names of a script's result: the first that is there counts
SPARE_SECONDS = 0.5  # what the end of a run may take after the look-ahead check
SPARE_BYTES = 64 * 1024 * 1024


def read(document: bytes, paths: Paths) -> Run:
    """The second step: what to run, and on which data; `document` is input.json."""
    task = read_task(document, paths)
    return Run(task, read_market(task.dataset), paths)


class Run:
    """A strategy on a market: its run that counts, and the runs on other futures that it is checked with."""

    def __init__(self, task: Task, market: Market, paths: Paths) -> None:
        self._task = task
        self._market = market
        self._paths = paths
        self._vendor: Vendor | None = None
        self._truth: Positions | None = None
        self._seconds = 0.0
        self._taken: int | None = None

    def perform(self) -> Explanation | None:
        """The third step, from which on this process is hostile: None when the strategy came to its end.

        One of kind Positions has then handed its positions over.
        """
        try:
            self._code, self._tree = _compiled(self._task.source, self._paths.code)
            if b"finlab" in self._task.source and uses_finlab(self._tree):
                self._vendor = Vendor()
            if self._task.kind != POSITIONS:
                self._run_script()
                return None
            before, began = memory.resident(), time.monotonic()
            self._truth = self._positions(self._market)
            self._seconds = time.monotonic() - began
            handover.write(self._paths.positions, self._truth)
            after = memory.most_resident()
            self._taken = None if before is None or after is None else max(0, after - before)
        except BaseException as error:
            return explain(error, self._paths.code)
        return None

    def look_ahead(self, deadline: float) -> dict[str, Any] | None:
        """What the check of positions that are handed over says; None where none was asked for.

        `deadline` is the time.monotonic() of the run's limit. Nothing that goes wrong here is a failure of the run.
        """
        if self._truth is None or self._task.samples == 0:
            return None
        try:
            gc.collect()
            with quiet():
                until = min(deadline, found.until(time.monotonic(), self._seconds))
                return self._checked(self._truth, until - SPARE_SECONDS)
        except BaseException as error:
            return {"checked": 0, "changed": 0, "note": f"the check ended with {type(error).__name__}"}

    def _checked(self, truth: Positions, deadline: float) -> dict[str, Any]:
        room = memory.room()
        if room is not None and self._taken is not None and self._taken + SPARE_BYTES > room:
            needed, left = (self._taken + SPARE_BYTES) >> 20, room >> 20
            note = f"the memory limit leaves no room for it: another run may take {needed} MiB, {left} MiB are left"
            return {"checked": 0, "changed": 0, "note": note}
        from finlab_sandbox.harness.lookahead import check  # noqa: PLC0415 - only runs that are checked pay for it

        outcome = check(
            self._positions,
            self._market,
            truth,
            samples=self._task.samples,
            deadline=deadline,
            seconds=self._seconds,
        )
        return {
            "checked": int(outcome.checked),
            "changed": int(outcome.changed),
            "firstDate": outcome.first_date,
            "symbol": outcome.symbol,
            "note": outcome.note,
            "deterministic": bool(outcome.deterministic),
        }

    def _run_script(self) -> None:
        """As Python runs a program: its threads come to their end, and what it wrote is written."""
        module = self._module("__main__", self._market)
        _execute(self._code, module)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        for value in list(module.__dict__.values()):
            if isinstance(value, io.IOBase):
                with suppress(Exception):
                    value.flush()

    def _positions(self, market: Market) -> Positions:
        """The positions that the source gives on a market, from a fresh start."""
        dates, symbols = market.dates, market.symbols
        module = self._module("strategy", market)
        data, params = module.data, module.params  # the module may give its names another meaning
        ended = _execute(self._code, module)
        left = _left_by(module)
        if left is None and ended is None and (guarded := self._guarded()):
            module.__name__ = "__main__"
            ended = _execute(guarded, module)
            left = _left_by(module)
        if left is None:
            raise ended or RunError(
                reasons.RESULT_MISSING,
                "strategy.py left neither a function strategy(data, params) nor a frame `positions` or `position`",
            )
        name, value = left
        subject = f"`{name}` is"
        if name == "strategy":
            value, subject = value(data, params), "strategy returned"
        if self._vendor is not None:
            value = on_trading_days(value, dates)
        return to_positions(value, dates, symbols, subject)

    def _module(self, name: str, market: Market) -> ModuleType:
        """What a source finds when it starts, always the same."""
        random.seed(SEED)
        np.random.seed(SEED)
        if self._vendor is not None:
            self._vendor.serve(market)
        module = ModuleType(name)
        module.__file__ = self._paths.code
        module.__dict__.update(data=Data.of(market), params=copy.deepcopy(self._task.params))
        sys.modules[name] = module
        sys.argv = [self._paths.code]
        return module

    def _guarded(self) -> CodeType | None:
        """The parts of a source that run when it is a program: `if __name__ == "__main__":`."""
        guards = [node for node in self._tree.body if isinstance(node, ast.If) and _is_guard(node.test)]
        if not guards:
            return None
        return compile(ast.Module(list(guards), []), self._paths.code, "exec", dont_inherit=True)


def _compiled(source: bytes, path: str) -> tuple[CodeType, ast.Module]:
    tree = ast.parse(source, path)
    return compile(tree, path, "exec", dont_inherit=True), tree


def _execute(code: CodeType, module: ModuleType) -> SystemExit | None:
    """Runs a program to its end; sys.exit() and sys.exit(0) are one."""
    try:
        exec(code, module.__dict__)
    except SystemExit as error:
        if error.code is None or error.code == 0:
            return error
        raise
    return None


def _left_by(module: ModuleType) -> tuple[str, Any] | None:
    """The name and value of what gives a module's positions: a function, else a frame, else whatever has its name."""
    names = module.__dict__
    if callable(names.get("strategy")):
        return "strategy", names["strategy"]
    there = [name for name in LEFT if name in names]
    frames = [name for name in there if isinstance(names[name], pd.DataFrame | pd.Series)]
    return next(((name, names[name]) for name in [*frames, *there]), None)


def _is_guard(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))
