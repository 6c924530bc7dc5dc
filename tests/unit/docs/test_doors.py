"""The pages of the client and of the command line name all that there is, and how it is installed."""

import re
import tomllib
from dataclasses import fields

import pytest
import typer.main

from strategyrun import Trial, client
from strategyrun.cli.program import application
from support.cluster import CHECKOUT
from support.pages import PAGES

PYTHON = (CHECKOUT / "docs" / "python.md").read_text(encoding="utf-8")
TERMINAL = (CHECKOUT / "docs" / "terminal.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
SPOKEN = [*PAGES, *(CHECKOUT / "operator" / "strategyrun").rglob("*.py")]
"""What tells people what to type."""
OF_PODS = {"operator", "install-seccomp", "generate", "run"}
"""Commands that are no client's."""


@pytest.mark.parametrize("field", [each.name for each in fields(Trial)])
def test_every_field_of_a_trial_is_on_its_page(field: str) -> None:
    """By its name in Python."""
    assert f"`{field}`" in PYTHON


@pytest.mark.parametrize("name", [each for each in client.__all__ if each.endswith("Error")])
def test_every_error_is_on_its_page(name: str) -> None:
    """What may be raised is told before it is."""
    assert re.search(rf"\b{name}\b", PYTHON)


@pytest.mark.parametrize("command", sorted({*typer.main.get_command(application()).commands} - OF_PODS))  # type: ignore[attr-defined]
def test_every_command_is_on_its_page(command: str) -> None:
    """In a line to type, or in a sentence."""
    assert re.search(rf"strategyrun {command}\b", TERMINAL)


def test_what_is_installed_is_a_checkout() -> None:
    """The package is on no index: under its name there somebody else's would be installed."""
    said = {path: path.read_text(encoding="utf-8") for path in SPOKEN}
    assert [
        path for path, text in said.items() if re.search(r"pipx? install [^\n]*finlab-sandbox-operator", text)
    ] == []
    installed = [found for text in said.values() for found in re.findall(r"pipx? install '?\.(?:\[([a-z-]+)\])?", text)]
    assert {"", "report", "local", "local-all"} == {*installed}
    assert {*installed} - {""} <= {*EXTRAS}
