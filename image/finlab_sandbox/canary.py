"""What a pod can reach, tried from inside it, for the operator to tell what a profile's walls are worth.

The role is in FINLAB_CANARY; the answer is one line of JSON, as the termination message:

- `peer` listens, so that the others have somebody to reach. It ends when it is told to.
- `free` tries to reach API server, DNS and peer until each has answered, or the time is over: {"reached": [...]}.
- `bound` tries the same until two rounds in a row reached nothing, since policies take a moment to hold, or the time is
  over: {"reached": [...]} of its last round, {"seconds": ...} until it was cut off.
- `sandbox` tries to open sockets: {"opened": [...families]}, {"filtered": whether a seccomp filter is in force}, and to
  start threads: {"threads": how many there were when one was refused, null where none was}.
"""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

PORT = 8765
FREE_SECONDS = 8.0
BOUND_SECONDS = 12.0
PAUSE_SECONDS = 1.0
ATTEMPT_SECONDS = 1.0
MOST_THREADS = 1024
THREAD_BYTES = 64 * 1024  # of stack

_ANSWER = Path("/dev/termination-log")
_QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x00\x00\x01\x00\x01"
_FAMILIES = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK")

Attempt = Callable[[], bool]


def main() -> None:
    """Play the role that the environment names."""
    role = os.environ["FINLAB_CANARY"]
    if role == "peer":
        listen()
        return
    answers = {"free": lambda: free(attempts()), "bound": lambda: bound(attempts()), "sandbox": sandbox}
    _ANSWER.write_text(json.dumps(answers[role]()), encoding="utf-8")


def listen() -> None:
    """Take connections and close them, until the process is ended."""
    with socket.create_server(("", PORT)) as server:
        while True:
            server.accept()[0].close()


def attempts() -> dict[str, Attempt]:
    """Say what to try to reach: what every pod is told of, and the peer."""
    found: dict[str, Attempt] = {}
    if api := os.environ.get("KUBERNETES_SERVICE_HOST"):
        found["api"] = lambda: connects(api, int(os.environ["KUBERNETES_SERVICE_PORT"]))
    if server := nameserver(Path("/etc/resolv.conf").read_text(encoding="utf-8")):
        found["dns"] = lambda: resolves(server)
    if peer := os.environ.get("FINLAB_CANARY_PEER"):
        found["peer"] = lambda: connects(peer, PORT)
    return found


def nameserver(text: str) -> str | None:
    """Find the first resolver of a resolv.conf."""
    match = re.search(r"^nameserver\s+(\S+)", text, re.MULTILINE)
    return match[1] if match else None


def connects(host: str, port: int) -> bool:
    """Whether somebody takes a TCP connection there."""
    try:
        socket.create_connection((host, port), timeout=ATTEMPT_SECONDS).close()
    except OSError:
        return False
    return True


def resolves(server: str, port: int = 53) -> bool:
    """Whether a resolver answers, whatever it says."""
    try:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(ATTEMPT_SECONDS)
            asking.connect((server, port))
            asking.send(_QUESTION)
            return bool(asking.recv(512))
    except OSError:
        return False


def free(targets: dict[str, Attempt], seconds: float = FREE_SECONDS) -> dict[str, object]:
    """Try until all have answered or the time is over."""
    reached: set[str] = set()
    began = time.monotonic()
    while True:
        reached |= {name for name, attempt in targets.items() if name not in reached and attempt()}
        if len(reached) == len(targets) or time.monotonic() - began > seconds:
            return {"reached": sorted(reached)}
        time.sleep(PAUSE_SECONDS)


def bound(targets: dict[str, Attempt], seconds: float = BOUND_SECONDS) -> dict[str, object]:
    """Try until nothing has answered twice in a row, or the time is over."""
    began = cut_off = time.monotonic()
    silent = 0
    while True:
        now = time.monotonic()
        reached = {name for name, attempt in targets.items() if attempt()}
        cut_off = cut_off if silent else now
        silent = 0 if reached else silent + 1
        if silent == 2 or now - began > seconds:
            return {"reached": sorted(reached), "seconds": round(cut_off - began, 1)}
        time.sleep(PAUSE_SECONDS)


def sandbox() -> dict[str, object]:
    """Try the wall that needs no policy."""
    opened = [name for name in _FAMILIES if hasattr(socket, name) and opens(getattr(socket, name))]
    status = Path("/proc/self/status").read_text(encoding="ascii")
    filtered = re.search(r"^Seccomp:\s+2$", status, re.MULTILINE) is not None
    return {"opened": opened, "filtered": filtered, "threads": threads()}


def opens(family: int) -> bool:
    """Whether the kernel gives a socket of a family; one that it lacks, or gives to root alone, it gives to nobody."""
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def threads(most: int = MOST_THREADS) -> int | None:
    """How many threads run when the next is refused; None where so many are not enough for that.

    The kubelet sets the limit on the cgroup of the pod, where a container cannot read it.
    """
    over, running = threading.Event(), 1
    usual = threading.stack_size(THREAD_BYTES)
    try:
        while running < most:
            threading.Thread(target=over.wait, daemon=True).start()
            running += 1
    except RuntimeError:
        return running
    finally:
        over.set()
        threading.stack_size(usual)
    return None


if __name__ == "__main__":
    main()
