"""Reading and running a strategy. Importing this module imports numpy, pandas and all else that a run needs."""

from __future__ import annotations

import random
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from finlab_sandbox.harness import handover, reasons
from finlab_sandbox.harness.explain import Explanation, explain
from finlab_sandbox.harness.market import Market, read_market
from finlab_sandbox.harness.reasons import RunError
from finlab_sandbox.harness.result import to_positions
from finlab_sandbox.harness.task import Task, read_task

if TYPE_CHECKING:
    from finlab_sandbox.harness.paths import Paths

SEED = 0


def read(paths: Paths) -> tuple[Task, Market]:
    """The second step: what to run, and on which data."""
    task = read_task(paths)
    return task, read_market(task.dataset)


def run(task: Task, market: Market, paths: Paths) -> Explanation | None:
    """The third step, from which on this process is hostile: None when positions were handed over."""
    try:
        _run(task, market, paths)
    except BaseException as error:
        return explain(error, paths.code)
    return None


def _run(task: Task, market: Market, paths: Paths) -> None:
    dates, symbols = market.dates, market.symbols
    random.seed(SEED)
    np.random.seed(SEED)
    module = ModuleType("strategy")
    module.__file__ = paths.code
    sys.modules["strategy"] = module
    sys.argv = [paths.code]
    exec(compile(task.source, paths.code, "exec", dont_inherit=True), module.__dict__)
    strategy = getattr(module, "strategy", None)
    if not callable(strategy):
        raise RunError(reasons.STRATEGY_ERROR, "strategy.py defines no function strategy(data, params)")
    handover.write(paths.positions, to_positions(strategy(market, task.params), dates, symbols))
