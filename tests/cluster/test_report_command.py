"""`strategyrun report` on runs of the real cluster."""

import gzip
import json
import subprocess
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest

from support.cluster import CHECKOUT, CONFIG_MAP, STRATEGY_RUN, Cluster, Manifest
from support.runs import strategy_run, wait_finished

SOURCE = "positions = data.close > data.close.rolling(50).mean()"


def report(namespace: str, *arguments: str, name: str = "run") -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [str(CHECKOUT / ".venv" / "bin" / "strategyrun"), "report", name, "-n", namespace, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def kept(cluster: Cluster, namespace: str, status: Manifest) -> bytes:
    """Read the full report as kubectl would."""
    body = cluster.get(CONFIG_MAP, status["report"]["configMap"], namespace)
    assert body["immutable"] is True
    return b64decode(body["binaryData"]["report.json.gz"])


def test_the_full_report_survives_the_pod(cluster: Cluster, namespace: str) -> None:
    """It ends where the metrics end, has every trade, and carries the hash that the status names."""
    cluster.create(strategy_run(namespace=namespace, source=SOURCE))
    status = wait_finished(cluster, namespace)["status"]
    content = kept(cluster, namespace, status)
    assert sha256(content).hexdigest() == status["report"]["sha256"]
    document = json.loads(gzip.decompress(content))
    assert len(document["dates"]) == len(document["equity"]) == status["metrics"]["days"]
    assert document["equity"][-1] == pytest.approx(1 + status["metrics"]["totalReturn"], rel=1e-5)
    assert min(document["drawdown"]) == pytest.approx(status["metrics"]["maxDrawdown"], rel=1e-4)
    assert len(document["trades"]) == status["metrics"]["trades"]
    assert document["truncated"] == []
    assert status["equity"]["values"][-1] == pytest.approx(document["equity"][-1], rel=1e-5)


def test_text_page_and_picture_of_a_run(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """All three are of the full report, and say what was evaluated."""
    cluster.create(strategy_run(namespace=namespace, source=SOURCE))
    status = wait_finished(cluster, namespace)["status"]
    text = report(namespace)
    assert text.returncode == 0, text.stderr
    assert f"{status['metrics']['sharpe']:.2f}" in text.stdout
    assert "No look-ahead found" in text.stdout
    assert "Best trades" in text.stdout
    page, picture = tmp_path / "run.html", tmp_path / "run.png"
    for path in (page, picture):
        written = report(namespace, "--output", str(path))
        assert written.returncode == 0, written.stderr
    assert status["provenance"]["codeSHA256"] in page.read_text(encoding="utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_the_full_report_there_is_the_status(cluster: Cluster, namespace: str) -> None:
    """Whoever discards it still sees numbers and a curve, and that the rest is not there."""
    cluster.create(strategy_run(namespace=namespace, source=SOURCE, report="Discard"))
    status = wait_finished(cluster, namespace)["status"]
    assert "report" not in status
    text = report(namespace)
    assert text.returncode == 0, text.stderr
    assert f"{status['metrics']['sharpe']:.2f}" in text.stdout
    assert "Best trades" not in text.stdout


def test_a_report_lives_as_long_as_its_run(cluster: Cluster, namespace: str) -> None:
    """The run owns it: nothing is left of a run that is deleted."""
    cluster.create(strategy_run(namespace=namespace, source=SOURCE))
    status = wait_finished(cluster, namespace)["status"]
    body = cluster.get(CONFIG_MAP, status["report"]["configMap"], namespace)
    run = cluster.get(STRATEGY_RUN, "run", namespace)
    assert [(each["kind"], each["uid"]) for each in body["metadata"]["ownerReferences"]] == [
        ("StrategyRun", run["metadata"]["uid"])
    ]


def test_a_run_that_is_not_there(namespace: str) -> None:
    """One line, and exit code 2."""
    done = report(namespace, name="nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
