"""Builders of the manifests that tests apply."""

from typing import Any

from support.cluster import STRATEGY_RUN, Manifest

HOLD_EVERYTHING = """\
def strategy(data, params):
    return data["close"].notna()
"""


def strategy_run(name: str = "run", namespace: str | None = None, **spec: Any) -> Manifest:
    """Build a StrategyRun: the shortest valid one, with the given fields of spec in place of its own."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": STRATEGY_RUN.api_version,
        "kind": STRATEGY_RUN.kind,
        "metadata": metadata,
        "spec": {"source": {"inline": HOLD_EVERYTHING}} | spec,
    }
