"""`submit`: files, folders and manifests become runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from strategyrun.cli import output
from strategyrun.cli.cells import now, runs_table
from strategyrun.cli.exits import exit_of
from strategyrun.cli.output import Format, Output, console
from strategyrun.cli.session import Namespace, ask, fail
from strategyrun.cli.sources import Manifest, Source, pairs, sources
from strategyrun.cli.watching import watching
from strategyrun.client import AsyncClient, NotAskedError, Result, StrategyRunError, Trial
from strategyrun.domain.strategyrun import FallbackPolicy


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
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the runs to their ends.")] = False,
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Submit strategies; with --watch follow them, and exit as `wait` does. An interrupt leaves the runs going."""
    try:
        found = sources(paths, lambda said: typer.echo(said, err=True))
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
        }
        wanted = _wanted(found, params, shared)
    except StrategyRunError as error:
        raise fail(str(error)) from error

    async def work(client: AsyncClient) -> list[Result]:
        made = []
        for each in wanted:
            made.append(await _submit(client, each, name, namespace))
            _tell(made[-1], form)
        if not watch:
            return made
        with watching() as progress:
            return await client.wait(*(result.name for result in made), progress=progress)

    results = ask(namespace, work)
    if form in (Format.JSON, Format.YAML):
        output.runs(results, form)
    elif watch and form is not Format.NAME:
        console().print(runs_table(results, now(), wide=form is Format.WIDE))
    if watch:
        raise typer.Exit(exit_of(results))


def _wanted(found: list[Source], params: dict[str, Any], shared: dict[str, Any]) -> list[Trial | Manifest]:
    """Return the runs to make: those of files, then those of manifests."""
    trials = [Trial(each, params=params, **shared) for each in found if isinstance(each, Path)]
    ready = [each.with_params(params) for each in found if isinstance(each, Manifest)]
    if ready and any(value not in (None, {}) for value in shared.values()):
        raise NotAskedError(f"{ready[0].origin}: a manifest says itself what it asks for; only --param changes it")
    return [*trials, *ready]


async def _submit(client: AsyncClient, wanted: Trial | Manifest, name: str, namespace: str | None) -> Result:
    if isinstance(wanted, Trial):
        return await client.submit(wanted, name=name)
    meta = wanted.meta | ({"name": name} if name else {})
    where = meta.get("namespace", client.namespace)
    if where != client.namespace and namespace:
        raise NotAskedError(f"{wanted.origin}: metadata.namespace is {where}, --namespace is {namespace}")
    if where != client.namespace:
        raise NotAskedError(f"{wanted.origin}: for namespace {where} add -n {where}")
    return await client.submit_manifest(meta, wanted.spec)


def _tell(result: Result, form: Format | None) -> None:
    """Say each run as soon as it is there: whoever interrupts knows what goes on."""
    if form is Format.NAME:
        output.names([result])
    elif form not in (Format.JSON, Format.YAML):
        typer.echo(f"{result.name} submitted to {result.namespace}")
