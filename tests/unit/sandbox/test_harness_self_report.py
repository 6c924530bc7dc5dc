"""What a strategy says of itself: which numbers are taken from it, and which are left out."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finlab_sandbox.harness.ending import Ending, document_of
from finlab_sandbox.harness.selfreport import InvalidReportError, last_result, parse, read_file
from finlab_sandbox.harness.text import MAX_BYTES, encode
from support.sandbox import Steps


def taken(document: Any) -> dict[str, float]:
    """The numbers of a JSON document."""
    return parse("result.json", json.dumps(document).encode(), alone=True).values


def refusal(content: bytes) -> str:
    """The words for a document without numbers."""
    with pytest.raises(InvalidReportError) as caught:
        parse("result.json", content, alone=True)
    return str(caught.value)


def test_numbers_are_taken_by_name() -> None:
    """Whole numbers too; names in any script."""
    assert taken({"sharpe": 1.25, "trades": 7, "夏普": -0.5}) == {"sharpe": 1.25, "trades": 7.0, "夏普": -0.5}


def test_what_is_no_finite_number_is_left_out_and_named() -> None:
    """A word for each, and the rest counts."""
    content = b'{"a": NaN, "b": Infinity, "c": true, "d": "1", "e": [1], "f": {"x": 1}, "g": null, "ok": 1}'
    found = parse("result.json", content, alone=True)
    assert found.values == {"ok": 1.0}
    assert found.warnings == [
        "RESULT: left out 'a' (nan)",
        "RESULT: left out 'b' (inf)",
        "RESULT: left out 'c' (true or false)",
        "RESULT: left out 'd' (text)",
        "RESULT: left out 'e' (a list)",
        "RESULT: left out 'f' (an object)",
        "RESULT: left out 'g' (null)",
    ]


def test_numbers_beyond_all_measure_are_left_out() -> None:
    """An integer that no float can hold, and one that rounds to infinity."""
    assert taken({"a": 10**400, "b": 1e308, "ok": 1}) == {"b": 1e308, "ok": 1.0}
    assert parse("result.json", b'{"a": 1e999, "ok": 1}', alone=True).warnings == ["RESULT: left out 'a' (inf)"]
    assert "is no JSON" in refusal(b'{"a": ' + b"9" * 5000 + b"}")


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\u202eb", "\x1b[31mred"])
def test_names_that_could_draw_are_left_out(name: str) -> None:
    """And those of more than 64 characters."""
    found = parse("result.json", json.dumps({name: 1, "ok": 2}).encode(), alone=True)
    assert found.values == {"ok": 2.0}
    assert "no plain name" in found.warnings[0]


def test_there_are_at_most_32_numbers_and_8_warnings() -> None:
    """The first count; the last warning says how many more there are."""
    found = parse("result.json", json.dumps({f"n{number}": number for number in range(100)}).encode(), alone=True)
    assert list(found.values) == [f"n{number}" for number in range(32)]
    assert len(found.warnings) == 8
    assert found.warnings[-1] == "RESULT: left out 61 more"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1]", "result.json is a list, no object of numbers by name"),
        (b"1.5", "result.json is a number, no object"),
        (b"null", "result.json is null, no object"),
        (b"", "result.json is no JSON (Expecting value"),
        (b"{'sharpe': 1}", "result.json is no JSON (Expecting property name"),
        (b'{"a": 1} and more', "result.json is no JSON (more follows the object"),
        (b"[" * 60_000, "result.json is no JSON"),
        (b'{"a": 1, "a": 2}', "result.json is no JSON (a key occurs twice"),
        (b"{}", "result.json has no finite number by name"),
        (b'{"sharpe": NaN, "name": "x"}', "no finite number by name: 'sharpe' (nan), 'name' (text)"),
    ],
)
def test_what_holds_no_numbers_is_refused(content: bytes, words: str) -> None:
    """In words that help to mend it."""
    assert words in refusal(content)


@pytest.mark.parametrize(
    ("output", "behind"),
    [
        (b'RESULT {"a": 1}', b'{"a": 1}'),
        (b'one\nRESULT {"a": 1}\nRESULT {"a": 2}\nthe end\n', b'{"a": 2}\nthe end\n'),
        (b'  RESULT\t{"a": 1}\n', b'{"a": 1}\n'),
        (b'RESULT {\n  "a": 1\n}\n', b'{\n  "a": 1\n}\n'),
        (b'progress 99 %\rRESULT {"a": 1}', b'{"a": 1}'),
        (b'RESULT {"a": "RESULT x"}', b'{"a": "RESULT x"}'),
        (b"NO RESULT {}\nRESULTS {}\n", None),
        (b"RESULTS {}\nNO RESULT {}\n", None),
        (b"RESULT 1\nNO RESULT 2\n", b"1\nNO RESULT 2\n"),
        (b"", None),
    ],
)
def test_the_last_line_that_begins_with_result_counts(output: bytes, behind: bytes | None) -> None:
    """What follows it may be spread over lines."""
    assert last_result(output) == behind


@given(st.binary(max_size=300))
def test_any_output_is_either_numbers_or_refused(output: bytes) -> None:
    """Nothing else comes out of it."""
    behind = last_result(b"RESULT " + output)
    assert behind is not None
    try:
        found = parse("RESULT", behind, alone=False)
    except InvalidReportError:
        return
    assert found.values


@given(
    st.dictionaries(st.text(max_size=70), st.floats() | st.integers() | st.booleans() | st.text() | st.none()),
    st.binary(max_size=3000),
)
def test_the_document_always_fits(values: dict[str, Any], output: bytes) -> None:
    """Whatever the names and the lines, the numbers that are taken stay whole."""
    end = Ending(kind="Result", started=True, exit_code=0, result=json.dumps(values).encode(), output=output)
    document = document_of(end)
    content = encode(document)
    assert len(content) <= MAX_BYTES
    assert json.loads(content)["result"] == document["result"]


def test_a_file_is_read(tmp_path: Path) -> None:
    """None where there is no file, or no folder."""
    assert read_file(str(tmp_path)) is None
    assert read_file(str(tmp_path / "nowhere")) is None
    (tmp_path / "result.json").write_bytes(b"{}")
    assert read_file(str(tmp_path)) == b"{}"


def test_only_a_plain_file_of_its_own_is_read(tmp_path: Path) -> None:
    """No link, no folder, no pipe that nobody writes to, nothing larger than the bound."""
    other = tmp_path / "other"
    other.write_text('{"a": 1}')
    file = tmp_path / "result.json"
    for make, words in (
        (lambda: file.symlink_to(other), "result.json cannot be read"),
        (lambda: os.mkfifo(file), "result.json is no plain file"),
        (lambda: file.write_bytes(b" " * 65_537), "result.json has more than 65536 bytes"),
    ):
        make()
        with pytest.raises(InvalidReportError, match=words):
            read_file(str(tmp_path))
        file.unlink()
    file.mkdir()
    with pytest.raises(InvalidReportError, match=r"result\.json is no plain file"):
        read_file(str(tmp_path))
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert read_file(str(link)) is None


def test_a_line_is_taken_from_a_run(steps: Steps) -> None:
    """And what it leaves out is said."""
    ended = steps.run("import json\nprint('RESULT', json.dumps({'sharpe': 1.5, 'beta': None}))\n", kind="Result")
    assert ended.exit_code == 0
    assert ended.document["result"] == {"sharpe": 1.5}
    assert ended.document["warnings"] == ["RESULT: left out 'beta' (null)"]


def test_a_file_wins_over_the_line(steps: Steps) -> None:
    """Written to the folder that the environment names, even by a program that never closed it."""
    source = """\
        import json, os
        print('RESULT {"sharpe": 1}')
        file = open(os.path.join(os.environ["RESULT_DIR"], "result.json"), "w")
        json.dump({"sharpe": 2}, file)
        """
    ended = steps.run(source, kind="Result")
    assert ended.document["result"] == {"sharpe": 2.0}


def test_no_result_names_both_ways(steps: Steps) -> None:
    """The line and the file."""
    ended = steps.run("print('no RESULT')\n", kind="Result")
    assert (ended.exit_code, ended.document["reason"]) == (1, "ResultMissing")
    assert '"RESULT " + json.dumps(' in ended.document["message"]
    assert "RESULT_DIR" in ended.document["message"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("print('RESULT', {'sharpe': 1})\n", "what follows RESULT is no JSON (Expecting property name"),
        (
            "import os\nos.symlink('/etc/passwd', os.environ['RESULT_DIR'] + '/result.json')\n",
            "result.json cannot be read",
        ),
        ("import os\nos.mkfifo(os.environ['RESULT_DIR'] + '/result.json')\n", "result.json is no plain file"),
    ],
)
def test_a_result_that_cannot_be_read_is_invalid(steps: Steps, source: str, words: str) -> None:
    """Of a program that ended well."""
    ended = steps.run(source, kind="Result")
    assert (ended.exit_code, ended.document["reason"]) == (1, "ResultInvalid")
    assert ended.document["message"].startswith(words)
