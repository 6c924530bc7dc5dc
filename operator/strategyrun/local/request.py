"""From what a user names on the command line to the StrategyRun that an API server would hold."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from strategyrun.adapters.manifests import RUNNABLE, SUFFIXES, documents
from strategyrun.adapters.options import json_or_text, pair
from strategyrun.domain.naming import OBJECT_NAME, slug
from strategyrun.domain.strategyrun import GROUP, KIND, VERSION
from strategyrun.domain.text import clean
from strategyrun.domain.vetting import SIZE_LIMIT_BYTES
from strategyrun.local.conduct import Request
from strategyrun.local.limits import complaints
from strategyrun.local.plan import files_of, uid_of

NAMESPACE = "local"
_LARGEST_PLAIN = 1e21
"""From here on the API server writes whole numbers with an exponent."""


class UsageError(Exception):
    """What was asked for cannot be run; the message says in lines why."""


def read(path: Path, params: list[str], dataset: Path | None) -> Request:
    """Read a strategy or a manifest with what is to be changed of it. Raises UsageError."""
    if path.suffix not in (".py", *SUFFIXES):
        raise UsageError(f"{path}: must be {RUNNABLE}")
    body, config_maps = _manifest(path) if path.suffix in SUFFIXES else (_of_source(path), {})
    spec = body["spec"]
    if params:
        spec["params"] = {**(spec.get("params") or {}), **_params(params)}
    if dataset is not None:
        spec["datasets"] = [of_path(spec, dataset)]
        dataset = dataset.resolve()
    try:
        body["spec"] = stored(spec, "spec")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    if found := complaints(body["spec"]):
        raise UsageError("\n".join(f"{path}: {clean(each)}" for each in found))
    if dataset is None and (found := missing(body["spec"], config_maps)):
        raise UsageError("\n".join(f"{path}: {clean(each)}" for each in found))
    return Request(held(body, str(path.resolve())), config_maps, dataset)


def _of_source(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        source = content.decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: must be UTF-8; byte {error.start} is not") from error
    if len(content) > SIZE_LIMIT_BYTES:
        raise UsageError(f"{path}: must be at most {SIZE_LIMIT_BYTES} bytes, found {len(content)}")
    return document({"name": slug(path.stem)}, {"source": {"inline": source}})


def _manifest(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, bytes]]]:
    """Return the one StrategyRun of a file, and the ConfigMaps beside it."""
    try:
        found = documents(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not all(isinstance(each, dict) and isinstance(each.get("metadata"), dict) for each in found):
        raise UsageError(f"{path}: every document must be an object with metadata")
    runs = [each for each in found if each.get("kind") == KIND]
    if len(runs) != 1:
        raise UsageError(f"{path}: must hold one {KIND}, found {len(runs)}")
    (run,) = runs
    if run.get("apiVersion") != f"{GROUP}/{VERSION}":
        raise UsageError(f"{path}: apiVersion must be {GROUP}/{VERSION}, found {clean(str(run.get('apiVersion')))}")
    name = run["metadata"].get("name")
    if not isinstance(name, str) or not OBJECT_NAME.fullmatch(name) or len(name) > 253:
        raise UsageError(f"{path}: metadata.name must match {OBJECT_NAME.pattern}, found {clean(str(name), 100)}")
    if not isinstance(run.get("spec"), dict):
        raise UsageError(f"{path}: spec: Required value")
    maps = {each["metadata"].get("name"): files_of(each) for each in found if each.get("kind") == "ConfigMap"}
    return run, maps


def _params(given: list[str]) -> dict[str, Any]:
    try:
        return {name: json_or_text(value) for name, value in (pair("--param", each) for each in given)}
    except ValueError as error:
        raise UsageError(str(error)) from error


def of_path(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a dataset whose volume stands for a path of this machine. Raises UsageError where there is none."""
    if not path.exists():
        raise UsageError(f"dataset: there is no {path}")
    named = spec.get("datasets")
    first = named[0] if isinstance(named, list) and named and isinstance(named[0], dict) else {}
    claim: dict[str, Any] = {"claimName": NAMESPACE}
    return {
        "name": first.get("name", "prices"),
        "persistentVolumeClaim": claim if path.is_dir() else {**claim, "path": path.name},
    }


def missing(spec: dict[str, Any], config_maps: dict[str, dict[str, bytes]]) -> list[str]:
    """Return what the datasets of a spec name and nobody has here: the field, and what there is instead."""
    found = []
    for number, dataset in enumerate(spec.get("datasets", [])):
        where = f"spec.datasets.{number}"
        for kind in ("persistentVolumeClaim", "image"):
            if kind in dataset:
                found.append(f"{where}.{kind}: only a cluster has it; give its files as the dataset")
        if (reference := dataset.get("configMapRef")) is not None:
            content = config_maps.get(reference["name"])
            if content is None:
                found.append(f"{where}.configMapRef: there is no ConfigMap {reference['name']} beside the run")
            elif (key := reference.get("key")) is not None and key not in content:
                found.append(f"{where}.configMapRef: ConfigMap {reference['name']} has no key {key}")
    return found


def stored(value: Any, where: str) -> Any:
    """Return a value as it comes back from the API server: JSON, with whole numbers as integers. Raises UsageError."""
    match value:
        case float() if not math.isfinite(value):
            raise UsageError(f"{where}: must be a number of JSON, found {value}")
        case float() if value.is_integer() and abs(value) < _LARGEST_PLAIN:
            return int(value)
        case None | bool() | int() | float() | str():
            return value
        case list():
            return [stored(each, f"{where}.{number}") for number, each in enumerate(value)]
        case dict():
            return {str(key): stored(each, f"{where}.{key}") for key, each in value.items()}
        case _:
            raise UsageError(f"{where}: must be JSON, found {type(value).__name__}")


def document(meta: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Put a StrategyRun together."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": meta, "spec": spec}


def held(body: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return the object with what the API server adds to its metadata; its UID is of the origin and the moment."""
    meta = body["metadata"]
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    added = {
        "namespace": meta.get("namespace", NAMESPACE),
        "uid": uid_of(origin, now),
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": now,
    }
    return {**body, "metadata": {**meta, **added}}
