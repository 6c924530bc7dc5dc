"""What is installed is what the locks say, so a lock must have whatever it was made for."""

import re
import tomllib
from collections.abc import Iterable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.cluster import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Return the version of each package of a lock, by its canonical name."""
    text = (CHECKOUT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(found["name"]): found["version"] for found in _PIN.finditer(text)}


def wanted(*extras: str) -> list[str]:
    """Return what the project needs, with some of its extras."""
    return [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]


def listed(path: str) -> list[str]:
    """Return the lines of a requirements.in."""
    lines = (line.partition("#")[0].strip() for line in (CHECKOUT / path).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("requirements-dev.lock", wanted("dev")),
        ("requirements-local.lock", wanted("report")),
        ("operator/requirements.lock", wanted()),
        ("image/requirements.lock", listed("image/requirements.in")),
        ("operator/fallback/requirements.lock", listed("operator/fallback/requirements.in")),
        ("tests/data/requirements.lock", listed("tests/data/requirements.in")),
    ],
)
def test_a_lock_has_all_that_it_was_made_for(lock: str, requirements: Iterable[str]) -> None:
    """In a version that was allowed; `make lock` sees to it."""
    found = pins(lock)
    for requirement in map(Requirement, requirements):
        version = found.get(canonicalize_name(requirement.name))
        assert version is not None, f"{lock} lacks {requirement}"
        assert requirement.specifier.contains(version, prereleases=True), f"{lock} has {requirement.name} {version}"


def test_a_missing_package_is_found() -> None:
    """So the test above can fail."""
    with pytest.raises(AssertionError, match="lacks"):
        test_a_lock_has_all_that_it_was_made_for("operator/requirements.lock", ["no-such-package>=1"])
