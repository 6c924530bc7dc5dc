"""The two steps of a pod as processes on this machine, with folders in place of its mounts."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import finlab_sandbox

IMAGE = Path(finlab_sandbox.__file__).parent.parent
EVALUATION = {
    "schema": 2,
    "kind": "Positions",
    "initialCapital": 1_000_000.0,
    "feesBps": 10.0,
    "sellTaxBps": 0.0,
    "slippageBps": 0.0,
    "price": "Auto",
    "rebalance": "EveryRow",
    "allowLeverage": False,
    "periodsPerYear": 252,
    "riskFreeRate": 0.0,
    "benchmark": "EqualWeight",
}
TOLD_TOO_EARLY = """\
import os, signal
listen = signal.signal
def told(number, handler):
    signal.signal = listen
    os.kill(os.getpid(), signal.SIGTERM)
    return listen(number, handler)
signal.signal = told
"""
"""Before a step's own script: it is told to stop right before it listens for that."""
HELD_UP_AT_THE_END = """\
import os, time
collect, clock = os.waitpid, time.monotonic
def held_up(*order):
    found = collect(*order)
    if found[0]:
        time.monotonic = lambda: clock() + 1000
    return found
os.waitpid = held_up
"""
"""Before the first step's script: the harness gets no time for long when it has heard of the strategy's end."""
DIES_IMPORTING = """\
import os, signal, sys
class Deadly:
    @staticmethod
    def find_spec(name, *_):
        if name == "finlab_sandbox.harness.perform":
            os.kill(os.getpid(), signal.SIGILL)
sys.meta_path.insert(0, Deadly)
"""
"""Before the harness's own script: its child dies while it imports what a strategy needs."""
HARNESS = """\
import os, sys
sys.path.insert(0, {image!r})
from finlab_sandbox.harness import found, supervisor
from finlab_sandbox.harness.paths import Paths
found.SPARE_SECONDS, supervisor.TRACE_GRACE = {spare!r}, 10.0
os._exit(supervisor.supervise(Paths(
    code={code!r}, input={input!r}, positions={positions!r}, document={document!r}, result={result!r}
)))
"""
"""What a pod waits for seconds, a machine that does other things as well waits for longer."""
EVALUATE = """\
import sys
sys.path.insert(0, {image!r})
from finlab_sandbox.evaluate.step import Paths, evaluate
evaluate(Paths(inputs={inputs!r}, positions={positions!r}, report={report!r}), nonce={nonce!r})
"""


@dataclass(frozen=True)
class Ended:
    """How a step ended: its exit code, its output, and the document it left, if any."""

    exit_code: int
    output: bytes
    errors: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The document, which must be ASCII JSON that fits in a termination message."""
        assert len(self.content) <= 3900
        document: dict[str, Any] = json.loads(self.content.decode("ascii"))
        return document


@dataclass(frozen=True)
class Steps:
    """One run: its folder and dataset; `spare` are seconds for a look-ahead check that turns in circles."""

    folder: Path
    dataset: Path
    nonce: str = field(default="a nonce")
    spare: float = 300.0

    @property
    def code(self) -> Path:
        """The strategy."""
        return self.folder / "strategy.py"

    @property
    def positions(self) -> Path:
        """What the first step hands to the second."""
        return self.folder / "positions.bin"

    def write(self, source: str | bytes, *, timeout: float = 60, **document: Any) -> None:
        """Lay out the inputs; keywords replace fields of input.json."""
        content = dedent(source).encode() if isinstance(source, str) else source
        self.code.write_bytes(content)
        standard = {
            "schema": 2,
            "kind": "Positions",
            "params": {},
            "dataset": {"name": "prices", "path": str(self.dataset)},
            "timeoutSeconds": timeout,
            "codeSHA256": hashlib.sha256(content).hexdigest(),
            "lookAhead": {"samples": 0},
        }
        (self.folder / "input.json").write_text(json.dumps(standard | document))

    def pin(self) -> str:
        """Return what the pod's template would say of the input."""
        return hashlib.sha256((self.folder / "input.json").read_bytes()).hexdigest()

    def start(self, pinned: str | None = None, *, before: str = "") -> subprocess.Popen[bytes]:
        """Start the first step on what was written, with nothing there of a run before, after the script `before`."""
        self.positions.unlink(missing_ok=True)
        (self.folder / "document.json").unlink(missing_ok=True)
        script = HARNESS.format(
            image=str(IMAGE),
            spare=self.spare,
            code=str(self.code),
            input=str(self.folder / "input.json"),
            positions=str(self.positions),
            document=str(self.folder / "document.json"),
            result=str(self.folder / "result"),
        )
        return _python(before + script, FINLAB_INPUT_SHA256=self.pin() if pinned is None else pinned)

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the first step."""
        return _ended(process, self.folder / "document.json")

    def run(self, source: str | bytes, *, timeout: float = 60, **document: Any) -> Ended:
        """Run the first step to its end."""
        self.write(source, timeout=timeout, **document)
        return self.end(self.start())

    def evaluate(self, **evaluation: Any) -> Ended:
        """Run the second step on what the first one left; keywords replace fields of evaluation.json."""
        (self.folder / "report.json").unlink(missing_ok=True)
        dataset = {"name": "prices", "path": str(self.dataset)}
        document = EVALUATION | {"dataset": dataset} | evaluation
        (self.folder / "evaluation.json").write_text(json.dumps(document))
        script = EVALUATE.format(
            image=str(IMAGE),
            inputs=str(self.folder),
            positions=str(self.positions),
            report=str(self.folder / "report.json"),
            nonce=self.nonce,
        )
        return _ended(_python(script), self.folder / "report.json")


def _python(script: str, **variables: str) -> subprocess.Popen[bytes]:
    command, environment = [sys.executable, "-I", "-c", script], {**os.environ, **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)


def _ended(process: subprocess.Popen[bytes], document: Path) -> Ended:
    output, errors = process.communicate(timeout=120)
    content = document.read_bytes() if document.exists() else b""
    return Ended(process.returncode, output, errors.decode(), content)
