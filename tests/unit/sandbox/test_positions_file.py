"""positions.bin: what the harness writes the evaluator reads, and nothing else."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finlab_sandbox.evaluate.errors import ResultError
from finlab_sandbox.evaluate.positions import MAX_BYTES, MAX_WEIGHT, Positions, parse, read_bytes, size_of
from finlab_sandbox.harness import handover
from finlab_sandbox.harness.handover import Positions as HandedOver
from finlab_sandbox.harness.supervisor import looks_like_positions
from support.positions_format import Mutator, Reading, bits, content_of, read_plainly
from support.sandbox import IMAGE

CALENDAR = np.arange(10_000, 10_020, 2, dtype=np.int32)  # ten even days
N_SYMBOLS = 4


def read(path: Path) -> Positions:
    """Both halves of the reader."""
    return parse(read_bytes(str(path)), CALENDAR, N_SYMBOLS)


def refused(path: Path) -> ResultError:
    """The refusal of a file, which must be one."""
    with pytest.raises(ResultError) as caught:
        read(path)
    return caught.value


def outcome(path: Path) -> Reading | None:
    """What is read from a file, or None if it is refused for its content."""
    try:
        found = read(path)
    except ResultError as refusal:
        if refusal.reason != "ResultInvalid":
            raise
        return None
    return Reading(found.rows.tolist(), found.symbols.tolist(), [bits(weight) for weight in found.weights.flat])


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
    for device in ("/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"):
        assert "not a regular file" in str(refused(Path(device)))
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


def test_twenty_thousand_files_are_read_rightly_or_refused(tmp_path: Path) -> None:
    """Legal, nearly legal and wrong ones: each is refused or read, to the last bit, as a second reader reads it.

    `tests/fuzz/positions.py` does the same for millions, guided by coverage.
    """
    random = Random(4)
    mutator = Mutator(random, CALENDAR.tolist(), N_SYMBOLS)
    path = tmp_path / "positions.bin"
    accepted = 0
    content = mutator.fresh()
    for number in range(20_000):
        if number % 20 == 0:
            content = mutator.fresh()
        elif number % 4 == 0:
            content = mutator.change(mutator.fresh())
        else:
            content = mutator.change(content)
        path.write_bytes(content)
        expected = read_plainly(content, CALENDAR.tolist(), N_SYMBOLS)
        assert outcome(path) == expected, content
        accepted += expected is not None
    assert 1000 < accepted < 19_000


@pytest.mark.parametrize("mode", [[], ["--whole"]])
def test_the_fuzzer_tries_what_it_is_told_to(tmp_path: Path, mode: list[str]) -> None:
    """Both of its modes run, find legal and illegal files, and find nothing wrong."""
    pytest.importorskip("atheris")
    tests = Path(__file__).parents[2]
    command = [sys.executable, str(tests / "fuzz" / "positions.py"), "--runs=2000", f"--findings={tmp_path}", *mode]
    environment = os.environ | {"PYTHONPATH": f"{IMAGE}:{tests}"}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "2000 inputs in" in ended.stdout
    assert "'Evaluated'" in ended.stdout
    assert "'ResultInvalid'" in ended.stdout
    assert os.listdir(tmp_path) == []


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes of chance never make a file of the format, and never crash the reader."""
    path = tmp_path_factory.mktemp("out") / "positions.bin"
    path.write_bytes(content)
    assert refused(path).reason == "ResultInvalid"


def test_a_sparse_file_of_the_promised_size_is_refused(tmp_path: Path) -> None:
    """10 GB that take no room on disk, announced by a header that fits them."""
    rows = 10 * 2**30 // 8
    path = tmp_path / "positions.bin"
    with path.open("wb") as file:
        file.write(b"FLBPOS1\n" + struct.pack("<II", rows, 1))
        file.truncate(size_of(rows, 1))
    assert path.stat().st_blocks * 512 < 2**20
    assert refused(path).reason == "ResultTooLarge"


def test_the_largest_file_is_read_by_its_size(tmp_path: Path) -> None:
    """A sparse file just below the limit is read whole, and refused for what is in it; one byte more is too large."""
    columns = 4
    rows = (MAX_BYTES - 16 - 4 * columns) // (4 + 8 * columns)
    path = tmp_path / "positions.bin"
    with path.open("wb") as file:
        file.write(b"FLBPOS1\n" + struct.pack("<II", rows, columns))
        file.truncate(size_of(rows, columns))
    assert "do not fit" in str(refused(path))
    os.truncate(path, MAX_BYTES)
    assert refused(path).reason == "ResultInvalid"
    os.truncate(path, MAX_BYTES + 1)
    assert refused(path).reason == "ResultTooLarge"


def test_a_file_that_changes_all_the_while_is_read_rightly_or_refused(tmp_path: Path) -> None:
    """Another process grows it, cuts it and renames others over it, until a thousand readings were refused."""
    path, other = tmp_path / "positions.bin", tmp_path / "other"
    one, two = content_of(), content_of(weights=(0.25, 0.25, 0.25, 0.25))
    path.write_bytes(one)
    script = f"""
import os
one, two, path, other = {one!r}, {two!r}, {str(path)!r}, {str(other)!r}
while True:
    for content in (one, two):
        for size in (len(content) - 8, len(content) + 8, len(content)):
            with open(path, "r+b") as file:
                file.truncate(size)
        with open(other, "wb") as file:
            file.write(content)
        os.rename(other, path)
"""
    written = (one, two, one[:-8] + bytes(8), two[:-8] + bytes(8))
    legal = [None, *(read_plainly(content, CALENDAR.tolist(), N_SYMBOLS) for content in written)]
    with subprocess.Popen([sys.executable, "-c", script]) as writer:
        try:
            refusals = 0
            while refusals < 1000:
                found = outcome(path)
                assert found in legal
                refusals += found is None
        finally:
            writer.kill()
