"""positions.bin: what the harness writes the evaluator reads, and nothing else."""

import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.positions import MAX_BYTES, MAX_WEIGHT, Positions, parse, read_bytes, size_of
from finlab_sandbox.harness import handover
from finlab_sandbox.harness.result import Positions as HandedOver
from finlab_sandbox.harness.supervisor import looks_like_positions

CALENDAR = np.arange(10_000, 10_020, 2, dtype=np.int32)  # ten even days
N_SYMBOLS = 4


def content_of(
    dates: tuple[int, ...] = (10_000, 10_004),
    symbols: tuple[int, ...] = (0, 2),
    weights: tuple[float, ...] = (0.5, 0.5, 1.0, 0.0),
    magic: bytes = b"FLBPOS1\n",
) -> bytes:
    """A file's bytes, written by hand from the format's description."""
    return (
        magic
        + struct.pack("<II", len(dates), len(symbols))
        + struct.pack(f"<{len(dates)}i{len(symbols)}i{len(weights)}d", *dates, *symbols, *weights)
    )


def read(path: Path) -> Positions:
    """Both halves of the reader."""
    return parse(read_bytes(str(path)), CALENDAR, N_SYMBOLS)


def refused(path: Path) -> ResultError:
    """The refusal of a file, which must be one."""
    with pytest.raises(ResultError) as caught:
        read(path)
    return caught.value


@given(data=st.data())
def test_what_is_written_is_read(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A round trip through a file keeps dates, symbols and every weight, NaN included."""
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 9), min_size=1))))
    symbols = np.array(sorted(data.draw(st.sets(st.integers(0, 3), min_size=1))))
    finite = st.floats(-MAX_WEIGHT, MAX_WEIGHT) | st.just(np.nan)
    weights = data.draw(arrays(np.float64, (len(rows), len(symbols)), elements=finite))
    path = tmp_path_factory.mktemp("out") / "positions.bin"
    handover.write(str(path), HandedOver(CALENDAR[rows], symbols.astype(np.int32), weights))
    assert looks_like_positions(str(path))
    found = read(path)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.symbols, symbols)
    np.testing.assert_array_equal(found.weights, weights)


def test_the_format_is_as_documented(tmp_path: Path) -> None:
    """The writer's bytes are those of the description."""
    path = tmp_path / "positions.bin"
    handover.write(
        str(path), HandedOver(np.array([10_000, 10_004]), np.array([0, 2]), np.array([[0.5, 0.5], [1.0, 0.0]]))
    )
    assert path.read_bytes() == content_of()


def test_a_half_written_file_is_never_seen(tmp_path: Path) -> None:
    """What was left of an earlier attempt is in nobody's way."""
    (tmp_path / "positions.bin.part").symlink_to("/dev/full")
    path = tmp_path / "positions.bin"
    handover.write(str(path), HandedOver(np.array([10_000]), np.array([0]), np.array([[1.0]])))
    assert os.listdir(tmp_path) == ["positions.bin"]


def test_no_file_is_result_missing(tmp_path: Path) -> None:
    """Nothing there is a reason of its own."""
    assert refused(tmp_path / "positions.bin").reason == "ResultMissing"


def test_links_and_special_files_are_refused(tmp_path: Path) -> None:
    """Only a plain file with one name is opened for reading, and opening never waits."""
    real = tmp_path / "real"
    real.write_bytes(content_of())
    (tmp_path / "symbolic").symlink_to(real)
    assert "symbolic link" in str(refused(tmp_path / "symbolic"))
    (tmp_path / "dangling").symlink_to("nowhere")
    assert "symbolic link" in str(refused(tmp_path / "dangling"))
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in str(refused(tmp_path / "fifo"))
    (tmp_path / "directory").mkdir()
    assert "not a regular file" in str(refused(tmp_path / "directory"))
    assert "not a regular file" in str(refused(Path("/dev/zero")))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert refused(tmp_path / "socket").reason == "ResultInvalid"
    (tmp_path / "second name").hardlink_to(real)
    assert "2 links" in str(refused(real))


def test_an_unreadable_file_is_invalid(tmp_path: Path) -> None:
    """A file that cannot be opened for any other cause is the strategy's doing too."""
    path = tmp_path / ("x" * 300)
    assert str(refused(path)) == "the positions file cannot be opened: ENAMETOOLONG"


def test_an_oversized_file_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    """The limit holds before anything is read: the file is sparse and far larger than memory."""
    path = tmp_path / "positions.bin"
    with path.open("wb") as file:
        file.write(content_of())
        file.truncate(1 << 42)
    assert refused(path).reason == "ResultTooLarge"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "header", id="empty"),
        pytest.param(b"FLBPOS1\n", "header", id="only-magic"),
        pytest.param(content_of(magic=b"FLBPOS2\n"), "header", id="other-magic"),
        pytest.param(content_of()[:-1], "header says", id="truncated"),
        pytest.param(content_of() + b"\0", "header says", id="longer"),
        pytest.param(b"FLBPOS1\n" + struct.pack("<II", 2**32 - 1, 2**32 - 1), "header says", id="huge-promise"),
        pytest.param(content_of((), (), ()), "do not fit", id="no-dates-no-symbols"),
        pytest.param(content_of((10_000,), (), ()), "do not fit", id="no-symbols"),
        pytest.param(content_of(symbols=(0, 1, 2, 3, 4), weights=(0.0,) * 10), "do not fit", id="too-many-symbols"),
        pytest.param(content_of(tuple(range(10_000, 10_011)), (0,), (0.0,) * 11), "do not fit", id="too-many-dates"),
        pytest.param(content_of(dates=(10_004, 10_000)), "increasing", id="dates-unsorted"),
        pytest.param(content_of(dates=(10_000, 10_000)), "increasing", id="dates-twice"),
        pytest.param(content_of(symbols=(2, 0)), "increasing", id="symbols-unsorted"),
        pytest.param(content_of(symbols=(0, 0)), "increasing", id="symbols-twice"),
        pytest.param(content_of(symbols=(-1, 0)), "outside", id="symbol-negative"),
        pytest.param(content_of(symbols=(0, 4)), "outside", id="symbol-beyond"),
        pytest.param(content_of(dates=(10_000, 10_003)), "not in the dataset", id="date-between"),
        pytest.param(content_of(dates=(-5, 10_000)), "not in the dataset", id="date-before"),
        pytest.param(content_of(dates=(10_000, 2**31 - 1)), "not in the dataset", id="date-after"),
        pytest.param(content_of(weights=(0.5, float("inf"), 1.0, 0.0)), "infinite", id="inf"),
        pytest.param(content_of(weights=(0.5, -1e308, 1.0, 0.0)), "larger than", id="huge-weight"),
    ],
)
def test_a_file_that_is_not_as_described_is_invalid(tmp_path: Path, content: bytes, message: str) -> None:
    """Each rule of the format has a refusal that names it."""
    path = tmp_path / "positions.bin"
    path.write_bytes(content)
    refusal = refused(path)
    assert refusal.reason == "ResultInvalid"
    assert message in str(refusal)


@given(
    content=st.binary(max_size=200)
    | st.builds(
        lambda content, at, byte: content[:at] + bytes([byte]) + content[at + 1 :],
        st.just(content_of()),
        st.integers(0, len(content_of()) - 1),
        st.integers(0, 255),
    )
)
def test_any_bytes_are_read_rightly_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No bytes crash the reader, and what it accepts keeps every promise that the engine relies on."""
    path = tmp_path_factory.mktemp("out") / "positions.bin"
    path.write_bytes(content)
    try:
        found = read(path)
    except ResultError:
        return
    assert looks_like_positions(str(path))
    assert size_of(len(found.rows), len(found.symbols)) == len(content) <= MAX_BYTES
    assert (np.diff(found.rows) > 0).all()
    assert (np.diff(found.symbols) > 0).all()
    assert found.rows[0] >= 0
    assert found.rows[-1] < len(CALENDAR)
    assert found.symbols[0] >= 0
    assert found.symbols[-1] < N_SYMBOLS
    assert found.weights.shape == (len(found.rows), len(found.symbols))
    assert (np.isnan(found.weights) | (np.abs(found.weights) <= MAX_WEIGHT)).all()
