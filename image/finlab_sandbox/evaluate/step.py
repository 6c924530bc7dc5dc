"""One evaluation: reads the inputs and the positions, writes the report, prints the report document."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from typing import NamedTuple

from finlab_sandbox import __version__
from finlab_sandbox.evaluate import printing, report

SCHEMA = 2


class Paths(NamedTuple):
    """Where the pod mounts what this step reads and writes, and the descriptor that it prints to."""

    inputs: str = "/inputs"
    positions: str = "/out/positions.bin"
    report: str = "/dev/termination-log"
    output: int = 1


def evaluate(paths: Paths, nonce: str) -> None:
    """Reaches a verdict, writes it, prints the report document.

    A document that cannot be printed is lost and leaves the verdict as it is. Any other exception means that this step
    itself could not work.
    """
    started = time.perf_counter()
    code, inputs, content = (
        _read(os.path.join(paths.inputs, name)) for name in ("strategy.py", "input.json", "evaluation.json")
    )
    evaluation = json.loads(content)
    if evaluation["schema"] != SCHEMA:
        raise ValueError(f"evaluation.json has schema {evaluation['schema']}; this evaluator reads {SCHEMA}")
    hashes = {"code": _sha256(code), "input": _sha256(inputs), "evaluation": _sha256(content)}

    if evaluation["kind"] == "Positions":
        from finlab_sandbox.evaluate.verdict import reach  # noqa: PLC0415 - numpy, which other kinds need not wait for

        verdict, printed = reach(paths.positions, evaluation, hashes)
    elif evaluation["kind"] in {"Result", "Script"}:
        verdict, printed = report.Verdict("Unscored"), b""
    else:
        raise ValueError(f"evaluation.json has kind {evaluation['kind']}")

    seconds = time.perf_counter() - started
    encoded = report.encode(nonce=nonce, verdict=verdict, hashes=hashes, evaluator=__version__, seconds=seconds)
    report.write(paths.report, encoded)
    try:
        printing.write(paths.output, printed)
    except OSError as error:
        with suppress(OSError):  # nor is anybody owed the reason
            os.write(2, f"the report document could not be printed: {error}\n".encode())


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
