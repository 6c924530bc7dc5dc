"""Operators as processes that may be killed at any moment. Each is forked from one that has everything imported,
so that hundreds of them can be born within a minute."""

import ctypes
import logging
import multiprocessing
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import time
from types import TracebackType
from typing import Self

from kubernetes.aio import client, config

from strategyrun.adapters import controller
from strategyrun.adapters.clock import ServerClock
from strategyrun.adapters.kopf_source import run_operator
from strategyrun.adapters.kube import Kube
from strategyrun.adapters.settings import Settings
from strategyrun.domain.sandbox import Resources
from support.cluster import Kind
from support.operator import UNSCHEDULABLE, resource_of, with_slots
from support.ports import free_port
from support.waiting import PATIENCE, Seen, wait_until

_LITTLE = Resources(cpu="10m", memory="16Mi")

_SANDBOX = UNSCHEDULABLE.profile.sandbox.model_copy(update={"limits": _LITTLE, "requests": _LITTLE})

ON_RIG: Settings = replace(UNSCHEDULABLE, profile=UNSCHEDULABLE.profile.model_copy(update={"sandbox": _SANDBOX}))
"""Settings whose pods fit on the rig's nodes by the thousand."""

_forks = multiprocessing.get_context("forkserver")
_PR_SET_PDEATHSIG = 1


class KillableOperator:
    """The operator as a process: start, kill and start again. `wrong_by` so many seconds is its machine's clock."""

    def __init__(
        self,
        kubeconfig: Path,
        kind: Kind,
        log: Path,
        *,
        slots: int = 50,
        sweep_seconds: float | None = None,
        start_seconds: int = 120,
        wrong_by: float = 0,
    ) -> None:
        self.port = free_port()
        self._arguments = (str(kubeconfig), kind, self.port, str(log), slots, sweep_seconds, start_seconds, wrong_by)
        self._log = log
        self._process: multiprocessing.process.BaseProcess | None = None
        self._killing = threading.Lock()
        self.starts = 0

    def __enter__(self) -> Self:
        """Start, and wait for readiness."""
        self.start()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left."""
        self.kill()
        if error is not None:
            error.add_note(f"the end of the operator's log:\n{self.log[-6000:]}")

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        assert self._process is not None, "the operator was not started"
        assert self._process.pid is not None, "the operator was not started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start a process without waiting for it."""
        _prepare()
        process = _forks.Process(target=_operate, args=self._arguments, daemon=True)
        process.start()
        self._process = process  # until now a late request of the one before could only kill that one
        self.starts += 1

    def kill(self) -> None:
        """End it between two instructions; any thread may do so."""
        with self._killing:
            if self._process is not None:
                self._process.kill()
                self._process.join(PATIENCE)

    def revive(self) -> None:
        """Start it again if it has ended, as a kubelet does."""
        if not self.alive:
            self.start()

    def reviving(self, observe: Callable[[], Seen]) -> Callable[[], Seen]:
        """Observe something, and see to it that the operator lives."""

        def both() -> Seen:
            self.revive()
            return observe()

        return both

    def ready(self) -> bool:
        """Ask for readiness."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def wait_ready(self) -> None:
        """Wait for the first sweep's end."""
        wait_until(
            "the operator is ready",
            lambda: self.ready() or not self.alive,
            bool,
            every=0.02,
        )
        assert self.alive, f"the operator has ended:\n{self.log[-6000:]}"


def _prepare() -> None:
    """Say what the process that forks imports, before it starts; pytest itself, as every child imports its main."""
    tests = str(Path(__file__).parents[1])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if tests not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*known, tests]))
    _forks.set_forkserver_preload(["pytest", __name__])


def _operate(
    kubeconfig: str,
    kind: Kind,
    port: int,
    log: str,
    slots: int,
    sweep_seconds: float | None,
    start_seconds: int,
    wrong_by: float,
) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # it dies with those who started it
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(written, stream)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    if sweep_seconds is not None:
        controller.SWEEP_SECONDS = sweep_seconds

    async def connect() -> Kube:
        configuration = client.Configuration()
        await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        return Kube(configuration, runs=resource_of(kind), clock=ServerClock(wall=lambda: time() + wrong_by))

    run_operator(with_slots(_starting_within(start_seconds), slots), health_port=port, connect=connect)


def _starting_within(seconds: int) -> Settings:
    sandbox = ON_RIG.profile.sandbox
    timeouts = sandbox.timeouts.model_copy(update={"start_seconds": seconds})
    profile = ON_RIG.profile.model_copy(update={"sandbox": sandbox.model_copy(update={"timeouts": timeouts})})
    return replace(ON_RIG, profile=profile)
