"""Tables of runs."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from strategyrun.cli.output import phase, table
from strategyrun.client import Result
from strategyrun.reporting.words import SHORT_HASH

_COLUMNS = ("NAME", "PHASE", "REASON", "EXECUTOR", "SHARPE", "RETURN%", "MAXDD%", "TRADES", "DURATION", "AGE")
_WIDE = ("CLASS", "QUEUE", "MARKS", "NODE", "DATASET", "CODE")


def runs_table(results: Iterable[Result], now: datetime, *, wide: bool = False, namespaces: bool = False) -> Table:
    """Return a table of runs, as `kubectl get srun` has it."""
    made = table(*(["NAMESPACE"] if namespaces else []), *_COLUMNS, *(_WIDE if wide else []))
    for result in results:
        first = [Text(result.namespace)] if namespaces else []
        made.add_row(*first, *_row(result, now), *(_more(result) if wide else []))
    return made


def number(value: float | None, digits: int = 2, *, times: float = 1) -> str:
    """Write a number for a column, nothing where there is none."""
    return "" if value is None else f"{value * times:.{digits}f}"


def span(seconds: float) -> str:
    """Write a span of time as kubectl does: its two largest units at most."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m{whole % 60}s" if whole < 600 else f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 172_800 else f"{whole // 86_400}d"


def since(moment: str | None, now: datetime) -> float | None:
    """Return the seconds from an API server's moment until now; None where it is none."""
    try:
        return (now - datetime.fromisoformat(moment)).total_seconds() if moment else None
    except (ValueError, TypeError):
        return None


def duration(result: Result) -> str:
    """Return the time from the acceptance of the inputs to the answer."""
    end = since(result.accepted_at, datetime.fromisoformat(result.finished_at)) if result.finished_at else None
    return "" if end is None else f"{end:.1f}s"


def age(result: Result, now: datetime) -> str:
    """Return the time since a run was made."""
    seconds = since(result.created_at, now)
    return "" if seconds is None else span(seconds)


def digest(result: Result, what: str) -> str:
    """Return the beginning of the hash of a run's code, params or dataset; nothing where the run has none yet."""
    return str(result.provenance.get(f"{what}SHA256") or "")[:SHORT_HASH]


def _row(result: Result, now: datetime) -> list[Text]:
    found = result.metrics
    return [
        Text(result.name),
        phase(result),
        Text(result.reason),
        Text(result.executor or "", "yellow" if result.executor == "Fallback" else ""),
        Text(number(found.sharpe)),
        Text(number(found.total_return, 1, times=100)),
        Text(number(found.max_drawdown, 1, times=100)),
        Text(number(found.trades, 0)),
        Text(duration(result)),
        Text(age(result, now)),
    ]


def _more(result: Result) -> list[Text]:
    return [
        Text(result.failure.class_ if result.failure else ""),
        Text(str(result.queue.position) if result.queue and result.queue.position else ""),
        Text(",".join(result.marks)),
        Text(str(result.provenance.get("node") or "")),
        Text(digest(result, "dataset")),
        Text(digest(result, "code")),
    ]


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
