"""Arrow arrays as numpy arrays, without `Array.to_numpy`, which imports pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finlab_sandbox.load.problems import MAX_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_WIDTHS = {
    "int8": "i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "halffloat": "<f2",
    "float": "<f4",
    "double": "<f8",
    "date32[day]": "<i4",
    "date64[ms]": "<i8",
}
_TEXT_BYTES = 512
"""More of a text is never needed: all that is longer is wrong."""


def is_number(kind: pa.DataType) -> bool:
    """Columns of this type become fields."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    """Columns of this type, or dictionaries of it, hold symbols or dates."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def raw(array: pa.Array) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """A primitive array's values, and where they are missing (None for nowhere); a missing one has any value."""
    kind = str(array.type)
    dtype = np.dtype("<i8" if kind.startswith("timestamp") else _WIDTHS[kind])
    validity, data = array.buffers()
    start, count = array.offset, len(array)
    values = np.frombuffer(data, dtype, count, start * dtype.itemsize) if data else np.zeros(count, dtype)
    if not array.null_count:
        return values, None
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
    return values, bits[start : start + count] == 0


def floats(array: pa.Array) -> NDArray[np.float64]:
    """A copy of a numeric array as float64, NaN where a value is missing."""
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    values, missing = raw(array)
    result = np.array(values, dtype=np.float64)
    if missing is not None:
        result[missing] = np.nan
    return result


def translated(
    array: pa.Array, translate: Callable[[str], int], wrong: int
) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Texts as integers, each distinct text translated once.

    `translate` raises ValueError with what is wrong; such rows have the value `wrong`, and the mapping has the words
    by row for the first of them. A missing text is "".
    """
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes, missing = raw(array.indices)
    codes = np.array(codes, dtype=np.int64)
    texts = len(array.dictionary)
    if missing is not None:
        codes[missing] = texts
    used = np.unique(codes)
    if len(used) and not 0 <= used[0] <= used[-1] <= texts:
        raise ValueError("an index is outside its dictionary")
    table = np.full(len(used), wrong, dtype=np.int32)
    complaints: dict[int, str] = {}
    for position, code in enumerate(used.tolist()):
        try:
            table[position] = translate(_text(array.dictionary, code) if code < texts else "")
        except ValueError as error:
            complaints[code] = str(error)
    bad = first_rows(np.isin(codes, list(complaints))) if complaints else []
    return table[np.searchsorted(used, codes)], {row: complaints[int(codes[row])] for row in bad}


def first_rows(mask: NDArray[np.bool_]) -> list[int]:
    """As many of the rows where the mask is true as can be told."""
    rows: list[int] = np.flatnonzero(mask)[: MAX_PROBLEMS + 1].tolist()
    return rows


def _text(dictionary: pa.Array, position: int) -> str:
    buffer = dictionary[position].as_buffer()
    if buffer is None:
        return ""
    return bytes(buffer[:_TEXT_BYTES]).decode("utf-8", "replace")
