"""The command line: `operator` and `install-seccomp` in pods, `report` for users, `generate` for developers."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from strategyrun.adapters import installer
from strategyrun.adapters.generate import write_generated
from strategyrun.adapters.kopf_source import run_operator
from strategyrun.adapters.kube import PROFILES, NoClusterError
from strategyrun.adapters.logs import LogFormat, configure
from strategyrun.adapters.reports import NotReadError, fetch
from strategyrun.adapters.settings import InvalidSettingsError, load_settings
from strategyrun.local.command import run
from strategyrun.reporting.rendering import CannotRenderError, Form, Material, render
from strategyrun.reporting.text import render_text

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


app.command()(run)


@app.command()
def operator(
    config: Annotated[Path, typer.Option(help="The sandbox configuration.", envvar="STRATEGYRUN_CONFIG")] = Path(
        "config/sandbox.yaml"
    ),
    seccomp: Annotated[
        Path | None, typer.Option(help="Folder of the seccomp files; by default that of the configuration.")
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Know the profile of the configuration alone, and measure nothing.")
    ] = False,
    health_port: Annotated[int, typer.Option(help="Port of /healthz, /readyz and /metrics.")] = 8080,
    log_format: Annotated[LogFormat, typer.Option(help="How to write log lines.")] = LogFormat.TEXT,
    lease: Annotated[
        bool, typer.Option(help="Work only while holding the lease, so that one operator of several works.")
    ] = True,
    lease_namespace: Annotated[
        str, typer.Option(help="Namespace of the lease.", envvar="STRATEGYRUN_LEASE_NAMESPACE")
    ] = "finlab-sandbox-system",
) -> None:
    """Run the operator: in a cluster as its pod, elsewhere with the kubeconfig."""
    configure(log_format)
    try:
        run_operator(
            load_settings(config, seccomp),
            profiles=None if alone else PROFILES,
            health_port=health_port,
            lease_namespace=lease_namespace if lease else None,
        )
    except (InvalidSettingsError, NoClusterError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def install_seccomp(
    node: Annotated[str, typer.Option(help="The node that this process runs on.", envvar="NODE_NAME")],
    source: Annotated[Path, typer.Option(help="Folder of the files: every *.json.")],
    target: Annotated[Path, typer.Option(help="The node's folder of them, below that of its kubelet.")],
) -> None:
    """Keep the seccomp files on a node, and its labels true, until asked to end."""
    configure(LogFormat.TEXT)
    try:
        installer.install_seccomp(node, source, target)
    except (InvalidSettingsError, NoClusterError, installer.FolderGoneError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Name of the StrategyRun.")],
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Its namespace; by default that of the kubeconfig's context."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write: .txt, .png or .html. Else text to the terminal."),
    ] = None,
) -> None:
    """Show a run: its numbers, equity, trades and provenance, or why it failed."""
    try:
        form = Form.of(output) if output else None
        found = fetch(name, namespace)
        material = Material.read(found.run, found.report, found.absent)
        if output and form:
            output.write_bytes(render(material, form))
            return
    except (NoClusterError, NotReadError, CannotRenderError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = render_text(material, width=shutil.get_terminal_size().columns, colour=colour)
    encoding = sys.stdout.encoding or "utf-8"
    typer.echo(text.encode(encoding, errors="replace").decode(encoding), nl=False)


@app.command()
def generate(root: Annotated[Path, typer.Argument(help="The checkout to write into.")] = Path()) -> None:
    """Write the files that are derived from the models: the CRDs, the policies and the table of outcomes."""
    for path in write_generated(root):
        typer.echo(path)


def main() -> None:
    """Run the command line."""
    app()
