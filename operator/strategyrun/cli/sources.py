"""What the paths on a command line name: strategies, folders of them, manifests."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from strategyrun.adapters.manifests import documents
from strategyrun.client import NotAskedError
from strategyrun.client.trial import slug
from strategyrun.domain.strategyrun import KIND

_MANIFESTS = (".yaml", ".yml", ".json")


class Manifest(NamedTuple):
    """A StrategyRun of a file: what of its metadata a user may choose, and its spec."""

    origin: str
    meta: dict[str, Any]
    spec: dict[str, Any]


def files(paths: list[Path]) -> list[Path]:
    """Return the files that paths name; a folder names its *.py and manifests, hidden and _private ones not.

    Raises NotAskedError where there is none.
    """
    found = [file for path in paths for file in _files(path)]
    if not found:
        raise NotAskedError(f"no strategy (.py) and no manifest ({', '.join(_MANIFESTS)}) in {_listed(paths)}")
    return found


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix in (".py", *_MANIFESTS) and file.name[0] not in "._":
                yield file
    elif not path.exists():
        raise NotAskedError(f"there is no {path}")
    elif path.suffix in (".py", *_MANIFESTS):
        yield path
    else:
        raise NotAskedError(f"{path}: must be a folder, a .py file, or a manifest ({', '.join(_MANIFESTS)})")


def is_manifest(path: Path) -> bool:
    """Whether a file is read as YAML, and not as Python."""
    return path.suffix in _MANIFESTS


def manifests(path: Path) -> list[Manifest]:
    """Return the StrategyRuns of a YAML file. Raises NotAskedError where it holds anything else."""
    try:
        found = documents(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotAskedError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    flat = [each for document in found for each in _items(document)]
    for each in flat:
        if not isinstance(each, dict) or each.get("kind") != KIND:
            kind = each.get("kind") if isinstance(each, dict) else type(each).__name__
            raise NotAskedError(f"{path}: every document must be a {KIND}, found {kind}; kubectl apply takes others")
    return [_manifest(path, each) for each in flat]


def _items(document: Any) -> list[Any]:
    return document.get("items") or [] if isinstance(document, dict) and document.get("kind") == "List" else [document]


def _manifest(path: Path, document: Mapping[str, Any]) -> Manifest:
    given = document.get("metadata") or {}
    meta = {key: given[key] for key in ("name", "namespace", "labels", "annotations") if given.get(key)}
    meta.setdefault("name", slug(path.stem))
    return Manifest(str(path), meta, dict(document.get("spec") or {}))


def pairs(option: str, given: list[str]) -> dict[str, Any]:
    """Read `key=value` options; a value is JSON where it is some, else text. Raises NotAskedError."""
    read: dict[str, Any] = {}
    for each in given:
        key, mark, value = each.partition("=")
        if not mark or not key:
            raise NotAskedError(f"{option} {each!r}: must be name=value")
        *path, last = key.split(".") if option == "--evaluation" else [key]
        at = read
        for part in path:
            at = at.setdefault(part, {})
        at[last] = _value(value)
    return read


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _listed(paths: list[Path]) -> str:
    return ", ".join(str(path) for path in paths)
