"""The worst code there is, run for real: each case ends as it must, its honest twin is spared, no canary is touched."""

import json
import platform
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from abuse.canaries import Canaries, canaries, plain_pod
from abuse.cases import CASES, PLAIN, Case
from abuse.table import ROWS
from support.cluster import NETWORK_POLICY, POD, STRATEGY_RUN, Cluster, Manifest, RefusedError
from support.namespaces import temporary_namespace
from support.runs import strategy_run, wait_finished
from support.waiting import IN_LINE, wait_until

pytestmark = pytest.mark.timeout(3600)  # a test may wait for the whole suite

AT_ONCE = 2
REFUSED = "refused"
_FORGED = {"sharpe": 99.0, "totalReturn": 1000.0}
_DEFAULTS = {"evaluation": {"lookAhead": {"action": "Off"}}, "retry": {"limit": 0}, "report": "Discard"}


def test_every_case_is_about_something_else() -> None:
    """No two cases have the same source and spec, and no case is its own twin but by being refused."""
    assert len({(case.source, repr(case.spec), case.during) for case in CASES.values()}) == len(CASES)
    assert all(case.source != case.twin for case in CASES.values() if case.expected != (REFUSED,))


@pytest.fixture(scope="module")
def home(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make the namespace of the attackers. The admission policies stand aside: what is behind them is tried here."""
    with temporary_namespace(cluster, f"{request.node.nodeid}::abuse", admission=False) as name:
        yield name


@pytest.fixture(scope="module")
def birds(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Canaries]:
    """Put the canaries up, in a namespace that no attacker is in."""
    with temporary_namespace(cluster, f"{request.node.nodeid}::abuse-canaries") as name, canaries(cluster, name) as up:
        yield up


@pytest.fixture(scope="module")
def suite(cluster: Cluster, home: str, birds: Canaries, request: pytest.FixtureRequest) -> Iterator["Suite"]:
    """Run the cases that were asked for, and their twins, a few at a time, beginning now."""
    before = birds.on_node()
    asked = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield Suite(cluster, home, birds, before, pool, asked)
        pool.shutdown(wait=False, cancel_futures=True)


class Suite:
    """All runs of the table, as futures of their statuses."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        birds: Canaries,
        before: dict[str, str],
        pool: ThreadPoolExecutor,
        names: list[str],
    ) -> None:
        self.birds = birds
        self.before = before
        self._cluster = cluster
        self._namespace = namespace
        self._futures: dict[str, Future[dict[str, Any]]] = {}
        for name in sorted(set(names)):
            for source, spec, during in self._runs(CASES[name]):
                key = repr((source, spec, during))
                if key not in self._futures:
                    run = f"run-{len(self._futures)}"
                    self._futures[key] = pool.submit(self._run, run, source, spec, during)

    def ends(self, name: str) -> list[dict[str, Any]]:
        """Return the statuses of the case and of its twin."""
        return [self._futures[repr(run)].result() for run in self._runs(CASES[name])]

    def settle(self) -> list[str]:
        """Wait for all runs, and return the processes of theirs that outlive them on the node."""
        for future in self._futures.values():
            future.result()
        pods = [pod["metadata"]["uid"] for pod in self._cluster.list(POD, self._namespace)]
        return wait_until(
            "no process of any attacker is left",
            lambda: self.birds.processes_of(pods),
            lambda processes: not processes,
        )

    def _runs(self, case: Case) -> list[tuple[str, dict[str, Any], str]]:
        params = {"params": {"targets": [list(each) for each in self.birds.targets], "secret": self.birds.secret}}
        common = {"timeoutSeconds": 60} | _DEFAULTS | params
        return [(case.source, common | case.spec, case.during), (case.twin, common | case.twin_spec, "")]

    def _run(self, name: str, source: str, spec: dict[str, Any], during: str) -> dict[str, Any]:
        try:
            self._cluster.create(strategy_run(name, self._namespace, source=source, **spec))
        except RefusedError as error:
            return {"reason": REFUSED, "message": error.message}
        if during:
            wait_until(
                f"{name} runs",
                lambda: self._cluster.get(STRATEGY_RUN, name, self._namespace),
                lambda run: run.get("status", {}).get("phase") == "Running",
                seconds=IN_LINE,
            )
            DURING[during](self._cluster, self._namespace, name)
        status: dict[str, Any] = wait_finished(self._cluster, self._namespace, name)["status"]
        return status | {"log": self._largest_log(name)}

    def _largest_log(self, run: str) -> int:
        pods = self._cluster.list(POD, self._namespace, labels=f"finlab-sandbox.dev/run={run}")
        return max((len(self._log(pod)) for pod in pods), default=0)

    def _log(self, pod: Manifest) -> str:
        try:
            return self._cluster.logs(pod["metadata"]["name"], "strategy", self._namespace)
        except RefusedError:
            return ""


def without_network_policy(cluster: Cluster, namespace: str, run: str) -> None:  # noqa: ARG001 - as the others
    """Delete every network policy of the namespace."""
    for policy in cluster.list(NETWORK_POLICY, namespace):
        cluster.delete(NETWORK_POLICY, policy["metadata"]["name"], namespace)


def forged_status(cluster: Cluster, namespace: str, run: str) -> None:
    """Write metrics into the status, as somebody may who has rights that no tenant needs."""
    cluster.merge(STRATEGY_RUN, run, namespace, {"status": {"metrics": _FORGED}}, subresource="status")


def foreign_pod(cluster: Cluster, namespace: str, run: str) -> None:
    """Start a pod with the labels of the run's own, which leaves a forged report and succeeds."""
    (pod,) = cluster.list(POD, namespace, labels=f"finlab-sandbox.dev/run={run}")
    report = '{"schema": 2, "verdict": "Evaluated", "reason": "Evaluated", "metrics": {"sharpe": 99.0}}'
    forged = plain_pod(f"{run}-forged", namespace, f"open('/dev/termination-log', 'w').write({report!r})")
    forged["metadata"]["labels"] = pod["metadata"]["labels"]
    forged["spec"]["containers"][0]["name"] = "evaluate"
    cluster.create(forged)


def edited_run(cluster: Cluster, namespace: str, run: str) -> None:
    """Write what frameworks of operators keep in annotations, and another source: as the author of a run may."""
    annotations = {"kopf.zalando.org/last-handled-configuration": "x", "finlab-sandbox.dev/code-sha256": "0" * 64}
    cluster.merge(STRATEGY_RUN, run, namespace, {"metadata": {"annotations": annotations}})
    cluster.merge(STRATEGY_RUN, run, namespace, {"spec": {"source": {"inline": PLAIN}}})


def adopted_pod(cluster: Cluster, namespace: str, run: str) -> None:
    """Start a pod that the run's Job owns as well, and that knows every hash; only the nonce it does not know."""
    (pod,) = cluster.list(POD, namespace, labels=f"finlab-sandbox.dev/run={run}")
    pinned = pod["metadata"]["annotations"]
    hashes = {name: pinned[f"finlab-sandbox.dev/{name}-sha256"] for name in ("code", "input", "evaluation")}
    report = json.dumps(
        {
            "schema": 2,
            "nonce": "0" * 32,
            "verdict": "Evaluated",
            "reason": "Evaluated",
            "message": "",
            "metrics": _FORGED,
            "warnings": [],
            "hashes": hashes,
            "evaluator": "0.1.0",
            "seconds": 0.1,
        }
    )
    forged = plain_pod(f"{run}-adopted", namespace, f"open('/dev/termination-log', 'w').write({report!r})")
    forged["metadata"] |= {key: pod["metadata"][key] for key in ("labels", "annotations", "ownerReferences")}
    forged["spec"]["containers"][0]["name"] = "evaluate"
    cluster.create(forged)


DURING: dict[str, Callable[[Cluster, str, str], None]] = {
    each.__name__: each for each in (without_network_policy, forged_status, foreign_pod, edited_run, adopted_pod)
}


@pytest.mark.parametrize("name", CASES)
def test_abuse_ends_as_it_must(suite: Suite, name: str) -> None:
    """The reason is the expected one, the status stays small and clean, and the twin has not suffered."""
    case = CASES[name]
    expected = " or ".join(case.expected)
    if case.machine and case.machine != platform.machine():
        ROWS.append((name, expected, f"not run: only {case.machine} has it"))
        pytest.skip(f"only {case.machine} has it")
    found, twin = suite.ends(name)
    told = "\n".join(
        [found.get("message", ""), *found.get("failure", {}).get("lastLines", []), *found.get("output", [])]
    )
    ROWS.append((name, expected, f"{found['reason']} (twin {twin['reason']}): {found.get('message', '')[:90]}"))
    assert found["reason"] in case.expected, found
    assert all(end.get("executor", "Sandbox") == "Sandbox" and "fallback" not in end for end in (found, twin))
    assert found.get("metrics", {}).get("sharpe") != _FORGED["sharpe"]
    assert re.search(case.says, told), told
    assert all(line.isprintable() for line in told.splitlines())
    assert len(repr(found)) <= 16 * 1024
    assert twin["reason"] == case.twin_expected or case.expected == (REFUSED,), twin
    if case.scores_as_twin and found["reason"] == "Evaluated":
        assert found["metrics"] == twin["metrics"]
        assert found["provenance"]["positionsSHA256"] == twin["provenance"]["positionsSHA256"]
    if case.largest_log:
        assert found["log"] <= case.largest_log


@pytest.mark.parametrize("name", ["N01 TCP to a listener and to the API server"])
def test_no_canary_is_touched(suite: Suite, name: str) -> None:
    """After all cases: the node's file, mounts and settings are as before, nobody but the visitor was heard."""
    left = suite.settle()
    after, heard = suite.birds.on_node(), suite.birds.heard()
    changed = [what for what, was in suite.before.items() if after[what] != was]
    visits = [line for line in heard if line.startswith("heard")]
    found = f"changed: {changed or 'nothing'}, heard: {len(visits) - 1}, processes left: {len(left)}"
    ROWS.append(("canaries", "nothing changed, heard or left", found))
    assert (changed, len(visits), left) == ([], 1, []), (suite.before, after, heard, name)
