"""The full report that survives a run's pod, read without trust in its size and shape."""

import json
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from strategyrun.domain.model import Model, complaint
from strategyrun.domain.text import clean

SCHEMA = 1

DAYS_LIMIT = 50_000
ROWS_LIMIT = 100_000
SYMBOLS_LIMIT = 20_000
LARGEST = 1e100
"""Beyond it no number means anything, and arithmetic on it is still safe."""

_NAME_LIMIT = 100
_DIGITS_LIMIT = 15


def _name(value: Any) -> Any:
    return clean(value, _NAME_LIMIT) if isinstance(value, str) else value


def _weights(value: Any) -> Any:
    return {_name(symbol): weight for symbol, weight in value.items()} if isinstance(value, dict) else value


def _drawable(value: Any) -> Any:
    if isinstance(value, list) and None in value:
        raise ValueError(f"value {value.index(None)} is not finite, so there is nothing to draw")
    return value


Name = Annotated[str, BeforeValidator(_name)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Multiple = Annotated[float, Field(allow_inf_nan=False, ge=0, le=LARGEST)]
Fall = Annotated[float, Field(ge=-1, le=0)]
Multiples = Annotated[tuple[Multiple, ...], BeforeValidator(_drawable), Field(max_length=DAYS_LIMIT)]


class InvalidDocumentError(Exception):
    """The bytes are no report that can be rendered; the message is one line that says why."""


class _Part(Model):
    model_config = ConfigDict(populate_by_name=False, extra="ignore")


class Order(_Part):
    """Weights to hold from a close on, as fractions of the equity; a symbol that is not named has none."""

    date: date
    weights: Annotated[dict[Name, Finite], BeforeValidator(_weights), Field(max_length=SYMBOLS_LIMIT)]


class Trade(_Part):
    """A closed round trip. `profit` is after costs, a fraction of the initial capital."""

    symbol: Name
    side: Literal["Long", "Short"]
    opened: date
    closed: date
    days: Annotated[int, Field(ge=0)]
    profit: Finite


class Document(_Part):
    """Every day of the dataset: multiples of the initial capital, the drawdown from the peak, gross exposure."""

    schema_: int = Field(alias="schema")
    dates: Annotated[tuple[date, ...], Field(min_length=1, max_length=DAYS_LIMIT)]
    equity: Multiples
    drawdown: Annotated[tuple[Fall, ...], Field(max_length=DAYS_LIMIT)]
    benchmark: Multiples | None = None
    exposure: Multiples
    symbols: Annotated[tuple[Name, ...], Field(max_length=SYMBOLS_LIMIT)] = ()
    orders: Annotated[tuple[Order, ...], Field(max_length=ROWS_LIMIT)] = ()
    trades: Annotated[tuple[Trade, ...], Field(max_length=ROWS_LIMIT)] = ()
    truncated: Annotated[tuple[Annotated[str, BeforeValidator(_name)], ...], Field(max_length=100)] = ()

    @property
    def daily(self) -> bool:
        """Whether every day of the dataset is there, and not one in several."""
        return not any(left_out.startswith("dates:") for left_out in self.truncated)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("equity", "drawdown", "benchmark", "exposure"):
            series = getattr(self, name)
            if series is not None and len(series) != len(self.dates):
                raise ValueError(f"{name} has {len(series)} values for {len(self.dates)} dates")
        if any(later <= earlier for earlier, later in pairwise(self.dates)):
            raise ValueError("dates do not increase")
        if any(later.date < earlier.date for earlier, later in pairwise(self.orders)):
            raise ValueError("orders are not in the order of their dates")
        return self

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read report.json. Raises InvalidDocumentError naming what is wrong."""
        try:
            document = json.loads(content, parse_int=_integer, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise InvalidDocumentError(f"the report is not JSON: {clean(str(error), 100)}") from error
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            found = clean(json.dumps(schema), 40)
            raise InvalidDocumentError(f"the report has schema {found}; this version reads {SCHEMA}")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise InvalidDocumentError(f"the report does not fit: {complaint(error)}") from error


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT:
        raise ValueError(f"an integer of more than {_DIGITS_LIMIT} digits")
    return int(digits)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
