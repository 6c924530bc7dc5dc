"""`list`, `wait`, `cancel`, `rerun`, `delete`: runs by their names."""

from datetime import timedelta
from typing import Annotated

import typer

from strategyrun.cli import output
from strategyrun.cli.cells import now, runs_table
from strategyrun.cli.exits import Exit, exit_of
from strategyrun.cli.explaining import explain
from strategyrun.cli.output import Format, Output, console
from strategyrun.cli.session import Names, Namespace, Selector, ask, fail, run_names
from strategyrun.cli.watching import line, watching
from strategyrun.client import AsyncClient, NoRunError, NotAskedError, NotFinishedError, Result

NamesOrNone = Annotated[list[str] | None, typer.Argument(help="Names of StrategyRuns.", autocompletion=run_names)]
Limit = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait; 0 waits as long as it takes.")]


def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Runs of all namespaces.")] = False,
    selector: Selector = "",
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """List runs, the oldest first."""
    found = ask(namespace, lambda client: client.results(selector=selector, everywhere=everywhere))
    if form in (Format.JSON, Format.YAML, Format.NAME):
        output.runs(found, form)
    elif found:
        console().print(runs_table(found, now(), wide=form is Format.WIDE, namespaces=everywhere))
    else:
        typer.echo("no runs; strategyrun submit FILE makes one", err=True)


def wait(
    names: NamesOrNone = None,
    selector: Selector = "",
    timeout: Limit = 0,
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Wait for the ends of runs.

    Exit codes: 0 succeeded, 10 the strategy's fault, 20 the sandbox's, 30 the platform's, 40 cancelled, 124 not ended
    in time. Of several runs it is 30 before 20 before 10 before 40.
    """
    if bool(names) == bool(selector):
        raise fail("wait for what? give names, or --selector")

    async def work(client: AsyncClient) -> list[Result]:
        wanted = names or [result.name for result in await client.results(selector=selector)]
        if not wanted:
            raise NotAskedError(f"no run in namespace {client.namespace} has the labels {selector}")
        return await waited(client, wanted, seconds=timeout, form=form)

    results = ask(namespace, work)
    _show(results, form)
    raise typer.Exit(exit_of(results))


def cancel(names: Names, namespace: Namespace = None, form: Output = None) -> None:
    """Ask for the end of runs; what they have used is let go, and their phase becomes Cancelled."""

    async def work(client: AsyncClient) -> list[Result]:
        found = []
        for name in names:
            found.append(await client.cancel(name))
            if form is None:
                ended = found[-1].outcome
                typer.echo(f"{name} had ended before: {found[-1].phase}" if ended else f"{name} is being cancelled")
        return found

    found = ask(namespace, work)
    if form:
        _show(found, form)


def rerun(
    names: Names,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the runs to their ends.")] = False,
    namespace: Namespace = None,
    form: Output = None,
) -> None:
    """Evaluate the same inputs once more; the last answer moves to the history. With --watch it exits as `wait`."""

    async def work(client: AsyncClient) -> list[Result]:
        for name in names:
            await client.rerun(name)
            if form is None:
                typer.echo(f"{name} runs again")
        if watch:
            return await waited(client, names, form=form)
        return [await client.result(name) for name in names] if form else []

    found = ask(namespace, work)
    if watch or form:
        _show(found, form)
    if watch:
        raise typer.Exit(exit_of(found))


def delete(names: NamesOrNone = None, selector: Selector = "", namespace: Namespace = None) -> None:
    """Delete runs, with their reports and whatever else is kept of them; one that is under way ends."""

    async def work(client: AsyncClient) -> None:
        deleted = await client.delete(*(names or []), selector=selector)
        for name in deleted:
            typer.echo(f"{name} deleted")
        if selector and not deleted:
            typer.echo(f"no run in namespace {client.namespace} has the labels {selector}", err=True)
        if missing := [name for name in names or [] if name not in deleted]:
            raise NoRunError(f"there is no StrategyRun {', '.join(missing)} in namespace {client.namespace}")

    ask(namespace, work)


async def waited(
    client: AsyncClient,
    names: list[str],
    *,
    seconds: float = 0,
    form: Format | None = None,
) -> list[Result]:
    """Wait, and show what happens; after `seconds` say what is still waited for, and exit."""
    try:
        with watching(quiet=form in (Format.JSON, Format.YAML)) as progress:
            return await client.wait(*names, progress=progress, timeout=seconds or None)
    except NotFinishedError as late:
        for result in late.unfinished:
            typer.echo(f"{line(result)}: {explain(result, now()).headline}", err=True)
        raise fail(f"not ended after {timedelta(seconds=seconds)}", Exit.TIMED_OUT) from None


def _show(results: list[Result], form: Format | None) -> None:
    if form is None or form is Format.WIDE:
        console().print(runs_table(results, now(), wide=form is Format.WIDE))
    else:
        output.runs(results, form)
