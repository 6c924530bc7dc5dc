"""`operator` and `install-seccomp` in pods, `generate` for developers."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from strategyrun.adapters import installer
from strategyrun.adapters.generate import write_generated
from strategyrun.adapters.kube import PROFILES
from strategyrun.adapters.kubeconfig import NoClusterError
from strategyrun.adapters.logs import LogFormat, configure
from strategyrun.adapters.settings import InvalidSettingsError, load_settings
from strategyrun.cli.session import fail
from strategyrun.domain.admission.accounts import OPERATOR_NAMESPACE


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
    ] = OPERATOR_NAMESPACE,
) -> None:
    """Run the operator: in a cluster as its pod, elsewhere with the kubeconfig."""
    _end_when_told()
    from strategyrun.adapters.kopf_source import run_operator  # noqa: PLC0415 - no other command needs kopf

    configure(log_format)
    try:
        run_operator(
            load_settings(config, seccomp),
            profiles=None if alone else PROFILES,
            health_port=health_port,
            lease_namespace=lease_namespace if lease else None,
        )
    except (InvalidSettingsError, NoClusterError) as error:
        raise fail(str(error)) from error


def install_seccomp(
    node: Annotated[str, typer.Option(help="The node that this process runs on.", envvar="NODE_NAME")],
    source: Annotated[Path, typer.Option(help="Folder of the files: every *.json.")],
    target: Annotated[Path, typer.Option(help="The node's folder of them, below that of its kubelet.")],
) -> None:
    """Keep the seccomp files on a node, and its labels true, until asked to end."""
    _end_when_told()
    configure(LogFormat.TEXT)
    try:
        installer.install_seccomp(node, source, target)
    except (InvalidSettingsError, NoClusterError, installer.FolderGoneError) as error:
        raise fail(str(error)) from error


def _end_when_told() -> None:
    """Let SIGTERM end the process in order until somebody else listens: a pod's first process would not hear of it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def generate(root: Annotated[Path, typer.Argument(help="The checkout to write into.")] = Path()) -> None:
    """Write the files that are derived from the models: the CRDs, the policies and the table of outcomes."""
    for path in write_generated(root):
        typer.echo(path)
