"""The second step: what to run, from the input document."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finlab_sandbox.harness import reasons
from finlab_sandbox.harness.reasons import RunError

if TYPE_CHECKING:
    from finlab_sandbox.harness.paths import Paths

PINNED_VARIABLE = "FINLAB_INPUT_SHA256"
SCHEMA = 2
POSITIONS, RESULT, SCRIPT = "Positions", "Result", "Script"
KINDS = (POSITIONS, RESULT, SCRIPT)


@dataclass(frozen=True)
class Task:
    """One strategy with its kind and parameters, the directory of its dataset, and on how many futures to check it."""

    source: bytes
    kind: str
    params: dict[str, Any]
    dataset: str
    samples: int


def pinned_input(path: str) -> bytes:
    """Reads input.json once; raises RunError where it is not the one whose hash stands in the pod's own template.

    Whoever may write ConfigMaps in a namespace can put another one in the place of a run's, and put it back. The
    template of a Job nobody changes.
    """
    content = Path(path).read_bytes()
    found, pinned = hashlib.sha256(content).hexdigest(), os.environ.pop(PINNED_VARIABLE, "")
    if not pinned:
        raise RunError(reasons.IMAGE_INVALID, f"{PINNED_VARIABLE} is not set: is the operator older than this image?")
    if found != pinned:
        raise RunError(reasons.TAMPERED, f"input.json has sha256 {found}, not {pinned}")
    return content


def read_task(content: bytes, paths: Paths) -> Task:
    """Understands input.json and reads the code once; the bytes that match the promised hash are the bytes that run."""
    document = json.loads(content)
    if document["schema"] != SCHEMA:
        raise RunError(reasons.IMAGE_INVALID, f"input.json has schema {document['schema']}, not {SCHEMA}")
    if document["kind"] not in KINDS:
        raise RunError(reasons.IMAGE_INVALID, f"input.json has kind {document['kind']!r}, none of {', '.join(KINDS)}")
    source = Path(paths.code).read_bytes()
    found = hashlib.sha256(source).hexdigest()
    if found != document["codeSHA256"]:
        raise RunError(reasons.TAMPERED, f"strategy.py has sha256 {found}, not {document['codeSHA256']}")
    dataset = document["dataset"]
    if not (Path(dataset["path"]) / "manifest.json").is_file():
        raise RunError(reasons.DATA_MISSING, f"there is no dataset at {dataset['path']}")
    samples = int(document["lookAhead"]["samples"])
    return Task(source, document["kind"], document["params"], dataset["path"], samples)
