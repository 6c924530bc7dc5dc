"""What the API server adds to a run, and what it leaves alone."""

from strategyrun.domain.strategyrun import NOT_SEEN
from support.cluster import Cluster, Kind
from support.runs import HOLD_EVERYTHING, strategy_run


def test_fills_in_every_default(cluster: Cluster, strategy_run_kind: Kind) -> None:
    """The shortest run is stored with all that the evaluation depends on written out."""
    stored = cluster.create(strategy_run(kind=strategy_run_kind), dry_run=True)
    assert stored["spec"] == {
        "source": {"inline": HOLD_EVERYTHING},
        "params": {},
        "datasets": [{"name": "prices", "builtin": "us-stocks"}],
        "evaluation": {
            "initialCapital": 1_000_000,
            "feesBps": 10,
            "sellTaxBps": 0,
            "slippageBps": 0,
            "price": "Auto",
            "rebalance": "EveryRow",
            "allowLeverage": False,
            "periodsPerYear": 252,
            "riskFreeRate": 0,
            "benchmark": "EqualWeight",
            "lookAhead": {"samples": 5, "action": "Warn"},
        },
        "profile": "default",
        "retry": {"limit": 2},
        "fallback": {"policy": "OnSandboxUnavailable"},
        "suspend": False,
        "cancel": False,
        "priority": 0,
        "report": "Keep",
        "ttlSecondsAfterFinished": 3600,
    }


def test_fills_in_what_an_object_leaves_open(cluster: Cluster, strategy_run_kind: Kind) -> None:
    """Naming one field of an object keeps the defaults of the others; null means not given."""
    run = strategy_run(
        kind=strategy_run_kind,
        source={"configMapRef": {"name": "code"}},
        evaluation={"feesBps": 0, "price": None},
        retry={},
        timeoutSeconds=None,
    )
    spec = cluster.create(run, dry_run=True)["spec"]
    assert spec["source"]["configMapRef"] == {"name": "code", "key": "strategy.py"}
    assert spec["evaluation"]["feesBps"] == 0
    assert spec["evaluation"]["price"] == "Auto"
    assert spec["evaluation"]["lookAhead"] == {"samples": 5, "action": "Warn"}
    assert spec["evaluation"]["periodsPerYear"] == 252
    assert spec["retry"] == {"limit": 2}
    assert "timeoutSeconds" not in spec


def test_keeps_params_as_they_are(cluster: Cluster, strategy_run_kind: Kind) -> None:
    """Params are any JSON, nulls and nested values included."""
    params = {"fast": 20, "ratio": 0.1, "on": False, "none": None, "list": [1, [None, {"a": {}}]], "策略": "海龜"}
    assert cluster.create(strategy_run(kind=strategy_run_kind, params=params), dry_run=True)["spec"]["params"] == params


def test_says_of_a_run_that_nobody_has_seen_it(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> None:
    """To whoever creates, reads, lists or watches it; an edit changes nothing of that."""
    since = cluster.version(strategy_run_kind, namespace)
    created = cluster.create(strategy_run("run", namespace, kind=strategy_run_kind))
    _, watched = next(cluster.watch(strategy_run_kind, namespace, since=since, seconds=60))
    (listed,) = cluster.list(strategy_run_kind, namespace)
    read = cluster.get(strategy_run_kind, "run", namespace)
    edited = cluster.merge(strategy_run_kind, "run", namespace, {"spec": {"timeoutSeconds": 7}})
    assert [run["status"] for run in (created, watched, listed, read, edited)] == [NOT_SEEN] * 5
    assert edited["metadata"]["generation"] == 2


def test_datasets_are_replaced_as_a_whole(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> None:
    """Server-side apply of another dataset takes the place of the default instead of joining it."""
    cluster.apply(strategy_run("run", namespace, kind=strategy_run_kind))
    datasets = [{"name": "other", "builtin": "us-stocks"}]
    changed = cluster.apply(strategy_run("run", namespace, kind=strategy_run_kind, datasets=datasets))
    assert changed["spec"]["datasets"] == datasets
