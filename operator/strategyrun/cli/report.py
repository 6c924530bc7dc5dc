"""`report`: a run as text, page or picture."""

from pathlib import Path
from typing import Annotated

import typer

from strategyrun.cli.session import Name, Namespace, ask, fail
from strategyrun.reporting.rendering import CannotRenderError, Form, render
from strategyrun.reporting.text import for_terminal


def report(
    name: Name,
    namespace: Namespace = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .txt, .png or .html. Else text to the terminal."),
    ] = None,
) -> None:
    """Show a run: its numbers, equity, trades and provenance, or why it failed."""
    try:
        form = Form.of(output) if output else None
        material = ask(namespace, lambda client: client.report(name))
        if output and form:
            output.write_bytes(render(material, form))
            return
    except (CannotRenderError, OSError) as error:
        raise fail(str(error)) from error
    typer.echo(for_terminal(material), nl=False)
