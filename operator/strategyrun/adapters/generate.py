"""The checked-in files that are made from the domain."""

from pathlib import Path
from typing import Any

import yaml

from strategyrun.domain.crd import crd

_HEADER = "# Generated from operator/strategyrun/domain by `make generate`; edit the models there.\n"


def generated_files() -> dict[Path, str]:
    """Return the content of each generated file by its path below the checkout."""
    definition = crd()
    return {Path("crds", f"{definition['metadata']['name']}.yaml"): _HEADER + _yaml(definition)}


def write_generated(root: Path) -> None:
    """Write the generated files into a checkout."""
    for path, content in generated_files().items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
