"""The structural schema of the CRD, node by node."""

from collections.abc import Iterator

from strategyrun.domain.crd import Schema, crd


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from _nodes(each, f"{path}.{name}".lstrip("."))
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from _nodes(schema[inner], f"{path}[]")


# By path: "" is the manifest itself, [] stands for each item of a list.
NODES: dict[str, Schema] = dict(_nodes(crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"], ""))
SPEC = {path: node for path, node in NODES.items() if path.startswith("spec")}
STATUS = {path: node for path, node in NODES.items() if path.startswith("status")}
