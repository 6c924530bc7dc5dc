"""What the paths on a command line name: strategies, folders of them, manifests."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from strategyrun.adapters.manifests import RUNNABLE, SUFFIXES, documents
from strategyrun.adapters.options import json_or_text, pair
from strategyrun.client import NotAskedError
from strategyrun.domain.naming import slug
from strategyrun.domain.strategyrun import KIND


class Manifest(NamedTuple):
    """A StrategyRun of a file: what of its metadata a user may choose, and its spec."""

    origin: str
    meta: dict[str, Any]
    spec: dict[str, Any]

    @property
    def where(self) -> str:
        """The file, and which run of it."""
        return f"{self.origin}: {self.meta['name']}"

    def with_params(self, params: dict[str, Any]) -> Self:
        """Return it with other values of some parameters."""
        spec = {**self.spec, "params": {**(self.spec.get("params") or {}), **params}} if params else self.spec
        return self._replace(spec=spec)

    def with_labels(self, labels: dict[str, str]) -> Self:
        """Return it with more labels, or with others."""
        meta = {**self.meta, "labels": {**(self.meta.get("labels") or {}), **labels}} if labels else self.meta
        return self._replace(meta=meta)


Source = Path | Manifest
"""A file with a strategy, or a StrategyRun of a manifest."""


Tell = Callable[[str], object]
"""Takes a line for whoever asked."""


def sources(paths: list[Path], skip: Tell, refuse: Tell | None = None) -> list[Source]:
    """Return what paths name; a folder names its *.py and manifests, hidden and _private ones not.

    What a folder's manifests hold besides StrategyRuns is told to `skip`. A file of it that cannot be read is told to
    `refuse`, where there is one, and names nothing. Raises NotAskedError where anything else cannot be read, where a
    file that was named holds anything else, and where there is nothing at all.
    """
    found: list[Source] = []
    for path in paths:
        files = _files(path)
        found += _of_file(path) if files is None else _of_folder(files, skip, refuse)
    if not found:
        raise NotAskedError(f"no strategy in {', '.join(str(path) for path in paths)}: must hold {RUNNABLE}")
    return found


def _files(path: Path) -> list[Path] | None:
    """Return the files of a folder; None of what is none. Raises NotAskedError where nothing is there to be read."""
    try:
        if path.is_dir():
            return sorted(each for each in path.iterdir() if each.name[0] not in "._")
        if path.exists():
            return None
    except OSError as error:
        raise NotAskedError(f"{path} cannot be read: {error.strerror}") from error
    raise NotAskedError(f"there is no {path}")


def _of_folder(files: list[Path], skip: Tell, refuse: Tell | None) -> Iterator[Source]:
    for file in files:
        if file.suffix == ".py":
            yield file
        elif file.suffix in SUFFIXES:
            try:
                found = _documents(file)
                runs = [_manifest(file, each) for each in found if _kind(each) == KIND]
            except NotAskedError as error:
                if refuse is None:
                    raise
                refuse(str(error))
                continue
            for each in found:
                if (kind := _kind(each)) != KIND:
                    skip(f"{file}: skipped a {kind}; kubectl apply takes it")
            yield from runs


def _of_file(path: Path) -> Iterator[Source]:
    if path.suffix == ".py":
        yield path
    elif path.suffix in SUFFIXES:
        yield from manifests(path)
    else:
        raise NotAskedError(f"{path}: must be a folder, {RUNNABLE}")


def manifests(path: Path) -> list[Manifest]:
    """Return the StrategyRuns of a YAML file. Raises NotAskedError where it holds anything else."""
    found = _documents(path)
    for each in found:
        if (kind := _kind(each)) != KIND:
            raise NotAskedError(f"{path}: every document must be a {KIND}, found {kind}; kubectl apply takes others")
    return [_manifest(path, each) for each in found]


def _documents(path: Path) -> list[Any]:
    try:
        found = documents(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotAskedError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return [each for document in found for each in _items(path, document)]


def _kind(document: Any) -> str:
    return str(document.get("kind")) if isinstance(document, dict) else type(document).__name__


def _items(path: Path, document: Any) -> list[Any]:
    if _kind(document) != "List":
        return [document]
    items = document.get("items") or []
    if not isinstance(items, list):
        raise NotAskedError(f"{path}: items must be a list, found {type(items).__name__}")
    return items


def _manifest(path: Path, document: Mapping[str, Any]) -> Manifest:
    given = _mapping(str(path), document, "metadata")
    meta = {key: given[key] for key in ("name", "namespace", "labels", "annotations") if given.get(key)}
    meta.setdefault("name", slug(path.stem))
    made = Manifest(str(path), meta, {})
    _mapping(made.where, given, "labels")
    spec = _mapping(made.where, document, "spec")
    _mapping(made.where, spec, "params")
    return made._replace(spec=spec)


def _mapping(where: str, document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name) or {}
    if not isinstance(found, dict):
        raise NotAskedError(f"{where}: {name} must be a mapping, found {type(found).__name__}")
    return found


def pairs(option: str, given: list[str]) -> dict[str, Any]:
    """Read `name=value` options; a value is JSON where it is some, else text. Raises NotAskedError."""
    read: dict[str, Any] = {}
    for each in given:
        name, value = _pair(option, each)
        *path, last = name.split(".") if option == "--evaluation" else [name]
        at = read
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise NotAskedError(f"{option} {each!r}: {part} has a value of its own already")
        if isinstance(at.get(last), dict) and option == "--evaluation":
            raise NotAskedError(f"{option} {each!r}: {last} has fields already")
        at[last] = json_or_text(value)
    return read


def labels_of(given: list[str]) -> dict[str, str]:
    """Read `name=value` labels, whose values are text. Raises NotAskedError."""
    return dict(_pair("--label", each) for each in given)


def _pair(option: str, text: str) -> tuple[str, str]:
    try:
        return pair(option, text)
    except ValueError as error:
        raise NotAskedError(str(error)) from error
