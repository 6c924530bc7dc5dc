"""How deep JSON may lie in itself: the API server takes 10,000, where what recurses over it breaks."""

from typing import Any

from pydantic_core import PydanticCustomError

NESTING_LIMIT = 64
"""Objects and lists in each other, of params."""


def depth(value: object) -> int:
    """Return how many objects and lists lie in each other."""
    level, found = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        found += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return found


def held_to_limit(params: dict[str, Any]) -> dict[str, Any]:
    """Return params that are not too deep.

    Raises PydanticCustomError.
    """
    if (found := depth(params)) > NESTING_LIMIT:
        facts = {"found": found, "limit": NESTING_LIMIT}
        raise PydanticCustomError("nesting", "nested {found} deep; the limit is {limit}", facts)
    return params
