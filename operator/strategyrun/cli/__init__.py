"""The command line: a door to the client for people and scripts, and the operator's own entry point."""

import sys
from importlib import import_module

import typer

_GROUPS: dict[str, dict[str, str]] = {
    "Without a cluster": {"run": "strategyrun.local.command:run", "lint": "strategyrun.cli.lint:lint"},
    "Runs": {
        "submit": "strategyrun.cli.submit:submit",
        "list": "strategyrun.cli.runs:list_",
        "wait": "strategyrun.cli.runs:wait",
        "logs": "strategyrun.cli.logs:logs",
        "explain": "strategyrun.cli.explain:explain",
        "report": "strategyrun.cli.report:report",
        "cancel": "strategyrun.cli.runs:cancel",
        "rerun": "strategyrun.cli.runs:rerun",
    },
    "Ranking": {"top": "strategyrun.cli.board:top", "compare": "strategyrun.cli.board:compare"},
    "Administration": {
        "doctor": "strategyrun.cli.doctor:doctor",
        "operator": "strategyrun.cli.administration:operator",
        "install-seccomp": "strategyrun.cli.administration:install_seccomp",
        "generate": "strategyrun.cli.administration:generate",
    },
}
"""Each command and where it is: some import for a second what others do without."""


def application(only: str = "") -> typer.Typer:
    """Build the command line: whole, or with the one command that is going to be used, if `only` is its name."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Untrusted trading strategies in, trusted metrics out.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(lambda: None)  # else one command alone would lose its name
    alone = any(only in commands for commands in _GROUPS.values())
    for group, commands in _GROUPS.items():
        for name, place in commands.items():
            if not alone or name == only:
                module, _, function = place.partition(":")
                app.command(name, rich_help_panel=group)(getattr(import_module(module), function))
    return app


def main() -> None:
    """Run the command line."""
    program = "kubectl strategyrun" if sys.argv[0].endswith("kubectl-strategyrun") else "strategyrun"
    application(sys.argv[1] if len(sys.argv) > 1 else "")(prog_name=program)
