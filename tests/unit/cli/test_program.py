"""The program as a whole, as a process without a cluster."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from strategyrun.cli.program import application

COMMANDS = (
    "submit",
    "list",
    "wait",
    "logs",
    "explain",
    "report",
    "cancel",
    "rerun",
    "delete",
    "top",
    "compare",
    "lint",
    "doctor",
)


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it with a kubeconfig that is not there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
    return subprocess.run(
        [sys.executable, "-m", "strategyrun", *arguments],
        env=clean | {"KUBECONFIG": "/nonexistent", "COLUMNS": "120", "TERM": "dumb"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("wait", "x"),
        ("submit", __file__),
        ("cancel", "x"),
        ("delete", "x"),
        ("top",),
        ("logs", "x"),
        ("explain", "x"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_a_cluster_a_command_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    """It names what was looked for, and the exit code is its own: who is told it may try again."""
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("error: no service account, and no kubeconfig")
    assert done.stderr.count("\n") == 1


_WITHOUT_USER = """\
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
"""


@pytest.mark.parametrize(
    ("command", "code", "written"),
    [("list", 69, "a: ["), ("list", 69, "- words"), ("list", 69, _WITHOUT_USER), ("doctor", 20, "a: [")],
    ids=["no YAML", "a list", "no user", "doctor"],
)
def test_a_kubeconfig_that_cannot_be_read_is_one_clear_line(
    tmp_path: Path, command: str, code: int, written: str
) -> None:
    """Whatever is wrong with it."""
    path = tmp_path / "kubeconfig"
    path.write_text(written)
    done = program(command, KUBECONFIG=str(path))
    assert done.returncode == code, done.stderr
    said = done.stdout + done.stderr
    assert said.startswith(("error: the kubeconfig cannot be read", "fail cluster     the kubeconfig cannot be read"))
    assert said.count("\n") == 1


INTERRUPTED = """
import signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "MODULE":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from strategyrun.cli import DOOR
DOOR()
"""
"""Presses Ctrl-C when a module is looked for."""


@pytest.mark.parametrize("module", ["typer", "strategyrun.cli.runs", "aiohttp"])
@pytest.mark.parametrize("door", ["main", "complete"])
def test_an_interrupt_while_it_starts_is_an_exit_code(door: str, module: str) -> None:
    """What it needs takes a second to import; nobody is told where in there it was."""
    script = INTERRUPTED.replace("MODULE", module).replace("DOOR", door)
    done = subprocess.run(
        [sys.executable, "-c", script, "list", ""], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_metric_that_there_is_not_needs_no_cluster() -> None:
    """It is refused first, with those that there are."""
    done = program("top", "--metric", "sharp")
    assert done.returncode == 2
    assert done.stderr.startswith("error: metric 'sharp': must be one of totalReturn")


@pytest.mark.parametrize("words", [(), ("--selector", ""), ("-l", " "), ("x", "-l", "a=b")], ids=str)
def test_nothing_is_deleted_for_want_of_a_word(words: tuple[str, ...]) -> None:
    """As where a script's variable is empty: it is told what is missing, and no cluster is asked."""
    done = program("delete", *words)
    assert (done.returncode, done.stderr) == (2, "error: delete what? give names, or a selector\n")


def test_without_a_cluster_the_doctor_says_what_to_do() -> None:
    """Its first line is its last."""
    done = program("doctor")
    assert done.returncode == 20
    assert done.stdout.startswith("fail cluster")
    assert "set KUBECONFIG, or start a cluster" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_shell_can_complete_every_command() -> None:
    """What the shell asks of the program when somebody presses tab."""
    done = program(_STRATEGYRUN_COMPLETE="complete_bash", COMP_WORDS="strategyrun ", COMP_CWORD="1")
    assert set(COMMANDS) <= set(done.stdout.split()), done.stderr


def test_kubectl_asks_how_its_words_may_go_on() -> None:
    """A choice a line, and last what to do where none fits: offer files. No cluster that answers is no error."""

    def asked(*words: str) -> list[str]:
        plugin = Path(sys.executable).with_name("kubectl_complete-strategyrun")
        done = subprocess.run(
            [plugin, *words],
            env=os.environ | {"KUBECONFIG": "/nonexistent"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert asked("li") == ["lint", "list", ":0"]
    assert asked("top", "--metric", "so") == ["sortino", ":0"]
    assert asked("list", "--output", "") == ["json", "yaml", "wide", "name", ":0"]
    assert asked("submit", "a file") == [":0"]
    assert asked("wait", "") == [":0"]


def test_the_plugin_teaches_no_shell_of_its_own() -> None:
    """It would take the place of kubectl's completion."""
    whole, plugin = (get_command(application(plugin=each)).params for each in (False, True))
    assert {each.name for each in whole} - {each.name for each in plugin} == {"install_completion", "show_completion"}


def test_it_says_its_version() -> None:
    """That of the distribution; and without a word it says what there is."""
    done = CliRunner().invoke(application(), ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"strategyrun {version('finlab-sandbox-operator')}\n")
    assert "Usage" in CliRunner().invoke(application(), []).output


@pytest.mark.parametrize("command", [*COMMANDS, "operator", "install-seccomp", "generate"])
def test_every_command_has_help(command: str) -> None:
    """Nothing in it is taken for markup."""
    done = CliRunner().invoke(application(), [command, "--help"], catch_exceptions=False)
    assert done.exit_code == 0
    assert command in done.stdout
