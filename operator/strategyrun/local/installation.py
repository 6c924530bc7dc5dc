"""What of the sandbox is on this machine: the Python with its libraries, its code, its datasets, its configuration."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.sandbox import Profile

PACKAGE = "finlab_sandbox"
DATASET = "us-stocks"
PYTHON_VARIABLE = "FINLAB_SANDBOX_PYTHON"
CACHE_VARIABLE = "FINLAB_SANDBOX_CACHE"

_TABLE = "bokeh_sampledata/_data/stocks.csv.gz"
_BESIDE = "sandbox/bin/python3"
"""Where `make local` puts the sandbox's own environment, seen from the one of the command."""


class NotInstalledError(Exception):
    """Something that a local run needs is not here; the message is one line that says what to do."""


@dataclass(frozen=True)
class Configuration:
    """The default profile of the sandbox, and the content of its seccomp file."""

    profile: Profile
    seccomp: bytes


@dataclass(frozen=True)
class Installation:
    """Paths of this machine; `environment` is a virtual environment, or None where the interpreter is in none."""

    interpreter: Path
    """The program itself, behind all links."""
    environment: Path | None
    version: tuple[int, ...]
    package: Path
    datasets: Path

    @property
    def base(self) -> Path:
        """The folder that the interpreter's own library lies in."""
        return self.interpreter.parent.parent


def configured() -> Configuration:
    """Read the configuration of the checkout, else the one that was installed with this package.

    Raises InvalidSettingsError.
    """
    here = Path(__file__).resolve()
    of_checkout = here.parents[3] / "config" / "sandbox.yaml"
    path = of_checkout if of_checkout.is_file() else here.parents[1] / "config" / "sandbox.yaml"
    profile = load_settings(path).profile
    return Configuration(profile, (path.parent / profile.sandbox.seccomp_profile).read_bytes())


def installed() -> Installation:
    """Find what runs in the boxes, and make what can be made of it. Raises NotInstalledError."""
    python = _python()
    package = _package()
    environment = python.parent.parent if (python.parent.parent / "pyvenv.cfg").is_file() else None
    libraries = _libraries(environment or python.resolve().parent.parent)
    return Installation(
        interpreter=python.resolve(),
        environment=environment,
        version=tuple(map(int, re.findall("[0-9]+", libraries.parent.name))),
        package=package,
        datasets=_datasets(python, package, libraries),
    )


def _python() -> Path:
    if named := os.environ.get(PYTHON_VARIABLE):
        found = Path(named)
        if not os.access(found, os.X_OK):
            raise NotInstalledError(f"{PYTHON_VARIABLE} is {named}, which is no program")
        return found.absolute()
    beside = Path(sys.prefix) / _BESIDE
    return beside if beside.exists() else Path(sys.executable)


def _package() -> Path:
    found = find_spec(PACKAGE)  # looks, and does not import
    if found is None or not found.submodule_search_locations:
        raise NotInstalledError(f"the package {PACKAGE} is not installed beside this command")
    return Path(next(iter(found.submodule_search_locations))).resolve()


def _libraries(prefix: Path) -> Path:
    for folder in sorted(prefix.glob("lib/python3*/site-packages")):
        if (folder / "pandas").is_dir():
            return folder
    raise NotInstalledError(f"{prefix} has no pandas; in a checkout run `make local`, or pipx install '.[local]'")


def _datasets(python: Path, package: Path, libraries: Path) -> Path:
    """Return the folder of builtin datasets, made at the first use, as the image's build makes it."""
    table = libraries / _TABLE
    builder = package / "datasets" / "us_stocks.py"
    folder = _cache() / "datasets" / hashlib.sha256(builder.read_bytes()).hexdigest()[:12]
    manifest = folder / DATASET / "manifest.json"
    if manifest.is_file():
        return folder
    if not table.is_file():
        raise NotInstalledError(f"{table} is missing: bokeh-sampledata 2026.1 has the builtin dataset's prices")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not manifest.is_file():
            partial = folder.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)  # of one that was ended
            done = subprocess.run(  # noqa: S603 - our own code
                [str(python), "-m", f"{PACKAGE}.datasets.us_stocks", str(table), str(partial / DATASET)],
                env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
                pass_fds=(lock.fileno(),),  # where it outlives this process, the next one waits for it
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise NotInstalledError(f"the dataset {DATASET} cannot be made: {done.stderr.strip().splitlines()[-1]}")
            partial.rename(folder)
    return folder


def _cache() -> Path:
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finlab-sandbox"
