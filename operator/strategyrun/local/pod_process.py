"""The process that stands in for a kubelet: makes namespaces, runs one box after the other, says how each ended.

Run as a script by `bubblewrap`, isolated and without site-packages: an order as JSON on stdin, the ends as JSON on
stdout. It has an empty environment, so that no box can be told anything of it.
"""

import base64
import ctypes
import json
import os
import selectors
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from strategyrun.local import memory, namespaces

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOPPING = (signal.SIGTERM,)
LOOK_SECONDS = 0.05
ADDRESSES_BYTES = 2 * 1024 * 1024 * 1024
"""What a process may map beyond its memory: libraries and stacks of threads that it never touches take that much."""

LOG_LIMIT_BYTES = 2 * 1024 * 1024
WORDS_LIMIT_BYTES = 4096
WORDS_SPACE_BYTES = 1024 * 1024


def main() -> None:
    """Carry out the order of standard input."""
    # Who started this may die without a word; the boxes must not outlive it.
    signal.signal(signal.SIGTERM, stop)
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what loses its parent in a box is still below this process
    order = json.load(sys.stdin)
    if os.getppid() != order["parent"]:  # it died before the kernel was asked to tell
        return
    try:
        enter_namespaces(order["users"])
        for path, size in order["scratch"].items():
            namespaces.mount_scratch(path, size)
        namespaces.mount_scratch(order["words"], WORDS_SPACE_BYTES)
    except OSError as error:
        json.dump({"refused": str(error)}, sys.stdout)
        return
    deadline = time.monotonic() + order["deadline"]
    ends = []
    for step in order["steps"]:
        ends.append(run(step, order, deadline))
        if ends[-1]["exitCode"] or ends[-1]["late"]:
            break
    json.dump({"ends": ends}, sys.stdout)


def stop(*_: object) -> None:
    """End whatever runs, once: the boxes are taken away on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def enter_namespaces(users: list[int]) -> None:
    """Leave the machine's namespaces of users and mounts: root with its steps as nobodies, else as root over itself."""
    if os.geteuid() == 0:
        around = {name: namespaces.extents(Path(f"/proc/self/{name}").read_text()) for name in ("uid_map", "gid_map")}
        namespaces.enter(*(namespaces.map_for_root(each, users) for each in around.values()))
    else:
        namespaces.enter(
            [namespaces.Extent(0, os.geteuid(), 1)],
            [namespaces.Extent(0, os.getegid(), 1)],
        )


def run(step: dict[str, Any], order: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Run a box to its end, or to the deadline, and leave nothing of it however that ends."""
    words = os.path.join(order["words"], step["name"])
    os.close(os.open(words, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    os.chmod(words, 0o666)  # noqa: S103 - a step of another user writes it
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # nobody could take away what is not known yet
    limit = memory.limit(f"{order['name']}-{step['name']}", order["memory"], order["scratch"])
    try:
        return _box(step, words, limit, order["memory"], deadline)
    finally:
        limit.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _box(step: dict[str, Any], words: str, limit: memory.Limit, size: int, deadline: float) -> dict[str, Any]:
    shown = [word for source, target in limit.mounts() for word in ("--ro-bind", source, target)]
    settings = dict(step["settings"], limits=dict(step["settings"]["limits"]))
    if not limit.own:
        settings["limits"] |= {"RLIMIT_DATA": size, "RLIMIT_AS": size + ADDRESSES_BYTES}
    started_at = _now()
    box = subprocess.Popen(  # noqa: S603 - our own words
        [*step["box"], *shown, *step["seal"], "--", *step["entry"], json.dumps(settings), *step["command"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={},
        preexec_fn=lambda: _begin(limit),  # noqa: PLW1509 - this process has one thread
    )
    try:
        with _stoppable():
            log, late = _watch(box, limit, deadline)
            code = box.wait()
    finally:
        leave_no_process()
    return _end(step["name"], started_at, code, limit, late, _read_words(words), log)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Hear the word to end inside of this; around it that waits until the limit is taken away."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def _begin(limit: memory.Limit) -> None:
    """Prepare the process that becomes the box."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    limit.join()


def _end(
    name: str, started_at: str, code: int, limit: memory.Limit, late: bool, words: bytes, log: bytes
) -> dict[str, Any]:
    return {
        "name": name,
        "startedAt": started_at,
        "finishedAt": _now(),
        "exitCode": 128 - code if code < 0 else code,
        "outOfMemory": limit.exceeded(),
        "limit": limit.name,
        "late": late,
        "message": base64.b64encode(words).decode(),
        "log": base64.b64encode(log).decode(),
    }


def end() -> None:
    """Kill what is below this process now; what that makes meanwhile is still below it the next time."""
    for pid in memory.below(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def leave_no_process() -> None:
    """Kill and wait until this process has no child."""
    with suppress(ChildProcessError):
        while True:
            end()
            os.wait()


def _watch(box: subprocess.Popen[bytes], limit: memory.Limit, deadline: float) -> tuple[bytes, bool]:
    """Return the beginning of what the box printed, and whether the deadline ended it."""
    assert box.stdout is not None  # noqa: S101 - it was asked for
    log, late = bytearray(), False
    with selectors.DefaultSelector() as selector:
        os.set_blocking(box.stdout.fileno(), False)
        selector.register(box.stdout, selectors.EVENT_READ)
        while True:
            wait = LOOK_SECONDS if late or not limit.own else min(1.0, max(0.0, deadline - time.monotonic()))
            if selector.select(wait):
                content = os.read(box.stdout.fileno(), 65536)
                log += content[: LOG_LIMIT_BYTES - len(log)]
                if not content:
                    return bytes(log), late
            limit.look(box.pid)
            if time.monotonic() >= deadline:
                late = True
                end()


def _read_words(path: str) -> bytes:
    """Return the end of what a step wrote of itself, as a kubelet reads it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return os.pread(descriptor, WORDS_LIMIT_BYTES, max(0, status.st_size - WORDS_LIMIT_BYTES))
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    main()
