"""Looking at the sandbox from inside: a strategy that finds out, and fails with what it found.

A run has no other way out: the last lines of a failure are 20 lines of 200 characters.
"""

import json
from textwrap import dedent
from typing import Any

from support.cluster import Cluster
from support.runs import strategy_run, wait_finished

_TELL = """\
import json
def strategy(data, params):
    for name, found in look(params).items():
        print(f"{name}={json.dumps(found)}")
    raise SystemExit(1)
"""


def look_inside(cluster: Cluster, namespace: str, source: str, **params: Any) -> dict[str, Any]:
    """Run a source that defines look(params) in a sandbox, and return the dictionary that it returned."""
    cluster.create(strategy_run(namespace=namespace, source=dedent(source) + _TELL, params=params))
    failure = wait_finished(cluster, namespace)["status"]["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("StrategyError", 1), failure
    assert failure["message"].startswith("sys.exit(1) "), failure
    return {name: json.loads(found) for name, _, found in (line.partition("=") for line in failure["lastLines"])}
