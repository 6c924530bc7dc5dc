"""What kind of pod the harness is in: the container's environment says so, which the operator wrote, nothing else."""

from __future__ import annotations

import os

from finlab_sandbox.harness import reasons
from finlab_sandbox.harness.reasons import RunError

VARIABLE = "FINLAB_EXECUTOR"
SANDBOX, FALLBACK = "Sandbox", "Fallback"


def told() -> str:
    """The kind of pod: the sandbox's, unless the environment says otherwise. Raises RunError for another word."""
    executor = os.environ.get(VARIABLE, SANDBOX)
    if executor not in (SANDBOX, FALLBACK):
        raise RunError(reasons.IMAGE_INVALID, f"{VARIABLE} is {executor[:40]!r}, neither {SANDBOX} nor {FALLBACK}")
    return executor
