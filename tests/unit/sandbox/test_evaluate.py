"""The second step as a process."""

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from finlab_sandbox.evaluate import report
from finlab_sandbox.evaluate.report import Summary, Verdict
from support.sandbox import EVALUATE, EVALUATION, IMAGE, Steps
from support.scoring import unframe

CROSS = """\
def strategy(data, params):
    close = data.adj_close
    return close.rolling(20).mean() > close.rolling(50).mean()
"""


def test_positions_become_a_report(steps: Steps) -> None:
    """The verdict with its nonce, the hashes of what was read, and finite metrics."""
    assert steps.run(CROSS).exit_code == 0
    ended = steps.evaluate()
    assert ended.exit_code == 0, ended.errors
    document = ended.document
    assert document["schema"] == 2
    assert document["nonce"] == steps.nonce
    assert (document["verdict"], document["reason"]) == ("Evaluated", "Evaluated")
    assert document["metrics"]["trades"] > 0
    assert document["seconds"] > 0
    printed = unframe(ended.output)
    assert len(printed["dates"]) == document["metrics"]["days"]
    assert document["equity"]["values"][-1] == printed["equity"][-1]
    assert ended.errors == ""
    read = {name: (steps.folder / name).read_bytes() for name in ("input.json", "evaluation.json")}
    assert document["hashes"] == {
        "code": hashlib.sha256(steps.code.read_bytes()).hexdigest(),
        "input": hashlib.sha256(read["input.json"]).hexdigest(),
        "evaluation": hashlib.sha256(read["evaluation.json"]).hexdigest(),
        "dataset": json.loads((steps.dataset / "manifest.json").read_text())["sha256"],
        "positions": hashlib.sha256(steps.positions.read_bytes()).hexdigest(),
        "report": ended.output.split()[3].decode(),
    }


def test_rules_of_the_evaluation_count(steps: Steps) -> None:
    """Costs, price, rebalancing, capital and benchmark reach the engine."""
    assert steps.run(CROSS).exit_code == 0
    plain = steps.evaluate(feesBps=0.0).document["metrics"]
    dear = steps.evaluate(feesBps=50.0, sellTaxBps=30.0, slippageBps=5.0).document["metrics"]
    assert dear["totalReturn"] < plain["totalReturn"] == plain["totalReturnBeforeCosts"]
    assert steps.evaluate(price="Close").document["metrics"]["totalReturn"] != plain["totalReturn"]
    assert steps.evaluate(rebalance="OnChange").document["metrics"]["turnover"] < plain["turnover"]
    against_ibm = steps.evaluate(feesBps=0.0, benchmark="IBM").document["metrics"]
    assert against_ibm["beta"] != plain["beta"]
    assert against_ibm["sharpe"] == plain["sharpe"]
    small = steps.evaluate(feesBps=0.0, initialCapital=10.0).document["metrics"]
    assert small["finalEquity"] == pytest.approx(plain["finalEquity"] / 100_000)


def test_no_positions_are_a_verdict_too(steps: Steps) -> None:
    """Rejected, without metrics, exit code 0."""
    steps.write(CROSS)
    ended = steps.evaluate()
    assert ended.exit_code == 0
    assert ended.document["verdict"] == "Rejected"
    assert ended.document["reason"] == "ResultMissing"
    assert ended.document["metrics"] == {}
    assert "positions" not in ended.document["hashes"]


def test_hostile_positions_are_rejected_with_their_hash(steps: Steps) -> None:
    """What was refused can be told apart later."""
    steps.write(CROSS)
    steps.positions.write_bytes(b"FLBPOS1\n" + (1).to_bytes(4, "little") * 2 + bytes(16))
    document = steps.evaluate().document
    assert document["reason"] == "ResultInvalid"
    assert document["message"] == "a date is not in the dataset"
    assert document["hashes"]["positions"] == hashlib.sha256(steps.positions.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["Result", "Script"])
def test_other_kinds_are_unscored(steps: Steps, kind: str) -> None:
    """Nothing is read but the inputs: there may be a positions file, and no dataset at all."""
    steps.write("print('RESULT {}')")
    steps.positions.write_bytes(b"FLBPOS1\n")
    ended = steps.evaluate(kind=kind, dataset={"name": "prices", "path": "/nowhere"})
    assert ended.exit_code == 0, ended.errors
    assert ended.output == b""
    document = ended.document
    assert (document["verdict"], document["reason"], document["message"]) == ("Unscored", "Unscored", "")
    assert (document["metrics"], document["warnings"], document["equity"]) == ({}, [], None)
    assert set(document["hashes"]) == {"code", "input", "evaluation"}
    assert document["hashes"]["code"] == hashlib.sha256(steps.code.read_bytes()).hexdigest()


def test_a_benchmark_that_the_dataset_lacks_is_a_verdict(steps: Steps) -> None:
    """Rejected, with what there is; positions that were handed over are hashed all the same."""
    assert steps.run(CROSS).exit_code == 0
    ended = steps.evaluate(benchmark="SPY")
    assert ended.exit_code == 0
    assert ended.output == b""
    document = ended.document
    assert (document["verdict"], document["reason"]) == ("Rejected", "DataMissing")
    assert document["message"] == (
        "evaluation.benchmark SPY is neither EqualWeight nor one of the dataset's 5 symbols: AAPL FB GOOG IBM MSFT"
    )
    assert {"positions", "dataset"} < set(document["hashes"])
    assert "report" not in document["hashes"]


def test_missing_positions_come_before_a_missing_benchmark(steps: Steps) -> None:
    """Why the strategy left nothing is what its author has to know first."""
    steps.write(CROSS)
    assert steps.evaluate(benchmark="SPY").document["reason"] == "ResultMissing"


@pytest.mark.parametrize(("field", "value"), [("schema", 1), ("schema", 3), ("kind", "Positions?")])
def test_inputs_that_it_cannot_read_are_no_verdict(steps: Steps, field: str, value: object) -> None:
    """A document of another schema or kind is a fault of the platform: no report, another exit code."""
    assert steps.run(CROSS).exit_code == 0
    ended = steps.evaluate(**{field: value})
    assert ended.exit_code != 0
    assert (ended.content, ended.output) == (b"", b"")
    assert f"evaluation.json has {field} {value}" in ended.errors


@pytest.mark.parametrize("closed", ["1>&-", "1>&- 2>&-", ">/dev/full", ">/dev/full 2>/dev/full", "| :"])
def test_nothing_that_happens_to_its_output_breaks_the_verdict(steps: Steps, closed: str) -> None:
    """The report is written first, whether or not anybody takes what is printed."""
    assert steps.run(CROSS).exit_code == 0
    dataset = {"name": "prices", "path": str(steps.dataset)}
    (steps.folder / "evaluation.json").write_text(json.dumps(EVALUATION | {"dataset": dataset}))
    report_file = steps.folder / "report.json"
    script = steps.folder / "evaluate.py"
    script.write_text(
        EVALUATE.format(
            image=str(IMAGE),
            inputs=str(steps.folder),
            positions=str(steps.positions),
            report=str(report_file),
            nonce=steps.nonce,
        )
    )
    command = f"set -o pipefail; {sys.executable} -I {script} {closed}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(report_file.read_bytes())
    assert document["reason"] == "Evaluated"
    assert "report" in document["hashes"]


def test_it_imports_no_more_than_the_kind_needs() -> None:
    """A run that is not scored does not wait for numpy."""
    script = f"import sys; sys.path.insert(0, {str(IMAGE)!r}); import finlab_sandbox.evaluate.step; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, check=True).stdout.decode()
    assert "numpy" not in loaded.split()


def test_it_needs_numpy_alone() -> None:
    """It starts without pandas, without the harness, and without what is slow to import."""
    module = "finlab_sandbox.evaluate.verdict"
    script = f"import sys; sys.path.insert(0, {str(IMAGE)!r}); import {module}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, check=True).stdout.decode().split()
    )
    assert "numpy" in loaded
    slow = {
        "pandas",
        "scipy",
        "dataclasses",
        "inspect",
        "pathlib",
        "logging",
        "socket",
        "subprocess",
        "numpy.random",
        "gzip",
    }
    assert not loaded & slow
    assert not [name for name in loaded if name.startswith("finlab_sandbox.harness")]


def test_the_module_reads_its_nonce_from_the_environment() -> None:
    """As the pod starts it; here without the mounts, so that it fails where it looks for them."""
    command = [sys.executable, "-m", "finlab_sandbox.evaluate"]
    environment = {"PYTHONPATH": str(IMAGE), "PATH": os.environ["PATH"]}
    without = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert "FINLAB_NONCE" in without.stderr.decode()
    ended = subprocess.run(command, capture_output=True, env=environment | {"FINLAB_NONCE": "n"}, check=False)
    assert ended.returncode == 1
    assert "/inputs/strategy.py" in ended.stderr.decode()


def encode(verdict: Verdict, **hashes: str) -> dict[str, Any]:
    """A report of the verdict, as it is read."""
    content = report.encode(nonce="n" * 64, verdict=verdict, hashes=hashes, evaluator="0.1.0", seconds=0.1)
    assert len(content) <= report.MAX_BYTES
    document: dict[str, Any] = json.loads(content.decode("ascii"))
    return document


def test_a_report_has_no_word_for_nan() -> None:
    """JSON has none, so that a bug here can never look like a number there."""
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(Verdict("Evaluated", metrics={"sharpe": float("nan")}))


def test_verdict_and_reason_agree() -> None:
    """A rejection says why in its reason."""
    found = [encode(Verdict(reason)) for reason in ("Evaluated", "Unscored", "ResultInvalid", "DataMissing")]
    assert [document["verdict"] for document in found] == ["Evaluated", "Unscored", "Rejected", "Rejected"]
    assert found[2]["reason"] == "ResultInvalid"


def test_the_fullest_report_fits() -> None:
    """Every metric, hash and point of the curve at its longest, and more warnings than there is room for."""
    names = ("code", "input", "evaluation", "dataset", "positions", "report")
    metrics = (
        "totalReturn cagr volatility sharpe sortino calmar maxDrawdown alpha beta turnover exposure trades winRateDays"
        " winRateTrades days finalEquity sharpeLag2 totalReturnBeforeCosts"
    )
    document = encode(
        Verdict(
            "Evaluated",
            metrics=dict.fromkeys(metrics.split(), -1.2345678901234567e-100),
            warnings=["台" * 300] * 30,
            equity=Summary("2000-03-01", "2013-03-01", [1.23456e-100] * 48),
        ),
        **dict.fromkeys(names, "f" * 64),
    )
    assert [len(json.dumps(warning)) for warning in document["warnings"][:-1]] == [158] * 9
    assert document["warnings"][-1] == "21 more warnings"


def test_a_long_message_is_cut() -> None:
    """Counted as JSON counts it: six characters for a Chinese one."""
    assert encode(Verdict("DataMissing", "m" * 4000))["message"] == "m" * 400
    assert encode(Verdict("DataMissing", "台" * 4000))["message"] == "台" * 66


def test_a_report_that_does_not_fit_is_an_error() -> None:
    """Rather none than half of one."""
    with pytest.raises(ValueError, match="more than 3900"):
        encode(Verdict("Evaluated"), code="f" * 4000)
