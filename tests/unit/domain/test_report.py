"""Documents of a pod: the evaluator's report and the harness's last words."""

import base64
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain.report import InvalidReportError, full_report, parse_last_words, parse_report
from support.builders import METRICS, hostile_text, json_values, last_words, report_document, report_text

BILLION = "1" + "0" * 400


def with_raw(field: str, raw: str) -> str:
    """Write a report with a field whose JSON is given as it is."""
    changes: dict[str, Any] = {field: "RAW"}
    return report_text(**changes).replace('"RAW"', raw)


def test_reads_the_evaluators_report() -> None:
    """Numbers arrive as numbers, hashes as text, an absent metric as none."""
    report = parse_report(report_text(warnings=["sortino: no losing day"]))
    assert report.verdict == report.reason == "Evaluated"
    assert report.metrics.document() == METRICS
    assert report.metrics.sortino is None
    assert report.warnings == ["sortino: no losing day"]
    assert report.hashes.positions == "e" * 64
    assert report.seconds == 0.0481


def test_reads_a_rejection() -> None:
    """Positions that were refused have no metrics, and where nothing was found no hash."""
    hashes = {name: sha for name, sha in report_document()["hashes"].items() if name != "positions"}
    report = parse_report(
        report_text(verdict="Rejected", reason="ResultMissing", message="no file", metrics={}, hashes=hashes)
    )
    assert (report.verdict, report.reason, report.message) == ("Rejected", "ResultMissing", "no file")
    assert report.hashes.positions is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("Segmentation fault", "not JSON", id="text"),
        pytest.param("[]", "the document", id="list"),
        pytest.param("null", "the document", id="null"),
        pytest.param('{"schema":2}', "nonce: Field required", id="nothing-but-a-schema"),
        pytest.param("[" * 2000 + "]" * 2000, "not JSON|the document", id="nested-2000"),
        pytest.param("[" * 100_000, "longer than 4096 bytes", id="nested-100000"),
        pytest.param(report_text(message="x" * 5000), "longer than 4096 bytes", id="5-kib"),
        pytest.param(report_text(message="價" * 1000), "longer than 4096 bytes", id="4-kib-of-characters-12-of-bytes"),
        pytest.param(report_text()[:-1] + ',"nonce":"x"}', "a key occurs twice", id="duplicate-key"),
        pytest.param(
            with_raw("metrics", '{"sharpe":1,"sharpe":9}'), "a key occurs twice", id="duplicate-key-inside-metrics"
        ),
        pytest.param(with_raw("metrics", '{"sharpe":NaN}'), "NaN is not a number", id="nan"),
        pytest.param(with_raw("metrics", '{"sharpe":-Infinity}'), "-Infinity is not a number", id="infinity"),
        pytest.param(with_raw("metrics", '{"sharpe":1e999}'), "metrics.sharpe: .*finite", id="1e999"),
        pytest.param(with_raw("seconds", "1e999"), "seconds: .*finite", id="seconds-1e999"),
        pytest.param(with_raw("metrics", f'{{"trades":{BILLION}}}'), "more than 15 digits", id="huge-integer"),
        pytest.param(report_text(metrics={"sharpe": True}), "metrics.sharpe", id="bool-for-number"),
        pytest.param(report_text(metrics={"sharpe": "0.9"}), "metrics.sharpe", id="text-for-number"),
        pytest.param(report_text(metrics={"trades": 1.5}), "metrics.trades", id="fraction-for-count"),
        pytest.param(report_text(metrics={"trades": True}), "metrics.trades", id="bool-for-count"),
        pytest.param(report_text(metrics={"sharpe": [0.9]}), "metrics.sharpe", id="list-for-number"),
        pytest.param(report_text(metrics={"luck": 1.0}), "metrics.luck: Extra inputs", id="unknown-metric"),
        pytest.param(report_text(metrics={"total_return": 1.0}), "metrics.total_return", id="snake-case"),
        pytest.param(report_text(metrics=None), "metrics: Field required", id="no-metrics"),
        pytest.param(report_text(verdict=None), "verdict: Field required", id="no-verdict"),
        pytest.param(report_text(extra=1), "extra: Extra inputs", id="unknown-field"),
        pytest.param(report_text(schema=3), "schema", id="newer-schema"),
        pytest.param(report_text(schema=True), "schema", id="true-is-not-one"),
        pytest.param(report_text(verdict="Rejected"), "verdict Rejected with reason Evaluated", id="no-reason"),
        pytest.param(report_text(reason="ResultInvalid"), "verdict Evaluated with reason", id="no-verdict-for-it"),
        pytest.param(report_text(reason="Timeout"), "reason", id="a-reason-that-is-not-its-own"),
        pytest.param(report_text(warnings=["w"] * 13), "warnings", id="too-many-warnings"),
        pytest.param(report_text(warnings="w"), "warnings", id="warnings-are-a-list"),
        pytest.param(report_text(seconds=-1), "seconds", id="negative-time"),
        pytest.param(report_text(nonce=None), "nonce", id="no-nonce"),
        pytest.param(
            report_text(hashes=report_document()["hashes"] | {"code": "0" * 63}), "hashes.code", id="short-hash"
        ),
        pytest.param(
            report_text(hashes=report_document()["hashes"] | {"code": "0" * 64 + "\n"}), "hashes.code", id="newline"
        ),
    ],
)
def test_refuses(text: str, complaint: str) -> None:
    """A document that is not exactly a report is none, and the complaint names the place."""
    with pytest.raises(InvalidReportError, match=complaint):
        parse_report(text)


@given(hostile_text | json_values.map(json.dumps))
def test_anything_at_all_is_a_report_or_refused(text: str) -> None:
    """No text of a pod makes the reader fail in any other way."""
    with pytest.raises(InvalidReportError):
        parse_report(text)


@given(st.dictionaries(st.sampled_from([*report_document(), "extra"]), json_values, max_size=3))
def test_a_report_with_any_values_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Whatever stands in its fields."""
    text = json.dumps(report_document() | changes)
    try:
        parse_report(text)
    except InvalidReportError:
        return
    assert all(changes[name] == report_document()[name] for name in changes.keys() & {"schema", "verdict"})


@pytest.mark.parametrize(
    ("verdict", "reason"), [("Unscored", "Evaluated"), ("Evaluated", "Unscored"), ("Rejected", "Unscored")]
)
def test_verdict_and_reason_agree(verdict: str, reason: str) -> None:
    """A script that hands over no positions is neither evaluated nor rejected."""
    assert parse_report(report_text(verdict="Unscored", reason="Unscored", metrics={})).verdict == "Unscored"
    with pytest.raises(InvalidReportError, match=f"verdict {verdict} with reason {reason}"):
        parse_report(report_text(verdict=verdict, reason=reason))


def framed(content: bytes, line: int = 60) -> bytes:
    """Write a full report as the evaluator prints it."""
    text = base64.b64encode(content).decode()
    lines = [text[at : at + line] for at in range(0, len(text), line)]
    header = f"FINLAB-REPORT 1 {len(content)} {sha256(content).hexdigest()}"
    return "\n".join([header, *lines, ""]).encode()


@given(st.binary(max_size=2000), st.integers(1, 200))
def test_the_full_report_comes_back_whole(content: bytes, line: int) -> None:
    """However long the lines of the log are."""
    assert full_report(framed(content, line), sha256(content).hexdigest()) == content
    assert full_report(b"a library's warning\n" + framed(content), sha256(content).hexdigest()) == content


@pytest.mark.parametrize(
    ("log", "complaint"),
    [
        pytest.param(b"", "has no report", id="empty"),
        pytest.param(b"Traceback (most recent call last):\n", "has no report", id="another-text"),
        pytest.param(framed(b"report")[:-4], "not base64", id="cut-off"),
        pytest.param(framed(b"report of another pod"), "another report", id="another-report"),
        pytest.param(framed(bytes(400_000)), "more than 393216", id="too-large"),
    ],
)
def test_a_log_that_holds_another_text_is_no_report(log: bytes, complaint: str) -> None:
    """Only the bytes that the verdict names are kept."""
    with pytest.raises(InvalidReportError, match=complaint):
        full_report(log, sha256(b"report").hexdigest())


def test_reads_the_harness_last_words() -> None:
    """Why, where, with which exit code or signal, and what was printed last."""
    words = parse_last_words(last_words("Crashed", "killed by SIGSEGV", exitCode=None, signal="SIGSEGV"))
    assert words is not None
    assert (words.reason, words.message, words.exit_code, words.signal) == (
        "Crashed",
        "killed by SIGSEGV",
        None,
        "SIGSEGV",
    )
    assert words.last_lines == ["Traceback (most recent call last):", "KeyError: 'Close'"]
    assert words.seconds == {"imports": 1.25, "strategy": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("Traceback (most recent call last):\nKeyError", id="log-lines"),
        pytest.param('{"level": "info"}', id="a-log-line-that-is-json"),
        pytest.param(last_words(exitCode=10**9), id="exit-code-that-none-can-be"),
        pytest.param(last_words(exitCode=True), id="bool-exit-code"),
        pytest.param(last_words().replace('"exitCode": 1', f'"exitCode": {BILLION}'), id="huge-exit-code"),
        pytest.param(last_words(seconds={"imports": 1e308, "strategy": 1e308}), id="seconds-whose-sum-is-infinite"),
        pytest.param(last_words().replace("1.25", "1e999"), id="infinite-seconds"),
        pytest.param(last_words(seconds={"imports": -1}), id="negative-seconds"),
        pytest.param(last_words(lastLines="text"), id="lines-are-a-list"),
        pytest.param(last_words(result={"sharpe": "high"}), id="a-result-is-numbers"),
        pytest.param(last_words(result={str(n): n for n in range(33)}), id="33-numbers"),
        pytest.param(last_words(lookAhead={"samples": 5, "checked": 5, "changed": -1}), id="negative-count"),
        pytest.param(last_words(warnings=["w"] * 9), id="nine-warnings"),
        pytest.param(last_words(lastLines=["x" * 5000]), id="5-kib"),
        pytest.param("[" * 4000, id="nested"),
    ],
)
def test_words_that_the_harness_would_not_write_are_not_its_words(text: str) -> None:
    """What does not fit is read as plain output: a strategy cannot make a status that the API server refuses."""
    assert parse_last_words(text) is None


@given(hostile_text | json_values.map(json.dumps))
def test_no_text_stops_the_reader(text: str) -> None:
    """The strategy writes where the harness writes."""
    parse_last_words(text)


def test_a_later_harness_may_say_more() -> None:
    """Fields that are not known are left alone."""
    assert parse_last_words(last_words(peakMemoryBytes=1 << 30)) is not None
