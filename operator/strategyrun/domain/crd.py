"""The CustomResourceDefinitions, made from the models.

pydantic writes JSON schema 2020-12; the API server takes a structural subset of an older
dialect. Each keyword is translated here or refused, so that nothing a model says gets lost.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from strategyrun.domain.sandbox import NAME_LIMIT, PROFILE_KIND, PROFILE_PLURAL, Sandbox, SandboxProfileStatus
from strategyrun.domain.strategyrun import (
    GROUP,
    KIND,
    NOT_SEEN,
    PLURAL,
    VERSION,
    StrategyRunSpec,
    StrategyRunStatus,
)

Schema = dict[str, Any]

_SAME_IN_BOTH = frozenset(
    {
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "required",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    }
)
_OVERRIDABLE = frozenset({"description", "default"})

_Column = tuple[str, str, str]
"""A column's name, the field it shows, its type."""

_COLUMNS = (
    ("Phase", ".status.phase", "string"),
    ("Reason", ".status.reason", "string"),
    ("Executor", ".status.executor", "string"),
    ("Sharpe", ".status.summary.sharpe", "string"),
    ("Return%", ".status.summary.totalReturn", "string"),
    ("MaxDD%", ".status.summary.maxDrawdown", "string"),
    ("Trades", ".status.summary.trades", "string"),
    ("Duration", ".status.summary.duration", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)
_WIDE_COLUMNS = (
    ("Kind", ".status.kind", "string"),
    ("LookAheadClean", '.status.conditions[?(@.type=="LookAheadClean")].status', "string"),
    ("Node", ".status.attempts[-1:].node", "string"),
    ("Pod", ".status.attempts[-1:].podName", "string"),
    ("Message", ".status.message", "string"),
    ("Hint", ".status.hint", "string"),
)
_PROFILE_COLUMNS = (
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "string"),
    ("Network", ".status.network", "string"),
    ("Nodes", '.status.conditions[?(@.type=="SeccompInstalled")].message', "string"),
    ("CPU", ".spec.limits.cpu", "string"),
    ("Memory", ".spec.limits.memory", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)
_WIDE_PROFILE_COLUMNS = (
    ("Image", ".spec.image", "string"),
    ("RuntimeClass", ".spec.runtimeClassName", "string"),
    ("Measured", ".status.measuredAt", "date"),
    ("Message", '.status.conditions[?(@.type=="Ready")].message', "string"),
)


class SchemaError(ValueError):
    """A model says something that a structural schema cannot say."""


def definitions() -> list[dict[str, Any]]:
    """Build every definition."""
    return [crd(), profile_crd()]


def crd() -> dict[str, Any]:
    """Build the definition of StrategyRun.

    Not in the category `all`: `kubectl delete all --all` must not delete anybody's answers.
    """
    return _definition(
        KIND,
        PLURAL,
        "srun",
        "Namespaced",
        columns=_columns(_COLUMNS, _WIDE_COLUMNS),
        schema={
            "description": "A trading strategy that is run in a sandbox, and the metrics "
            "of the positions that it returned.",
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": structural(StrategyRunSpec, defaults=True),
                "status": _until_written(NOT_SEEN, structural(StrategyRunStatus, defaults=False)),
            },
        },
        selectable=(".status.phase", ".status.reason"),
    )


def profile_crd() -> dict[str, Any]:
    """Build the definition of SandboxProfile."""
    return _definition(
        PROFILE_KIND,
        PROFILE_PLURAL,
        "sprofile",
        "Cluster",
        columns=_columns(_PROFILE_COLUMNS, _WIDE_PROFILE_COLUMNS),
        schema={
            "description": "What strategies run in, set by who administers the cluster, and what was measured of it.",
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": structural(Sandbox, defaults=True),
                "status": structural(SandboxProfileStatus, defaults=False),
            },
            "x-kubernetes-validations": [
                {
                    "rule": f"self.metadata.name.size() <= {NAME_LIMIT}",
                    "message": f"metadata.name is the value of a label: at most {NAME_LIMIT} characters",
                }
            ],
        },
    )


def _definition(
    kind: str,
    plural: str,
    short: str,
    scope: str,
    *,
    columns: list[dict[str, Any]],
    schema: Schema,
    selectable: tuple[str, ...] = (),
) -> dict[str, Any]:
    fields = {"selectableFields": [{"jsonPath": path} for path in selectable]} if selectable else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["finlab"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    **fields,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _until_written(stand_in: dict[str, Any], status: Schema) -> Schema:
    """Let the server show a stand-in where the operator has written no status; to one that it wrote the server adds
    nothing.

    What a status must have and the stand-in lacks is asked for where observedGeneration is not negative. kstatus takes
    an object without a status for done, and one with another observedGeneration than its own for under way.
    """
    rules = [
        {
            "rule": f"self.observedGeneration < 0 || has(self.{name})",
            "message": f"{name} must be set where observedGeneration is not negative",
            "reason": "FieldValueRequired",
            "fieldPath": f".{name}",
        }
        for name in status["required"]
        if name not in stand_in
    ]
    required = [name for name in status["required"] if name in stand_in]
    changes = {"default": {**stand_in}, "required": required, "x-kubernetes-validations": rules}
    return dict(sorted((status | changes).items()))


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """Translate a model's schema, with the defaults that the server is to apply or without any.

    Raises SchemaError where the model says what a structural schema cannot.
    """
    document = model.model_json_schema(by_alias=True)
    return _Translation(document.pop("$defs", {}), defaults).translate(document, model.__name__)


@dataclass(frozen=True)
class _Translation:
    definitions: dict[str, Schema]
    defaults: bool

    def translate(self, schema: Schema, where: str) -> Schema:
        inlined = self._inline(schema, where)
        if "type" not in inlined:
            raise SchemaError(f"{where}: a structural schema needs a type")
        translated: Schema = {}
        for keyword, value in inlined.items():
            match keyword:
                case "properties":
                    required = inlined.get("required", ())
                    translated[keyword] = {
                        name: self._property(each, f"{where}.{name}", name in required) for name, each in value.items()
                    }
                case "items" | "additionalProperties" if isinstance(value, dict):
                    translated[keyword] = self.translate(value, f"{where}[]")
                case "const":
                    translated["enum"] = [value]
                case "exclusiveMinimum" | "exclusiveMaximum":
                    bound = keyword.removeprefix("exclusive").lower()
                    if bound in inlined:
                        raise SchemaError(f"{where}: both {bound} and {keyword}")
                    translated |= {bound: _as_stored(value), keyword: True}
                case "additionalProperties" if isinstance(value, bool):
                    # What is closed needs no word: the server prunes, or refuses, what it does not know.
                    translated |= {"x-kubernetes-preserve-unknown-fields": True} if value else {}
                case "default":
                    if self.defaults and value is not None:
                        translated[keyword] = _as_stored(value)
                case _ if keyword in _SAME_IN_BOTH:
                    translated[keyword] = _as_stored(value)
                case _:
                    raise SchemaError(f"{where}: no structural counterpart of {keyword}: {value!r}")
        return dict(sorted(translated.items()))

    def _property(self, schema: Schema, where: str, required: bool) -> Schema:
        if not required and "default" not in schema:
            raise SchemaError(f"{where}: the server cannot see a default_factory; give the default itself")
        return self.translate(schema, where)

    def _inline(self, schema: Schema, where: str) -> Schema:
        """Replace a reference, or "something or null", by what it stands for."""
        here = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf", "title")}
        if "$ref" in schema:
            target = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
        elif "anyOf" in schema:
            alternatives = [each for each in schema["anyOf"] if each != {"type": "null"}]
            if len(alternatives) != 1:
                raise SchemaError(f"{where}: no structural counterpart of anyOf with several types")
            target = alternatives[0]
        else:
            return here
        there = self._inline(target, where)
        if clash := (here.keys() & there.keys()) - _OVERRIDABLE:
            raise SchemaError(f"{where}: field and type both say {', '.join(sorted(clash))}")
        return there | here


def _columns(shown: tuple[_Column, ...], wide: tuple[_Column, ...]) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": type_, "jsonPath": path, "priority": priority}
        for priority, columns in enumerate((shown, wide))
        for name, path, type_ in columns
    ]


def _as_stored(value: Any) -> Any:
    """Copy a value without nulls, whole numbers as integers: the server stores 10.0 as 10."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_as_stored(each) for each in value]
        case dict():
            return {key: _as_stored(each) for key, each in value.items() if each is not None}
        case _:
            return value
