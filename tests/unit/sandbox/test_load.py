"""The dataset loader as the pod runs it: what it finds, what it says, what it leaves."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finlab_sandbox.load import document
from finlab_sandbox.load.guard import FAULT, CrashError, guarded
from finlab_sandbox.load.problems import LoadError
from finlab_sandbox.load.source import find, symbol_of
from support.sandbox import IMAGE, TOLD_TOO_EARLY
from support.waiting import wait_until

LOAD = """\
import os, sys
sys.path.insert(0, {image!r})
from finlab_sandbox.load.step import Paths, load
sys.modules["pandas"] = None  # importing it fails, and with it the step
sys.exit(load(Paths(source={source!r}, data={data!r}, document={document!r}), {path!r}))
"""
TABLE = "date,symbol,close\n2020-01-02,AAPL,1.5\n2020-01-03,AAPL,2\n"


class Loader:
    """The step as a process, with folders in place of the pod's mounts."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.data = folder / "data"
        self.document = folder / "document.json"
        self.source.mkdir()

    def run(self, path: str = "") -> tuple[int, dict[str, Any]]:
        """Exit code and document."""
        script = LOAD.format(
            image=str(IMAGE), source=str(self.source), data=str(self.data), document=str(self.document), path=path
        )
        ended = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, check=False, timeout=120)
        content = self.document.read_bytes() if self.document.exists() else b"{}"
        assert len(content) <= document.MAX_BYTES
        return ended.returncode, json.loads(content.decode("ascii"))

    def message(self, reason: str, path: str = "") -> str:
        """The words for a dataset that is refused for this reason."""
        code, told = self.run(path)
        assert (code, told["reason"]) == (1, reason)
        assert not (self.data / "manifest.json").exists()
        return str(told["message"])


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """A loader with an empty source."""
    return Loader(tmp_path)


def test_a_table_becomes_a_dataset_without_pandas(loader: Loader) -> None:
    """Exit code 0, a document with what was loaded, and a directory that every user of the pod may read."""
    (loader.source / "prices.csv").write_text(TABLE)
    code, told = loader.run()
    assert (code, told.pop("seconds") > 0) == (0, True)
    assert told == {
        "schema": 1,
        "reason": "Loaded",
        "message": "2 rows: 1 symbols, 2 dates from 2020-01-02 to 2020-01-03, fields close",
    }
    assert {file.name for file in loader.data.iterdir()} == {"manifest.json", "dates.npy", "close.npy"}
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in loader.data.iterdir())


def test_a_bad_table_ends_with_exit_code_1_and_the_words(loader: Loader) -> None:
    """The operator reads the reason from the document alone."""
    (loader.source / "prices.csv").write_text(TABLE + "2020-01-06,AAPL,x\n")
    assert loader.message("DataInvalid") == "prices.csv, line 4, column close: 'x' is no number"


def test_a_table_that_grows_beyond_the_memory_is_refused_by_name(loader: Loader) -> None:
    """Two thousand times the same million letters: kilobytes in the file, more than a gigabyte when it is read."""
    columns = {"date": pa.array(range(100), pa.int32()).cast(pa.date32()), "symbol": ["A" * 1_000_000] * 100}
    part = pa.record_batch(columns | {"close": pa.array([1.0] * 100)})
    path = loader.source / "prices.parquet"
    encoding = {"symbol": "DELTA_BYTE_ARRAY"}
    options: dict[str, Any] = {"use_dictionary": False, "column_encoding": encoding, "write_statistics": False}
    with pq.ParquetWriter(path, part.schema, **options) as writer:
        for _ in range(20):
            writer.write_batch(part)
    assert path.stat().st_size < 40_000_000
    assert loader.message("DataInvalid") == "prices.parquet needs more than 1536 MiB of memory to be read"


def test_a_fault_of_the_step_leaves_no_document(loader: Loader) -> None:
    """What is not about the content ends the process without a word, so that nobody blames the data."""
    (loader.source / "prices.csv").write_text(TABLE)
    loader.data.write_text("a file where the folder should be")
    code, told = loader.run()
    assert (code, told) == (2, {})


def test_a_crash_of_native_code_is_blamed_on_the_file_that_was_read(capfd: pytest.CaptureFixture[str]) -> None:
    """A signal that ends the reading becomes words; one that is about no file is a fault of the step."""

    def crash(file: str) -> Callable[[Callable[[str], None]], int]:
        def work(reading: Callable[[str], None]) -> int:
            reading("b.csv")
            reading(file)
            signal.raise_signal(signal.SIGKILL)
            return 0

        return work

    with pytest.raises(CrashError, match=r"SIGKILL while it read 'a\.parquet'") as caught:
        guarded(crash("a.parquet"))
    assert (caught.value.file, caught.value.signal) == ("a.parquet", "SIGKILL")
    assert guarded(crash("")) == FAULT
    assert capfd.readouterr().err == "the loader was ended by SIGKILL\n"


def test_the_keys_of_a_configmap(loader: Loader) -> None:
    """The kubelet mounts keys as links through `..data`; each is read once, under the key's name."""
    version = loader.source / "..2026_01_01"
    version.mkdir()
    (version / "prices").write_text(TABLE)
    (loader.source / "..data").symlink_to("..2026_01_01")
    (loader.source / "prices").symlink_to("..data/prices")
    assert loader.run()[0] == 0
    manifest = json.loads((loader.data / "manifest.json").read_text())
    assert (manifest["source"], manifest["rows"]) == ("prices", 2)
    assert loader.run("prices")[0] == 0


@pytest.mark.parametrize("path", ["tables", "tables/", "tables/2020.csv"])
def test_a_path_below_the_source(loader: Loader, path: str) -> None:
    """A folder or one file; what lies beside it is not read."""
    (loader.source / "tables").mkdir()
    (loader.source / "tables" / "2020.csv").write_text(TABLE)
    (loader.source / "other.csv").write_text("nothing of this kind")
    assert loader.run(path)[0] == 0
    assert json.loads((loader.data / "manifest.json").read_text())["source"] == "2020.csv"


@pytest.mark.parametrize("path", ["../other", "/etc/passwd", "tables/../../other", "a/..", "\0"])
def test_a_path_out_of_the_source_is_refused(tmp_path: Path, path: str) -> None:
    """Whatever lies there."""
    (tmp_path / "tables").mkdir()
    with pytest.raises(LoadError, match="leads out of the dataset's volume") as caught:
        find(str(tmp_path), path)
    assert caught.value.reason == "DataInvalid"


@pytest.mark.parametrize("target", ["/etc/passwd", "../other.csv", "/etc"])
@pytest.mark.parametrize("path", ["", "prices.csv"])
def test_a_link_out_of_the_source_is_refused(loader: Loader, target: str, path: str) -> None:
    """As the chosen path, and inside the chosen folder."""
    (loader.source.parent / "other.csv").write_text(TABLE)
    (loader.source / "prices.csv").symlink_to(target)
    assert loader.message("DataInvalid", path) == "prices.csv is a link that leads out of the dataset's volume"


def test_links_in_a_circle_end(loader: Loader) -> None:
    """A folder that contains itself, and a link to itself."""
    (loader.source / "years").mkdir()
    (loader.source / "years" / "again").symlink_to(".")
    assert "folders deep" in loader.message("DataInvalid")
    (loader.source / "years" / "again").unlink()
    (loader.source / "years" / "loop.csv").symlink_to("loop.csv")
    assert "cannot be opened" in loader.message("DataInvalid")


def test_a_pipe_is_no_table(loader: Loader) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(loader.source / "prices.csv")
    assert loader.message("DataInvalid") == "prices.csv is no regular file"


def test_nothing_to_read_is_data_missing(loader: Loader) -> None:
    """The message lists what there was."""
    assert loader.message("DataMissing") == "the dataset has no tables; there is: nothing"
    (loader.source / "README.md").write_text("words")
    assert loader.message("DataMissing") == "the dataset has no tables; there is: README.md"
    (loader.source / "prices.csv").write_text(TABLE)
    expected = "the dataset has no 'price.csv'; there is: README.md, prices.csv"
    assert loader.message("DataMissing", "price.csv") == expected
    assert loader.message("DataMissing", "no/such/folder") == "the dataset has no 'no/such/folder'; there is: nothing"
    loader.source.rename(loader.source.parent / "gone")
    assert loader.message("DataMissing") == "the dataset's volume is not there"


def test_companions_of_tables_are_no_tables(loader: Loader) -> None:
    """Hidden files, what says who made the tables, and what a file system keeps at its root."""
    for name in [".hidden.csv", "README", "readme.txt", "LICENSE", "License.md", "notes.md", "lost+found/x", ".git/x"]:
        file = loader.source / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("not a table")
    (loader.source / "prices.csv").write_text(TABLE)
    assert loader.run()[0] == 0


@pytest.mark.parametrize("name", ["prices.xlsx", "prices.json", "prices.json.gz", "prices.pkl", "PRICES.ZIP"])
def test_other_kinds_of_files_are_refused(loader: Loader, name: str) -> None:
    """A dataset with a file that would be passed over is not what its owner thinks."""
    (loader.source / "prices.csv").write_text(TABLE)
    (loader.source / name).write_text(TABLE)
    assert loader.message("DataInvalid").startswith(f"{name} is of a kind that is not read")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("2330.csv", "2330"),
        ("nyse/BRK.B.csv.gz", "BRK.B"),
        ("0050.TW", "0050.TW"),
        ("AAPL.Parquet.GZ", "AAPL"),
        ("NA", "NA"),
        (".csv", ".csv"),
    ],
)
def test_the_symbol_in_a_files_name(name: str, symbol: str) -> None:
    """Only the suffixes of tables are taken off: symbols have dots too."""
    assert symbol_of(name) == symbol


def test_the_hash_is_what_sha256sum_says(loader: Loader) -> None:
    """Of the lines that sha256sum prints for the files, so that anyone can compute it."""
    (loader.source / "b").mkdir()
    files = {"a.csv": TABLE, "b/2021.csv": TABLE.replace("2020", "2021")}
    for name, content in files.items():
        (loader.source / name).write_text(content)
    assert loader.run()[0] == 0
    lines = "".join(f"{hashlib.sha256(content.encode()).hexdigest()}  {name}\n" for name, content in files.items())
    manifest = json.loads((loader.data / "manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_equal_sources_give_equal_directories(tmp_path: Path) -> None:
    """Bit for bit, in whatever order the file system lists the files."""
    contents = []
    for run, names in enumerate((["b.csv", "a.csv"], ["a.csv", "b.csv"])):
        (tmp_path / str(run)).mkdir()
        loader = Loader(tmp_path / str(run))
        for name in names:
            (loader.source / name).write_text(TABLE.replace("AAPL", name[0].upper()))
        assert loader.run()[0] == 0
        contents.append({file.name: file.read_bytes() for file in loader.data.iterdir()})
    assert contents[0] == contents[1]


def test_a_document_fits_in_a_termination_message() -> None:
    """Whatever its message: ASCII, without control characters, at most 3900 bytes."""
    content = document.encode("DataInvalid", "\x1b[31m" + "價" * 5000, 1.23456)
    told = json.loads(content.decode("ascii"))
    assert len(content) <= document.MAX_BYTES
    assert told["message"].startswith("\ufffd[31m價")
    assert told["message"].endswith("…")
    assert told["seconds"] == 1.2346


def test_a_step_that_is_told_to_stop_says_so_by_its_exit_code() -> None:
    """At once, and with the child that reads: a pod that is taken away says nothing of the data."""
    with endless() as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    wait_until("the child is gone", lambda: Path(f"/proc/{child}").exists(), lambda there: not there)


def test_a_step_that_is_told_to_stop_before_it_listens_has_heard_it() -> None:
    """The signal waits: the first process of a pod would never hear of one that came too early."""
    with endless(before=TOLD_TOO_EARLY) as process:
        assert process.wait(60) == 128 + signal.SIGTERM


@contextmanager
def endless(before: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A guarded reading without an end, after the script `before`; the process that reads prints its id."""
    script = f"""\
{before}
import os, sys, time
sys.path.insert(0, {str(IMAGE)!r})
from finlab_sandbox.load.guard import guarded
guarded(lambda reading: print(os.getpid(), flush=True) or time.sleep(600) or 0)
"""
    with subprocess.Popen([sys.executable, "-I", "-c", script], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
