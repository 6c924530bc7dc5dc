"""Log lines for people or for machines. A line about a run says which: namespace, name, UID, phase and reason.

Source, params and what a strategy printed stay out of the log; so does `status.message`, which may quote them.
"""

import logging
import time
from enum import StrEnum
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from strategyrun.domain.strategyrun import StrategyRun, StrategyRunStatus

_NAMES = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message", "exc_info": "traceback"}
_DATE = "%Y-%m-%dT%H:%M:%SZ"


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


def about(run: StrategyRun, status: StrategyRunStatus | None = None) -> dict[str, dict[str, str]]:
    """Return what a log call takes as `extra` to say which run it speaks of, and where that stands."""
    facts = {"namespace": run.namespace, "name": run.name, "uid": run.uid}
    stands = status or run.status
    if stands is not None:
        facts |= {"phase": str(stands.phase), "reason": str(stands.reason)}
    return {"run": facts}


def configure(form: LogFormat) -> None:
    """Write all logs to standard error, in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for every event


def formatter(form: LogFormat) -> logging.Formatter:
    """Return the formatter of a form. Times are UTC."""
    chosen = _Json() if form is LogFormat.JSON else _Text("%(asctime)s %(levelname)s %(name)s %(message)s", _DATE)
    chosen.converter = time.gmtime
    return chosen


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        facts = getattr(record, "run", None)
        return f"{line} [{' '.join(f'{name}={value}' for name, value in facts.items())}]" if facts else line


class _Json(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(["asctime", "levelname", "name", "message"], _DATE, rename_fields=_NAMES)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Keep the one shape that is documented, whatever a library adds to its lines."""
        return {name: log_data[name] for name in (*_NAMES.values(), "run") if log_data.get(name)}
