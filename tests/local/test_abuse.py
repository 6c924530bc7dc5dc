"""The abuse suite without a cluster: the same cases, the same reasons, behind the walls of this machine."""

import platform
import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from abuse.cases import CASES, KEY, Case
from support.attacks import assert_ends_right
from support.local import LocalRun, in_boxes, manifest, run_local
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(3600)  # a test may wait for the whole suite

AT_ONCE = 2
REFUSED = "refused"
NOT_HERE = {
    "N05 network policy deleted during the run": "there is no NetworkPolicy to delete; N01 tries the same sockets",
    "F11 status written during the run": "there is no status in an API server that somebody could write",
    "F11 annotations and spec written during the run": "there is no object that somebody could write",
    "F12 pod of the run's Job": "there is no API server that would take another pod",
    "F12 pod with the run's labels": "there is no API server that would take another pod",
}
_DEFAULTS = {"evaluation": {"lookAhead": {"action": "Off"}}, "retry": {"limit": 0}, "report": "Discard"}
_OF_ENGINES = ("/var/lib/docker/", "/var/lib/containerd/", "/run/docker/", "/run/containerd/", "/var/lib/kubelet/")
_SETTINGS = ("kernel/core_pattern", "kernel/hostname", "kernel/randomize_va_space", "vm/overcommit_memory")


class Canaries:
    """What no case may touch: a file, a listener, this machine's mounts and settings of its kernel."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.write_text("nobody's business")
        self.secret.chmod(0o600)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.before = self.now()

    def now(self) -> dict[str, str]:
        """Return all but the listener as it is now."""
        told = self.secret.stat()
        return {
            "secret": f"{self.secret.read_text()} {told.st_mode} {told.st_uid} {told.st_mtime_ns}",
            "mounts": _own_mounts(),
            "settings": "".join(Path("/proc/sys", each).read_text() for each in _SETTINGS),
        }

    def heard(self) -> bool:
        """Whether anybody has connected."""
        try:
            self.listener.accept()
        except BlockingIOError:
            return False
        return True


class Suite:
    """All runs that were asked for, as futures."""

    def __init__(self, folder: Path, birds: Canaries, names: list[str]) -> None:
        self.birds = birds
        self._folder = folder
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._futures: dict[str, Future[LocalRun]] = {}
        for name in names:
            for source, spec in self._runs(CASES[name]):
                key = repr((source, spec))
                if key not in self._futures:
                    self._futures[key] = self._pool.submit(self._run, len(self._futures), source, spec)

    def ends(self, name: str) -> list[LocalRun]:
        """Return the ends of the case and of its twin."""
        return [self._futures[repr(run)].result() for run in self._runs(CASES[name])]

    def settle(self) -> None:
        """Wait for all."""
        for future in self._futures.values():
            future.result()

    def stop(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _runs(self, case: Case) -> list[tuple[str, dict[str, Any]]]:
        address = self.birds.listener.getsockname()
        params = {"params": {"targets": [list(address)], "secret": str(self.birds.secret)}}
        common = {"timeoutSeconds": 60} | _DEFAULTS | params
        return [(case.source, common | case.spec), (case.twin, common | case.twin_spec)]

    def _run(self, number: int, source: str, spec: dict[str, Any]) -> LocalRun:
        folder = self._folder / str(number)
        folder.mkdir()
        return run_local(manifest(folder, source, **spec), "--logs", TMPDIR=str(self._folder), **{KEY: token_hex(16)})

    def processes(self) -> list[Path]:
        """Return the processes of this suite's boxes."""
        return in_boxes(self._folder)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Suite]:
    """Begin the runs of the cases that were asked for, a few at a time."""
    asked = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    birds = Canaries(tmp_path_factory.mktemp("canaries"))
    suite = Suite(tmp_path_factory.mktemp("abuse"), birds, sorted({*asked} - {*NOT_HERE}))
    yield suite
    suite.stop()
    birds.listener.close()


def test_what_cannot_be_here_is_about_the_cluster() -> None:
    """Every case that is left out is a known one that does something to a namespace, and all such are left out."""
    assert {name for name, case in CASES.items() if case.during} == set(NOT_HERE)


@pytest.mark.parametrize("name", CASES)
def test_abuse_ends_as_in_the_cluster(suite: Suite, name: str) -> None:
    """The reason is the one that a pod gives, the status stays small and clean, and the twin has not suffered."""
    case = CASES[name]
    if name in NOT_HERE:
        pytest.skip(NOT_HERE[name])
    if case.machine and case.machine != platform.machine():
        pytest.skip(f"only {case.machine} has it")
    found, twin = suite.ends(name)
    if case.expected == (REFUSED,):
        assert (found.exit_code, found.body) == (2, None)
        assert re.search(case.says, found.told), found.told
        return
    assert_ends_right(case, found)
    status = found.status
    assert twin.status["reason"] == case.twin_expected, twin.status
    if case.scores_as_twin:
        assert status["metrics"] == twin.status["metrics"]
        assert status["provenance"]["positionsSHA256"] == twin.status["provenance"]["positionsSHA256"]
    if case.largest_log:
        assert len(found.told) <= case.largest_log


@pytest.mark.parametrize("name", ["N01 TCP to a listener and to the API server"])
def test_no_canary_is_touched(suite: Suite, name: str) -> None:
    """After all cases: the file, the mounts and the kernel's settings are as before, nobody was heard, nobody runs."""
    suite.settle()
    assert suite.birds.now() == suite.birds.before, name
    assert not suite.birds.heard()
    wait_until("no process of a box is left", suite.processes, lambda left: not left)


def _own_mounts() -> str:
    """Return this machine's mounts but those of container engines, which come and go."""
    mounts = (line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines())
    return "\n".join(sorted(f"{path} {kind}" for path, kind in mounts if not path.startswith(_OF_ENGINES)))
