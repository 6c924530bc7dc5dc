"""Values and their documents."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strategyrun.domain.model import milliseconds, rfc3339
from strategyrun.domain.strategyrun import Attempt, Timings


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    """Whatever its zone, it reads as the API server's own."""
    taipei = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 3, 2, 17, 30, 1, 234_567, taipei)) == "2026-03-02T09:30:01.234Z"


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis wants it so
def test_a_moment_survives_its_document_to_the_millisecond(moment: datetime) -> None:
    """What was written is what is read."""
    attempt = Attempt(number=1, job_name="j", created_at=moment)
    read = Attempt.model_validate(attempt.document()).created_at
    assert read == milliseconds(moment)
    assert timedelta() <= moment - read < timedelta(milliseconds=1)


def test_a_document_leaves_out_what_is_unset() -> None:
    """An undefined number is absent: never null, never 0."""
    assert Timings(queued=0.0).document() == {"queued": 0.0}


def test_names_are_camel_case_outside_and_snake_case_inside() -> None:
    """Both name the same field."""
    assert Attempt(number=1, job_name="j", created_at=datetime(2026, 1, 1, tzinfo=UTC)).document() == {
        "number": 1,
        "executor": "Sandbox",
        "jobName": "j",
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


def test_a_value_is_frozen() -> None:
    """Nobody changes what somebody else decided on."""
    with pytest.raises(ValidationError, match="frozen"):
        Timings().queued = 1.0  # type: ignore[misc]
