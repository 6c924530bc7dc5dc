"""Which column of a table is what, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from finlab_sandbox.load.limits import MAX_COLUMNS, MAX_FIELD_BYTES
from finlab_sandbox.load.problems import invalid, listed, named, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

DATE, SYMBOL = "date", "symbol"
PRICES = ("open", "high", "low", "close", "adj_close")
FIELDS = (*PRICES, "volume")
SCORED = ("adj_close", "close")
"""At least one of them makes a table fit to be scored on."""

_SYNONYMS = {
    DATE: "date datetime timestamp time day tradedate tradingdate 日期 交易日期",
    SYMBOL: "symbol symbols ticker tickers code stockid stockcode stocksymbol 代號 股票代號 證券代號 代码 股票代码",
    "open": "open openprice 開盤價 开盘价",
    "high": "high highprice 最高價 最高价",
    "low": "low lowprice 最低價 最低价",
    "close": "close closeprice closingprice 收盤價 收盘价",
    "adj_close": "adjclose adjustedclose adjcloseprice adjclosingprice 還原收盤價 还原收盘价",
    "volume": "volume vol tradingvolume 成交股數 成交量",
}
_ROLES = {name: role for role, names in _SYNONYMS.items() for name in names.split()}
_INDEX = ("", "index", "unnamed0", "indexlevel0", "level0")
"""What pandas calls the index of a frame that has no name."""


class Columns(NamedTuple):
    """Positions of the columns of one table. `symbol` is None where the file's name is the symbol."""

    date: int
    symbol: int | None
    fields: dict[str, int]
    """The standard fields that there are, and every further column, which may turn out to hold no numbers."""

    def named(self, names: Sequence[str]) -> dict[str, str]:
        """What a table with these column names calls its date, its symbol if it has one, and each field."""
        positions = {DATE: self.date} | ({} if self.symbol is None else {SYMBOL: self.symbol}) | self.fields
        return {role: names[position] for role, position in positions.items()}


def assign(file: str, names: Sequence[str]) -> Columns:
    """The columns of a table with these column names. Raises LoadError where they cannot be told.

    Of `date` and `timestamp` the first is the date, and the other a further column: the plain name is meant.
    """
    if len(names) > MAX_COLUMNS:
        raise invalid(f"{named(file)} has {len(names)} columns; at most {MAX_COLUMNS} are read")
    indices: list[int] = []
    by_role: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        if _key(name) in _INDEX:
            indices.append(position)
        else:
            by_role.setdefault(_ROLES.get(_key(name), name.strip()), []).append(position)
    found: dict[str, int] = {}
    for role, positions in by_role.items():
        plain = [position for position in positions if _key(names[position]) == _key(role)]
        chosen = plain if len(plain) == 1 else positions
        _put(found, role, chosen, file, names)
        for position in sorted(set(positions) - set(chosen)):
            _put(found, names[position].strip(), [position], file, names)
    if DATE not in found and len(indices) == 1:
        found[DATE] = indices[0]
    if DATE not in found:
        raise invalid(f"{named(file)} has no date column; its columns are: {listed(list(names))}{_hint(names)}")
    if not any(field in found for field in SCORED):
        is_wide = SYMBOL not in found and len(names) > 2
        hint = "; one column a symbol is not read: melt the table to date, symbol, close" if is_wide else ""
        raise invalid(f"{named(file)} has no column close or adj_close; its columns are: {listed(list(names))}{hint}")
    fields = {role: position for role, position in found.items() if role not in {DATE, SYMBOL}}
    return Columns(found[DATE], found.get(SYMBOL), fields)


def in_order(fields: set[str]) -> list[str]:
    """Standard fields first, the others by name."""
    return [field for field in FIELDS if field in fields] + sorted(fields - set(FIELDS))


def check_field_name(file: str, name: str) -> None:
    """Raises LoadError for the name of a further column that cannot be that of a file."""
    if (
        not name.isprintable()
        or len(name.encode("utf-8", "replace")) > MAX_FIELD_BYTES
        or name.startswith(".")
        or "/" in name
        or name == "dates"
    ):
        raise invalid(
            f"{named(file)}, column {shown(name)}: a field's name has at most {MAX_FIELD_BYTES} bytes without `/`, "
            "does not begin with `.` and is not `dates`; rename the column or leave it out"
        )


def _put(found: dict[str, int], role: str, positions: list[int], file: str, names: Sequence[str]) -> None:
    """Notes the one column of a role. Raises LoadError where there are two."""
    positions = [found[role], *positions] if role in found else positions
    if len(positions) > 1:
        first, second = (names[position] for position in positions[:2])
        raise invalid(f"{named(file)} has two columns for {named(role)}, {shown(first)} and {shown(second)}; keep one")
    found[role] = positions[0]


def _key(name: str) -> str:
    """What is compared of a name: Adj Close, adj_close and Adj. Close are one."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _hint(names: Sequence[str]) -> str:
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        return "; columns are separated by commas"
    return ""
