"""What is asked for: one strategy, and how it is to be evaluated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydantic.alias_generators import to_camel

from strategyrun.client.errors import NotAskedError
from strategyrun.domain.naming import slug

Dataset = str | Path | Mapping[str, Any]
"""`us-stocks` or another built-in name, `configmap:NAME/KEY`, `pvc:CLAIM/PATH`, `image:REFERENCE`; or the fields.

A Path is a file or folder of prices on this machine, for runs on this machine.
"""

_MOUNTED = {"configmap": ("configMapRef", "name", "key"), "pvc": ("persistentVolumeClaim", "claimName", "path")}


@dataclass(frozen=True)
class Trial:
    """One evaluation to make. What is left out is what the cluster's administrator set.

    `code` is Python source, or a file of it. `evaluation` has the fields of spec.evaluation, in camelCase or
    snake_case. `name` becomes the beginning of the run's name, `labels` are those of its metadata. The others have the
    names and values of the spec.
    """

    code: str | Path
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: Dataset | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    profile: str | None = None
    timeout_seconds: int | None = None
    fallback: str | None = None
    priority: int | None = None
    report: str | None = None
    ttl_seconds_after_finished: int | None = None
    retry_limit: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """A beginning of names of Kubernetes objects: of `name`, else of the file."""
        wanted = self.name or (self.code.stem if isinstance(self.code, Path) else "trial")
        return slug(wanted)

    def new_name(self) -> str:
        """Make a name for a run of it, another one each time."""
        return f"{self.prefix}-{token_hex(4)}"

    def source(self) -> str:
        """Return the code. Raises NotAskedError where its file cannot be read."""
        if not isinstance(self.code, Path):
            return self.code
        try:
            return self.code.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NotAskedError(f"{self.code} cannot be read: {error}") from error

    def spec(self) -> dict[str, Any]:
        """Return the spec of a StrategyRun; what is unset stays out. Raises NotAskedError where it is no JSON."""
        optional = {
            "params": dict(self.params),
            "datasets": [dataset_of(self.dataset)] if self.dataset else None,
            "evaluation": _camel(self.evaluation),
            "profile": self.profile,
            "timeoutSeconds": self.timeout_seconds,
            "fallback": {"policy": self.fallback} if self.fallback else None,
            "priority": self.priority,
            "report": self.report,
            "ttlSecondsAfterFinished": self.ttl_seconds_after_finished,
            "retry": {"limit": self.retry_limit} if self.retry_limit is not None else None,
        }
        return {"source": {"inline": self.source()}, **_json(optional)}

    def metadata(self, name: str) -> dict[str, Any]:
        """Return the metadata of a StrategyRun of that name. Raises NotAskedError where the labels are no JSON."""
        return {"name": name, **_json({"labels": dict(self.labels)})}


def dataset_of(dataset: Dataset) -> dict[str, Any]:
    """Return an element of spec.datasets. Raises NotAskedError naming what may be written."""
    if isinstance(dataset, Path):
        raise NotAskedError(
            f"dataset {dataset}: a cluster does not see this machine's files; prices reach it by a ConfigMap "
            "(configmap:NAME[/KEY]), a volume (pvc:CLAIM[/PATH]) or an image (image:REFERENCE)"
        )
    if not isinstance(dataset, str):
        return {"name": "prices", **_camel(dataset)}
    kind, colon, rest = dataset.partition(":")
    if not colon:
        return {"name": "prices", "builtin": dataset}
    if kind == "image" and rest:
        return {"name": "prices", "image": {"reference": rest}}
    if kind not in _MOUNTED or not rest:
        raise NotAskedError(
            f"dataset {dataset!r}: must be a built-in name such as us-stocks, configmap:NAME[/KEY], pvc:CLAIM[/PATH] "
            "or image:REFERENCE"
        )
    source, named, within = _MOUNTED[kind]
    name, slash, part = rest.partition("/")
    return {"name": "prices", source: {named: name, **({within: part} if slash else {})}}


def _json(optional: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are set. Raises NotAskedError naming one that is no JSON."""
    asked = {name: value for name, value in optional.items() if value not in (None, {})}
    for name, value in asked.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise NotAskedError(f"{name}: must be JSON: {error}") from error
    return asked


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): _camel(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
