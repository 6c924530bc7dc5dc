"""What an installed wheel has for local runs."""

import re
import tomllib

from strategyrun.local.installation import configured
from support.cluster import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
IMAGE = set(re.findall(r"^[A-Za-z].*==.*$", (CHECKOUT / "image" / "requirements.in").read_text(), flags=re.MULTILINE))


def test_the_extras_pin_what_the_image_pins() -> None:
    """Every library of the image in the version of the image, and beside them only what draws a report."""
    pinned = {each for extra in ("local", "local-all") for each in EXTRAS[extra]}
    assert pinned - {"matplotlib>=3.10", "finlab-sandbox-operator[local]"} == IMAGE


def test_the_wheel_carries_the_sandbox_and_its_configuration() -> None:
    """The package, and both files where an installed command looks for them."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == {"operator/strategyrun", "image/finlab_sandbox"}
    assert all((CHECKOUT / path).is_file() for path in wheel["force-include"])
    names = ("operator.yaml", "sandbox.yaml", configured().profile.sandbox.seccomp_profile)
    assert set(wheel["force-include"].values()) == {f"strategyrun/config/{name}" for name in names}
