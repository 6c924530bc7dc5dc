"""`operator` and `install-seccomp` in pods, `generate` for developers."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from strategyrun.adapters import installer
from strategyrun.adapters.generate import write_generated
from strategyrun.adapters.kube import PROFILES, NoClusterError
from strategyrun.adapters.settings import InvalidSettingsError, load_settings
from strategyrun.cli.session import fail


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
    health_port: Annotated[int, typer.Option(help="Port of /healthz and /readyz.")] = 8080,
) -> None:
    """Run the operator: in a cluster as its pod, elsewhere with the kubeconfig."""
    from strategyrun.adapters.kopf_source import run_operator  # noqa: PLC0415 - no other command needs kopf

    _log()
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for every event
    try:
        run_operator(load_settings(config, seccomp), profiles=None if alone else PROFILES, health_port=health_port)
    except (InvalidSettingsError, NoClusterError) as error:
        raise fail(str(error)) from error


def install_seccomp(
    node: Annotated[str, typer.Option(help="The node that this process runs on.", envvar="NODE_NAME")],
    source: Annotated[Path, typer.Option(help="Folder of the files: every *.json.")],
    target: Annotated[Path, typer.Option(help="The node's folder of them, below that of its kubelet.")],
) -> None:
    """Keep the seccomp files on a node, and its labels true, until asked to end."""
    _log()
    try:
        installer.install_seccomp(node, source, target)
    except (InvalidSettingsError, NoClusterError, installer.FolderGoneError) as error:
        raise fail(str(error)) from error


def generate(root: Annotated[Path, typer.Argument(help="The checkout to write into.")] = Path()) -> None:
    """Write the files that are derived from the models: the CRDs, the policies and the table of outcomes."""
    for path in write_generated(root):
        typer.echo(path)


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
