"""An operator that is killed again and again while runs keep coming: nothing is lost, nothing is done twice."""

import random
from itertools import cycle, islice

import pytest

from support.bench import Bench
from support.census import require_order, wait_answers
from support.fault_proxy import FaultProxy, anything, kill
from support.plays import ENDS, SCORED
from support.rig_operator import KillableOperator
from support.rig_runs import as_asked

RUNS, KILLS, SEED = as_asked("RUNS", 100), as_asked("KILLS", 20), as_asked("SEED", 1)


@pytest.mark.timeout(600 + 15 * KILLS + RUNS)
def test_random_kills(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """Each kill hits a request by chance, before or after it is done; or, where it does not come to so many requests,
    a moment. Then every run has its one answer from its one attempt, and a deletion leaves nothing."""
    chance = random.Random(SEED)
    plays = list(islice(cycle([*ENDS, SCORED, SCORED, "rejected"]), RUNS))
    expected = {}
    for number in range(KILLS):
        for at in range(number * RUNS // KILLS, (number + 1) * RUNS // KILLS):
            name = f"{plays[at]}-{at}"
            expected[name] = ENDS.get(plays[at], "CodeRejected")
            bench.apply(name, **({} if plays[at] in ENDS else {"source": {"inline": "x ="}}))
        fatal = kill(operator.kill, committed=chance.random() < 0.5)
        with proxy.fault(fatal, anything, skip=chance.randrange(100), times=1) as fault:
            operator.revive()
            fault.wait(10)
            operator.kill()
    statuses = wait_answers(bench, expected, operator)
    assert operator.starts == KILLS + 1
    assert {len(status["attempts"]) for status in statuses.values()} <= {0, 1}
    require_order(bench, proxy)
    for name in expected:
        bench.cluster.delete(bench.kind, name, bench.namespace)
    bench.wait_nothing_left()
