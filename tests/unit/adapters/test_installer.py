"""The seccomp files on a node, in a folder of this machine; the API server is tests/cluster/test_installer.py's."""

import os
from pathlib import Path

import pytest
from kubernetes.aio import client

from strategyrun.adapters.installer import FolderGoneError, Installer
from strategyrun.adapters.kube import Kube
from strategyrun.adapters.settings import InvalidSettingsError
from strategyrun.domain.sandbox import SeccompProfile
from support.clock import run_virtually

CONTENT = b'{"defaultAction": "SCMP_ACT_ERRNO"}'
PROFILE = SeccompProfile.of(CONTENT)
NAME = Path(PROFILE.localhost_profile).name


class Node:
    """Source, target and the installer between them."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "source", folder / "target"
        for each in (self.source, self.target):
            each.mkdir()
        (self.source / "profile.json").write_bytes(CONTENT)

    def install(self) -> frozenset[str]:
        """Install once."""

        async def once() -> frozenset[str]:
            kube = Kube(client.Configuration(host="https://10.96.0.1"))
            return Installer(kube, "node", self.source, self.target).install()

        return run_virtually(once())

    @property
    def file(self) -> Path:
        """Where the kubelet looks."""
        return self.target / NAME


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node without the file."""
    return Node(tmp_path)


def test_a_file_is_written_under_the_name_of_its_content(node: Node) -> None:
    """The name that Jobs ask for; every user of the node may read it, and nothing else is left."""
    assert node.install() == {PROFILE.node_label}
    assert node.file.read_bytes() == CONTENT
    assert node.file.stat().st_mode & 0o777 == 0o644
    assert list(node.target.iterdir()) == [node.file]


@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "link"])
def test_what_is_not_the_file_is_repaired(node: Node, tmp_path: Path, damage: str) -> None:
    """Byte for byte, and never through a link: the kubelet reads it in another place."""
    node.install()
    if damage == "missing":
        node.file.unlink()
    elif damage == "changed":
        node.file.write_bytes(b'{"defaultAction": "SCMP_ACT_ALLOW"}')
    elif damage == "cut":
        node.file.write_bytes(CONTENT[:10])
    else:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(CONTENT)
        node.file.unlink()
        node.file.symlink_to(elsewhere)
    assert node.install() == {PROFILE.node_label}
    assert node.file.read_bytes() == CONTENT
    assert not node.file.is_symlink()


def test_a_file_that_is_whole_is_let_alone(node: Node) -> None:
    """It is read, and not written again."""
    node.install()
    before = node.file.stat()
    node.install()
    assert node.file.stat().st_ino == before.st_ino


def test_every_file_of_the_source_is_installed(node: Node) -> None:
    """A profile of another name is another file; what is no JSON file is none."""
    (node.source / "other.json").write_bytes(b"{}")
    (node.source / "readme.txt").write_bytes(b"no")
    assert node.install() == {PROFILE.node_label, SeccompProfile.of(b"{}").node_label}


def test_a_file_that_cannot_be_written_is_not_promised(node: Node) -> None:
    """Something stands in its place; the others are there all the same."""
    node.file.mkdir()
    (node.source / "other.json").write_bytes(b"{}")
    assert node.install() == {SeccompProfile.of(b"{}").node_label}


def test_a_folder_that_somebody_deleted_is_an_error(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount of it shows a folder without a name, into which nobody could write; a new start finds another."""
    held = os.open(node.target, os.O_RDONLY)
    try:
        node.target.rmdir()
        monkeypatch.setattr(node, "target", Path(f"/proc/self/fd/{held}"))
        with pytest.raises(FolderGoneError, match="was deleted on the node"):
            node.install()
    finally:
        os.close(held)


def test_a_folder_that_is_not_there_is_an_error(node: Node) -> None:
    """With the option that names it."""
    node.target.rmdir()
    with pytest.raises(FolderGoneError, match=f"--target {node.target} cannot be read: No such file or directory"):
        node.install()


def test_a_source_that_is_gone_promises_nothing(node: Node) -> None:
    """No file, no label."""
    (node.source / "profile.json").unlink()
    assert node.install() == frozenset()


def test_a_source_that_cannot_be_read_is_an_error(node: Node) -> None:
    """With its name."""
    (node.source / "folder.json").mkdir()
    with pytest.raises(InvalidSettingsError, match=r"cannot be read.*folder\.json"):
        node.install()
