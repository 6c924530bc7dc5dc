"""The second step as a process."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from finlab_sandbox.evaluate import report
from support.sandbox import IMAGE, Steps

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
    assert document["schema"] == 1
    assert document["nonce"] == steps.nonce
    assert (document["verdict"], document["reason"]) == ("Evaluated", "Evaluated")
    assert document["metrics"]["trades"] > 0
    assert document["seconds"] > 0
    read = {name: (steps.folder / name).read_bytes() for name in ("input.json", "evaluation.json")}
    assert document["hashes"] == {
        "code": hashlib.sha256(steps.code.read_bytes()).hexdigest(),
        "input": hashlib.sha256(read["input.json"]).hexdigest(),
        "evaluation": hashlib.sha256(read["evaluation.json"]).hexdigest(),
        "dataset": json.loads((steps.dataset / "manifest.json").read_text())["sha256"],
        "positions": hashlib.sha256(steps.positions.read_bytes()).hexdigest(),
    }


def test_rules_of_the_evaluation_count(steps: Steps) -> None:
    """Costs, price, rebalancing and capital reach the engine."""
    assert steps.run(CROSS).exit_code == 0
    plain = steps.evaluate(feesBps=0.0).document["metrics"]
    dear = steps.evaluate(feesBps=50.0, sellTaxBps=30.0, slippageBps=5.0).document["metrics"]
    assert dear["totalReturn"] < plain["totalReturn"] == plain["totalReturnBeforeCosts"]
    assert steps.evaluate(price="Close").document["metrics"]["totalReturn"] != plain["totalReturn"]
    assert steps.evaluate(rebalance="OnChange").document["metrics"]["turnover"] < plain["turnover"]
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


def test_inputs_that_it_cannot_read_are_no_verdict(steps: Steps) -> None:
    """A document of another schema is a fault of the platform: no report, another exit code."""
    assert steps.run(CROSS).exit_code == 0
    ended = steps.evaluate(schema=2)
    assert ended.exit_code != 0
    assert ended.content == b""
    assert "evaluation.json has schema 2" in ended.errors


def test_it_needs_numpy_alone() -> None:
    """It starts without pandas, without the harness, and without what is slow to import."""
    script = f"import sys; sys.path.insert(0, {str(IMAGE)!r}); import finlab_sandbox.evaluate.step; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, check=True).stdout.decode().split()
    )
    assert "numpy" in loaded
    slow = {"pandas", "scipy", "dataclasses", "inspect", "pathlib", "logging", "socket", "subprocess", "numpy.random"}
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


def encode(**changes: object) -> bytes:
    """A report with the given parts."""
    parts: dict[str, object] = {
        "nonce": "n",
        "reason": "Evaluated",
        "message": "",
        "metrics": {},
        "warnings": [],
        "hashes": {},
        "evaluator": "1",
        "seconds": 0.1,
    }
    return report.encode(**(parts | changes))  # type: ignore[arg-type]


def test_a_report_has_no_word_for_nan() -> None:
    """JSON has none, so that a bug here can never look like a number there."""
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(metrics={"sharpe": float("nan")})


def test_many_warnings_are_counted() -> None:
    """Twelve lines of 160 characters at most, in a report that still fits."""
    names = ("code", "input", "evaluation", "dataset", "positions")
    content = encode(
        warnings=["w" * 300] * 30,
        hashes=dict.fromkeys(names, "f" * 64),
        metrics={f"metric{number}": -1.2345678901234567e-100 for number in range(20)},
    )
    warnings = json.loads(content)["warnings"]
    assert len(content) <= report.MAX_BYTES
    assert [len(warning) for warning in warnings[:-1]] == [160] * 11
    assert warnings[-1] == "19 more warnings"


def test_a_report_that_does_not_fit_is_an_error() -> None:
    """Rather none than half of one."""
    with pytest.raises(ValueError, match="more than 3900"):
        encode(message="m" * 4000)
