"""What submit says of what is refused."""

from pathlib import Path

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
