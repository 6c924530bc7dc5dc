"""The page of outcomes as Markdown, made from their table."""

from strategyrun.domain.outcomes import ENDS, FAILURES
from strategyrun.domain.strategyrun import NOT_SEEN, FailureClass

_CLASSES = {
    FailureClass.USER: "The strategy or the manifest has to change. Never retried.",
    FailureClass.SANDBOX: "The sandbox itself could not start or cannot be trusted. An administrator has to act.",
    FailureClass.PLATFORM: "The cluster lost the run. Retried up to `spec.retry.limit` times.",
}


def outcomes_page() -> str:
    """Write the page of every way in which a run ends."""
    lines = [
        "<!-- Generated from operator/strategyrun/domain/outcomes.py by `make generate`. -->",
        "# Outcomes",
        "",
        "A run ends well, is cancelled, or has `Failed` with one of the reasons further below. The reason is a column",
        "of `kubectl get srun`, the hint one of `kubectl get srun -o wide` (`status.hint`), and the class stands in",
        f"`status.failure.class`. A run that no operator has seen yet has the reason `{NOT_SEEN['reason']}`.",
        "",
        "| reason | what happened |",
        "|---|---|",
        *(f"| `{reason}` | {meaning} |" for reason, meaning in ENDS.items()),
    ]
    for class_, meaning in _CLASSES.items():
        lines += ["", f"## {class_}", "", meaning, "", "| reason | what happened | what to do |", "|---|---|---|"]
        rows = (row for row in FAILURES.values() if row.class_ is class_)
        lines += [f"| `{row.reason}` | {row.meaning} | {row.hint} |" for row in rows]
    return "\n".join(lines) + "\n"
