"""Another future: the same market up to a row, and after it a path that is reflected.

Dates, symbols and the pattern of NaN stay as they are, so that honest logic about the calendar sees no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from finlab_sandbox.harness.market import Market

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STRETCH = 1.7
FARTHEST = np.log(1e4)  # a path ends within this factor of where it began
STEP = 0.25  # in logs, the way to the anchor of a symbol that begins after the cut
WOBBLE = 0.05  # in logs, the moves of a price or volume that did not move
CLOSES = ("close", "adj_close")
BARS = {"open": "open", "high": "low", "low": "high"}  # each field, and the one it is the mirror image of
LARGEST = np.finfo(np.float64).max
SMALLEST = np.finfo(np.float64).tiny


class Futures:
    """The other futures of one market. What they have in common is computed once."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._reference = next((name for name in CLOSES if name in market), None)
        self.read = False  # whether a value of any of them was asked for
        self._known: dict[str, Floats] = {}
        self._logs: dict[str, Floats] = {}

    def after(self, cut_row: int) -> Market:
        """The market whose values after `cut_row` are replaced; those up to and including it are bitwise the same.

        A field is computed when it is first asked for. Closes and volume are reflected in logs of their size about the
        value at the cut; a negative value stays negative, a zero stays zero. Open, high and low are the mirror image of
        the bar, so low <= open, close <= high still holds. Other fields are reflected about their value at the cut.
        """

        def another(field: str) -> Floats:
            self.read = True
            known = self._values(field)
            future = known[cut_row + 1 :]
            changed = self._changed(field, cut_row)
            result = known.copy()
            finite = np.isfinite(future)
            result[cut_row + 1 :] = changed if finite.all() else np.where(finite, changed, future)
            return result

        market = self._market
        fields = {field: cast("Floats", _Lazy(another, field)) for field in market.fields}
        return Market(market.dates, market.symbols, fields)

    def _changed(self, field: str, cut: int) -> Floats:
        """The rows of a field after the cut; what is not finite there is for the caller."""
        if field in BARS and self._reference is not None:
            return self._bar(field, self._reference, cut)
        if field in (*CLOSES, *BARS, "volume"):
            return self._path(field, cut)
        return _reflected(self._values(field), cut)

    def _path(self, field: str, cut: int) -> Floats:
        """Log moves since the cut reflected; a future without a move is given some."""
        logs, future = self._sizes(field), self._values(field)[cut + 1 :]
        anchors, began = _anchors(logs, cut)
        anchors = np.where(began, anchors, np.clip(anchors, np.log(SMALLEST), np.log(LARGEST / 2)) + STEP)
        with np.errstate(all="ignore"):
            moves = logs[cut + 1 :] - anchors
            still = ~(moves != 0).any(axis=0) | np.isnan(moves).all(axis=0)
            if still.any():
                wave = WOBBLE * (1 + np.arange(len(future)) % 3)[:, None]
                moves = np.where(still, moves + wave, moves)
            sized: Floats = np.clip(np.exp(anchors - _bounded(moves)), SMALLEST, LARGEST)
        if (future > 0).all():
            return sized
        return np.where(future == 0, future, np.copysign(sized, future))

    def _bar(self, field: str, reference: str, cut: int) -> Floats:
        """The close's path, and from it the distance of the bar's opposite end, turned over.

        Where the opposite end has none, the field's own distance; where that has no log either, the field's own path.
        """
        after = slice(cut + 1, None)
        known, close = self._prices(field)[after], self._prices(reference)[after]
        opposite = BARS[field] if BARS[field] in self._market else field
        with np.errstate(all="ignore"):
            distance = known - close
            if opposite != field or field == "open":
                turned = close - self._prices(opposite)[after]
                distance = np.where(np.isfinite(turned), turned, distance)
            changed = np.clip(self._path(reference, cut) * np.exp(_bounded(distance)), SMALLEST, LARGEST)
        defined = np.isfinite(distance) & ~np.isnan(known)
        return changed if defined.all() else np.where(defined, changed, self._path(field, cut))

    def _values(self, field: str) -> Floats:
        if field not in self._known:
            self._known[field] = self._market[field].to_numpy()
        return self._known[field]

    def _sizes(self, field: str) -> Floats:
        """Logs of the absolute values, NaN for a zero."""
        if field not in self._logs:
            known = self._values(field)
            with np.errstate(all="ignore"):
                logs = np.log(np.abs(known))
            logs[known == 0] = np.nan
            self._logs[field] = logs
        return self._logs[field]

    def _prices(self, field: str) -> Floats:
        """Logs of the values, NaN for one that is not above 0."""
        known, logs = self._values(field), self._sizes(field)
        return logs if (known > 0).all() else np.where(known > 0, logs, np.nan)


class _Lazy:
    """An array that is computed when numpy first asks for it."""

    def __init__(self, compute: Callable[[str], Floats], field: str) -> None:
        self._compute = compute
        self._field = field
        self._values: Floats | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        if self._values is None:
            self._values = self._compute(self._field)
        return np.array(self._values, dtype=dtype) if copy else np.asarray(self._values, dtype=dtype)


def _anchors(known: Floats, cut: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The last finite value up to the cut of each column, else its first after it, and which have one up to the cut."""
    here = np.isfinite(known[cut])
    if here.all():
        return known[cut], here
    finite = np.isfinite(known)
    last = cut - finite[cut::-1].argmax(axis=0)
    began = np.asarray(finite[: cut + 1].any(axis=0))
    return known[np.where(began, last, finite.argmax(axis=0)), np.arange(known.shape[1])], began


def _bounded(moves: Floats) -> Floats:
    """Log moves stretched; bounded, strictly increasing and odd."""
    stretched: Floats = STRETCH * moves
    bound = np.square(stretched / FARTHEST)
    bound += 1
    stretched /= np.sqrt(bound, out=bound)
    return stretched


def _reflected(known: Floats, cut: int) -> Floats:
    """The rows after the cut, reflected about the value at the cut; about zero where there is none."""
    anchors, began = _anchors(known, cut)
    anchors = np.where(began, anchors, 0.0)
    with np.errstate(all="ignore"):
        return np.clip(anchors - STRETCH * (known[cut + 1 :] - anchors), -LARGEST, LARGEST)
