"""`submit`: files, folders and manifests become runs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from strategyrun.cli import output
from strategyrun.cli.cells import now, runs_table
from strategyrun.cli.exits import Exit, exit_of
from strategyrun.cli.output import Format, Output, console
from strategyrun.cli.session import Namespace, ask, fail
from strategyrun.cli.sources import Manifest, Source, labels_of, pairs, sources
from strategyrun.cli.watching import watching
from strategyrun.client import AsyncClient, NotAskedError, RefusedRunError, Result, StrategyRunError, Trial
from strategyrun.domain.strategyrun import FallbackPolicy, ReportPolicy


def submit(
    paths: Annotated[list[Path], typer.Argument(help="Strategies (.py), manifests (.yaml), folders of both.")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="name=value, also of manifests; the value may be JSON."),
    ] = None,
    evaluation: Annotated[
        list[str] | None,
        typer.Option("--evaluation", "-e", help="A field of spec.evaluation: feesBps=20, lookAhead.action=Fail."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="us-stocks, configmap:NAME/KEY, pvc:CLAIM/PATH or image:REFERENCE."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the run; by default made of the file's.")] = "",
    profile: Annotated[str | None, typer.Option(help="The SandboxProfile.")] = None,
    time_limit: Annotated[int | None, typer.Option(help="Seconds that the strategy may run.")] = None,
    fallback: Annotated[
        FallbackPolicy | None, typer.Option(help="Whether it may run elsewhere where the sandbox cannot start.")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Who goes first: -1000 to 1000, higher first.")] = None,
    report: Annotated[
        ReportPolicy | None, typer.Option(help="Whether the full report stays as long as the run, or nothing of it.")
    ] = None,
    ttl: Annotated[int | None, typer.Option(help="Seconds that the finished Job and its pod stay.")] = None,
    retry_limit: Annotated[int | None, typer.Option(help="Further attempts after a failure of the platform.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="name=value, also of manifests; --selector finds the runs by it."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the runs to their ends.")] = False,
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Submit strategies; with --watch follow them, and exit as `wait` does. An interrupt leaves the runs going.

    A strategy that is refused keeps none of the others back; the exit code is 2 then.
    """
    refused: list[str] = []

    def refuse(said: str) -> None:
        refused.append(said)
        typer.echo(f"error: {said}", err=True)

    try:
        found = sources(paths, lambda said: typer.echo(said, err=True), refuse)
        if name and len(found) > 1:
            raise NotAskedError(f"--name {name}: names one run, found {len(found)}")
        params = pairs("--param", param or [])
        shared: dict[str, Any] = {
            "evaluation": pairs("--evaluation", evaluation or []),
            "dataset": dataset,
            "profile": profile,
            "timeout_seconds": time_limit,
            "fallback": fallback,
            "priority": priority,
            "report": report,
            "ttl_seconds_after_finished": ttl,
            "retry_limit": retry_limit,
        }
        wanted = _wanted(found, params, labels_of(label or []), shared)
    except StrategyRunError as error:
        raise fail(str(error)) from error

    async def work(client: AsyncClient) -> list[Result]:
        made = []
        for each in wanted:
            try:
                made.append(await _submit(client, each, name, namespace))
                _tell(made[-1], form)
            except NotAskedError as error:
                refuse(str(error))
            except RefusedRunError as error:
                refuse(f"{each.code if isinstance(each, Trial) else each.where}: {error}")
        if not watch:
            return made
        with watching() as progress:
            return await client.wait(*(result.name for result in made), progress=progress)

    results = ask(namespace, work)
    if form in (Format.JSON, Format.YAML):
        output.runs(results, form)
    elif watch and results and form is not Format.NAME:
        console().print(runs_table(results, now(), wide=form is Format.WIDE))
    if refused:
        raise typer.Exit(Exit.USAGE)
    if watch:
        raise typer.Exit(exit_of(results))


def _wanted(
    found: list[Source], params: dict[str, Any], labels: dict[str, str], shared: dict[str, Any]
) -> list[Trial | Manifest]:
    """Return the runs to make: those of files, then those of manifests. Raises NotAskedError for what all ask for."""
    trials = [Trial(each, params=params, labels=labels, **shared) for each in found if isinstance(each, Path)]
    ready = [each.with_params(params).with_labels(labels) for each in found if isinstance(each, Manifest)]
    if ready and any(value not in (None, {}) for value in shared.values()):
        message = "a manifest says itself what it asks for; only --param and --label change it"
        raise NotAskedError(f"{ready[0].origin}: {message}")
    if trials:  # what is wrong with all is said once, and nothing is sent
        replace(trials[0], code="").spec()
    return [*trials, *ready]


async def _submit(client: AsyncClient, wanted: Trial | Manifest, name: str, namespace: str | None) -> Result:
    if isinstance(wanted, Trial):
        return await client.submit(wanted, name=name)
    meta = wanted.meta | ({"name": name} if name else {})
    where = meta.get("namespace", client.namespace)
    if where != client.namespace and namespace:
        raise NotAskedError(f"{wanted.where}: metadata.namespace is {where}, --namespace is {namespace}")
    if where != client.namespace:
        raise NotAskedError(f"{wanted.where}: for namespace {where} add -n {where}")
    return await client.submit_manifest(meta, wanted.spec)


def _tell(result: Result, form: Format | None) -> None:
    """Say each run as soon as it is there: whoever interrupts, or loses the connection, knows what goes on."""
    if form is Format.NAME:
        output.names([result])
    else:  # a document comes last, if it comes, and is alone on its stream
        typer.echo(f"{result.name} submitted to {result.namespace}", err=form in (Format.JSON, Format.YAML))
