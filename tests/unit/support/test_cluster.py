"""What tests say when there is no cluster to test against."""

from pathlib import Path

import pytest
import yaml

from support.cluster import Cluster, NoClusterError


def test_a_missing_kubeconfig_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The failure names the file and what to do."""
    monkeypatch.setenv("KUBECONFIG_FINLAB", str(tmp_path / "kubeconfig"))
    with pytest.raises(NoClusterError, match=r"there is no .*/kubeconfig; `make up` creates one"):
        Cluster.connect()


def test_a_silent_server_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The failure names the address that nobody answers at, and comes at once."""
    server = "https://127.0.0.1:1"  # a port that nothing listens on
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "gone",
                "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
                "clusters": [{"name": "gone", "cluster": {"server": server}}],
                "users": [{"name": "gone", "user": {}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG_FINLAB", str(kubeconfig))
    with pytest.raises(NoClusterError, match=f"no cluster answers at {server}"):
        Cluster.connect()
