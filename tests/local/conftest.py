"""What every test of local runs needs: the sandbox's Python."""

import pytest

from support.local import sandbox_python


@pytest.fixture(autouse=True, scope="session")
def _sandbox() -> None:
    """Skip where the sandbox's libraries are not on this machine."""
    if sandbox_python() is None:
        pytest.skip("the sandbox's libraries are not here: run `make local`, or set FINLAB_SANDBOX_PYTHON")
