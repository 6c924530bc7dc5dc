"""The scripts of hack/ as modules."""

import importlib.util
from types import ModuleType

from support.cluster import CHECKOUT


def load_script(name: str) -> ModuleType:
    """Load a script, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "hack" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
