"""The pages of the client and of the command line say how they are installed."""

import re
import tomllib

from support.cluster import CHECKOUT
from support.pages import PAGES

EXTRAS = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
SPOKEN = [*PAGES, *(CHECKOUT / "operator" / "strategyrun").rglob("*.py")]
"""What tells people what to type."""


def test_what_is_installed_is_a_checkout() -> None:
    """The package is on no index: under its name there somebody else's would be installed."""
    said = {path: path.read_text(encoding="utf-8") for path in SPOKEN}
    assert [
        path for path, text in said.items() if re.search(r"pipx? install [^\n]*finlab-sandbox-operator", text)
    ] == []
    installed = [found for text in said.values() for found in re.findall(r"pipx? install '?\.(?:\[([a-z-]+)\])?", text)]
    assert {"", "report", "local", "local-all"} == {*installed}
    assert {*installed} - {""} <= {*EXTRAS}
