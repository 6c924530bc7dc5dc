"""The CRD that is made from the models."""

import re
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from strategyrun.domain.crd import Schema, SchemaError, crd, structural
from strategyrun.domain.strategyrun import NOT_SEEN, StrategyRunSpec, StrategyRunStatus
from support.schema import NODES, SPEC, STATUS

VERSION = crd()["spec"]["versions"][0]

# What apiextensions.k8s.io/v1 allows in a structural schema and this project uses.
STRUCTURAL_KEYWORDS = {
    "default",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
    "additionalProperties",
}


def field(type_: Any, **constraints: Any) -> Schema:
    """Translate a model with one field of the given type."""
    model = type("Sample", (BaseModel,), {"__annotations__": {"field": type_}, "field": Field(**constraints)})
    translated: Schema = structural(model, defaults=True)["properties"]["field"]
    return translated


def test_every_node_is_structural() -> None:
    """Nothing of pydantic's dialect is left: no $ref, anyOf, const or title; every node has one type."""
    for path, node in NODES.items():
        assert node.keys() <= STRUCTURAL_KEYWORDS, path
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path


def test_every_field_is_explained() -> None:
    """`kubectl explain` has a sentence for each field."""
    silent = [path for path, node in NODES.items() if "description" not in node and not path.endswith("[]")]
    assert silent == []


def test_objects_list_their_fields_or_keep_unknown_ones() -> None:
    """No object is closed by accident: what has no properties says that it keeps everything."""
    free_form = [path for path, node in NODES.items() if node["type"] == "object" and not node.get("properties")]
    assert free_form == ["spec.params", "status.selfReported.values"]
    assert STATUS["status.selfReported.values"]["additionalProperties"] == {"type": "number"}
    assert SPEC["spec.params"]["x-kubernetes-preserve-unknown-fields"] is True


def test_the_defaults_of_the_schema_are_those_of_the_models() -> None:
    """The server fills in what the operator would assume."""
    fields = SPEC["spec"]["properties"]
    stated = {name: schema["default"] for name, schema in fields.items() if "default" in schema}
    assumed = StrategyRunSpec.model_validate({"source": {"inline": "x"}}).document()
    assert stated == {name: value for name, value in assumed.items() if name != "source"}
    assert fields["evaluation"]["default"] == {
        name: schema["default"] for name, schema in fields["evaluation"]["properties"].items()
    }


def test_the_server_adds_nothing_to_a_status() -> None:
    """The status is the operator's word alone; where there is none the server says so, in the place of a whole one."""
    assert {path: node["default"] for path, node in STATUS.items() if "default" in node} == {"status": NOT_SEEN}


def test_a_status_has_what_its_model_has_unless_it_is_the_stand_in() -> None:
    """What the server shows of a run that nobody has seen passes its own schema; a status that was written is whole."""
    status = STATUS["status"]
    rules = {rule["fieldPath"]: rule["rule"] for rule in status["x-kubernetes-validations"]}
    assert status["required"] == ["observedGeneration", "reason"]
    assert rules == {
        ".phase": "self.observedGeneration < 0 || has(self.phase)",
        ".inputsHash": "self.observedGeneration < 0 || has(self.inputsHash)",
    }
    needed = structural(StrategyRunStatus, defaults=False)["required"]
    assert {*needed} == {*status["required"], *(path.lstrip(".") for path in rules)}


def test_whole_numbers_are_written_as_the_server_stores_them() -> None:
    """10.0 becomes 10, so that the file and the object in the cluster do not differ."""
    assert repr(SPEC["spec.evaluation.feesBps"]["default"]) == "10"
    assert repr(SPEC["spec.evaluation"]["default"]["feesBps"]) == "10"


def test_conditions_merge_by_type() -> None:
    """Conditions are a map by type, so that each stands once."""
    conditions = STATUS["status.conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_columns_show_fields_of_the_schema() -> None:
    """Every column's path leads to a field that exists, of the column's type."""
    for column in VERSION["additionalPrinterColumns"]:
        path = re.sub(r"\[(-1:|\?\(.*\))\]", "[]", column["jsonPath"].removeprefix("."))
        if path != "metadata.creationTimestamp":
            assert STATUS[path]["type"] == column["type"], column


@pytest.mark.parametrize(
    ("type_", "constraints", "expected"),
    [
        pytest.param(int | None, {"default": None}, {"type": "integer"}, id="optional"),
        pytest.param(Literal["a"], {}, {"type": "string", "enum": ["a"]}, id="const"),
        pytest.param(Literal["a", "b"], {}, {"type": "string", "enum": ["a", "b"]}, id="enum"),
        pytest.param(
            float,
            {"gt": 0, "lt": 2.5},
            {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 2.5, "exclusiveMaximum": True},
            id="exclusive-bounds",
        ),
        pytest.param(
            tuple[str, ...],
            {"max_length": 3},
            {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            id="tuple",
        ),
        pytest.param(
            dict[str, Any],
            {"max_length": 3},
            {"type": "object", "maxProperties": 3, "x-kubernetes-preserve-unknown-fields": True},
            id="free-form",
        ),
        pytest.param(
            dict[str, float], {}, {"type": "object", "additionalProperties": {"type": "number"}}, id="typed-map"
        ),
        pytest.param(
            Annotated[str, Field(max_length=3)] | None,
            {"default": None, "description": "d"},
            {"type": "string", "maxLength": 3, "description": "d"},
            id="optional-with-bound",
        ),
    ],
)
def test_translates(type_: Any, constraints: dict[str, Any], expected: Schema) -> None:
    """What pydantic says in its dialect is said in that of the API server."""
    assert field(type_, **constraints) == expected


class Inner(BaseModel):
    """An inner model."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [{"rule": "true"}]})

    name: str


@pytest.mark.parametrize(
    ("type_", "constraints", "complaint"),
    [
        pytest.param(int | str, {}, "anyOf with several types", id="union"),
        pytest.param(tuple[int, str], {}, "prefixItems", id="fixed-tuple"),
        pytest.param(set[str], {}, "uniqueItems", id="set"),
        pytest.param(Annotated[int, Field(multiple_of=2)], {}, "multipleOf", id="multiple-of"),
        pytest.param(Annotated[int, Field(gt=1, ge=1)], {}, "both minimum and exclusiveMinimum", id="two-bounds"),
        pytest.param(Any, {}, "needs a type", id="anything"),
        pytest.param(JsonValue, {}, "needs a type", id="json"),
        pytest.param(list[str], {"default_factory": list}, "default_factory", id="default-factory"),
        pytest.param(
            Inner,
            {"json_schema_extra": {"x-kubernetes-validations": [{"rule": "false"}]}},
            "field and type both say x-kubernetes-validations",
            id="rules-twice",
        ),
    ],
)
def test_refuses(type_: Any, constraints: dict[str, Any], complaint: str) -> None:
    """What a structural schema cannot say is an error that names the field, never lost."""
    with pytest.raises(SchemaError, match=r"^Sample\.field: ") as refusal:
        field(type_, **constraints)
    assert complaint in str(refusal.value)


def test_closed_objects_need_no_word() -> None:
    """CRDs forbid `additionalProperties: false`; the server prunes or refuses unknown fields by itself."""

    class Closed(BaseModel):
        """A closed object."""

        model_config = ConfigDict(extra="forbid")

    assert structural(Closed, defaults=True).keys() == {"description", "properties", "type"}


@given(
    st.sampled_from(
        [
            "allOf",
            "oneOf",
            "not",
            "if",
            "patternProperties",
            "propertyNames",
            "contains",
            "dependentRequired",
            "deprecated",
            "examples",
            "readOnly",
            "nullable",
            "discriminator",
            "contentEncoding",
            "$id",
            "$schema",
        ]
    )
    | st.text(min_size=1).filter(
        lambda keyword: keyword not in STRUCTURAL_KEYWORDS | {"title", "const", "$ref", "anyOf"}
    )
)
def test_refuses_any_unknown_keyword(keyword: str) -> None:
    """A keyword that nobody has thought of stops the generation."""
    with pytest.raises(SchemaError, match=r"^Sample\.field: "):
        field(str, json_schema_extra={keyword: True})
