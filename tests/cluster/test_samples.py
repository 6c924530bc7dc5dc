"""Every sample, from `kubectl apply` to its row in `kubectl get`."""

import json
import math
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

import finlab_sandbox
from finlab_sandbox.datasets.us_stocks import SHA256 as US_STOCKS_SHA256
from support.cluster import CHECKOUT, NODE, SANDBOX_PROFILE, STRATEGY_RUN, Cluster
from support.namespaces import temporary_namespace
from support.runs import condition

SAMPLES = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))
}
# To record them anew, after `make demo`:
# kubectl get -f manifests/samples -o json | python3 tests/cluster/golden/record.py > tests/cluster/golden/samples.json
GOLDEN: dict[str, dict[str, float]] = json.loads((Path(__file__).parent / "golden" / "samples.json").read_text())
RESOURCE = "strategyruns.finlab-sandbox.dev"
CONDITIONS = ("Accepted", "Started", "Finished", "Succeeded", "Ready", "Stalled", "LookAheadClean")


def network(cluster: Cluster) -> str:
    """Read what the profile that the samples run in says of its network."""
    said: str = cluster.get(SANDBOX_PROFILE, "default")["status"]["network"]
    return said


@pytest.fixture(scope="module", autouse=True)
def network_before(cluster: Cluster) -> str:
    """What the profile says before the first sample; it is measured anew from time to time."""
    return network(cluster)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Apply all samples as a user does, and wait for their conditions as a user does."""
    with temporary_namespace(cluster, f"{request.node.nodeid}::samples") as name:
        applied = cluster.kubectl("apply", "--namespace", name, "--filename", str(CHECKOUT / "manifests" / "samples"))
        assert sorted(applied.split()[::2]) == [f"strategyrun.finlab-sandbox.dev/{sample}" for sample in SAMPLES]
        cluster.kubectl(
            "wait", "--namespace", name, "--for=condition=Finished", RESOURCE, "--all", "--timeout=1000s", seconds=1020
        )
        yield name


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_is_scored_in_the_sandbox(cluster: Cluster, namespace: str, sample: str) -> None:
    """It succeeds at once, all its conditions are true, its metrics are those on record to the last bit."""
    run = cluster.get(STRATEGY_RUN, sample, namespace)
    status = run["status"]
    assert (status["phase"], status["reason"], status["executor"]) == ("Succeeded", "Evaluated", "Sandbox")
    assert [(each["type"], each["status"], each["observedGeneration"]) for each in status["conditions"]] == [
        (kind, "False" if kind == "Stalled" else "True", 1) for kind in CONDITIONS
    ]
    assert status["kind"] == "Positions"
    tried, changed = status["lookAhead"]["checked"], status["lookAhead"]["changed"]
    assert changed == 0
    if tried < 5:  # a machine that stalled
        assert tried >= 1
        assert status["lookAhead"]["note"] == f"the time limit left room for {tried} of 5"
    assert [(each["number"], each["reason"]) for each in status["attempts"]] == [(1, "Evaluated")]
    assert "failure" not in status
    assert all(math.isfinite(value) for value in status["metrics"].values())
    assert status["metrics"] == GOLDEN[sample]


@pytest.mark.parametrize("sample", SAMPLES)
def test_provenance_names_what_was_applied(cluster: Cluster, namespace: str, network_before: str, sample: str) -> None:
    """Hashes are those of the applied source and params, of the shipped prices and of the shipped seccomp profile."""
    spec = SAMPLES[sample]["spec"]
    profile = sha256((CHECKOUT / "config" / "seccomp_profile.json").read_bytes()).hexdigest()
    params = json.dumps(spec.get("params", {}), sort_keys=True, separators=(",", ":")).encode()
    provenance = cluster.get(STRATEGY_RUN, sample, namespace)["status"]["provenance"]
    assert re.fullmatch("[0-9a-f]{64}", provenance.pop("positionsSHA256"))
    assert re.search("sha256:[0-9a-f]{64}$", provenance.pop("imageID"))
    assert provenance.pop("node") in {node["metadata"]["name"] for node in cluster.list(NODE)}
    assert provenance["isolation"].pop("networkPolicy") in (network_before, network(cluster))
    provenance["isolation"].pop("landlock", None)  # where the node's kernel has it
    assert provenance == {
        "codeSHA256": sha256(spec["source"]["inline"].encode()).hexdigest(),
        "paramsSHA256": sha256(params).hexdigest(),
        "datasetSHA256": US_STOCKS_SHA256,
        "seccompSHA256": profile,
        "evaluator": finlab_sandbox.__version__,
        "isolation": {"seccomp": f"finlab-sandbox/{profile[:12]}.json"},
    }


def test_kubectl_shows_the_metrics(cluster: Cluster, namespace: str) -> None:
    """The columns are those of the documentation, and each cell is the metric in short."""
    table = cluster.table(STRATEGY_RUN, namespace)
    assert [column["name"].upper() for column in table["columnDefinitions"] if column["priority"] == 0] == [
        *("NAME", "PHASE", "REASON", "EXECUTOR", "SHARPE", "RETURN%", "MAXDD%", "TRADES", "DURATION", "AGE")
    ]
    printed = cluster.kubectl("get", RESOURCE, "--namespace", namespace).splitlines()
    rows = {row.split()[0]: row.split()[1:8] for row in printed[1:]}
    for sample in SAMPLES:
        status = cluster.get(STRATEGY_RUN, sample, namespace)["status"]
        metrics = status["metrics"]
        assert rows[sample] == [
            "Succeeded",
            "Evaluated",
            "Sandbox",
            f"{metrics['sharpe']:.2f}",
            f"{metrics['totalReturn'] * 100:.1f}",
            f"{metrics['maxDrawdown'] * 100:.1f}",
            str(metrics["trades"]),
        ]
        assert re.fullmatch(r"\d+\.\ds", status["summary"]["duration"])


@pytest.mark.parametrize("metric", ["sharpe", "totalReturn", "maxDrawdown", "trades"])
def test_kubectl_sorts_by_a_metric(cluster: Cluster, namespace: str, metric: str) -> None:
    """--sort-by orders runs by the number and not by its text."""
    printed = cluster.kubectl(
        *("get", RESOURCE, "--namespace", namespace, "--output=name", f"--sort-by=.status.metrics.{metric}")
    )
    assert [GOLDEN[line.rpartition("/")[2]][metric] for line in printed.split()] == sorted(
        golden[metric] for golden in GOLDEN.values()
    )


def test_every_condition_can_be_waited_for(cluster: Cluster, namespace: str) -> None:
    """kubectl wait returns for each condition of a run that succeeded."""
    for kind in CONDITIONS:
        wanted = f"{kind}=False" if kind == "Stalled" else kind
        cluster.kubectl(
            "wait", "--namespace", namespace, f"--for=condition={wanted}", RESOURCE, "--all", "--timeout=60s"
        )
    assert {condition(run, "Succeeded") for run in cluster.list(STRATEGY_RUN, namespace)} == {"True"}
