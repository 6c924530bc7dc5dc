"""What an evaluation is a function of, and the documents that carry it into the pod."""

import json
from hashlib import sha256
from typing import Any

from strategyrun.domain.model import Model
from strategyrun.domain.sandbox import Sandbox
from strategyrun.domain.strategyrun import DEFAULT_PROFILE, Dataset, LookAheadAction, StrategyRun
from strategyrun.domain.vetting import Kind

CODE_KEY = "strategy.py"
INPUT_KEY = "input.json"
EVALUATION_KEY = "evaluation.json"
PARAMS_LIMIT_BYTES = 64 * 1024

DATA_PATH = "/data"
"""Where a dataset that is not built in is laid out for reading."""

_DATASETS_IN_IMAGE = "/opt/finlab/datasets"
_SCHEMA = 2


def canonical(value: object) -> bytes:
    """Write JSON in one way only: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(content).hexdigest()


def inputs_hash(run: StrategyRun) -> str:
    """Identify what was asked: source, params, datasets, evaluation, profile and the rerun annotation.

    A source that lives in a ConfigMap counts by its reference; its content stands in the
    provenance of the answer. The profile and the fields of the evaluation count where they differ from their default,
    so that an operator that knows one field more does not evaluate everything again. A spec that
    cannot be read counts as it is; an operator that can read it evaluates it.
    """
    if run.unreadable:
        return digest(canonical({"unreadable": run.unreadable.spec, "rerun": run.rerun}))
    spec = run.spec
    return digest(
        canonical(
            {
                "source": spec.source.document(),
                "params": spec.params,
                "datasets": [dataset.document() for dataset in spec.datasets],
                "evaluation": spec.evaluation.model_dump(mode="json", by_alias=True, exclude_defaults=True),
                "rerun": run.rerun,
                **({} if spec.profile == DEFAULT_PROFILE else {"profile": spec.profile}),
            }
        )
    )


class Inputs(Model):
    """The three documents of one evaluation, as bytes that are pinned by their hashes."""

    code: bytes
    input: bytes
    evaluation: bytes

    @property
    def hashes(self) -> dict[str, str]:
        """Hash of each document, by the name that the report uses."""
        return {
            "code": digest(self.code),
            "input": digest(self.input),
            "evaluation": digest(self.evaluation),
        }

    @property
    def content_hash(self) -> str:
        """Hash of all three."""
        return digest(canonical(self.hashes))

    @property
    def files(self) -> dict[str, str]:
        """The documents by file name."""
        return {
            CODE_KEY: self.code.decode(),
            INPUT_KEY: self.input.decode(),
            EVALUATION_KEY: self.evaluation.decode(),
        }


def timeout_seconds(run: StrategyRun, sandbox: Sandbox) -> int:
    """Wall-clock limit of the strategy: what was asked, up to the ceiling."""
    ceiling = sandbox.timeouts.strategy_seconds
    return min(run.spec.timeout_seconds or ceiling, ceiling)


def build_inputs(run: StrategyRun, code: bytes, kind: Kind, sandbox: Sandbox) -> Inputs:
    """Write the documents that harness and evaluator read (image/finlab_sandbox has the other side)."""
    dataset = _dataset(run.spec.datasets[0])
    look_ahead = run.spec.evaluation.look_ahead
    samples = 0 if look_ahead.action is LookAheadAction.OFF else look_ahead.samples
    rules = run.spec.evaluation.model_dump(mode="json", by_alias=True, exclude={"look_ahead"})
    return Inputs(
        code=code,
        input=canonical(
            {
                "schema": _SCHEMA,
                "kind": kind,
                "params": run.spec.params,
                "dataset": dataset,
                "timeoutSeconds": timeout_seconds(run, sandbox),
                "codeSHA256": digest(code),
                "lookAhead": {"samples": samples},
            }
        ),
        evaluation=canonical({"schema": _SCHEMA, "kind": kind, "dataset": dataset, **rules}),
    )


def _dataset(dataset: Dataset) -> dict[str, Any]:
    path = f"{_DATASETS_IN_IMAGE}/{dataset.builtin}" if dataset.builtin else DATA_PATH
    return {"name": dataset.name, "path": path}
