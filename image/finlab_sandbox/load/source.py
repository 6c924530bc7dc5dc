"""Finds the tables in what is mounted: the keys of a ConfigMap, a volume, or an image."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from finlab_sandbox.load.limits import MAX_DEPTH, MAX_FILES
from finlab_sandbox.load.problems import LoadError, invalid, listed, named, shown

_COMPANIONS = ("readme", "license", "licence", "notice", "copying", "changelog")
_TABLES = (".gz", ".csv", ".parquet", ".pq", ".txt")
_OTHER_KINDS = (
    *(".7z", ".arrow", ".avro", ".bz2", ".db", ".feather", ".h5", ".hdf5", ".html", ".ipynb", ".json", ".jsonl"),
    *(".npy", ".npz", ".orc", ".pdf", ".pickle", ".pkl", ".py", ".sql", ".sqlite", ".tar", ".tgz", ".toml", ".tsv"),
    *(".xls", ".xlsx", ".xml", ".xz", ".yaml", ".yml", ".zip", ".zst"),
)


class SourceFile(NamedTuple):
    """A table: its name, relative to the dataset, and its resolved path."""

    name: str
    path: str


def find(root: str, path: str) -> list[SourceFile]:
    """The tables at `path` below the mount `root`, sorted by name; an empty path stands for all of it.

    Hidden files, lost+found, *.md and the likes of README and LICENSE are no tables. Raises LoadError: DataMissing
    where there is nothing to read, DataInvalid for what leads out of the mount or is of a kind that is not read.
    """
    mount = os.path.realpath(root)
    if not os.path.isdir(mount):
        raise LoadError("DataMissing", "the dataset's volume is not there")
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise invalid(f"the path {shown(path)} leads out of the dataset's volume")
    chosen = _resolve(mount, os.path.join(mount, path), path)
    if not os.path.exists(chosen):
        parent = os.path.dirname(os.path.join(mount, path).rstrip("/"))
        there = _names(_resolve(mount, parent, os.path.dirname(path)))
        raise LoadError("DataMissing", f"the dataset has no {shown(path)}; there is: {listed(there) or 'nothing'}")
    if os.path.isdir(chosen):
        found: list[SourceFile] = []
        _walk(mount, chosen, "", {chosen}, found)
        if not found:
            there = _names(chosen)
            raise LoadError("DataMissing", f"the dataset has no tables; there is: {listed(there) or 'nothing'}")
        return sorted(found)
    name = os.path.basename(path.rstrip("/"))
    _check_kind(name, chosen)
    return [SourceFile(name, chosen)]


def symbol_of(name: str) -> str:
    """The symbol that a file without a symbol column is about: BRK.B for nyse/BRK.B.csv.gz."""
    stem = os.path.basename(name)
    while (parts := os.path.splitext(stem))[1].lower() in _TABLES and parts[0]:
        stem = parts[0]
    return stem


def _walk(mount: str, folder: str, prefix: str, above: set[str], found: list[SourceFile]) -> None:
    for entry in _entries(folder, prefix or "the dataset's volume"):
        name = prefix + entry
        if _is_companion(entry):
            continue
        path = _resolve(mount, os.path.join(folder, entry), name)
        if os.path.isdir(path):
            if path in above or len(above) > MAX_DEPTH:
                raise invalid(f"the folder {named(name)} lies more than {MAX_DEPTH} folders deep")
            _walk(mount, path, name + "/", above | {path}, found)
            continue
        _check_kind(name, path)
        found.append(SourceFile(name, path))
        if len(found) > MAX_FILES:
            raise invalid(f"the dataset has more than {MAX_FILES} files")


def _resolve(mount: str, path: str, name: str) -> str:
    """The path without links, which must stay below the mount."""
    resolved = os.path.realpath(path)
    if resolved != mount and not resolved.startswith(mount + "/"):
        raise invalid(f"{named(name)} is a link that leads out of the dataset's volume")
    return resolved


def _is_companion(entry: str) -> bool:
    lower = entry.lower()
    stem = lower.split(".", 1)[0]
    return entry.startswith(".") or lower.endswith(".md") or stem in _COMPANIONS or entry == "lost+found"


def _check_kind(name: str, path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise invalid(f"{named(name)} cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise invalid(f"{named(name)} is no regular file")
    stem = name.removesuffix(".gz")
    if os.path.splitext(stem)[1].lower() in _OTHER_KINDS:
        raise invalid(f"{named(name)} is of a kind that is not read; CSV and Parquet are, plain or gzipped")


def _names(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return [name for name in _entries(folder, os.path.basename(folder)) if not name.startswith(".")]


def _entries(folder: str, name: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except PermissionError:
        raise LoadError("DataMissing", f"{named(name)} may not be read by the loader (user 3000)") from None
