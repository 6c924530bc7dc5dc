"""The CustomResourceDefinition, made from the models.

pydantic writes JSON schema 2020-12; the API server takes a structural subset of an older
dialect. Each keyword is translated here or refused, so that nothing a model says gets lost.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from strategyrun.domain.strategyrun import (
    GROUP,
    KIND,
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

# A column's name, the field it shows, its type.
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


class SchemaError(ValueError):
    """A model says something that a structural schema cannot say."""


def crd() -> dict[str, Any]:
    """Build the definition of StrategyRun.

    Not in the category `all`: `kubectl delete all --all` must not delete anybody's answers.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["srun"],
                "categories": ["finlab"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *(_column(*column, priority=0) for column in _COLUMNS),
                        *(_column(*column, priority=1) for column in _WIDE_COLUMNS),
                    ],
                    "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".status.reason"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "A trading strategy that is run in a sandbox, and the metrics "
                            "of the positions that it returned.",
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "spec": structural(StrategyRunSpec, defaults=True),
                                # A status is what the operator wrote: the server adds nothing to it.
                                "status": structural(StrategyRunStatus, defaults=False),
                            },
                        }
                    },
                }
            ],
        },
    }


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
                case "additionalProperties" if value is True:
                    translated["x-kubernetes-preserve-unknown-fields"] = True
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


def _column(name: str, path: str, type_: str, *, priority: int) -> dict[str, Any]:
    return {"name": name, "type": type_, "jsonPath": path, "priority": priority}


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
