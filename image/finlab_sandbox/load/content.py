"""The bytes of one file: hashed as they lie there, decompressed, and bounded before they are in memory."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import TYPE_CHECKING

from finlab_sandbox.load.limits import MAX_SOURCE_BYTES, MIB
from finlab_sandbox.load.problems import LoadError, invalid, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from finlab_sandbox.load.source import SourceFile

_CHUNK = MIB
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_OTHERS = {
    b"PK\x03\x04": "a zip archive (or an .xlsx workbook)",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    _GZIP: "gzipped twice",
}


class Budget:
    """What all files of a dataset may still hold together."""

    def __init__(self, limit: int = MAX_SOURCE_BYTES) -> None:
        self._limit = self._left = limit

    def take(self, size: int, name: str) -> None:
        """Raises LoadError where the sum is above the limit."""
        self.admit(size, name)
        self._left -= size

    def admit(self, size: int, name: str) -> None:
        """Raises LoadError where there is not room for so many bytes."""
        if size > self._left:
            raise invalid(
                f"{named(name)} takes the dataset above {self._limit // MIB} MiB, the limit for all files together, "
                "decompressed"
            )


class Content:
    """One table file, read once from its beginning to its end."""

    def __init__(self, file: SourceFile, budget: Budget) -> None:
        self._file = file
        self._budget = budget
        self._hash = hashlib.sha256()
        self._chunks = self._decompressed()
        self._first = next(self._chunks, b"")
        while len(self._first) < len(_PARQUET) and (chunk := next(self._chunks, b"")):
            self._first += chunk
        self.is_parquet = self._first.startswith(_PARQUET)
        if not self.is_parquet:
            self._refuse_binary()

    @property
    def sha256(self) -> str:
        """Of the file's bytes as far as they are read."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """The decompressed bytes. Raises LoadError for what is no gzip to its end, or too much."""
        yield self._first
        yield from self._chunks

    def _raw(self) -> Iterator[bytes]:
        try:
            with open(self._file.path, "rb") as file:
                self._budget.admit(os.fstat(file.fileno()).st_size, self._file.name)
                while chunk := file.read(_CHUNK):
                    self._hash.update(chunk)
                    yield chunk
        except PermissionError:
            raise LoadError(
                "DataMissing", f"{named(self._file.name)} may not be read by the loader (user 3000)"
            ) from None

    def _decompressed(self) -> Iterator[bytes]:
        raw = self._raw()
        first = next(raw, b"")
        if not first:
            raise invalid(f"{named(self._file.name)} is empty")
        chunks = self._gunzip(first, raw) if first.startswith(_GZIP) else _chain(first, raw)
        for chunk in chunks:
            self._budget.take(len(chunk), self._file.name)
            yield chunk

    def _gunzip(self, data: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        """The content of every member, in chunks of at most _CHUNK bytes however small it was packed."""
        unpack = zlib.decompressobj(wbits=31)
        try:
            while True:
                if chunk := unpack.decompress(data, _CHUNK):
                    yield chunk
                if unpack.eof:
                    data = unpack.unused_data
                    while not (data := data.lstrip(b"\0")):
                        if not (data := next(raw, b"")):
                            return
                    unpack = zlib.decompressobj(wbits=31)
                    continue
                data = unpack.unconsumed_tail
                if not data and len(chunk) < _CHUNK and not (data := next(raw, b"")):
                    break
        except zlib.error:
            raise invalid(f"{named(self._file.name)} is broken; its gzip data cannot be decompressed") from None
        raise invalid(f"{named(self._file.name)} is cut off; its gzip data ends early")

    def _refuse_binary(self) -> None:
        for magic, what in _OTHERS.items():
            if self._first.startswith(magic):
                raise invalid(f"{named(self._file.name)} is {what}; CSV and Parquet are read")
        if b"\0" in self._first[:65536]:
            raise invalid(f"{named(self._file.name)} is neither text nor Parquet; CSV and Parquet are read")


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
