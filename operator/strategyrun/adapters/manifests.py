"""YAML as kubectl reads it, and which files hold it, so that a manifest means the same at every door."""

import re
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")
RUNNABLE = f"a .py file, or a manifest ({', '.join(SUFFIXES)})"
"""What a file must be to be run, in words."""

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class _Loader(yaml.SafeLoader):
    """A date is a text, 1e3 a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"(?:{_FLOAT.pattern}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
    list("-+0123456789."),
)


_UNFIT = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What the library raises for a tag that does not fit its value, and for a nesting that is too deep."""


def documents(text: str) -> list[Any]:
    """Return the documents of a YAML text, without the empty ones. Raises yaml.YAMLError."""
    try:
        return [each for each in yaml.load_all(text, _Loader) if each is not None]
    except _UNFIT as error:
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from error
