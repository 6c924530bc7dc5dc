"""Fuzzes the reader of positions.bin, and the whole evaluation behind it, guided by the coverage of the evaluator.

    PYTHONPATH=image:tests .venv/bin/python tests/fuzz/positions.py --runs 1000000
    PYTHONPATH=image:tests .venv/bin/python tests/fuzz/positions.py --whole --runs 100000

Every input becomes a file. What the reader accepts must be, to the last bit, what a second reader finds in it with
nothing but the format's description; what that one refuses must be refused. With --whole each file is evaluated to its
end, and the report must be one that the operator can take: finite numbers, few enough bytes, a printed document of the
announced size and hash. The first crash, hang or accepted lie ends the run with exit code 1 or more and leaves the
input in the folder --findings. Prints how many inputs were tried, how many of them were accepted, and how long it took.
"""

import argparse
import gzip
import hashlib
import json
import os
import sys
import time
from base64 import b64decode
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
import numpy as np

from support.positions_format import Mutator, Reading, bits, content_of, read_plainly
from support.sandbox import EVALUATION

with atheris.instrument_imports(include=["finlab_sandbox.evaluate"]):
    from finlab_sandbox.evaluate import positions as reader
    from finlab_sandbox.evaluate import verdict  # noqa: F401 - the step imports it late, when nothing is instrumented
    from finlab_sandbox.evaluate.errors import ResultError
    from finlab_sandbox.evaluate.step import Paths, evaluate

DAYS = list(range(10_000, 10_020, 2))
SYMBOLS = ["A", "B", "C", "D"]
MAX_INPUT_BYTES = 1024
TOLD_EVERY = 100_000


class LieError(AssertionError):
    """The evaluator said something that the input does not."""


class Target:
    """What is done with each input, and how often."""

    def __init__(self, folder: Path, *, runs: int, whole: bool) -> None:
        self._folder = folder
        self._runs = runs
        self._whole = whole
        self._calendar = np.array(DAYS, dtype=np.int32)
        self._positions = folder / "positions.bin"
        self._output = os.open(folder / "output", os.O_RDWR | os.O_CREAT)
        self._started = time.monotonic()
        self.tried: Counter[str] = Counter()
        (folder / "strategy.py").write_text("")
        (folder / "input.json").write_text("{}")
        dataset = {"name": "prices", "path": str(folder / "prices")}
        (folder / "evaluation.json").write_text(json.dumps(EVALUATION | {"dataset": dataset}))
        write_dataset(folder / "prices")

    def __call__(self, content: bytes) -> None:
        """Try one input."""
        with self._positions.open("wb") as file:
            file.write(content)
        expected = read_plainly(content, DAYS, len(SYMBOLS))
        reason = self._evaluate() if self._whole else self._read(expected)
        if (expected is not None) != (reason == "Evaluated"):
            raise LieError(f"the reader said {reason}; by the format it is {expected}")
        self.tried[reason] += 1
        tried = self.tried.total()
        if tried % TOLD_EVERY == 0 or tried == self._runs:
            seconds = time.monotonic() - self._started
            sys.stdout.write(f"{tried} inputs in {seconds:.0f} s, {tried / seconds:.0f} a second: {dict(self.tried)}\n")
            sys.stdout.flush()

    def _read(self, expected: Reading | None) -> str:
        try:
            found = reader.parse(reader.read_bytes(str(self._positions)), self._calendar, len(SYMBOLS))
        except ResultError as error:
            return error.reason
        read = Reading(found.rows.tolist(), found.symbols.tolist(), [bits(weight) for weight in found.weights.flat])
        if read != expected:
            raise LieError(f"read {read}, written {expected}")
        return "Evaluated"

    def _evaluate(self) -> str:
        report = self._folder / "report.json"
        os.ftruncate(self._output, 0)
        os.lseek(self._output, 0, os.SEEK_SET)
        evaluate(Paths(str(self._folder), str(self._positions), str(report), self._output), nonce="n")
        content = report.read_bytes()
        document = json.loads(content, parse_constant=refuse_constant)
        if len(content) > 3900:
            raise LieError(f"a report of {len(content)} bytes")
        os.lseek(self._output, 0, os.SEEK_SET)
        check_printed(os.read(self._output, 1 << 20), document)
        reason: str = document["reason"]
        return reason


def check_printed(printed: bytes, document: dict[str, object]) -> None:
    """The printed document is whole, and the one that the report names."""
    hashes = document["hashes"]
    assert isinstance(hashes, dict)
    if document["reason"] != "Evaluated":
        if printed:
            raise LieError("a document without a score")
        return
    title, _, body = printed.partition(b"\n")
    content = b64decode(body)
    digest = hashlib.sha256(content).hexdigest()
    if title != b"FINLAB-REPORT 1 %d %s" % (len(content), digest.encode()) or hashes["report"] != digest:
        raise LieError(f"printed {title!r} over {len(content)} bytes of {digest}")
    shown = json.loads(gzip.decompress(content), parse_constant=refuse_constant)
    if len(shown["dates"]) != len(DAYS):
        raise LieError("days are missing")


def refuse_constant(name: str) -> float:
    """Nothing in a report is NaN or infinite."""
    raise LieError(f"a number is {name}")


def write_dataset(directory: Path) -> None:
    """Four symbols on ten days: one all along, one that starts late, one that ends early, one with a gap."""
    directory.mkdir()
    nan = np.nan
    prices = np.array(
        [
            [1.0, 1.5, 2.0, 1.0, 0.5, 0.25, 4.0, 4.0, 4.0, 5.0],
            [nan, nan, nan, 1.0, 2.0, 3.0, 2.0, 2.5, 2.0, 1.0],
            [7.0, 7.0, 8.0, 9.0, 6.0, nan, nan, nan, nan, nan],
            [3.0, 3.5, nan, nan, 3.0, 9.0, 8.0, nan, 7.0, 6.0],
        ]
    ).T
    np.save(directory / "dates.npy", np.array(DAYS).astype("datetime64[D]"))
    np.save(directory / "close.npy", prices)
    manifest = {"schema": 1, "symbols": SYMBOLS, "fields": ["close"], "sha256": "0" * 64, "rows": 40}
    (directory / "manifest.json").write_text(json.dumps(manifest))


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Mostly by the structure of the format, at times by chance alone, at times from a legal file."""
    random = Random(seed)
    if random.random() < 0.2:
        blind: bytes = atheris.Mutate(data, max_size)
        return blind
    mutator = Mutator(random, DAYS, len(SYMBOLS))
    content = mutator.fresh() if random.random() < 0.15 else data
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        content = mutator.change(content)
    return content[:max_size]


def main() -> None:
    """Run until the inputs are used up or one of them breaks something."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--runs", type=int, default=1_000_000, help="how many inputs (default: 1000000)")
    arguments.add_argument("--whole", action="store_true", help="evaluate each input to its end")
    arguments.add_argument("--seed", type=int, default=1, help="of libFuzzer (default: 1)")
    arguments.add_argument("--findings", type=Path, default=Path("findings"), help="where a bad input is left")
    options = arguments.parse_args()
    options.findings.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        (corpus / "legal").write_bytes(content_of())
        target = Target(Path(folder), runs=options.runs, whole=options.whole)
        flags = [
            f"-runs={options.runs}",
            f"-seed={options.seed}",
            f"-max_len={MAX_INPUT_BYTES}",
            "-timeout=10",
            "-rss_limit_mb=4096",  # the instrumentation itself grows by about 1 GB in a million whole evaluations
            "-print_final_stats=1",
            f"-artifact_prefix={options.findings}/",
            str(corpus),
        ]
        atheris.Setup([sys.argv[0], *flags], target, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
