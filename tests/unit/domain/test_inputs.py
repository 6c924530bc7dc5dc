"""What an evaluation is a function of."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given

from strategyrun.domain.inputs import build_inputs, canonical, inputs_hash, timeout_seconds
from strategyrun.domain.vetting import Kind
from support.builders import CODE, SANDBOX, Document, make_inputs, make_run, specs

BASE: Document = {
    "source": {"inline": CODE},
    "params": {"fast": 20},
    "datasets": [{"name": "prices", "builtin": "us-stocks"}],
    "evaluation": {"feesBps": 5},
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"source": {"inline": CODE + "\n"}}, id="one-byte-of-the-source"),
        pytest.param({"source": {"configMapRef": {"name": "code"}}}, id="source-elsewhere"),
        pytest.param({"params": {"fast": 21}}, id="value-of-a-param"),
        pytest.param({"params": {"fast": "20"}}, id="type-of-a-param"),
        pytest.param({"params": {"fast": 20, "slow": 60}}, id="another-param"),
        pytest.param({"params": {}}, id="no-params"),
        pytest.param({"datasets": [{"name": "stocks", "builtin": "us-stocks"}]}, id="name-of-the-dataset"),
        pytest.param({"evaluation": {"feesBps": 6}}, id="fees"),
        pytest.param({"evaluation": {"feesBps": 5, "allowLeverage": True}}, id="leverage"),
        pytest.param({"evaluation": {}}, id="fees-back-to-the-default"),
        pytest.param({"rerun": "2"}, id="rerun-annotation"),
    ],
)
def test_what_is_asked_is_in_the_hash(change: Document) -> None:
    """A change of source, params, datasets, evaluation or the rerun annotation is another evaluation."""
    assert inputs_hash(make_run(**{**BASE, **change})) != inputs_hash(make_run(**BASE))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"timeoutSeconds": 10}, id="time-limit"),
        pytest.param({"retry": {"limit": 0}}, id="retries"),
        pytest.param({"ttlSecondsAfterFinished": 0}, id="life-of-the-job"),
        pytest.param({"generation": 7, "version": 4711}, id="generation-and-version"),
        pytest.param({"name": "other", "namespace": "elsewhere"}, id="name"),
        pytest.param({"deleting": True}, id="deletion"),
        pytest.param(
            {"evaluation": {"feesBps": 5.0, "initialCapital": 1_000_000, "price": "Auto"}}, id="defaults-said"
        ),
        pytest.param({"datasets": [{"builtin": "us-stocks", "name": "prices"}]}, id="order-of-keys"),
    ],
)
def test_anything_else_is_not(change: Document) -> None:
    """How long, how often and where it runs does not change what is asked."""
    assert inputs_hash(make_run(**{**BASE, **change})) == inputs_hash(make_run(**BASE))


def test_the_hash_of_a_known_run_is_known() -> None:
    """Another value here means that an upgrade of the operator evaluates every run of a cluster again."""
    assert inputs_hash(make_run(**BASE)) == "ba11c2def8b8a8c6e6c41d7ce4dd564ef45bd0edc8de96364f927446886cabcb"


def test_two_reruns_differ_from_each_other() -> None:
    """The annotation's value counts, an empty one too."""
    assert len({inputs_hash(make_run(rerun=rerun)) for rerun in (None, "", "1", "2")}) == 4


@given(specs)
def test_every_spec_has_a_hash(spec: Document) -> None:
    """64 hexadecimal digits, the same for the same spec in another order of keys."""
    run = make_run(**spec)
    assert len(bytes.fromhex(inputs_hash(run))) == 32
    assert inputs_hash(make_run(**dict(reversed(spec.items())))) == inputs_hash(run)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param({"b": 1, "a": [1.5, None, True]}, b'{"a":[1.5,null,true],"b":1}', id="sorted-without-spaces"),
        pytest.param({"收盤": "價"}, b'{"\\u6536\\u76e4":"\\u50f9"}', id="ascii"),
    ],
)
def test_json_is_written_in_one_way_only(value: Any, written: bytes) -> None:
    """Equal values have equal bytes."""
    assert canonical(value) == written


def test_nan_is_no_json() -> None:
    """A number that other readers cannot read is refused, not written."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": float("nan")})


def test_the_harness_gets_params_dataset_limit_and_the_hash_of_the_code() -> None:
    """The input document is what the contract with the image says."""
    inputs = make_inputs(make_run(params={"fast": 20}, timeoutSeconds=60))
    assert json.loads(inputs.input) == {
        "schema": 2,
        "kind": "Positions",
        "params": {"fast": 20},
        "dataset": {"name": "prices", "path": "/opt/finlab/datasets/us-stocks"},
        "timeoutSeconds": 60,
        "codeSHA256": sha256(CODE.encode()).hexdigest(),
        "lookAhead": {"samples": 5},
    }


def test_the_evaluator_gets_every_rule_spelt_out() -> None:
    """Defaults are decided here: the evaluator has none."""
    assert json.loads(make_inputs(make_run(evaluation={"feesBps": 5})).evaluation) == {
        "schema": 2,
        "kind": "Positions",
        "dataset": {"name": "prices", "path": "/opt/finlab/datasets/us-stocks"},
        "initialCapital": 1_000_000.0,
        "feesBps": 5.0,
        "sellTaxBps": 0.0,
        "slippageBps": 0.0,
        "price": "Auto",
        "rebalance": "EveryRow",
        "allowLeverage": False,
        "periodsPerYear": 252,
        "riskFreeRate": 0.0,
        "benchmark": "EqualWeight",
    }


def test_both_sides_learn_the_kind() -> None:
    """What the vetting found is pinned: neither side looks at the source to find out."""
    inputs = make_inputs(kind=Kind.RESULT)
    assert json.loads(inputs.input)["kind"] == json.loads(inputs.evaluation)["kind"] == "Result"


def test_a_guard_that_is_off_takes_no_samples() -> None:
    """The harness knows a number alone."""
    off = make_run(evaluation={"lookAhead": {"action": "Off", "samples": 7}})
    on = make_run(evaluation={"lookAhead": {"action": "Fail", "samples": 7}})
    assert json.loads(make_inputs(off).input)["lookAhead"] == {"samples": 0}
    assert json.loads(make_inputs(on).input)["lookAhead"] == {"samples": 7}


def test_a_dataset_of_the_users_own_is_where_the_loader_lays_it() -> None:
    """Harness and evaluator read what was checked, never the source."""
    run = make_run(datasets=[{"name": "taiwan", "configMapRef": {"name": "prices"}}])
    assert json.loads(make_inputs(run).input)["dataset"] == {"name": "taiwan", "path": "/data"}


def test_the_evaluation_does_not_reach_the_strategy() -> None:
    """Code that knew its fees or capital could behave for them."""
    assert b"feesBps" not in make_inputs().input
    assert b"initialCapital" not in make_inputs().input


@pytest.mark.parametrize(
    ("asked", "given_"),
    [pytest.param(None, 300, id="default"), pytest.param(7, 7, id="less"), pytest.param(300, 300, id="ceiling")],
)
def test_the_time_limit_is_what_was_asked_up_to_the_ceiling(asked: int | None, given_: int) -> None:
    """A user may be stricter than the sandbox, never laxer."""
    assert timeout_seconds(make_run(timeoutSeconds=asked), SANDBOX) == given_


def test_a_lower_ceiling_holds_for_runs_that_ask_for_more() -> None:
    """The schema's ceiling is not the administrator's."""
    strict = SANDBOX.model_copy(update={"timeouts": SANDBOX.timeouts.model_copy(update={"strategy_seconds": 60})})
    assert timeout_seconds(make_run(timeoutSeconds=300), strict) == 60


def test_documents_are_pinned_by_their_bytes() -> None:
    """The hashes are those of the files that the pod reads."""
    inputs = make_inputs()
    files = {"code": "strategy.py", "input": "input.json", "evaluation": "evaluation.json"}
    assert inputs.files.keys() == set(files.values())
    assert inputs.hashes == {name: sha256(inputs.files[file].encode()).hexdigest() for name, file in files.items()}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(make_inputs(code=CODE + "#"), id="code"),
        pytest.param(make_inputs(make_run(timeoutSeconds=9)), id="time-limit"),
        pytest.param(make_inputs(make_run(evaluation={"feesBps": 0})), id="evaluation"),
    ],
)
def test_the_content_hash_is_of_all_documents(other: Any) -> None:
    """Whatever a pod would read differently has another hash, the time limit included."""
    assert other.content_hash != make_inputs().content_hash


@given(specs)
def test_source_text_arrives_byte_for_byte(spec: Document) -> None:
    """No newline is translated and no character is lost between the spec and the snapshot."""
    code = spec["source"].get("inline", CODE)
    inputs = build_inputs(make_run(**spec), code.encode(), Kind.POSITIONS, SANDBOX)
    assert inputs.files["strategy.py"] == code
