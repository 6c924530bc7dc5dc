"""`logs`: what a run's containers printed."""

from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import typer

from strategyrun.cli.session import Name, Namespace, ask
from strategyrun.client import AsyncClient, NoRunError
from strategyrun.domain.text import LINE_LIMIT, clean

_LONGEST_LINE = 20 * LINE_LIMIT


class Container(StrEnum):
    """The steps of a run's pod."""

    DATASET = "dataset"
    STRATEGY = "strategy"
    EVALUATE = "evaluate"


def logs(
    name: Name,
    container: Annotated[Container, typer.Option("--container", "-c", help="Whose output.")] = Container.STRATEGY,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for the container, and go on until it ends.")
    ] = False,
    namespace: Namespace = None,
) -> None:
    """Print what a run printed, made harmless for a terminal; where its pod is gone, the last lines that were kept."""

    async def work(client: AsyncClient) -> None:
        try:
            async with aclosing(client.log(name, container, follow=follow)) as lines:
                async for line in lines:
                    typer.echo(clean(line, _LONGEST_LINE))
        except NoRunError as gone:
            result = await client.result(name)
            kept = result.failure.last_lines if result.failure else result.output
            if container is not Container.STRATEGY or not kept:
                raise
            typer.echo(f"{gone}; these are the last lines, as the status has them", err=True)
            for line in kept:
                typer.echo(line)

    ask(namespace, work)
