"""Local runs in containers of the image that `make up` builds: the numbers, the ends and the walls of a pod."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from abuse.cases import CASES
from strategyrun import Client
from strategyrun.local.installation import configured
from support.attacks import assert_ends_right, attack
from support.cluster import CHECKOUT
from support.endings import ENDS, HALF, PRICES, QUICK
from support.local import LocalRun, manifest, run_local, variables
from support.waiting import wait_until

SAMPLE = CHECKOUT / "manifests" / "samples" / "turtle.yaml"
GOLDEN = json.loads((CHECKOUT / "tests/cluster/golden/samples.json").read_text())
ATTACKS = (
    *(
        "K01 user namespace by unshare",
        "K02 mount over the code",
        "K07 become root",
        "I03 other processes and networks",
    ),
    *(
        "I07 secret of the node",
        "N01 TCP to a listener and to the API server",
        "R02 thread bomb",
        "F04 library patched",
    ),
    *("R05 shared memory filled", "R05 hand-over filled", "R06 endless output", "R15 allocates beyond all"),
)
OF_A_RUN = re.compile(r"finlab-sandbox-[a-z0-9_]{8}-\w+")
"""Names of containers and volumes; the cluster's own node has another one."""


@pytest.fixture(autouse=True, scope="module")
def _image() -> None:
    """Fail at once where there is no docker with the image: what is skipped is not tested."""
    image = configured().profile.sandbox.image
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\nmake up"


def run(file: Path, *arguments: str) -> LocalRun:
    """Run the command with this engine."""
    return run_local(file, "--engine", "docker", *arguments)


def left() -> list[str]:
    """Return the containers and volumes of local runs."""
    told = [docker("ps", "--all", "--format", "{{.Names}}"), docker("volume", "ls", "--format", "{{.Name}}")]
    return [name for each in told for name in each.split() if OF_A_RUN.fullmatch(name)]


def docker(*arguments: str) -> str:
    """Ask docker."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_sample_scores_as_in_the_cluster() -> None:
    """Every metric, to the last bit; the status names the engine."""
    found = run(SAMPLE)
    assert found.exit_code == 0, found.told
    assert found.status["metrics"] == GOLDEN[SAMPLE.stem]
    assert found.status["provenance"]["isolation"]["runtimeClass"].startswith("docker ")
    assert "weaker than in a pod" in found.told


@pytest.mark.parametrize("source", ENDS)
def test_every_end_has_the_clusters_reason(tmp_path: Path, source: str) -> None:
    """The same table as for boxes of bubblewrap."""
    code, reason, spec = ENDS[source]
    found = run(manifest(tmp_path, source + "\n", **({"evaluation": QUICK} | spec)))
    assert (found.exit_code, found.status["reason"]) == (code, reason), found.told


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_end_as_in_the_cluster(tmp_path: Path, name: str) -> None:
    """A few of each kind."""
    assert_ends_right(CASES[name], run(attack(tmp_path, CASES[name])))


def test_the_client_can_ask_for_this_engine() -> None:
    """By its name, where `local` would take bubblewrap first."""
    with Client(engine="docker") as client:
        result = client.evaluate(HALF, evaluation=QUICK)
    assert result.reason == "Evaluated", result
    assert result.provenance["isolation"]["runtimeClass"].startswith("docker ")


def test_prices_of_ones_own_are_read_by_the_loader(tmp_path: Path) -> None:
    """From a folder of this machine, in a third container."""
    (tmp_path / "prices of mine").mkdir()
    (tmp_path / "prices of mine" / "daily.csv").write_text(PRICES)
    (tmp_path / "strategy.py").write_text(HALF)
    status = run(tmp_path / "strategy.py", "--dataset", str(tmp_path / "prices of mine")).status
    assert (status["reason"], status["metrics"]["days"]) == ("Evaluated", 28)


def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """No container, no volume."""
    before = left()
    assert run(manifest(tmp_path, HALF, evaluation=QUICK)).exit_code == 0
    assert left() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Nor does one that is ended while a step runs."""
    before = left()
    path = manifest(tmp_path, "import time\ntime.sleep(250)\n", timeoutSeconds=300)
    words = [sys.executable, "-m", "strategyrun.local", str(path), "--engine", "docker"]
    with subprocess.Popen(words, env=variables(), stderr=subprocess.PIPE) as command:
        try:
            wait_until(
                "a step runs",
                lambda: docker("ps", "--format", "{{.Names}}"),
                lambda names: "-strategy" in names,
                seconds=120,
            )
            command.send_signal(number)
            assert (command.communicate(timeout=60)[1], command.returncode) == (b"", 128 + number)
        finally:
            command.kill()
    assert left() == before
