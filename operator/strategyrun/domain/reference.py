"""The reference of the resources as Markdown, made from their definitions: it says what the API server enforces.

Each object of a schema is a section with a table of its fields; a field that is an object leads to its section.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from strategyrun.domain.crd import Schema

_HEAD = (
    "<!-- Generated from operator/strategyrun/domain by `make generate`. -->\n"
    "# Reference\n\n"
    "Every field that the API server knows, with what it refuses. `kubectl explain strategyrun.spec` prints the same.\n"
    "A bold field is required. A default is what the API server fills in.\n"
)


def reference(*definitions: dict[str, Any]) -> str:
    """Write the page of some CustomResourceDefinitions, each of one version with a `spec` and perhaps a `status`."""
    return "\n".join([_HEAD, *(line for definition in definitions for line in _resource(definition))])


def _resource(definition: dict[str, Any]) -> Iterator[str]:
    spec = definition["spec"]
    (version,) = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    yield f"## {names['kind']}\n"
    yield f"{schema['description']}\n"
    yield f"- `apiVersion: {spec['group']}/{version['name']}`, `kind: {names['kind']}`, {spec['scope'].lower()}"
    yield f"- for kubectl: {_codes([names['plural'], *names.get('shortNames', ())])}"
    columns = version.get("additionalPrinterColumns", ())
    for wide, command in ((False, "kubectl get"), (True, "kubectl get -o wide, besides")):
        if shown := [column["name"] for column in columns if bool(column.get("priority")) is wide]:
            yield f"- columns of {command}: {', '.join(shown)}"
    if selectable := version.get("selectableFields"):
        yield f"- for `--field-selector`: {_codes(field['jsonPath'].lstrip('.') for field in selectable)}"
    yield ""
    for name in ("spec", "status"):
        if name in schema["properties"]:
            yield from _object(f"{names['kind']}.{name}", schema["properties"][name], "###")


def _object(path: str, schema: Schema, level: str) -> Iterator[str]:
    """Write an object's section, then those of the objects in it, in the order of the fields."""
    yield f"{level} {path}\n"
    if description := schema.get("description"):
        yield f"{_text(description)}\n"
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"- {_rule(rule)}"
    if "x-kubernetes-validations" in schema:
        yield ""
    required = schema.get("required", ())
    rows = [
        {
            "field": f"**`{name}`**" if name in required else f"`{name}`",
            "type": _type(f"{path}.{name}", field),
            "default": _default(field),
            "limits": _limits(field),
            "meaning": field.get("description", ""),
        }
        for name, field in schema["properties"].items()
    ]
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_cell(row[column]) for column in columns)} |"
    yield ""
    for name, field in schema["properties"].items():
        if inner := _inner(field):
            yield from _object(f"{path}.{name}", inner, "####")


def _inner(schema: Schema) -> Schema | None:
    """Return the object with fields of its own that a field is, or is a list or map of."""
    for each in (schema, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, dict) and each.get("properties"):
            return each
    return None


def _type(path: str, schema: Schema) -> str:
    many, each = "", schema
    if items := schema.get("items"):
        many, each = "list of ", items
    elif isinstance(values := schema.get("additionalProperties"), dict):
        many, each = "map of ", values
    kind = "any JSON" if each.get("x-kubernetes-preserve-unknown-fields") else each.get("format") or each["type"]
    plural = f"{kind}s" if many and kind != "any JSON" else kind
    return f"{many}[{plural}](#{_anchor(path)})" if _inner(schema) else f"{many}{plural}"


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    if isinstance(schema["default"], dict) and _inner(schema):
        return "as in its fields"
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`"


def _limits(schema: Schema) -> str:
    """Say what the server refuses, in words where there are some."""
    parts = []
    if values := schema.get("enum"):
        parts.append(" ".join(f"`{value}`" for value in values))
    if bounds := _range(schema):
        parts.append(bounds)
    for counted, unit in (("Length", "character"), ("Items", "item"), ("Properties", "entry")):
        if bounds := _count(schema.get(f"min{counted}"), schema.get(f"max{counted}"), unit):
            parts.append(bounds)
    if pattern := schema.get("pattern"):
        parts.append(f"`{pattern}`")
    if not schema.get("properties"):  # an object's are said in its section
        parts += [_rule(rule) for rule in schema.get("x-kubernetes-validations", ())]
    if items := schema.get("items"):
        inner = _limits({key: value for key, value in items.items() if key != "x-kubernetes-validations"})
        parts += [f"each: {inner}"] if inner else []
    return "; ".join(parts)


def _count(low: int | None, high: int | None, unit: str) -> str:
    one = (low if high is None else high) == 1
    units = unit if one else {"character": "characters", "item": "items", "entry": "entries"}[unit]
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low} {units}"
    if low is None:
        return f"at most {high} {units}"
    return f"{low} {units}" if low == high else f"{low} to {high} {units}"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    least = "above" if schema.get("exclusiveMinimum") else "at least"
    most = "below" if schema.get("exclusiveMaximum") else "at most"
    if low is None and high is None:
        return ""
    if high is None:
        return f"{least} {_number(low)}"
    if low is None:
        return f"{most} {_number(high)}"
    if least == "at least" and most == "at most":
        return f"{_number(low)} to {_number(high)}"
    return f"{least} {_number(low)}, {most} {_number(high)}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _rule(rule: dict[str, str]) -> str:
    """Say a rule as its message does, up to what it found, or as the expression itself."""
    if message := rule.get("message"):
        return message.partition(", found")[0]
    return f"`{rule['rule']}`"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _anchor(path: str) -> str:
    """Name a section as GitHub and the site do."""
    return path.lower().replace(".", "")


def _text(description: str) -> str:
    return " ".join(description.split())


def _cell(text: str) -> str:
    """Keep a text within its cell of a table."""
    return _text(text).replace("|", "\\|")
