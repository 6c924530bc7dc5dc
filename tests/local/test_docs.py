"""What the page of local runs tells a reader to write, run."""

import subprocess
import sys
from pathlib import Path

from support.cluster import CHECKOUT
from support.endings import PRICES
from support.local import variables
from support.snippets import snippets


def test_every_python_block_of_the_page(tmp_path: Path) -> None:
    """One program of all blocks, in a folder with prices: no warning, and the answers that it promises."""
    program = "\n".join(block.text for block in snippets(CHECKOUT / "docs" / "local.md", "python"))
    (tmp_path / "prices.csv").write_text(PRICES)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {f"average-{days} {phase}" for days in (20, 50) for phase in ("Starting", "Running", "Succeeded")} <= {
        *lines
    }
    assert lines[-1] == "Evaluated 28"
