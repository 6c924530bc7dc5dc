"""What an API server refuses of a spec before any operator sees it: unknown fields, wrong values, broken rules.

Values are checked by the models, in strict mode; the rest by the schema that is generated from them.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from strategyrun.domain.crd import structural
from strategyrun.domain.strategyrun import StrategyRunSpec

_FOUND_CHARS = 60
_SIZE = re.compile(r"size\(bytes\(self\)\) <= ([0-9]+)")
_NEVER_TWO = re.compile(r"!has\(self\.\w+\) \|\| !has\(self\.\w+\)")
_ANY = re.compile(r"has\(self\.\w+\)( \|\| has\(self\.\w+\))*")
_SUM = re.compile(r"\(has\(self\.\w+\) \? 1 : 0\)( \+ \(has\(self\.\w+\) \? 1 : 0\))* (?P<operator>[<>])= 1")
_FIELD = re.compile(r"has\(self\.(\w+)\)")


def complaints(spec: Any) -> list[str]:
    """Return why an API server would refuse a spec: the field, the limit and what was found, each in a line."""
    if not isinstance(spec, dict):
        return [f"spec: must be a mapping, found {_short(spec)}"]
    found = [*_of_schema(spec, structural(StrategyRunSpec, defaults=False), "spec")]
    try:
        StrategyRunSpec.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            where = ".".join(str(part) for part in ("spec", *each["loc"]))
            tail = "" if each["type"] == "missing" else f", found {_short(each['input'])}"
            found.append(f"{where}: {each['msg']}{tail}")
    return found


def _of_schema(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Yield what the schema refuses and the models let pass."""
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        for name, each in value.items():
            if name in known:
                yield from _of_schema(each, known[name], f"{where}.{name}")
            else:
                yield f'{where}.{name}: unknown field "{_short(name)}"; there are {", ".join(known)}'
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            yield from _of_schema(each, schema["items"], f"{where}.{number}")
    for rule in schema.get("x-kubernetes-validations", []):
        yield from _of_rule(value, rule, where)


def _of_rule(value: Any, rule: dict[str, Any], where: str) -> Iterator[str]:
    """Yield what a CEL rule says of a value that breaks it. Raises NotImplementedError for a rule of another kind."""
    text = rule["rule"]
    if size := _SIZE.fullmatch(text):
        found = len(str(value).encode(errors="replace"))
        if found > int(size[1]):
            yield f"{where}: must be at most {size[1]} bytes in UTF-8, found {found}"
    elif not isinstance(value, dict):
        return
    elif not _holds(text, sum(name in value for name in _FIELD.findall(text))):
        yield f"{where}: {rule['message']}"


def _holds(rule: str, present: int) -> bool:
    if _NEVER_TWO.fullmatch(rule):
        return present <= 1
    if _ANY.fullmatch(rule):
        return present >= 1
    if summed := _SUM.fullmatch(rule):
        return present <= 1 if summed["operator"] == "<" else present >= 1
    raise NotImplementedError(f"a rule that local runs do not know: {rule}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _FOUND_CHARS else f"{text[:_FOUND_CHARS]}…"
