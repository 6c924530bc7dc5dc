"""PID 1 of the untrusted step: forks the child, keeps the time limit, passes output on, says how it ended.

It imports nothing heavy and parses nothing that the strategy made but small JSON documents.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import stat
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from finlab_sandbox.harness import executors, found, memory, reasons, selfreport, task, text
from finlab_sandbox.harness.ending import POSITIONS, RESULT, Ending, document_of

if TYPE_CHECKING:
    from finlab_sandbox.harness.paths import Paths

LOG_CAP = 1024 * 1024
TAIL_BYTES = 16 * 1024
SAID_BYTES = 16 * 1024
CHUNK = 64 * 1024
DRAIN_READS = 32  # twice what a pipe can hold; who writes on after the end is not listened to
TRACE_GRACE = 1.0  # seconds between asking a strategy out of time where it is and killing it
CUT = f"\n[finlab-sandbox] output is cut here, after {LOG_CAP} bytes\n".encode()
WALLS = b"W"
STARTED = b"S"
HANDED_OVER = b"H"
PR_SET_DUMPABLE = 4
EXIT_CODES = {reasons.COMPLETED: 0, reasons.IMAGE_INVALID: 2, reasons.TAMPERED: 2}
STOPPING = (signal.SIGTERM, signal.SIGINT)
TOLD_TO_STOP = 128 + signal.SIGTERM


class Order(NamedTuple):
    """What of input.json the supervisor goes by, and where it is. The child reads the rest, and may refuse it."""

    document: bytes  # input.json as it was read, once
    limit: float  # seconds
    kind: str
    samples: int
    executor: str
    walls_must_hold: bool


def supervise(paths: Paths, *, walls_must_hold: bool | None = None) -> int:
    """Runs the strategy to its end, writes the document, returns the exit code.

    The walls must hold in a pod, which is where this is the first process, unless the caller says otherwise.
    """
    if walls_must_hold is None:
        walls_must_hold = os.getpid() == 1
    _forget_cluster()
    try:
        order = _read(paths.input, executors.told(), walls_must_hold)
    except reasons.RunError as error:
        end = Ending(said=json.dumps({"reason": error.reason, "message": str(error)}).encode())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        end = Ending(said=json.dumps({"message": f"input.json: {type(error).__name__}: {error}"}).encode())
    else:
        end = _with_result(_Child(paths, order).watch(), paths.result)
    document = document_of(end)
    _write(paths.document, text.encode(document))
    return TOLD_TO_STOP if end.stopped else EXIT_CODES.get(document["reason"], 1)


def _forget_cluster() -> None:
    """Takes the API server's address, which the kubelet gives to every container, from what the strategy inherits."""
    for name in [name for name in os.environ if name.startswith("KUBERNETES_")]:
        del os.environ[name]


def _read(path: str, executor: str, walls_must_hold: bool) -> Order:
    content = task.pinned_input(path)
    document = json.loads(content)
    kind = str(document.get("kind"))
    samples = int(document.get("lookAhead", {}).get("samples", 0)) if kind == POSITIONS else 0
    return Order(content, float(document["timeoutSeconds"]), kind, samples, executor, walls_must_hold)


def _with_result(end: Ending, directory: str) -> Ending:
    """With what the strategy wrote of itself."""
    if end.kind != RESULT:
        return end
    try:
        return replace(end, result=selfreport.read_file(directory))
    except selfreport.InvalidReportError as error:
        return replace(end, result_unread=str(error))


class _Child:
    """The forked child as seen from outside, from the fork to its end."""

    def __init__(self, paths: Paths, order: Order) -> None:
        self._paths = paths
        self._order = order
        self._output, output = os.pipe()
        self._status, status = os.pipe()
        self._alone = os.getpid() == 1
        self._kills = memory.kills()
        self._began = time.monotonic()
        self._deadline = self._began + order.limit
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # they wait until somebody listens
        self._pid = os.fork()
        if self._pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            _become_child(paths, order, output, status, self._deadline)
        if not self._alone:
            os.setpgid(self._pid, self._pid)
        os.close(output)
        os.close(status)
        # Without this the child, being of the same user, could write to this process's memory. The child is still our
        # own code while it imports; where a seccomp profile refuses the call, the child is a nuisance to its own run
        # alone.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        self._started_at: float | None = None
        self._handed_over_at: float | None = None
        self._walls = b""
        self._said = b""
        self._tail = b""
        self._logged = 0
        self._timed_out = False
        self._stopped = False
        self._end: tuple[int | None, int | None] | None = None

    def watch(self) -> Ending:
        """Waits for the end, by itself or by the time limit."""
        wake = _wake_on_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        poller = select.poll()
        for descriptor in (self._output, self._status, wake):
            os.set_blocking(descriptor, False)
            poller.register(descriptor, select.POLLIN)
        self._reap()
        while self._end is None:
            for descriptor, _ in poller.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
                if descriptor == wake:
                    self._stopped |= signal.SIGTERM in os.read(wake, 64)
                elif not self._take(descriptor):
                    poller.unregister(descriptor)
            self._reap()  # before the limit: who ended meanwhile ended in time, and is no process any more
            if self._end is None:
                self._hold_to_limits()
        ended = time.monotonic()
        self._kill_all()
        for descriptor in (self._output, self._status):
            for _ in range(DRAIN_READS):
                if not self._take(descriptor):
                    break
        started_at = ended if self._started_at is None else self._started_at
        handed_over_at = self._handed_over_at if self._handed_over_at and self._order.samples else ended
        code, number = self._end
        kills = memory.kills()
        return Ending(
            kind=self._order.kind,
            samples=self._order.samples,
            exit_code=code,
            signal=number,
            started=self._started_at is not None,
            finished=self._handed_over_at is not None,
            timed_out=self._timed_out,
            stopped=self._stopped,
            starved=None if kills is None or self._kills is None else kills > self._kills,
            walls=self._walls,
            said=self._said,
            handed_over=looks_like_positions(self._paths.positions),
            output=self._tail,
            limit=self._order.limit,
            imports=started_at - self._began,
            strategy=handed_over_at - started_at,
            look_ahead=ended - handed_over_at,
        )

    def _hold_to_limits(self) -> None:
        """Ends the child when this step is told to stop, or at the time limit, after asking it where it is."""
        if self._stopped:
            self._kill_all()
        elif time.monotonic() >= self._deadline:
            if self._timed_out:
                self._kill_all()
            else:
                self._timed_out = True
                os.kill(self._pid, signal.SIGUSR1)
            self._deadline = time.monotonic() + TRACE_GRACE

    def _take(self, descriptor: int) -> bool:
        """Reads once from a pipe of the child. False when there is nothing more to read now or ever."""
        try:
            content = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        if descriptor == self._output:
            self._log(content)
        else:
            self._hear(content)
        return bool(content)

    def _hear(self, content: bytes) -> None:
        """Takes in what the child says, and when it says that it has started and that it has handed over.

        What walls hold is said before the start, by a child that is still our own code, and never after it.
        """
        self._said = (self._said + content)[:SAID_BYTES]
        if self._started_at is None and self._said.startswith(WALLS) and b"\n" in self._said:
            walls, _, self._said = self._said.partition(b"\n")
            self._walls = walls[len(WALLS) :]
        if self._started_at is None and self._said.startswith(STARTED):
            self._started_at = time.monotonic()
            self._said = self._said[len(STARTED) :]
        if self._started_at is not None and self._handed_over_at is None and self._said.startswith(HANDED_OVER):
            self._handed_over_at = time.monotonic()
            seconds = self._handed_over_at - self._started_at
            self._deadline = min(self._deadline, found.until(self._handed_over_at, seconds))
            self._said = self._said[len(HANDED_OVER) :]

    def _log(self, content: bytes) -> None:
        """Passes output on up to the cap, and keeps its tail."""
        self._tail = (self._tail + content)[-TAIL_BYTES:]
        if self._logged <= LOG_CAP:
            room = LOG_CAP - self._logged
            _write_all(1, content[:room] + (CUT if len(content) > room else b""))
        self._logged += len(content)

    def _reap(self) -> None:
        """Collects what has ended: the child, and orphans that PID 1 inherits."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self._end = (code, None) if code >= 0 else (None, -code)

    def _kill_all(self) -> None:
        """SIGKILL for the child and everything that it started."""
        try:
            if self._alone:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def looks_like_positions(path: str) -> bool:
    """Whether a plain file with the header of the hand-over format and the size it promises is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        header = os.pread(descriptor, 16, 0) if stat.S_ISREG(status.st_mode) else b""
    finally:
        os.close(descriptor)
    if len(header) != 16:
        return False
    magic, dates, symbols = struct.unpack("<8sII", header)
    size: int = 16 + 4 * (dates + symbols) + 8 * dates * symbols
    return magic == b"FLBPOS1\n" and status.st_size == size


def _become_child(paths: Paths, order: Order, output: int, status: int, deadline: float) -> None:
    """Never returns: the child's life, from the fork to its exit."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(nothing)
        os.closerange(3, status)
        from finlab_sandbox.harness.child import live  # noqa: PLC0415 - nothing heavy before the fork

        must_hold = order.walls_must_hold
        code = live(order.document, paths, status, deadline, executor=order.executor, walls_must_hold=must_hold)
    finally:
        os._exit(code)


def _wake_on_signals() -> int:
    """A descriptor that receives the number of each SIGCHLD, SIGTERM and SIGINT."""
    wake, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end)
    # SIGINT, because Python would let it end even the first process of a pod, and the strategy may send it.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return wake


def _write(path: str, content: bytes) -> None:
    """One write, over anything that the strategy may have put there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        _write_all(descriptor, content)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
