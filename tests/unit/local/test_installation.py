"""What an installed wheel has for local runs, and how its dataset is made at the first use."""

import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from strategyrun.local.installation import configured, installed
from support.cluster import CHECKOUT
from support.local import variables
from support.waiting import wait_until

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
IMAGE = set(re.findall(r"^[A-Za-z].*==.*$", (CHECKOUT / "image" / "requirements.in").read_text(), flags=re.MULTILINE))

BUILDER = """\
#!/bin/sh
mkdir -p "$4"
echo $$ >>"$0.begun"
while [ ! -e "$0.go" ]; do sleep 0.05; done
echo '{}' >"$4/manifest.json"
"""
"""Makes a dataset when it is let."""

FIND = "from strategyrun.local.installation import installed; print(installed().datasets)"


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sandbox's Python, with a folder for what is made by it that is empty yet."""
    libraries = tmp_path / "sandbox/lib/python3.13/site-packages"
    for each in (libraries / "pandas", libraries / "bokeh_sampledata/_data", tmp_path / "sandbox/bin"):
        each.mkdir(parents=True)
    (libraries / "bokeh_sampledata/_data/stocks.csv.gz").touch()
    (tmp_path / "sandbox/pyvenv.cfg").touch()
    program = tmp_path / "sandbox/bin/python3"
    program.write_text(BUILDER)
    program.chmod(0o755)
    monkeypatch.setenv("FINLAB_SANDBOX_PYTHON", str(program))
    monkeypatch.setenv("FINLAB_SANDBOX_CACHE", str(tmp_path / "cache"))
    return program


def begun(python: Path) -> list[str]:
    """Return the processes that have begun to make the dataset."""
    path = Path(f"{python}.begun")
    return path.read_text().split() if path.exists() else []


def in_line() -> list[str]:
    """Return the processes of this machine that wait for a lock on a file, one with several threads several times."""
    return re.findall(r"-> FLOCK +\S+ +\S+ +(\d+)", Path("/proc/locks").read_text())


def let_go_on(python: Path, pid: int) -> None:
    """Let the dataset be made when somebody makes it, and another one of a process stands in line or makes it too."""
    wait_until(
        "two want the dataset", lambda: (begun(python), in_line()), lambda now: len(now[0]) > 1 or str(pid) in now[1]
    )
    Path(f"{python}.go").touch()


def is_made_once(python: Path, folders: set[Path]) -> bool:
    """Whether all have found one dataset, made by one, with nothing half-made beside it."""
    (folder,) = folders
    return len(begun(python)) == 1 and {*folder.parent.iterdir()} == {folder, folder.with_name("lock")}


def test_the_extras_pin_what_the_image_pins() -> None:
    """Every library of the image in the version of the image, and beside them only what draws a report."""
    pinned = {each for extra in ("local", "local-all") for each in EXTRAS[extra]}
    assert pinned - {"matplotlib>=3.10", "finlab-sandbox-operator[local]"} == IMAGE


def test_the_wheel_carries_the_sandbox_and_its_configuration() -> None:
    """The package, and both files where an installed command looks for them."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == {"operator/strategyrun", "image/finlab_sandbox"}
    assert all((CHECKOUT / path).is_file() for path in wheel["force-include"])
    names = ("operator.yaml", "sandbox.yaml", configured().profile.sandbox.seccomp_profile)
    assert set(wheel["force-include"].values()) == {f"strategyrun/config/{name}" for name in names}


def test_threads_that_want_the_dataset_at_once_share_it(python: Path) -> None:
    """The first makes it, and the others wait for it."""
    with ThreadPoolExecutor(2) as threads:
        wanted = [threads.submit(installed) for _ in range(2)]
        let_go_on(python, os.getpid())
        assert is_made_once(python, {each.result().datasets for each in wanted})


def test_processes_that_want_the_dataset_at_once_share_it(python: Path) -> None:
    """So do whole programs."""
    with ThreadPoolExecutor(1) as thread:
        wanted = thread.submit(installed)
        wait_until("it is being made", lambda: begun(python), bool)
        words = [sys.executable, "-c", FIND]
        with subprocess.Popen(words, env=variables(), stdout=subprocess.PIPE, text=True) as second:
            let_go_on(python, second.pid)
            told, _ = second.communicate(timeout=60)
        assert is_made_once(python, {wanted.result().datasets, Path(told.strip())})


def test_a_dataset_that_was_never_finished_is_made_anew(python: Path) -> None:
    """Nothing stays of the one whose maker was killed, though what it had started went on."""
    with subprocess.Popen([sys.executable, "-c", FIND], env=variables()) as first:
        wait_until("it is being made", lambda: begun(python), bool)
        first.kill()
    Path(f"{python}.go").touch()
    folder = installed().datasets
    assert (folder / "us-stocks/manifest.json").is_file()
    assert {*folder.parent.iterdir()} == {folder, folder.with_name("lock")}
