"""What a user without a checkout gets: the wheel, beside the libraries that it asks for and none else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support.cluster import CHECKOUT

NAME = "finlab-sandbox-operator"
SAMPLE = CHECKOUT / "manifests" / "samples" / "turtle.yaml"
GOLDEN = json.loads((CHECKOUT / "tests/cluster/golden/samples.json").read_text())


def asked_for(name: str, extras: tuple[str, ...]) -> Iterator[Requirement]:
    """Yield what a distribution requires here, with some of its extras."""
    for line in distribution(name).requires or ():
        each = Requirement(line)
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield each


def libraries(extra: str) -> list[Distribution]:
    """Return what pip would install with the wheel and an extra, as it is installed here."""
    found: dict[tuple[str, tuple[str, ...]], Distribution] = {}
    todo = [*asked_for(NAME, (extra,))]
    while todo:
        each = todo.pop()
        key = (each.name.lower(), tuple(sorted(each.extras)))
        if key not in found and each.name != NAME:
            found[key] = distribution(each.name)
            todo += asked_for(*key)
    return [*found.values()]


def placed(source: Path, target: Path) -> None:
    """Have a file at another place too, at no cost where that is possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy(source, target)


def call(*words: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program that must succeed, with nothing of this environment."""
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, built and installed without a network, and the libraries of `[local]`."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-index", "--no-deps", "--quiet")
    path = os.environ["PATH"]
    call(*pip, "wheel", CHECKOUT, *offline, "--no-build-isolation", "--wheel-dir", folder, cwd=folder, PATH=path)
    (wheel,) = folder.glob("*.whl")
    here = folder / "environment"
    call(sys.executable, "-m", "venv", "--without-pip", here, cwd=folder)
    call(*pip, "--python", here / "bin/python", "install", *offline, "--no-compile", wheel, cwd=folder, PATH=path)
    (site,) = here.glob("lib/python3*/site-packages")
    for each in libraries("local"):
        for file in each.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                placed(Path(str(file.locate())), site / file)
    return here


def test_the_wheel_scores_a_sample_as_in_the_cluster(environment: Path, tmp_path: Path) -> None:
    """Far from any checkout: command, configuration, seccomp profile, harness and evaluator are all of the wheel."""
    shutil.copy(SAMPLE, tmp_path)
    told = call(
        *(environment / "bin/strategyrun", "run", SAMPLE.name, "--engine", "bubblewrap", "--output", "json"),
        cwd=tmp_path,
        PATH=os.environ["PATH"],
        HOME=str(tmp_path),
    )
    assert json.loads(told)["status"]["metrics"] == GOLDEN[SAMPLE.stem]


def test_the_wheel_draws_the_report(environment: Path, tmp_path: Path) -> None:
    """What `--report` needs comes with the same extra."""
    (tmp_path / "half.py").write_text("def strategy(data, params):\n    return data.close * 0 + 0.1\n")
    words = (environment / "bin/strategyrun", "run", "half.py", "--engine", "bubblewrap", "--report", "out.html")
    call(*words, cwd=tmp_path, PATH=os.environ["PATH"], HOME=str(tmp_path))
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")
