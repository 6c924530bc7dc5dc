"""StrategyRuns that tests apply and wait for."""

from textwrap import dedent
from typing import Any

from strategyrun.domain.inputs import build_inputs
from strategyrun.domain.job import snapshot
from strategyrun.domain.sandbox import Sandbox
from strategyrun.domain.strategyrun import StrategyRun
from strategyrun.domain.vetting import vet
from support.cluster import STRATEGY_RUN, Cluster, Kind, Manifest
from support.waiting import IN_LINE, wait_until

HOLD_EVERYTHING = """\
def strategy(data, params):
    return data["close"].notna()
"""


def strategy_run(
    name: str = "run",
    namespace: str = "default",
    *,
    kind: Kind = STRATEGY_RUN,
    source: str | dict[str, Any] = HOLD_EVERYTHING,
    **spec: Any,
) -> Manifest:
    """Build a StrategyRun: the shortest valid one, with the given fields of spec in place of its own.

    A source that is text is meant inline, without the indentation that its lines share.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"inline": dedent(source)} if isinstance(source, str) else source} | spec,
    }


def snapshot_of(body: Manifest, sandbox: Sandbox, source: str = HOLD_EVERYTHING) -> Manifest:
    """Build the snapshot that an operator makes of a run, as anybody can who knows the run."""
    run = StrategyRun.parse(body)
    return snapshot(run, build_inputs(run, source.encode(), vet(source.encode()).kind, sandbox))


def condition(run: Manifest, kind: str) -> str:
    """Read the status of a condition; Unknown where it is absent or speaks of an earlier generation."""
    conditions: dict[str, str] = {
        each["type"]: each["status"]
        for each in run.get("status", {}).get("conditions", [])
        if each["observedGeneration"] == run["metadata"]["generation"]
    }
    return conditions.get(kind, "Unknown")


def wait_finished(cluster: Cluster, namespace: str, name: str = "run", *, seconds: float = IN_LINE) -> Manifest:
    """Wait for a run's answer and return the run."""
    return wait_until(
        f"StrategyRun {namespace}/{name} is Finished",
        lambda: cluster.get(STRATEGY_RUN, name, namespace),
        lambda run: condition(run, "Finished") == "True",
        seconds=seconds,
        every=0.25,
    )
