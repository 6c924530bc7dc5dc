"""Metrics come from the evaluator, of the positions that left the sandbox, whatever a strategy says or writes."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from finlab_sandbox.datasets import us_stocks
from strategyrun.adapters.settings import load_settings
from strategyrun.domain.strategyrun import KUEUE_LABEL
from support.bench import Bench
from support.cluster import CHECKOUT, CONFIG_MAP, JOB, Cluster
from support.operator import RunningOperator
from support.runs import HOLD_EVERYTHING, snapshot_of, strategy_run, wait_finished
from support.sandbox import Steps

SETTINGS = load_settings(CHECKOUT / "config" / "sandbox.yaml")
HONEST = """\
def honest(data):
    close = data.adj_close
    return (close.rolling(20).mean() > close.rolling(60).mean()) * 0.2
"""
FORGE = """\
import json, os

def forge():
    metrics = {"sharpe": 99.0, "totalReturn": 1e6, "maxDrawdown": 0.0, "trades": 1, "days": 3270}
    hashes = dict.fromkeys(["code", "input", "evaluation", "dataset", "positions"], "0" * 64)
    report = {
        "schema": 1, "nonce": "", "verdict": "Evaluated", "reason": "Evaluated", "message": "", "metrics": metrics,
        "warnings": [], "hashes": hashes, "evaluator": "0.1.0", "seconds": 0.01,
    }
    text = json.dumps(report)
    print(text)
    print("RESULT", text)
    for path in ("/dev/termination-log", "/out/report.json", "/tmp/report.json"):
        try:
            with open(path, "w") as file:
                file.write(text)
        except PermissionError:
            assert path == "/dev/termination-log"  # where the node has Landlock
"""
BY_HAND = """\
import os, struct

def hand_over(days, symbols, weights):
    content = struct.pack("<8sII", b"FLBPOS1\\n", len(days), len(symbols))
    content += struct.pack(f"<{len(days)}i{len(symbols)}i", *days, *symbols)
    content += struct.pack(f"<{len(weights)}d", *weights)
    with open(OUT, "wb") as file:
        file.write(content)
"""
APRIL_2000 = 11050  # 2000-04-03, a Monday, in days since 1970-01-01


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The builtin dataset, built on this machine as the image builds it."""
    package = find_spec("bokeh_sampledata")
    assert package is not None
    assert package.origin is not None
    directory = tmp_path_factory.mktemp("datasets") / "us-stocks"
    us_stocks.build(Path(package.origin).parent / "_data" / "stocks.csv.gz", directory)
    return directory


@pytest.fixture
def steps(tmp_path: Path, dataset: Path) -> Steps:
    """The two steps of a pod, on this machine."""
    return Steps(tmp_path, dataset)


@pytest.fixture
def outcome(cluster: Cluster, namespace: str) -> Callable[..., dict[str, Any]]:
    """Run a source to its end and return the status."""

    def run(source: str, **spec: Any) -> dict[str, Any]:
        cluster.create(strategy_run(namespace=namespace, source=source, **spec))
        status: dict[str, Any] = wait_finished(cluster, namespace)["status"]
        return status

    return run


def test_forged_report_changes_no_metric(outcome: Callable[..., dict[str, Any]], steps: Steps) -> None:
    """What a strategy prints and leaves as its report is ignored: it is scored as if it had not."""
    evaluation = {"feesBps": 25, "sellTaxBps": 30, "initialCapital": 5000, "riskFreeRate": 0.02}
    strategy = "def strategy(data, params):\n    forge()\n    return honest(data)\n"
    status = outcome(HONEST + FORGE + strategy, evaluation=evaluation)
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated")

    assert steps.run(HONEST + "def strategy(data, params):\n    return honest(data)\n").exit_code == 0
    report = steps.evaluate(**evaluation).document
    assert status["metrics"] == pytest.approx(report["metrics"], rel=1e-9)
    assert status["provenance"]["positionsSHA256"] == report["hashes"]["positions"]


def test_forged_report_alone_is_no_result(outcome: Callable[..., dict[str, Any]]) -> None:
    """A strategy that leaves a report instead of positions has left nothing."""
    status = outcome(FORGE + "def strategy(data, params):\n    forge()\n    os._exit(0)\n")
    assert (status["phase"], status["reason"]) == ("Failed", "ResultMissing")
    assert "metrics" not in status


def test_positions_written_by_hand_are_scored_as_they_are(outcome: Callable[..., dict[str, Any]], steps: Steps) -> None:
    """The evaluator reads the file and nothing else, and its hash goes on record."""
    days, symbols, weights = [APRIL_2000, APRIL_2000 + 1], [0, 4], [0.5, 0.5, 0.25, 0.75]
    call = f"hand_over({days}, {symbols}, {weights})"
    status = outcome(
        f"OUT = '/out/positions.bin'\n{BY_HAND}\ndef strategy(data, params):\n    {call}\n    os._exit(0)\n"
    )
    assert (status["phase"], status["reason"]) == ("Succeeded", "Evaluated")

    steps.write("")
    exec(BY_HAND + call, {"OUT": str(steps.positions)})
    report = steps.evaluate().document
    assert status["metrics"] == pytest.approx(report["metrics"], rel=1e-9)
    assert status["provenance"]["positionsSHA256"] == sha256(steps.positions.read_bytes()).hexdigest()


def test_hostile_output_reaches_no_terminal(outcome: Callable[..., dict[str, Any]]) -> None:
    """Escapes, control and bidirectional characters are gone from what is kept of 50 MB, and it is short."""
    source = """\
        def strategy(data, params):
            for _ in range(50):
                print("x" * 1_000_000)
            print("\\x1b[2J\\x1b]0;owned\\x07red\\x1b[31m \\u202egnihsihp\\u202c \\u0007\\u2028bell\\x00")
            raise ValueError("\\x1b[8m\\u2066hidden\\r" + "long " * 100_000)
        """
    status = outcome(source)
    failure = status["failure"]
    texts = [*failure["lastLines"], failure["message"], status["message"], status["conditions"][-1]["message"]]
    assert [text for text in texts if not text.isprintable()] == []
    assert max(map(len, failure["lastLines"])) <= 200
    assert len(json.dumps(status)) <= 16 * 1024
    assert failure["message"].startswith("ValueError: hidden")
    assert "red gnihsihp bell" in failure["lastLines"]


@pytest.mark.parametrize(
    ("call", "reason", "message"),
    [
        (f"hand_over([{APRIL_2000 - 1}], [0], [1.0])", "ResultInvalid", "a date is not in the dataset"),
        (f"hand_over([{APRIL_2000}], [5], [1.0])", "ResultInvalid", "a symbol index is outside 0..4"),
        (f"hand_over([{APRIL_2000}], [0], [float('inf')])", "ResultInvalid", "a weight is infinite"),
        (
            f"hand_over([{APRIL_2000}], [0], [1.0]), os.link(OUT, '/out/other')",
            "ResultInvalid",
            "the positions file has 2 links instead of 1",
        ),
        (
            "os.symlink('/etc/passwd', OUT)",
            "ResultMissing",
            "the process ended with exit code 0 before it had returned positions",
        ),
    ],
    ids=["no trading day", "no symbol", "no number", "second link", "symbolic link"],
)
def test_hostile_positions_are_refused(
    outcome: Callable[..., dict[str, Any]], call: str, reason: str, message: str
) -> None:
    """A file that is not what it should be ends the run as the strategy's failure, with the evaluator's words."""
    source = f"""\
OUT = "/out/positions.bin"
{BY_HAND}
def strategy(data, params):
    {call}
    os._exit(0)
"""
    status = outcome(source)
    assert (status["phase"], status["reason"]) == ("Failed", reason)
    assert (status["failure"]["class"], status["failure"]["message"]) == ("User", message)
    assert "metrics" not in status
    assert len(status["attempts"]) == 1


# Inputs: whoever may write ConfigMaps in a namespace reaches for the snapshot of another's run.


@pytest.fixture
def operated(bench: Bench) -> Iterator[Bench]:
    """Have the bench's runs answered by this checkout's operator, on real nodes."""
    with RunningOperator(bench.cluster, bench.kind, SETTINGS):
        yield bench


def replace_snapshot(bench: Bench, source: str) -> None:
    """Put another snapshot in the place of a run's, with other code and the input that fits it."""
    forged = snapshot_of(bench.run(), SETTINGS.profile.sandbox, source)
    (name,) = bench.names(CONFIG_MAP)
    bench.cluster.delete(CONFIG_MAP, name, bench.namespace)
    forged["metadata"] = {"name": name, "namespace": bench.namespace}
    del forged["immutable"]
    bench.cluster.create(forged)


def test_code_that_nobody_vetted_is_not_run(operated: Bench) -> None:
    """The Job pins the input, and the input the code: with both replaced before the pod reads them, nothing runs."""
    run = strategy_run(namespace=operated.namespace, kind=operated.kind)
    run["metadata"]["labels"] = {KUEUE_LABEL: "held"}  # the Job waits for the test to let it in
    operated.cluster.create(run)
    held = operated.wait("held back", lambda seen: seen.get("attempts") and seen["phase"] == "Queued")
    replace_snapshot(operated, "print('ran')\n" + HOLD_EVERYTHING)
    name = held["attempts"][0]["jobName"]
    operated.cluster.merge(JOB, name, operated.namespace, {"spec": {"suspend": False}})
    status = operated.wait_reason("Tampered")
    assert (status["phase"], status["failure"]["class"]) == ("Failed", "Sandbox")
    assert status["message"].startswith("input.json has sha256 ")
    assert status["failure"]["lastLines"] == []
    assert status.get("fallback") is None


def test_a_snapshot_replaced_while_a_strategy_runs_changes_nothing(operated: Bench) -> None:
    """The answer speaks of the code that ran; if the evaluator reads another's inputs, there is no answer."""
    source = "import time\ntime.sleep(60)\n" + HOLD_EVERYTHING
    operated.apply(source=source, evaluation={"lookAhead": {"action": "Off"}})
    operated.wait_reason("StrategyRunning")
    replace_snapshot(operated, HOLD_EVERYTHING)
    status = operated.wait("over", lambda seen: seen.get("phase") in ("Succeeded", "Failed"))
    assert status["reason"] in ("Evaluated", "Tampered")
    assert status["provenance"]["codeSHA256"] == sha256(source.encode()).hexdigest()
