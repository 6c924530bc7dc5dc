"""`strategyrun lint`, which needs no cluster."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from strategyrun.cli.program import application
from support.cluster import CHECKOUT
from support.interpreters import killed_at_once

GOOD = "def strategy(data, params):\n    return data.close > 0\n"
BAD = "import requests\n\ndef strategy(data, params):\n    x = requests.get('http://a')\n    return data.close\n"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these commands may look for one."""
    monkeypatch.setattr("strategyrun.adapters.runs.RunsApi.connect", None)


def lint(*arguments: object, stdin: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(application(), ["lint", *map(str, arguments)], input=stdin, catch_exceptions=False)


def test_a_source_that_may_start(tmp_path: Path) -> None:
    """Its kind is said."""
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    done = lint(path)
    assert (done.exit_code, done.stdout) == (0, f"{path}: Positions, may start\n")


def test_a_source_that_may_not_is_shown_line_by_line(tmp_path: Path) -> None:
    """As compilers do, so that editors find the place; exit code as for a failure of the user."""
    path = tmp_path / "bad.py"
    path.write_text(BAD)
    done = lint(path)
    assert done.exit_code == 10
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{path}:4: network: requests.get: the sandbox has no network")
    assert second.strip() == "x = requests.get('http://a')"


def test_folders_manifests_and_standard_input(tmp_path: Path) -> None:
    """All that submit takes, and what comes from a pipe."""
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    done = lint(tmp_path, "-o", "json")
    assert done.exit_code == 10
    found = {Path(each["source"]).name: each for each in json.loads(done.stdout)}
    assert found["good.py"] == {"source": str(tmp_path / "good.py"), "kind": "Positions", "findings": []}
    assert [each["line"] for each in found["bad.py"]["findings"]] == [4]
    piped = lint("-", stdin=GOOD)
    assert (piped.exit_code, piped.stdout) == (0, "<stdin>: Positions, may start\n")
    samples = lint(CHECKOUT / "manifests" / "samples")
    assert samples.exit_code == 0
    assert samples.stdout.count("may start") == len(list((CHECKOUT / "manifests" / "samples").glob("*.yaml")))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", "", "must be a folder, a .py file, or a manifest"),
        ("x.yaml", "kind: Pod\n", "every document must be a StrategyRun, found Pod"),
        ("x.yaml", "a: [", "cannot be read"),
        (
            "x.yaml",
            "kind: StrategyRun\nmetadata: {name: x}\nspec: {source: {configMapRef: {name: y}}}\n",
            "no spec.source.inline",
        ),
    ],
    ids=["suffix", "kind", "yaml", "reference"],
)
def test_what_cannot_be_checked_is_one_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    """Exit code 2, as for all that makes no sense."""
    (tmp_path / name).write_text(content)
    done = lint(tmp_path / name)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_check_that_was_not_let_finish_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's want of memory says nothing of the source."""
    monkeypatch.setattr(sys, "executable", killed_at_once(tmp_path))
    done = lint("-", stdin=GOOD)
    assert (done.exit_code, done.stderr) == (2, "error: something ended the vetting child: -9\n")


def test_what_is_not_there(tmp_path: Path) -> None:
    """Neither the path nor anything in it."""
    assert "there is no" in lint(tmp_path / "nowhere").stderr
    assert ": must hold a .py file, or a manifest (.yaml, .yml, .json)" in lint(tmp_path).stderr
