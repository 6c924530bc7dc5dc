"""The command line: `strategyrun operator` in a pod or from a checkout, `strategyrun generate` for developers."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from strategyrun.adapters.generate import write_generated
from strategyrun.adapters.kopf_source import run_operator
from strategyrun.adapters.settings import load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def operator(
    config: Annotated[
        Path, typer.Option(help="The sandbox configuration.", envvar="STRATEGYRUN_CONFIG", exists=True)
    ] = Path("config/sandbox.yaml"),
    health_port: Annotated[int, typer.Option(help="Port of /healthz and /readyz.")] = 8080,
) -> None:
    """Run the operator: in a cluster as its pod, elsewhere with the kubeconfig."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run_operator(load_settings(config), health_port=health_port)


@app.command()
def generate(root: Annotated[Path, typer.Argument(help="The checkout to write into.")] = Path()) -> None:
    """Write the files that are derived from the models: the CRD and the table of outcomes."""
    for path in write_generated(root):
        typer.echo(path)


def main() -> None:
    """Run the command line."""
    app()
