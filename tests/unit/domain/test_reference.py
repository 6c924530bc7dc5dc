"""The reference: every field with what the server enforces, in tables that hold, under names that links find."""

import re

import pytest

from strategyrun.domain.crd import Schema, crd
from strategyrun.domain.reference import reference
from support.schema import NODES

PAGE = reference(crd())
ROWS = {
    f"{path}.{name}": cells
    for path, table in re.findall(r"^#{3,4} StrategyRun\.(\S+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for name, cells in re.findall(r"^\| \**`(\w+)`\** \| (.*) \|$", table, re.MULTILINE)
}
FIELDS = {
    path.replace("[]", ""): node
    for path, node in NODES.items()
    if path not in ("", "spec", "status") and not path.endswith("[]")
}


def only(schema: Schema) -> str:
    """The row of a field `value` of some schema."""
    inner = {"type": "object", "properties": {"value": schema}}
    definition = crd()
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] |= {"properties": {"spec": inner}}
    (row,) = re.findall(r"^\| `value` \| (.*) \|$", reference(definition), re.MULTILINE)
    return str(row)


def test_every_field_has_a_row() -> None:
    """Those of spec and status, at every depth, and no row is of a field that is not there."""
    assert ROWS.keys() == FIELDS.keys()


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_a_row_says_what_the_schema_says(path: str) -> None:
    """Its description whole, each word it may be, its bounds and its default."""
    node, row = FIELDS[path], ROWS[path].replace("\\|", "|")
    assert " ".join(node.get("description", "").split()) in row
    for word in node.get("enum", ()):
        assert f"`{word}`" in row
    for keyword in ("minimum", "maximum"):
        if keyword in node:
            assert f"{node[keyword]:,}" in row
    if "pattern" in node:
        assert node["pattern"] in row
    if isinstance(node.get("default"), str):
        assert f'`"{node["default"]}"`' in row


def test_a_required_field_is_bold() -> None:
    """What has no default and may not be absent is seen at once."""
    assert "| **`source`** |" in PAGE
    assert "| `params` |" in PAGE


def test_every_link_leads_to_a_section() -> None:
    """By the name that GitHub and the site give a heading: small letters, no dots."""
    headings = {heading.lower().replace(".", "") for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= headings


def test_no_cell_breaks_its_table() -> None:
    """Every row has as many cells as its head, whatever its text."""
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 300}, "integer | 1 to 300"),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}, "number | above 0, at most 1"),
        ({"type": "number", "maximum": 5, "exclusiveMaximum": True}, "number | below 5"),
        ({"type": "integer", "minimum": 10}, "integer | at least 10"),
        ({"type": "string", "minLength": 1}, "string | at least 1 character"),
        ({"type": "string", "minLength": 2, "maxLength": 63}, "string | 2 to 63 characters"),
        ({"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string"}}, "list of strings | 1 item"),
        ({"type": "array", "items": {"type": "string", "enum": ["a"]}}, "list of strings | each: `a`"),
        (
            {"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 2},
            "map of numbers | at most 2 entries",
        ),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, "any JSON"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": "string", "pattern": "^(a|b)$"}, "string | `^(a\\|b)$`"),
        ({"type": "boolean", "default": False}, "boolean | `false`"),
        (
            {"type": "string", "x-kubernetes-validations": [{"rule": "r", "message": "must be small, found big"}]},
            "string | must be small",
        ),
    ],
)
def test_limits_in_words(schema: Schema, row: str) -> None:
    """Bounds are said as people say them; a column that would be empty is not there."""
    assert only(schema).removesuffix(" | ") == row
