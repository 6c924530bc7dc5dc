"""From what is seen of a child's end to the document."""

import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finlab_sandbox.harness.ending import Ending, document_of, judge
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
        pytest.param(Ending(signal=signal.SIGKILL), "OutOfMemory", id="killed-while-importing"),
        pytest.param(Ending(started=True, signal=signal.SIGSYS), "SyscallViolation", id="sigsys"),
        pytest.param(Ending(signal=signal.SIGSYS), "ImageInvalid", id="sigsys-while-importing"),
        pytest.param(Ending(started=True, signal=signal.SIGSEGV), "Crashed", id="segv"),
        pytest.param(Ending(exit_code=1, said=said("DataMissing")), "DataMissing", id="no-dataset"),
        pytest.param(Ending(exit_code=1, said=said("ImageInvalid")), "ImageInvalid", id="bad-inputs"),
        pytest.param(Ending(exit_code=1), "ImageInvalid", id="silent-before-start"),
        pytest.param(Ending(started=True, stopped=True, signal=signal.SIGKILL), "Crashed", id="told-to-stop"),
    ],
)
def test_what_is_seen_decides(end: Ending, reason: str) -> None:
    """What was seen from outside comes before what the child says."""
    assert judge(end)[0] == reason


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
