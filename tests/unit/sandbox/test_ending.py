"""From what is seen of a child's end to the document."""

import json
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finlab_sandbox.harness.ending import NON_DETERMINISTIC, Ending, document_of, judge
from finlab_sandbox.harness.reasons import REPORTED
from finlab_sandbox.harness.text import MAX_BYTES, clean, encode, last_lines


def said(reason: str, message: str = "m") -> bytes:
    """What a child says of its end."""
    return json.dumps({"reason": reason, "message": message}).encode()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param(Ending(started=True, exit_code=0, handed_over=True), "Completed", id="handed-over"),
        pytest.param(Ending(started=True, exit_code=0), "ResultMissing", id="nothing-handed-over"),
        pytest.param(Ending(started=True, exit_code=1, handed_over=True), "StrategyError", id="code-beats-file"),
        pytest.param(
            Ending(started=True, exit_code=0, handed_over=True, said=said("StrategyError")),
            "StrategyError",
            id="own-word-against-itself",
        ),
        pytest.param(Ending(started=True, exit_code=1, said=said("Completed")), "StrategyError", id="own-praise"),
        pytest.param(Ending(started=True, exit_code=2, said=said("ImageInvalid")), "StrategyError", id="blames-us"),
        pytest.param(Ending(started=True, exit_code=1, said=b"[" * 9999), "StrategyError", id="deep-json"),
        pytest.param(Ending(started=True, exit_code=1, said=b"[]"), "StrategyError", id="list"),
        pytest.param(
            Ending(started=True, exit_code=1, said=b'{"reason": {}, "message": 1}'), "StrategyError", id="other-types"
        ),
        pytest.param(
            Ending(started=True, timed_out=True, signal=signal.SIGKILL, said=said("OutOfMemory")),
            "Timeout",
            id="own-kill",
        ),
        pytest.param(Ending(started=True, signal=signal.SIGKILL), "OutOfMemory", id="killed"),
        pytest.param(Ending(started=True, signal=signal.SIGKILL, starved=True), "OutOfMemory", id="starved"),
        pytest.param(Ending(started=True, signal=signal.SIGKILL, starved=False), "Crashed", id="killed-by-itself"),
        pytest.param(Ending(signal=signal.SIGKILL), "OutOfMemory", id="killed-while-importing"),
        pytest.param(Ending(started=True, signal=signal.SIGSYS), "SyscallViolation", id="sigsys"),
        pytest.param(Ending(signal=signal.SIGSYS), "ImageInvalid", id="sigsys-while-importing"),
        pytest.param(Ending(started=True, signal=signal.SIGSEGV), "Crashed", id="segv"),
        pytest.param(Ending(exit_code=1, said=said("DataMissing")), "DataMissing", id="no-dataset"),
        pytest.param(Ending(exit_code=1, said=said("ImageInvalid")), "ImageInvalid", id="bad-inputs"),
        pytest.param(Ending(exit_code=1, said=said("Tampered")), "Tampered", id="other-inputs"),
        pytest.param(Ending(started=True, exit_code=2, said=said("Tampered")), "StrategyError", id="blames-others"),
        pytest.param(Ending(exit_code=1), "ImageInvalid", id="silent-before-start"),
        pytest.param(Ending(started=True, stopped=True, signal=signal.SIGKILL), "Crashed", id="told-to-stop"),
        pytest.param(
            Ending(started=True, exit_code=1, said=said("VendorAuthRequired")), "VendorAuthRequired", id="vendor"
        ),
        pytest.param(Ending(kind="Script", started=True, exit_code=0, output=b"x"), "Completed", id="script"),
        pytest.param(Ending(kind="Script", started=True, exit_code=0, output=b" \n"), "ResultMissing", id="no-word"),
        pytest.param(Ending(kind="Script", started=True, exit_code=1, output=b"x"), "StrategyError", id="script-fails"),
        pytest.param(
            Ending(kind="Script", started=True, exit_code=0, handed_over=True), "ResultMissing", id="script-with-file"
        ),
        pytest.param(
            Ending(kind="Script", started=True, finished=True, timed_out=True, handed_over=True, output=b"x"),
            "Timeout",
            id="script-out-of-time-with-file",
        ),
        pytest.param(Ending(kind="Result", started=True, exit_code=0, result=b'{"a": 1}'), "Completed", id="result"),
        pytest.param(
            Ending(kind="Result", started=True, exit_code=0, output=b'RESULT {"a": 1}'), "Completed", id="result-line"
        ),
        pytest.param(Ending(kind="Result", started=True, exit_code=0), "ResultMissing", id="no-result"),
        pytest.param(
            Ending(kind="Result", started=True, exit_code=0, result=b"{}"), "ResultInvalid", id="empty-result"
        ),
        pytest.param(
            Ending(kind="Result", started=True, exit_code=0, result_unread="?", output=b'RESULT {"a": 1}'),
            "ResultInvalid",
            id="unreadable-result",
        ),
        pytest.param(
            Ending(kind="Result", started=True, timed_out=True, result=b'{"a": 1}'), "Timeout", id="result-out-of-time"
        ),
        pytest.param(
            Ending(kind="Result", started=True, exit_code=1, result=b'{"a": 1}'), "StrategyError", id="result-fails"
        ),
    ],
)
def test_what_is_seen_decides(end: Ending, reason: str) -> None:
    """What was seen from outside comes before what the child says."""
    assert judge(end).reason == reason


CHECKED = {"checked": 5, "changed": 2, "firstDate": "2004-05-03", "symbol": "AAPL", "note": "", "deterministic": True}


def checking(**seen: Any) -> Ending:
    """The end of a strategy that had handed over and was being checked on five futures."""
    return Ending(started=True, finished=True, handed_over=True, samples=5, **seen)


def found(**said: Any) -> bytes:
    """What a child says of a check."""
    return json.dumps({"lookAhead": CHECKED | said}).encode()


def test_what_a_check_found_is_in_the_document() -> None:
    """With the number of futures that were asked for."""
    document = document_of(checking(exit_code=0, said=found()))
    assert document["lookAhead"] == {
        "samples": 5,
        "checked": 5,
        "changed": 2,
        "firstDate": "2004-05-03",
        "symbol": "AAPL",
        "note": "",
        "deterministic": True,
    }
    assert document["warnings"] == []


def test_a_check_that_found_nothing_names_no_date() -> None:
    """Whatever else it says."""
    document = document_of(checking(exit_code=0, said=found(changed=0, note="the time limit left room for 2 of 5")))
    assert document["lookAhead"] == {
        "samples": 5,
        "checked": 5,
        "changed": 0,
        "firstDate": None,
        "symbol": None,
        "note": "the time limit left room for 2 of 5",
        "deterministic": True,
    }


def test_two_equal_runs_that_differ_are_a_warning() -> None:
    """The first one, and no comparison counts, whatever the child says of them."""
    document = document_of(checking(exit_code=0, said=found(deterministic=False, note="two runs differ")))
    assert document["warnings"] == [NON_DETERMINISTIC]
    assert document["lookAhead"] == {
        "samples": 5,
        "checked": 0,
        "changed": 0,
        "firstDate": None,
        "symbol": None,
        "note": "two runs differ",
        "deterministic": False,
    }


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        ({"timed_out": True, "signal": signal.SIGKILL}, "the check was ended: it took too long"),
        ({"timed_out": True, "exit_code": 0}, "the check was ended: it took too long"),
        ({"signal": signal.SIGKILL}, "the check was ended at the memory limit (SIGKILL)"),
        ({"signal": signal.SIGSEGV}, "the check was ended by SIGSEGV"),
        ({"exit_code": 3}, "the strategy ended the check with exit code 3"),
        ({"exit_code": 0}, "the strategy ended the check with exit code 0"),
        ({"exit_code": 1, "said": said("StrategyError")}, "the strategy ended the check with exit code 1"),
    ],
)
def test_positions_stay_handed_over_however_their_check_ends(seen: dict[str, Any], note: str) -> None:
    """The run is complete, and the note says why nothing was checked."""
    document = document_of(checking(**seen))
    assert (document["reason"], document["message"]) == ("Completed", "")
    assert (document["exitCode"], document["signal"]) == (0, None)
    assert (document["lookAhead"]["checked"], document["lookAhead"]["note"]) == (0, note)


def test_what_was_found_before_the_end_counts() -> None:
    """A process that crashes on its way out has said all."""
    assert document_of(checking(signal=signal.SIGSEGV, said=found()))["lookAhead"]["checked"] == 5


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (checking(signal=signal.SIGSYS, said=found()), "SyscallViolation"),
        (checking(stopped=True, signal=signal.SIGKILL), "Crashed"),
        (Ending(started=True, finished=True, samples=5, signal=signal.SIGKILL), "OutOfMemory"),
        (Ending(started=True, finished=True, samples=5, timed_out=True), "Timeout"),
        (Ending(started=True, handed_over=True, samples=5, timed_out=True), "Timeout"),
        (Ending(started=True, handed_over=True, samples=5, signal=signal.SIGKILL), "OutOfMemory"),
    ],
)
def test_what_no_check_excuses(end: Ending, reason: str) -> None:
    """A forbidden system call at any time, a word or a file alone, and the end of the whole pod."""
    document = document_of(end)
    assert document["reason"] == reason
    assert document["lookAhead"] is None


@pytest.mark.parametrize(
    "lie",
    [
        {"checked": 6},
        {"checked": -1},
        {"checked": True},
        {"checked": 5.0},
        {"changed": 6},
        {"changed": None},
        {"firstDate": "soon"},
        {"firstDate": "2004-02-30"},
        {"firstDate": None},
        {"symbol": None},
        {"symbol": ["AAPL"]},
        {"note": 1},
        {"deterministic": "no"},
    ],
)
def test_words_of_another_shape_are_no_check(lie: dict[str, Any]) -> None:
    """Nothing is taken over from them."""
    assert document_of(checking(exit_code=0, said=found(**lie)))["lookAhead"] == {
        "samples": 5,
        "checked": 0,
        "changed": 0,
        "firstDate": None,
        "symbol": None,
        "note": "the strategy ended the check with exit code 0",
        "deterministic": True,
    }


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{}", b"[" * 9999, b'{"lookAhead": []}', b'{"lookAhead": {"checked": 1}}']
)
def test_no_words_are_no_check(said: bytes) -> None:
    """Whatever stands there."""
    assert document_of(checking(exit_code=0, said=said))["lookAhead"]["checked"] == 0


@given(symbol=st.text(max_size=2000), note=st.text(max_size=2000), output=st.binary(max_size=5000))
def test_a_check_always_fits_and_is_clean(symbol: str, note: str, output: bytes) -> None:
    """Names and notes are cut, and the document stays whole."""
    document = document_of(checking(exit_code=0, said=found(symbol=symbol, note=note), output=output))
    content = encode(document)
    assert len(content) <= MAX_BYTES
    assert json.loads(content)["lookAhead"] == document["lookAhead"]
    assert not set("\n\r\x1b\u202e") & set(document["lookAhead"]["symbol"] + document["lookAhead"]["note"])


def test_the_largest_document_fits() -> None:
    """Everything at its bound at once: lines, warnings and message give way to what was found and reported."""
    document = {
        "schema": 2,
        "reason": "VendorAuthRequired",
        "message": "𝒳" * 500,
        "exitCode": None,
        "signal": "signal 35",
        "lastLines": ["𝒳" * 200] * 20,
        "seconds": {"imports": 0.1, "strategy": 0.1, "lookAhead": 0.1},
        "warnings": ["𝒳" * 160] * 8,
        "lookAhead": document_of(checking(exit_code=0, said=found(symbol="𝒳" * 64, note="𝒳" * 160)))["lookAhead"],
        "result": {"x" * 1780: 1.5},
    }
    content = json.loads(encode(document))
    assert content["lookAhead"] == document["lookAhead"]
    assert content["result"] == document["result"]


def test_what_the_child_may_say_of_itself() -> None:
    """Ends that only the supervisor can see are not among them."""
    assert "VendorAuthRequired" in REPORTED
    assert not REPORTED & {"Completed", "Timeout", "SyscallViolation", "Crashed", "ImageInvalid", "Tampered"}


def test_a_signal_without_a_name_has_its_number() -> None:
    """Real-time signals have none."""
    document = document_of(Ending(started=True, signal=35))
    assert document["signal"] == "signal 35"


@given(message=st.text(max_size=2000), output=st.binary(max_size=5000), exit_code=st.integers(0, 255))
def test_the_document_always_fits_and_is_clean(message: str, output: bytes, exit_code: int) -> None:
    """ASCII JSON within the limit, from any message and any output, with no character that could draw or hide."""
    ending = Ending(started=True, exit_code=exit_code, said=said("StrategyError", message), output=output)
    content = encode(document_of(ending))
    assert len(content) <= MAX_BYTES
    document = json.loads(content.decode("ascii"))
    assert len(document["lastLines"]) <= 20
    for text in (document["message"], *document["lastLines"]):
        assert text.isprintable() or all(character.isprintable() or character.isspace() for character in text)
        assert "\n" not in text
        assert "\x1b" not in text


def test_what_does_not_fit_is_cut_from_the_oldest_line() -> None:
    """Astral characters take twelve bytes each in ASCII JSON."""
    output = "\n".join(f"{number:02d}" + "𝒳" * 198 for number in range(20)).encode()
    content = encode(document_of(Ending(started=True, exit_code=1, said=said("StrategyError", "why"), output=output)))
    document = json.loads(content)
    assert document["message"] == "why"
    assert document["lastLines"][-1].startswith("19")
    assert len(document["lastLines"]) == 1


def test_a_message_that_does_not_fit_is_cut() -> None:
    """It is the last thing to be cut."""
    content = encode(document_of(Ending(started=True, exit_code=1, said=said("StrategyError", "𝒳" * 500))))
    assert json.loads(content)["message"] == "𝒳" * 250


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a    b"),
        ("a\nb", "a b"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x9b31m", "31m"),
        ("safe\u202etxt.exe\u200b\ufeff\u2028", "safetxt.exe"),
        ("價格 café 🙂", "價格 café 🙂"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_clean_keeps_what_can_be_seen(text: str, shown: str) -> None:
    """Escape sequences, control, format and private characters go; letters of every script stay."""
    assert clean(text, 200) == shown


def test_last_lines_are_those_with_something_to_show() -> None:
    """Empty lines and lines about the harness's own frames are left out; any line end ends a line."""
    frame = b'  File "/opt/venv/lib/finlab_sandbox/harness/child.py", line 1 in live'
    output = b"one\r\n\r\n\x1b[2K\rtwo\n" + frame + b"\nthree\xff"
    assert last_lines(output) == ["one", "two", "three\N{REPLACEMENT CHARACTER}"]
