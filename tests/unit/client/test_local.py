"""The client with an engine of this machine, where none gets as far as a box."""

from pathlib import Path

import pytest

from strategyrun import Client
from strategyrun.client import ClusterError, NotAskedError

CODE = "def strategy(data, params):\n    return data.close * 0\n"
DOCKER = """\
#!/bin/sh
echo "$1" >>"$0.asked"
case "$1" in
version) echo 27.0.1 ;;
image) echo sha256:00 ;;
*) echo "no space left" >&2; exit 1 ;;
esac
"""
"""Has its daemon and the image, and can make nothing."""


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which programs are found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_is_taken_by_its_name_or_not_at_all() -> None:
    """One that is not here is not replaced; `local` takes any."""
    with Client(engine="docker") as client, pytest.raises(ClusterError, match="a strategy: docker is not installed"):
        client.evaluate(CODE)
    with Client(engine="bubblewrap") as client, pytest.raises(ClusterError, match="a strategy: bubblewrap is not"):
        client.evaluate(CODE)
    with Client(engine="local") as client, pytest.raises(ClusterError, match=r"no engine works here: bubble.*; docker"):
        client.evaluate(CODE)
    with pytest.raises(NotAskedError, match="must be one of cluster, local, bubblewrap, docker"):
        Client(engine="podman")  # type: ignore[arg-type]


def test_a_client_remembers_its_engine(programs: Path) -> None:
    """The next trial does not look for it again."""
    docker = programs / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    with Client(engine="docker") as client:
        for _ in range(2):
            with pytest.raises(ClusterError, match="no space left"):
                client.evaluate(CODE)
    assert (programs / "docker.asked").read_text().split().count("version") == 1
