"""x"""
from support.bench import Bench
from support.rig_operator import KillableOperator
import time

def test_a(bench: Bench, operator: KillableOperator) -> None:
    """x"""
    t = time.time()
    for n in range(50):
        bench.apply(f"scored-{n}")
    for n in range(50):
        bench.wait_reason("Evaluated", name=f"scored-{n}")
    print("seconds", time.time() - t)
    t = time.time()
    operator.kill()
    operator.start(); operator.wait_ready()
    print("restart", time.time() - t)
    print(bench.status("scored-1"))
