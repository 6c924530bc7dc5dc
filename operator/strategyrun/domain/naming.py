"""Names and labels of what the operator creates: a function of the run, never a counter."""

import re
from hashlib import sha256
from typing import Any

from strategyrun.domain.strategyrun import GROUP, KIND, StrategyRun

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "finlab-sandbox-operator"
RUN_UID_LABEL = f"{GROUP}/run-uid"
RUN_NAME_LABEL = f"{GROUP}/run"
COMPONENT_LABEL = "app.kubernetes.io/component"
PROFILE_LABEL = f"{GROUP}/profile"
"""The SandboxProfile of a Job and its pods: the admission policies hold them to it."""
EXECUTOR_LABEL = f"{GROUP}/executor"

SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY},{COMPONENT_LABEL}=strategy"
"""What has to be watched; reports only lie there."""

OBJECT_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
"""How the names of objects are written; they have at most 253 characters."""

# A Job's name becomes a label and, with a suffix of six characters, its pod's name: 63 at most.
_READABLE = 30
_SLUG = 40


def snapshot_name(run: StrategyRun, content_hash: str) -> str:
    """Name the ConfigMap of a run by what is in it: the same name always means the same content."""
    return f"{readable(run.name)}-{_digest(run.uid, content_hash)}"


def report_name(run: StrategyRun, content_hash: str) -> str:
    """Name the ConfigMap of a run's full report by what is in it."""
    return f"{readable(run.name)}-{_digest(run.uid, content_hash)}-report"


def job_name(run: StrategyRun, inputs_hash: str, attempt: int) -> str:
    """Name the Job of an attempt: the same inputs and attempt always get the same name."""
    return f"{readable(run.name)}-{_digest(run.uid, inputs_hash)}-{attempt}"


def labels(run: StrategyRun, component: str = "strategy") -> dict[str, str]:
    """Labels of every object that belongs to a run."""
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        COMPONENT_LABEL: component,
        RUN_UID_LABEL: run.uid,
        RUN_NAME_LABEL: run.name[:63].rstrip("-."),
    }


def selector(run_uid: str) -> str:
    """Select the objects of a run."""
    return f"{SELECTOR},{RUN_UID_LABEL}={run_uid}"


def owner_reference(run: StrategyRun) -> dict[str, Any]:
    """Make the run the owner, so that deleting it deletes everything, with or without the operator."""
    return {
        "apiVersion": run.api_version,
        "kind": KIND,
        "name": run.name,
        "uid": run.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def slug(text: str) -> str:
    """Make a beginning of names of objects out of any text, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_SLUG].strip("-") or "run"


def readable(name: str) -> str:
    """Return as much of a name as the name of a Job has room for."""
    return name.replace(".", "-")[:_READABLE].rstrip("-")


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:12]
