"""The checked-in files that are made from the domain."""

from pathlib import Path
from typing import Any

import yaml

from strategyrun.domain.admission.policies import policies
from strategyrun.domain.crd import definitions
from strategyrun.domain.outcomes import ENDS, FAILURES
from strategyrun.domain.reference import reference
from strategyrun.domain.strategyrun import NOT_SEEN, FailureClass

_HEADER = "# Generated from operator/strategyrun/domain by `make generate`; edit the models there.\n"


def generated_files() -> dict[Path, str]:
    """Return the content of each generated file by its path below the checkout."""
    return {
        **{Path("crds", f"{each['metadata']['name']}.yaml"): _HEADER + _yaml(each) for each in definitions()},
        Path("docs", "outcomes.md"): _outcomes(),
        Path("docs", "reference.md"): reference(*definitions()),
        Path("manifests", "policies", "policies.yaml"): _HEADER + "---\n".join(map(_yaml, policies())),
    }


def write_generated(root: Path) -> list[Path]:
    """Write the generated files into a checkout and return their paths."""
    files = generated_files()
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return list(files)


_CLASSES = {
    FailureClass.USER: "The strategy or the manifest has to change. Never retried.",
    FailureClass.SANDBOX: "The sandbox itself could not start or cannot be trusted. An administrator has to act.",
    FailureClass.PLATFORM: "The cluster lost the run. Retried up to `spec.retry.limit` times.",
}


def _outcomes() -> str:
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


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
