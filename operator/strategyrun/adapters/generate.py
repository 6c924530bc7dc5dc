"""The checked-in files that are made from the domain."""

from pathlib import Path
from typing import Any

import yaml

from strategyrun.domain.admission.policies import policies
from strategyrun.domain.crd import definitions
from strategyrun.domain.outcomes_page import outcomes_page
from strategyrun.domain.reference import reference

_HEADER = "# Generated from operator/strategyrun/domain by `make generate`; edit the models there.\n"


def generated_files() -> dict[Path, str]:
    """Return the content of each generated file by its path below the checkout."""
    return {
        **{Path("crds", f"{each['metadata']['name']}.yaml"): _HEADER + _yaml(each) for each in definitions()},
        Path("docs", "outcomes.md"): outcomes_page(),
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


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
