"""The program: every command and where it is, and how kubectl completes it."""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated

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
        "delete": "strategyrun.cli.runs:delete",
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


_DISTRIBUTION = "finlab-sandbox-operator"
_FILES_WHERE_NOTHING_FITS = ":0"
"""What kubectl is to do with the choices, as the last line of an answer."""


def application(only: str = "", *, plugin: bool = False) -> typer.Typer:
    """Build the command line: whole, or with the one command that is going to be used, if `only` is its name.

    A plugin of kubectl teaches no shell: that is kubectl's, which asks `complete`.
    """
    app = typer.Typer(
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=not plugin,
        pretty_exceptions_enable=False,
        help="Untrusted trading strategies in, trusted metrics out.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_whole)  # without one, a command alone would lose its name
    alone = any(only in commands for commands in _GROUPS.values())
    for group, commands in _GROUPS.items():
        for name, place in commands.items():
            if not alone or name == only:
                module, _, function = place.partition(":")
                app.command(name, rich_help_panel=group)(getattr(import_module(module), function))
    return app


def _whole(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"strategyrun {metadata.version(_DISTRIBUTION)}")
        raise typer.Exit


def run() -> None:
    """Do what the command line asks for, and exit."""
    _can_be_written("stdout")
    _can_be_written("stderr")
    plugin = sys.argv[0].endswith("kubectl-strategyrun")
    program = "kubectl strategyrun" if plugin else "strategyrun"
    application(sys.argv[1] if len(sys.argv) > 1 else "", plugin=plugin)(prog_name=program)


def _can_be_written(name: str) -> None:
    """Let what is written to a stream be no error, though it is closed, or its encoding has not every letter."""
    stream = getattr(sys, name)
    if stream is None:
        setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open for as long as the program
    elif isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def complete() -> None:
    """Tell kubectl, a line each, how the last of the words after `kubectl strategyrun` may go on."""
    words = ["strategyrun", *sys.argv[1:]]
    question = {"COMP_WORDS": shlex.join(words), "COMP_CWORD": str(len(words) - 1)}
    os.environ |= question | {"_STRATEGYRUN_COMPLETE": "complete_bash"}
    said = io.StringIO()
    with suppress(SystemExit), redirect_stdout(said):
        application(words[1] if len(words) > 2 else "")(prog_name="strategyrun")
    for line in [*filter(None, said.getvalue().splitlines()), _FILES_WHERE_NOTHING_FITS]:
        typer.echo(line)
