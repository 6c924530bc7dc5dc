"""What submit says of what it has made, and of what is refused."""

from pathlib import Path

import pytest
import yaml
from aiohttp import web

from support.few_runs import FewRuns, command, refusal

RUN = "kind: StrategyRun\nmetadata: {name: NAME}\nspec: {source: {inline: x = 1}}\n"


def test_what_is_refused_of_a_manifest_is_told_with_the_name_of_the_run(tmp_path: Path) -> None:
    """Others of the file may be there by then: whoever mends it has to know which is not."""
    (tmp_path / "runs.yaml").write_text(RUN.replace("NAME", "first") + "---\n" + RUN.replace("NAME", "second"))
    runs = FewRuns()

    async def refuse_the_second() -> web.Response | None:
        return refusal(422, "Invalid") if runs.runs else None

    runs.instead["POST"] = refuse_the_second
    done = command(runs, "submit", str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "first submitted to research\n")
    assert done.stderr.startswith(f"error: {tmp_path}/runs.yaml: second: cannot create StrategyRun second ")
    assert done.stderr.count("\n") == 1


def test_a_run_of_another_namespace_is_told_by_its_name(tmp_path: Path) -> None:
    """And what to type for it."""
    path = tmp_path / "runs.yaml"
    path.write_text(RUN.replace("NAME", "mine, namespace: elsewhere"))
    done = command(FewRuns(), "submit", str(path))
    said = f"error: {path}: mine: metadata.namespace is elsewhere, --namespace is research\n"
    assert (done.exit_code, done.stderr) == (2, said)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_no_name_is_lost_with_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Those that are there are told one by one, and the error has the one that may be; no half of a document is."""
    monkeypatch.setattr("strategyrun.adapters.runs.PATIENCE", 1)
    names = ("first", "second", "third")
    (tmp_path / "runs.yaml").write_text("---\n".join(RUN.replace("NAME", name) for name in names))
    runs = FewRuns()

    async def lose_the_third() -> web.Response | None:
        return refusal(503, "ServiceUnavailable") if len(runs.runs) == 2 else None

    runs.instead["POST"] = lose_the_third
    done = command(runs, "submit", str(tmp_path), "--output", form)
    assert (done.exit_code, done.stdout) == (69, "")
    *told, error = done.stderr.splitlines()
    assert told == ["first submitted to research", "second submitted to research"]
    assert error.startswith("error: cannot create StrategyRun third in namespace research: no answer for 1 s: ")
    assert error.endswith("; the runs go on, ask for them by name")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_document_has_standard_output_for_itself(tmp_path: Path, form: str) -> None:
    """What goes on is told beside it."""
    (tmp_path / "runs.yaml").write_text(RUN.replace("NAME", "first"))
    done = command(FewRuns(), "submit", str(tmp_path), "--output", form)
    assert [item["metadata"]["name"] for item in yaml.safe_load(done.stdout)["items"]] == ["first"]
    assert (done.exit_code, done.stderr) == (0, "first submitted to research\n")
