"""What a look-ahead check costs: with 5 cuts, against one call of the strategy.

The strategies are those samples that need pandas alone, on us-stocks, and two on random walks of 20 symbols on 5785
days. Rounds are interleaved. Ratios are of the medians and of the smallest times; the figure that is
held to the goal is that of the medians in CPU-seconds, as the clock also counts what else the machine does.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from finlab_sandbox.datasets.us_stocks import build
from finlab_sandbox.harness.handover import Positions
from finlab_sandbox.harness.lookahead import check
from finlab_sandbox.harness.market import Market, read_market
from finlab_sandbox.harness.result import to_positions
from support.real_prices import us_stocks_table

GOAL = 7.0
CUTS = 5
FEWEST = 7  # rounds
SAMPLES = Path(__file__).parents[1] / "manifests" / "samples"
NAMES = ("momentum", "pairs", "turtle", "volatility-target")


def sample(name: str) -> Callable[[Market], Positions]:
    """The positions of a sample on a market."""
    spec = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())["spec"]
    module = ModuleType("strategy")
    exec(spec["source"]["inline"], module.__dict__)  # noqa: S102 - the project's own sample
    return lambda data: to_positions(module.strategy(data, spec.get("params", {})), data.dates, data.symbols)


def momentum(data: Market) -> Positions:
    """The best five of the year before the last month, on the last row of each month."""
    close = data.close
    ends = close.groupby(pd.DatetimeIndex(close.index).to_period("M")).tail(1).index
    ranks = (close.shift(21) / close.shift(252) - 1).loc[ends].rank(axis=1, ascending=False)
    return to_positions((ranks <= 5) * 0.2, data.dates, data.symbols)


def averages(data: Market) -> Positions:
    """Long where the mean of 20 days is above that of 50."""
    close = data.close
    return to_positions(close.rolling(20).mean() > close.rolling(50).mean(), data.dates, data.symbols)


def random_walks() -> Market:
    """20 symbols on 5785 days."""
    close = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, (5785, 20)).cumsum(axis=0))
    dates = pd.bdate_range("2000-01-03", periods=5785)
    return Market(dates, [f"S{number:02}" for number in range(20)], {"close": close})


class Cost(NamedTuple):
    """Seconds of one call of a strategy and of the check after it, by the CPU and by the clock."""

    call_cpu: float
    check_cpu: float
    call_wall: float
    check_wall: float


def measure(evaluate: Callable[[Market], Positions], market: Market) -> Cost:
    """What one call costs that is not the first, and the check after it, which has to be complete and clean."""
    gc.collect()
    evaluate(market)
    began, began_cpu = time.perf_counter(), time.process_time()
    truth = evaluate(market)
    called, called_cpu = time.perf_counter(), time.process_time()
    found = check(evaluate, market, truth, samples=CUTS, deadline=time.monotonic() + 3600, seconds=called - began)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    if (found.checked, found.changed) != (CUTS, 0):
        sys.exit(f"the check said {found}")
    return Cost(called_cpu - began_cpu, ended_cpu - called_cpu, called - began, ended - called)


def main() -> None:
    """Prints a line for each strategy. Exits with 1 where a check costs more CPU-seconds than the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    if arguments.rounds < FEWEST:
        parser.error(f"--rounds: at least {FEWEST}")
    runs: dict[str, tuple[Callable[[Market], Positions], Market]] = {
        "12-1 on 20 x 5785": (momentum, random_walks()),
        "sma on 20 x 5785": (averages, random_walks()),
    }
    with TemporaryDirectory() as folder:
        build(us_stocks_table(), Path(folder))
        runs |= {name: (sample(name), read_market(folder)) for name in NAMES}
        costs: dict[str, list[Cost]] = {name: [] for name in runs}
        for run in runs.values():
            measure(*run)
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                costs[name].append(measure(*run))
    print(f"load average {os.getloadavg()[0]:.2f}, {arguments.rounds} rounds, goal {GOAL:g} by CPU-seconds")
    worst = 0.0
    for name, rounds in costs.items():
        least, usual = (Cost(*(of(column) for column in zip(*rounds, strict=True))) for of in (min, median))
        worst = max(worst, usual.check_cpu / usual.call_cpu)
        print(
            f"{name:18} call {usual.call_cpu * 1e3:6.1f} ms | by CPU {_ratio(usual.check_cpu, usual.call_cpu)}"
            f", of the least {_ratio(least.check_cpu, least.call_cpu)}"
            f" | by the clock {_ratio(usual.check_wall, usual.call_wall)}"
            f", of the least {_ratio(least.check_wall, least.call_wall)}"
        )
    sys.exit(worst > GOAL)


def _ratio(check_seconds: float, call_seconds: float) -> str:
    return f"x{check_seconds / call_seconds:.2f}"


if __name__ == "__main__":
    main()
