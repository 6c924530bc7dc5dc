"""One command's way to the client: options that all share, and errors as one line."""

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, TypeVar

import typer

from strategyrun.adapters.runs import RunsApi
from strategyrun.cli.exits import Exit
from strategyrun.client import AsyncClient, StrategyRunError
from strategyrun.client.asynchronous import Connect
from strategyrun.client.loops import run

T = TypeVar("T")

connection: ContextVar[Connect] = ContextVar("connection", default=RunsApi.connect)
"""How commands reach a cluster."""

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; by default that of the kubeconfig's context."),
]
Name = Annotated[str, typer.Argument(help="Name of the StrategyRun.")]
Names = Annotated[list[str], typer.Argument(help="Names of StrategyRuns.")]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Only runs with these labels, as kubectl has it.")]


def ask(namespace: str | None, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Do a command's work with a client; what it raises becomes one line and an exit code."""
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)  # the error says it once

    async def session() -> T:
        async with AsyncClient(namespace, connect=connection.get()) as client:
            return await work(client)

    try:
        return run(session())
    except StrategyRunError as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def fail(message: str, code: Exit = Exit.USAGE) -> typer.Exit:
    """Say what is wrong, in one line, and return what to raise."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(code)
