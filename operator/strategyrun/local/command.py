"""`strategyrun run`: one strategy on this machine, with the status that a cluster would give it."""

import gzip
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import yaml

from strategyrun.adapters.settings import InvalidSettingsError
from strategyrun.domain.text import clean
from strategyrun.local.bubblewrap import Bubblewrap
from strategyrun.local.conduct import Outcome, conduct
from strategyrun.local.docker import Docker
from strategyrun.local.engine import Engine, EngineError, EngineName
from strategyrun.local.exits import NOT_RUN, exit_code
from strategyrun.local.installation import Configuration, NotInstalledError, configured, installed
from strategyrun.local.plan import NotRunnableError
from strategyrun.local.request import UsageError, read
from strategyrun.local.signals import Undisturbed, ended_by_signals

Maker = Callable[[], Engine]
_LOG_LINE_CHARS = 2000


class Output(StrEnum):
    """What to print of the run."""

    TEXT = "text"
    YAML = "yaml"
    JSON = "json"


@ended_by_signals()
def run(
    file: Annotated[Path, typer.Argument(help="A strategy (.py), or a manifest with one StrategyRun (.yaml, .json).")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the strategy; JSON, else text."),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Prices of your own: a CSV or Parquet file, or a folder of them.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What to run it with; auto is bubblewrap, else docker.")
    ] = EngineName.AUTO,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print.")] = Output.TEXT,
    report: Annotated[
        Path | None,
        typer.Option(help="File for the full report: .html, .png or .txt (.html and .png need matplotlib)."),
    ] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Print what the strategy printed, to standard error.")] = False,
) -> None:
    """Run a strategy in the sandbox of this machine, and show its metrics or why it failed.

    Exit code: 0 succeeded, 10 a failure of the strategy, 20 of the sandbox, 30 of the platform, 2 if it was not run.
    """
    try:
        request = read(file, param or [], dataset)
        if report is not None:
            _check(report)
        config = configured()
        chosen: list[Engine] = []

        def make() -> Engine:
            chosen.append(Undisturbed(choose(engine, config)))
            return chosen[0]

        outcome = conduct(request, make, config.profile)
        if logs:
            _print_log(outcome.logs.get("strategy", b""))
        _print(outcome, output)
        if report is not None:
            _write(outcome, report)
    except (UsageError, EngineError, NotInstalledError, NotRunnableError, InvalidSettingsError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NOT_RUN) from error
    for each in chosen:
        typer.echo(f"ran with {each.about.name}; weaker than in a pod: {'; '.join(each.about.weaker)}", err=True)
    raise typer.Exit(exit_code(outcome.body["status"]))


def choose(name: EngineName, config: Configuration) -> Engine:
    """Return the engine that was asked for, else the first that works. Raises EngineError saying why none does."""
    makers: dict[EngineName, Maker] = {
        EngineName.BUBBLEWRAP: lambda: Bubblewrap(installed(), config.seccomp),
        EngineName.DOCKER: lambda: Docker(config.profile.sandbox.image, config.seccomp),
    }
    if name is not EngineName.AUTO:
        return makers[name]()
    reasons = []
    for each in makers.values():
        try:
            return each()
        except (EngineError, NotInstalledError) as error:
            reasons.append(str(error))
    raise EngineError("no engine works here: " + "; ".join(reasons))


def _print(outcome: Outcome, output: Output) -> None:
    match output:
        case Output.YAML:
            typer.echo(yaml.safe_dump(_shown(outcome), sort_keys=False, allow_unicode=True), nl=False)
        case Output.JSON:
            typer.echo(json.dumps(_shown(outcome), indent=2))
        case Output.TEXT:
            from strategyrun.reporting.material import Material  # noqa: PLC0415 - only where it is shown
            from strategyrun.reporting.text import for_terminal  # noqa: PLC0415

            typer.echo(for_terminal(Material.read(outcome.body, *_full(outcome))), nl=False)


def _shown(outcome: Outcome) -> dict[str, object]:
    """Return the StrategyRun without what only an API server may say of it."""
    metadata = {key: each for key, each in outcome.body["metadata"].items() if key not in ("uid", "resourceVersion")}
    return {**outcome.body, "metadata": metadata}


def _check(path: Path) -> None:
    """Raise UsageError for a report that nobody could write, before the run and not after it."""
    from strategyrun.reporting.rendering import CannotRenderError, Form  # noqa: PLC0415 - only where it is asked for

    try:
        Form.of(path)
    except CannotRenderError as error:
        raise UsageError(str(error)) from error


def _write(outcome: Outcome, path: Path) -> None:
    from strategyrun.reporting.rendering import CannotRenderError, Form, Material, render  # noqa: PLC0415 - as above

    try:
        material = Material.read(outcome.body, *_full(outcome))
        path.write_bytes(render(material, Form.of(path)))
    except CannotRenderError as error:
        raise UsageError(str(error)) from error


def _full(outcome: Outcome) -> tuple[bytes | None, str]:
    """Return the unpacked report, or why there is none. The evaluator wrote it, so it is no bomb."""
    if outcome.report is None:
        return None, "spec.report is Discard, or the evaluator printed none"
    return gzip.decompress(outcome.report), ""


def _print_log(log: bytes) -> None:
    for line in log.decode(errors="replace").splitlines():
        typer.echo(clean(line, _LOG_LINE_CHARS), err=True)
