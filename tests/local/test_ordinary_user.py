"""Local runs as an ordinary user, who has no cgroup, no second user and no capability: the same answers."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from abuse.cases import CASES
from support.attacks import assert_ends_right, attack
from support.cluster import CHECKOUT
from support.endings import QUICK
from support.local import LocalRun, in_boxes, manifest, run_local, sandbox_python
from support.ordinary import USER, as_ordinary_user

Run = Callable[..., LocalRun]
SAMPLE = CHECKOUT / "manifests" / "samples" / "turtle.yaml"
GOLDEN = json.loads((CHECKOUT / "tests/cluster/golden/samples.json").read_text())
ATTACKS = (
    *("K01 user namespace by unshare", "K07 become root", "I03 other processes and networks", "I07 secret of the node"),
    *("N01 TCP to a listener and to the API server", "R02 thread bomb", "R05 shared memory filled"),
    *("R05 hand-over filled", "R15 allocates beyond all", "F04 library patched"),
)
HELD = """\
import mmap, time
kept = [mmap.mmap(-1, 1 << 28) for _ in range(9)]
for each in kept:
    each.write(bytes(1 << 28))
time.sleep(30)
"""
"""Shared memory, still held when somebody looks."""
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "import time\nwhile True: time.sleep(1)": ("Timeout", {"timeoutSeconds": 3}),
    "import numpy\nkept = [numpy.ones(1 << 25) for _ in range(64)]": ("OutOfMemory", {}),
    HELD: ("OutOfMemory", {}),
    "open('/out/large', 'wb').write(bytes(1 << 27))": ("DiskLimit", {}),
}
BURST = """\
import mmap
kept = []
try:
    for _ in range(64):
        kept.append(mmap.mmap(-1, 1 << 28))
except OSError:
    print("RESULT", '{"pieces": %d}' % len(kept))
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder of the user's own, which root's folders of tests are not."""
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        if os.geteuid() == 0:
            os.chown(name, USER, USER)
        yield Path(name)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Run the command as an ordinary user, with a cache and temporary files of its own."""
    python = sandbox_python()
    assert python is not None
    needed = [CHECKOUT, *(Path(each) for each in (sys.prefix, sys.base_prefix)), python.resolve().parents[1]]
    before = as_ordinary_user([*dict.fromkeys([*needed, python.parents[1]])], folder)

    def run(file: Path, *arguments: str) -> LocalRun:
        return run_local(
            file,
            *("--engine", "bubblewrap", *arguments),
            before=before,
            TMPDIR=str(folder),
            HOME=str(folder),
            FINLAB_SANDBOX_CACHE=str(folder / "cache"),
            FINLAB_SANDBOX_PYTHON=str(python),
        )

    return run


def test_a_sample_scores_as_in_the_cluster(run: Run, folder: Path) -> None:
    """To the last bit; what is weaker is said."""
    found = run(SAMPLE)
    assert found.exit_code == 0, found.told
    assert found.status["metrics"] == GOLDEN[SAMPLE.stem]
    assert "the same user of this machine" in found.told
    assert not in_boxes(folder)


@pytest.mark.parametrize("source", ENDS)
def test_limits_hold_without_a_cgroup(run: Run, folder: Path, source: str) -> None:
    """Memory by somebody who watches, scratch space by its size, time by the harness."""
    reason, spec = ENDS[source]
    found = run(manifest(folder, source + "\n", evaluation=QUICK, **spec))
    assert (found.exit_code, found.status["reason"]) == (10, reason), found.told


def test_shared_memory_is_bounded_between_two_looks(run: Run, folder: Path) -> None:
    """Addresses are limited too: what nobody has touched yet is refused before it can be taken at once."""
    found = run(manifest(folder, BURST, evaluation=QUICK))
    assert found.status["reason"] == "SelfReported", found.told
    assert found.status["selfReported"]["values"]["pieces"] < 16


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_end_as_in_the_cluster(run: Run, folder: Path, name: str) -> None:
    """A few of each kind; tests/local/test_abuse.py has all of them."""
    assert_ends_right(CASES[name], run(attack(folder, CASES[name])))
