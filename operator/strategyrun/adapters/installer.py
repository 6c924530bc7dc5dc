"""Keeps the seccomp files on a node, and its labels true: `ready` is said of a file alone that was read back whole."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from strategyrun.adapters.backoff import patiently
from strategyrun.adapters.kube import NODES, TROUBLE, Kube
from strategyrun.adapters.settings import seccomp_files
from strategyrun.domain.sandbox import NODE_LABEL_PREFIX, NODE_READY, SeccompProfile

EVERY_SECONDS = 5.0

log = logging.getLogger(__name__)


class FolderGoneError(Exception):
    """The node's folder is not there, or somebody deleted it; a container that starts anew gets another one."""


class Installer:
    """The files of a folder on one node."""

    def __init__(self, kube: Kube, node: str, source: Path, target: Path) -> None:
        self._kube = kube
        self._node = node
        self._source = source
        self._target = target
        self._said: dict[str, str | None] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Install, verify and repair until the stop flag; then take the node's labels back.

        Raises FolderGoneError, InvalidSettingsError; the labels are taken back then too.
        """
        try:
            while not stop.is_set():
                await self._attempt(self.install())
                try:
                    async with asyncio.timeout(EVERY_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    continue
        finally:
            with suppress(*TROUBLE):  # which was told with each try
                await patiently("taking back the labels", lambda: self._label(frozenset()))

    def install(self) -> frozenset[str]:
        """Put every file in its place where it is not, and return the labels of those that are there, byte for byte.

        Raises FolderGoneError, and InvalidSettingsError where the source cannot be read.
        """
        try:
            links = os.stat(self._target).st_nlink
        except OSError as error:
            raise FolderGoneError(f"--target {self._target} cannot be read: {error.strerror}") from error
        if links == 0:
            raise FolderGoneError(f"{self._target} was deleted on the node")
        held = set()
        for name, content in seccomp_files(self._source):
            profile = SeccompProfile.of(content)
            path = self._target / Path(profile.localhost_profile).name
            try:
                if _read(path) != content:
                    _write(path, content)
                    log.info("wrote %s as %s", name, path.name)
                if _read(path) == content:
                    held.add(profile.node_label)
            except OSError as error:
                log.error("%s cannot be installed as %s: %s", name, path.name, error)
        return frozenset(held)

    async def _attempt(self, held: frozenset[str]) -> None:
        """Let the node say what it holds; where the API server does not answer, the next time will do."""
        try:
            await self._label(held)
        except TROUBLE as error:
            log.warning("node %s could not be labelled: %s", self._node, error)

    async def _label(self, held: frozenset[str]) -> None:
        # A patch that changes nothing is answered with the node and writes nothing, so there is no right to read nodes.
        labels = await self._patch(dict.fromkeys(held, NODE_READY))
        stale = {name for name in labels if name.startswith(NODE_LABEL_PREFIX)} - held
        if stale:
            await self._patch(dict.fromkeys(stale))
        said: dict[str, str | None] = {**dict.fromkeys(held, NODE_READY), **dict.fromkeys(stale)}
        if said != self._said:
            log.info("node %s: %s", self._node, said or "no label")
            self._said = said

    async def _patch(self, labels: dict[str, str] | dict[str, None]) -> dict[str, str]:
        path, content = NODES.path(name=self._node), "application/merge-patch+json"
        answer = await self._kube.send("PATCH", path, body={"metadata": {"labels": labels}}, content=content)
        found: dict[str, str] = answer["metadata"].get("labels", {})
        return found


def install_seccomp(node: str, source: Path, target: Path) -> None:
    """Keep a node's files and labels until a signal asks for the end.

    Raises NoClusterError, FolderGoneError, InvalidSettingsError.
    """
    asyncio.run(_install(node, source, target))


async def _install(node: str, source: Path, target: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await Kube.connect() as kube:
        await Installer(kube, node, source, target).run(stop)


def _read(path: Path) -> bytes | None:
    """Read a file that is one: a link could show what no kubelet sees."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read()
    except OSError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Put a file in place whole or not at all."""
    beside = path.with_name(f".{path.name}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
