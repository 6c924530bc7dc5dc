"""Text that a pod wrote, on its way to a status or a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategyrun.domain.text import LINE_LIMIT, LINES_LIMIT, clean, last_lines
from support.builders import hostile_text

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("dirty", "cleaned"),
    [
        pytest.param("KeyError: 'Close'", "KeyError: 'Close'", id="plain"),
        pytest.param("收盤價 ≥ 均線 📈", "收盤價 ≥ 均線 📈", id="chinese-and-emoji"),
        pytest.param("\x1b[1;31mred\x1b[0m", "red", id="ansi-colour"),
        pytest.param("\x1b]0;owned\x07title", "title", id="ansi-window-title"),
        pytest.param("\x1b]8;;http://x\x1b\\link", "link", id="ansi-hyperlink"),
        pytest.param("a\x1bc", "ac", id="lone-escape"),
        pytest.param("a\x9b31mb", "a31mb", id="eight-bit-control"),
        pytest.param("one\ttwo\r\nthree", "one two  three", id="tab-and-newline"),
        pytest.param("nul\x00byte", "nulbyte", id="nul"),
        pytest.param("abc\u202etxt.exe", "abctxt.exe", id="bidi-override"),
        pytest.param("\u2066isolate\u2069\u200b", "isolate", id="isolates-and-zero-width"),
        pytest.param("half\ud800pair", "halfpair", id="surrogate"),
        pytest.param("a\u2028b\u2029c", "abc", id="line-separators"),
        pytest.param("\ue000\U0010ffff", "", id="private-and-unassigned"),
    ],
)
def test_cleans(dirty: str, cleaned: str) -> None:
    """One printable line is left."""
    assert clean(dirty) == cleaned


@given(hostile_text, st.integers(8, 600))
def test_what_is_cleaned_is_printable_and_fits(text: str, limit: int) -> None:
    """No hidden character is left, and a JSON document has room for it."""
    cleaned = clean(text, limit)
    assert not {unicodedata.category(character) for character in cleaned} & HIDDEN
    assert len(json.dumps(cleaned, ensure_ascii=False).encode()) - 2 <= limit


@given(hostile_text, st.integers(8, 600))
def test_cleaning_twice_changes_nothing(text: str, limit: int) -> None:
    """A status that is computed again from its own text stays the same."""
    once = clean(text, limit)
    assert clean(once, limit) == once


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        pytest.param("x" * 8, 8, "x" * 8, id="fits"),
        pytest.param("x" * 9, 8, "xxxxx…", id="ascii"),
        pytest.param("價價價", 8, "價…", id="three-bytes-each"),
        pytest.param('""""""""', 8, '""…', id="escaped-in-json"),
    ],
)
def test_cuts_by_bytes_and_says_so(text: str, limit: int, cut: str) -> None:
    """A limit counts what the document needs; an ellipsis tells that something is missing."""
    assert clean(text, limit) == cut


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    """The cost of cleaning follows the limit and not the text: escapes are taken out of its beginning alone."""
    assert clean("\x1b[0m" * 10_000_000 + "end", 100) == ""


def test_last_lines_are_the_last_that_say_something() -> None:
    """Blank lines go, order stays, at most 20 are kept."""
    lines = last_lines("\n".join(f"line {number}\n \x1b[0m\t" for number in range(30)))
    assert lines == tuple(f"line {number}" for number in range(10, 30))


def test_a_progress_bar_leaves_its_last_states() -> None:
    """A carriage return begins a line."""
    assert last_lines("10%\r20%\r30%\n") == ("10%", "20%", "30%")


@given(hostile_text)
def test_last_lines_are_bounded(text: str) -> None:
    """Twenty lines of 200 bytes, whatever was printed."""
    lines = last_lines(text * 20)
    assert len(lines) <= LINES_LIMIT
    assert all(0 < len(line.encode()) <= LINE_LIMIT for line in lines)
