"""The command line: a door to the client for people and scripts, and the operator's own entry point."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from strategyrun.cli.administration import generate, install_seccomp, operator
from strategyrun.cli.board import compare, top
from strategyrun.cli.doctor import doctor
from strategyrun.cli.explain import explain
from strategyrun.cli.lint import lint
from strategyrun.cli.logs import logs
from strategyrun.cli.report import report
from strategyrun.cli.runs import cancel, list_, rerun, wait
from strategyrun.cli.submit import submit
from strategyrun.local.command import run

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Untrusted trading strategies in, trusted metrics out.",
    context_settings={"help_option_names": ["--help", "-h"]},
)

_GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "Runs": {
        "run": run,
        "submit": submit,
        "list": list_,
        "wait": wait,
        "logs": logs,
        "explain": explain,
        "report": report,
        "cancel": cancel,
        "rerun": rerun,
    },
    "Ranking": {"top": top, "compare": compare},
    "Without a cluster": {"run": run},
    "Checks": {"lint": lint, "doctor": doctor},
    "Administration": {"operator": operator, "install-seccomp": install_seccomp, "generate": generate},
}
for _group, _commands in _GROUPS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_group)(_command)


def main() -> None:
    """Run the command line."""
    app(prog_name="kubectl strategyrun" if sys.argv[0].endswith("kubectl-strategyrun") else "strategyrun")
