"""Log lines: which run, never what it holds."""

import json
import logging
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from pydantic import ValidationError

from strategyrun.adapters.logs import LogFormat, about, formatter
from strategyrun.domain.strategyrun import StrategyRun, StrategyRunSpec
from support.builders import RUN_UID, run_body

SECRET = "token = 'hunter2'"
RUN = StrategyRun.parse(
    run_body(
        source={"inline": SECRET},
        params={"key": SECRET},
        status={
            "observedGeneration": 1,
            "phase": "Failed",
            "reason": "StrategyError",
            "inputsHash": "a",
            "message": f"ValueError: {SECRET}",
        },
    )
)


def line(form: LogFormat, log: Callable[[logging.Logger], None]) -> str:
    """Return what is written of a log call."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(form))
    logger = logging.Logger("strategyrun.test")
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue().removesuffix("\n")


def told(log: Callable[[logging.Logger], None]) -> dict[str, Any]:
    """Return the JSON line as a document."""
    document: dict[str, Any] = json.loads(line(LogFormat.JSON, log))
    return document


def test_a_json_line_says_which_run_and_where_it_stands() -> None:
    """One shape for all lines."""
    document = told(lambda logger: logger.info("the run has its %s", "answer", extra=about(RUN)))
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "INFO",
        "logger": "strategyrun.test",
        "message": "the run has its answer",
        "run": {
            "namespace": "research",
            "name": "momentum",
            "uid": RUN_UID,
            "phase": "Failed",
            "reason": "StrategyError",
        },
    }


def test_a_text_line_says_the_same() -> None:
    """In the same order."""
    written = line(LogFormat.TEXT, lambda logger: logger.info("ended", extra=about(RUN)))
    facts = f"[namespace=research name=momentum uid={RUN_UID} phase=Failed reason=StrategyError]"
    assert written.endswith(f"Z INFO strategyrun.test ended {facts}")


@pytest.mark.parametrize("form", list(LogFormat))
def test_no_line_about_a_run_holds_its_source_params_or_message(form: LogFormat) -> None:
    """The message may quote what the strategy raised."""
    assert "hunter2" not in line(form, lambda logger: logger.info("ended", extra=about(RUN)))


@pytest.mark.parametrize("form", list(LogFormat))
def test_a_traceback_does_not_quote_what_did_not_fit_a_model(form: LogFormat) -> None:
    """pydantic would print the value: here, the source."""

    def log(logger: logging.Logger) -> None:
        try:
            StrategyRunSpec.model_validate({"source": {"inline": SECRET}, "params": SECRET})
        except ValidationError:
            logger.exception("defect")

    written = line(form, log)
    assert "ValidationError" in written
    assert "hunter2" not in written


def test_what_a_library_adds_to_its_lines_is_left_out() -> None:
    """kopf puts whole settings and references there."""
    extra = {"settings": object(), "k8s_ref": {"name": "a"}}
    document = told(lambda logger: logger.warning("a watch: %s", 1, extra=extra))
    assert set(document) == {"time", "level", "logger", "message"}


def test_a_line_that_breaks_lines_stays_one_in_json() -> None:
    """Nobody forges a line."""
    written = line(LogFormat.JSON, lambda logger: logger.info("%s", 'a\n{"level": "forged"}'))
    assert len(written.splitlines()) == 1


def test_a_traceback_is_in_the_json_line() -> None:
    """Where it is asked for."""

    def log(logger: logging.Logger) -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            logger.error("defect", exc_info=sys.exc_info())

    assert "ZeroDivisionError" in told(log)["traceback"]
