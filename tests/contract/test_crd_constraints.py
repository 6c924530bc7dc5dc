"""Every constraint of the spec, from both sides, on a real API server.

All requests are dry runs: the server validates as ever and stores nothing.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from support.cluster import Cluster, Kind, Manifest, RefusedError
from support.runs import strategy_run
from support.schema import NODES, SPEC

# Keywords that describe, or whose refusal test_refuses_another_type covers.
_NO_CONSTRAINT = {
    "default",
    "description",
    "items",
    "properties",
    "type",
    "x-kubernetes-preserve-unknown-fields",
}

_OF_ANOTHER_TYPE = {"string": 5, "integer": 1.5, "number": "5", "boolean": "yes", "object": "x", "array": {}}


@dataclass(frozen=True)
class Constraint:
    """A constraint of the schema, the last value that it lets pass, and the first that it refuses.

    `field` is a path in the manifest (empty for the manifest itself, [] for the first item),
    `says` what the refusal must tell beside the field: the limit, and what was found where the
    server tells that.
    """

    field: str
    keyword: str
    accepts: Any
    refuses: Any
    says: tuple[str, ...]

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.field or 'manifest'}: {self.keyword}"


def _name(field: str, limit: int) -> list[Constraint]:
    pattern = SPEC[field]["pattern"]
    return [
        Constraint(field, "maxLength", "a" * limit, "a" * (limit + 1), (f"may not be more than {limit} bytes",)),
        *(
            Constraint(field, "pattern", "a-1", refused, (json.dumps(refused), f"should match '{pattern}'"))
            for refused in ("", "A", "-a", "a-", "a b", "a/b", "../secrets/a", "a\n")
        ),
    ]


def _between(field: str, low: float, high: float, *, step: float = 1) -> list[Constraint]:
    return [
        Constraint(field, "minimum", low, low - step, (f"{low - step}", f"greater than or equal to {low}")),
        Constraint(field, "maximum", high, high + step, (f"{high + step}", f"less than or equal to {high}")),
    ]


def _one_of(field: str, *values: str) -> list[Constraint]:
    supported = ", ".join(f'"{value}"' for value in values)
    return [
        Constraint(field, "enum", value, value.upper(), (f'"{value.upper()}"', f"supported values: {supported}"))
        for value in values
    ]


def _path(field: str) -> list[Constraint]:
    return [
        Constraint(field, "minLength", "a", "", ("at least 1 chars",)),
        Constraint(field, "maxLength", "a" * 512, "a" * 513, ("may not be more than 512 bytes",)),
        *(
            Constraint(field, "pattern", accepted, refused, (json.dumps(refused), "should match"))
            for accepted, refused in (
                ("daily", "/etc"),
                ("daily/2024.csv", "../secrets"),
                ("a/.hidden/b", "daily/../../etc"),
                (".a", "."),
                ("a..", "daily/"),
                ("價格", "a//b"),
            )
        ),
    ]


_ONE_SOURCE = " + ".join(
    f"(has(self.{source}) ? 1 : 0)" for source in ("builtin", "configMapRef", "persistentVolumeClaim", "image")
)
_SOURCE = {"inline": "x"}
_REF = {"name": "code"}
_DATASET = {"name": "prices", "builtin": "us-stocks"}
_OWN_DATASETS = {
    "configMapRef": {"name": "prices", "configMapRef": {"name": "prices"}},
    "persistentVolumeClaim": {"name": "prices", "persistentVolumeClaim": {"claimName": "prices"}},
    "image": {"name": "prices", "image": {"reference": "example.com/prices:1"}},
}

TABLE = [
    Constraint("", "required spec", {"spec": {"source": _SOURCE}}, {}, ("spec: Required value",)),
    Constraint("spec", "required source", {"source": _SOURCE}, {}, ("spec.source: Required value",)),
    Constraint(
        "spec.source",
        "has(self.inline) || has(self.configMapRef)",
        _SOURCE,
        {},
        ("one of inline and configMapRef must be set, found neither",),
    ),
    Constraint(
        "spec.source",
        "!has(self.inline) || !has(self.configMapRef)",
        {"configMapRef": _REF},
        {"inline": "x", "configMapRef": _REF},
        ("only one of inline and configMapRef may be set, found both",),
    ),
    Constraint("spec.source.inline", "minLength", "x", "", ("at least 1 chars",)),
    Constraint(
        "spec.source.inline",
        "size(bytes(self)) <= 131072",
        "x" * 131_072,
        "x" * 131_073,
        ("at most 131072 bytes", "found 131073"),
    ),
    Constraint(
        "spec.source.inline",
        "size(bytes(self)) <= 131072",
        "策" * 43_690,
        "策" * 43_691,
        ("at most 131072 bytes", "found 131073"),
    ),
    Constraint(
        "spec.source.configMapRef",
        "required name",
        _REF,
        {"key": "a.py"},
        ("spec.source.configMapRef.name: Required value",),
    ),
    *_name("spec.source.configMapRef.name", 253),
    Constraint("spec.source.configMapRef.key", "maxLength", "a" * 253, "a" * 254, ("more than 253 bytes",)),
    *(
        Constraint(
            "spec.source.configMapRef.key",
            "pattern",
            "My_strategy-1.py",
            refused,
            (f'"{refused}"', "should match '^[-._a-zA-Z0-9]+$'"),
        )
        for refused in ("", "a b", "a/b", "策略.py")
    ),
    Constraint(
        "spec.params",
        "maxProperties",
        {f"p{number}": number for number in range(128)},
        {f"p{number}": number for number in range(129)},
        ("Too many: 129", "at most 128"),
    ),
    Constraint("spec.datasets", "minItems", [_DATASET], [], ("Invalid value: 0", "at least 1 items")),
    Constraint(
        "spec.datasets",
        "maxItems",
        [_DATASET],
        [_DATASET, {"name": "more", "builtin": "us-stocks"}],
        ("Too many: 2", "at most 1 item"),
    ),
    Constraint(
        "spec.datasets[]",
        "required name",
        _DATASET,
        {"builtin": "us-stocks"},
        ("spec.datasets[0].name: Required value",),
    ),
    Constraint(
        "spec.datasets[]",
        f"{_ONE_SOURCE} >= 1",
        _DATASET,
        {"name": "prices"},
        ("one of builtin, configMapRef, persistentVolumeClaim and image must be set, found none",),
    ),
    *(
        Constraint(
            "spec.datasets[]",
            f"{_ONE_SOURCE} <= 1",
            {"name": "prices", **source},
            {**_DATASET, **source},
            ("only one of builtin, configMapRef, persistentVolumeClaim and image may be set, found several",),
        )
        for source in (
            {"configMapRef": {"name": "prices"}},
            {"persistentVolumeClaim": {"claimName": "prices"}},
            {"image": {"reference": "example.com/prices:1"}},
        )
    ),
    Constraint(
        "spec.datasets[].configMapRef",
        "required name",
        {"name": "prices"},
        {"key": "prices.csv"},
        ("spec.datasets[0].configMapRef.name: Required value",),
    ),
    *_name("spec.datasets[].configMapRef.name", 253),
    Constraint("spec.datasets[].configMapRef.key", "maxLength", "a" * 253, "a" * 254, ("more than 253 bytes",)),
    *(
        Constraint("spec.datasets[].configMapRef.key", "pattern", "prices.csv.gz", refused, (f'"{refused}"',))
        for refused in ("", "a b", "a/b", "價格.csv")
    ),
    Constraint(
        "spec.datasets[].persistentVolumeClaim",
        "required claimName",
        {"claimName": "prices"},
        {"path": "daily"},
        ("spec.datasets[0].persistentVolumeClaim.claimName: Required value",),
    ),
    *_name("spec.datasets[].persistentVolumeClaim.claimName", 253),
    *_path("spec.datasets[].persistentVolumeClaim.path"),
    Constraint(
        "spec.datasets[].image",
        "required reference",
        {"reference": "example.com/prices@sha256:" + "0" * 64},
        {"path": "daily"},
        ("spec.datasets[0].image.reference: Required value",),
    ),
    Constraint("spec.datasets[].image.reference", "minLength", "a", "", ("at least 1 chars",)),
    Constraint("spec.datasets[].image.reference", "maxLength", "a" * 512, "a" * 513, ("more than 512 bytes",)),
    Constraint("spec.datasets[].image.reference", "pattern", "a:1", "a b", ('"a b"', "should match")),
    *_path("spec.datasets[].image.path"),
    *_name("spec.datasets[].name", 63),
    *_one_of("spec.datasets[].builtin", "us-stocks"),
    Constraint("spec.evaluation.initialCapital", "exclusiveMinimum", 0.01, 0, ("value: 0", "greater than 0")),
    Constraint("spec.evaluation.initialCapital", "maximum", 1e15, 2e15, ("2e+15", "less than or equal to 1e+15")),
    *_between("spec.evaluation.feesBps", 0, 10_000, step=0.5),
    *_between("spec.evaluation.sellTaxBps", 0, 10_000, step=0.5),
    *_between("spec.evaluation.slippageBps", 0, 10_000, step=0.5),
    *_one_of("spec.evaluation.price", "Auto", "AdjClose", "Close"),
    *_one_of("spec.evaluation.rebalance", "EveryRow", "OnChange"),
    *_between("spec.evaluation.periodsPerYear", 1, 366),
    Constraint("spec.evaluation.riskFreeRate", "exclusiveMinimum", -0.99, -1, ("value: -1", "greater than -1")),
    Constraint("spec.evaluation.riskFreeRate", "maximum", 1, 1.01, ("1.01", "less than or equal to 1")),
    Constraint("spec.evaluation.benchmark", "minLength", "A", "", ("at least 1 chars",)),
    Constraint("spec.evaluation.benchmark", "maxLength", "A" * 64, "A" * 65, ("may not be more than 64 bytes",)),
    *_between("spec.evaluation.lookAhead.samples", 1, 20),
    *_one_of("spec.evaluation.lookAhead.action", "Warn", "Fail", "Off"),
    *_one_of("spec.report", "Keep", "Discard"),
    *_between("spec.timeoutSeconds", 1, 300),
    *_name("spec.profile", 253),
    *_between("spec.retry.limit", 0, 5),
    *_one_of("spec.fallback.policy", "OnSandboxUnavailable", "Never"),
    *_between("spec.priority", -1000, 1000),
    *_between("spec.ttlSecondsAfterFinished", 0, 604_800),
]


def manifest(kind: Kind, field: str, value: Any) -> Manifest:
    """Build a valid manifest and put a value at a field of it."""
    source = {"configMapRef": _REF} if field.startswith("spec.source.configMapRef") else _SOURCE
    dataset = next((each for name, each in _OWN_DATASETS.items() if f"[].{name}" in field), _DATASET)
    evaluation: Manifest = {"lookAhead": {}}
    run: Manifest = deepcopy(
        strategy_run(kind=kind, source=source, datasets=[dataset], evaluation=evaluation, retry={}, fallback={})
    )
    if not field:
        del run["spec"]
        return {**run, **value}
    *parents, last = field.replace("[]", ".0").split(".")
    at: Any = run
    for parent in parents:
        at = at[int(parent)] if parent.isdigit() else at[parent]
    at[int(last) if last.isdigit() else last] = value
    return run


def as_server(field: str) -> str:
    """Write a path as the API server does."""
    return field.replace("[]", "[0]")


def stated_constraints() -> Iterator[tuple[str, str]]:
    """Enumerate what the generated schema of the spec constrains."""
    for field, schema in {"": NODES[""], **SPEC}.items():
        for keyword, value in schema.items():
            match keyword:
                case "required":
                    yield from ((field, f"required {name}") for name in value)
                case "x-kubernetes-validations":
                    yield from ((field, rule["rule"]) for rule in value)
                case "minimum" | "maximum" if schema.get(f"exclusive{keyword.capitalize()}"):
                    pass  # stated by its exclusive twin
                case _ if keyword not in _NO_CONSTRAINT:
                    yield field, keyword


def test_table_covers_every_constraint() -> None:
    """A new constraint needs its two tests, and a dropped one takes them along."""
    assert {(each.field, each.keyword) for each in TABLE} == set(stated_constraints())


@pytest.mark.parametrize("constraint", TABLE, ids=str)
def test_accepts_the_last_allowed_value(cluster: Cluster, strategy_run_kind: Kind, constraint: Constraint) -> None:
    """A value on the limit passes, and is stored as it was given."""
    given = manifest(strategy_run_kind, constraint.field, constraint.accepts)
    stored = cluster.create(given, dry_run=True)
    assert _includes(stored["spec"], given["spec"])


@pytest.mark.parametrize("constraint", TABLE, ids=str)
def test_refuses_the_first_forbidden_value(cluster: Cluster, strategy_run_kind: Kind, constraint: Constraint) -> None:
    """A value beyond the limit is refused with the field, the limit and what was found."""
    with pytest.raises(RefusedError) as refusal:
        cluster.create(manifest(strategy_run_kind, constraint.field, constraint.refuses), dry_run=True)
    assert refusal.value.code == 422
    for words in (as_server(constraint.field), *constraint.says):
        assert words in refusal.value.message
    assert len(refusal.value.message) < 1000, "a refusal does not repeat the source"


@pytest.mark.parametrize("field", SPEC)
def test_refuses_another_type(cluster: Cluster, strategy_run_kind: Kind, field: str) -> None:
    """A value of another type is refused with the field and the type that it must have."""
    expected = SPEC[field]["type"]
    with pytest.raises(RefusedError) as refusal:
        cluster.create(manifest(strategy_run_kind, field, _OF_ANOTHER_TYPE[expected]), dry_run=True)
    assert f"{as_server(field)} in body must be of type {expected}" in refusal.value.message


@pytest.mark.parametrize(
    "field", [field for field, schema in SPEC.items() if schema["type"] == "object" and field != "spec.params"]
)
def test_refuses_an_unknown_field(cluster: Cluster, strategy_run_kind: Kind, field: str) -> None:
    """A misspelt field is refused by its path, on every level, and never silently dropped."""
    run = manifest(strategy_run_kind, f"{field}.misspelt", 1)
    with pytest.raises(RefusedError, match="unknown field") as refusal:
        cluster.create(run, dry_run=True)
    assert f'unknown field "{as_server(field)}.misspelt"' in refusal.value.message


def _includes(stored: Any, given: Any) -> bool:
    match given:
        case dict():
            return all(_includes(stored[key], value) for key, value in given.items())
        case list():
            return len(stored) == len(given) and all(map(_includes, stored, given))
        case _:
            return bool(stored == given)
