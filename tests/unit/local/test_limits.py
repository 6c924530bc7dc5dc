"""What a local run refuses of a spec is what an API server refuses: every constraint of the schema, from both sides."""

from typing import Any

import pytest

from contract.test_crd_constraints import TABLE, Constraint, manifest
from strategyrun.local.limits import complaints
from strategyrun.local.request import UsageError, stored
from support.cluster import STRATEGY_RUN
from support.schema import SPEC

OF_SPEC = [each for each in TABLE if each.field]
LEVELS = [field for field, schema in SPEC.items() if schema["type"] == "object" and field != "spec.params"]
OTHER_TYPES = {"string": 5, "integer": 1.5, "number": "5", "boolean": "yes", "object": "x", "array": {}}


def spec_of(field: str, value: Any) -> Any:
    """Return a valid spec with a value at a field of it, as it would be stored."""
    return stored(manifest(STRATEGY_RUN, field, value).get("spec"), "spec")


def here(field: str) -> str:
    """Write a path as a local run does."""
    return field.replace("[]", ".0")


@pytest.mark.parametrize("constraint", OF_SPEC, ids=str)
def test_accepts_the_last_allowed_value(constraint: Constraint) -> None:
    """A value on the limit passes."""
    assert complaints(spec_of(constraint.field, constraint.accepts)) == []


@pytest.mark.parametrize("constraint", OF_SPEC, ids=str)
def test_refuses_the_first_forbidden_value(constraint: Constraint) -> None:
    """A value beyond the limit is refused by its field."""
    try:
        found = complaints(spec_of(constraint.field, constraint.refuses))
    except UsageError as error:
        found = [str(error)]
    assert any(each.startswith(here(constraint.field)) for each in found), found
    assert all(len(each) < 1000 for each in found), "a refusal does not repeat the source"


@pytest.mark.parametrize("field", SPEC)
def test_refuses_another_type(field: str) -> None:
    """A value of another type is refused by its field, and never taken for what it might mean."""
    found = complaints(spec_of(field, OTHER_TYPES[SPEC[field]["type"]]))
    assert any(each.startswith(here(field)) for each in found), found


@pytest.mark.parametrize("field", LEVELS)
def test_refuses_an_unknown_field(field: str) -> None:
    """A misspelt field is refused by its path, on every level, with the fields that there are."""
    found = complaints(spec_of(f"{field}.misspelt", 1))
    assert any(each.startswith(f'{here(field)}.misspelt: unknown field "misspelt"; there are ') for each in found), (
        found
    )


def test_refuses_what_is_no_mapping() -> None:
    """A spec that is a list is told so."""
    assert complaints([]) == ["spec: must be a mapping, found []"]
