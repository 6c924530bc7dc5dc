"""The command line: `strategyrun operator` in a pod or from a checkout, `strategyrun generate` for developers."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from strategyrun.adapters.generate import write_generated
from strategyrun.adapters.kopf_source import run_operator
from strategyrun.adapters.kube import NoClusterError
from strategyrun.adapters.settings import InvalidSettingsError, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def operator(
    config: Annotated[Path, typer.Option(help="The sandbox configuration.", envvar="STRATEGYRUN_CONFIG")] = Path(
        "config/sandbox.yaml"
    ),
    health_port: Annotated[int, typer.Option(help="Port of /healthz and /readyz.")] = 8080,
) -> None:
    """Run the operator: in a cluster as its pod, elsewhere with the kubeconfig."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for every event
    try:
        run_operator(load_settings(config), health_port=health_port)
    except (InvalidSettingsError, NoClusterError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def generate(root: Annotated[Path, typer.Argument(help="The checkout to write into.")] = Path()) -> None:
    """Write the files that are derived from the models: the CRD and the table of outcomes."""
    for path in write_generated(root):
        typer.echo(path)


def main() -> None:
    """Run the command line."""
    app()
