"""What there is to tell of a run in events: each is about what is on record, under a name that follows from it."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from strategyrun.domain.model import rfc3339
from strategyrun.domain.naming import MANAGED_BY
from strategyrun.domain.outcomes import FAILURES
from strategyrun.domain.strategyrun import KIND, ConditionType, Phase, StrategyRun
from strategyrun.domain.text import clean

_NOTE_LIMIT = 1000
"""Bytes; the API server takes 1024."""


class News(NamedTuple):
    """What is on record of a run, and since when."""

    reason: str
    message: str
    at: datetime


def news(run: StrategyRun) -> list[News]:
    """Return what there is to tell of a run: that it went to the fallback, and that it failed."""
    status = run.status
    if status is None:
        return []
    told: list[News] = []
    if status.fallback:
        message = f"{status.fallback.trigger}: {status.fallback.message}"
        told += [
            News(ConditionType.FALLBACK_USED, message, each.last_transition_time)
            for each in status.conditions
            if (each.type, each.status) == (ConditionType.FALLBACK_USED, "True")
        ]
    if status.phase is Phase.FAILED and status.finished_at:
        outcome = next((row for reason, row in FAILURES.items() if reason == status.reason), None)
        message = status.message or (outcome.meaning if outcome else "the run failed")
        told.append(News(outcome.reason if outcome else "Failed", message, status.finished_at))
    return told


def event(run: StrategyRun, told: News, instance: str) -> dict[str, Any]:
    """Build the event. Its name is a function of what is on record."""
    inputs = run.status.inputs_hash if run.status else ""
    digest = sha256("\0".join((run.uid, inputs, told.reason, rfc3339(told.at))).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{run.name[:200].rstrip('-.')}.{digest}", "namespace": run.namespace},
        "eventTime": told.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "type": "Warning",
        "reason": told.reason,
        "action": "Evaluate",
        "message": clean(told.message, _NOTE_LIMIT),
        "involvedObject": {
            "apiVersion": run.api_version,
            "kind": KIND,
            "name": run.name,
            "namespace": run.namespace,
            "uid": run.uid,
            "resourceVersion": run.resource_version,
        },
        "reportingComponent": f"finlab-sandbox.dev/{MANAGED_BY}",
        "reportingInstance": instance[:128],
    }
