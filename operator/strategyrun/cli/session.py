"""One command's way to the client: options that all share, and errors as one line."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Annotated, TypeVar

import typer

from strategyrun.adapters.runs import RunsApi
from strategyrun.cli.exits import Exit
from strategyrun.client import AsyncClient, LostConnectionError, StrategyRunError, UnreachableError
from strategyrun.client.asynchronous import Connect
from strategyrun.client.loops import run

T = TypeVar("T")

_COMPLETION_SECONDS = 2.0

connection: ContextVar[Connect] = ContextVar("connection", default=RunsApi.connect)
"""How commands reach a cluster."""

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; by default that of the kubeconfig's context."),
]


def run_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of runs that a shell may offer; none where the cluster does not answer at once."""

    async def names() -> list[str]:
        async with (
            asyncio.timeout(_COMPLETION_SECONDS),
            AsyncClient(context.params.get("namespace"), connect=connection.get()) as client,
        ):
            return [result.name for result in await client.results() if result.name.startswith(incomplete)]

    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
    with suppress(StrategyRunError, TimeoutError):
        return run(names())
    return []


Name = Annotated[str, typer.Argument(help="Name of the StrategyRun.", autocompletion=run_names)]
Names = Annotated[list[str], typer.Argument(help="Names of StrategyRuns.", autocompletion=run_names)]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Only runs with these labels, as kubectl has it.")]


def ask(namespace: str | None, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Do a command's work with a client; what it raises becomes one line and an exit code."""
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)  # the error says it once

    async def session() -> T:
        async with AsyncClient(namespace, connect=connection.get()) as client:
            return await work(client)

    try:
        return run(session())
    except (UnreachableError, LostConnectionError) as error:
        raise fail(str(error), Exit.UNREACHABLE) from error
    except StrategyRunError as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def fail(message: str, code: Exit = Exit.USAGE) -> typer.Exit:
    """Say what is wrong, in one line, and return what to raise."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(code)
