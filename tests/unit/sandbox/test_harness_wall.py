"""The second wall as a strategy finds it in a real child process, and what the harness says of the walls."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from finlab_sandbox.harness import selfcheck
from support.sandbox import IMAGE, Ended, Steps

HOLD = """\
def strategy(data, params):
    return data.close.notna()
"""
HELD = {
    "executor": "Sandbox",
    "uid": 1000,
    "noNewPrivs": True,
    "capabilities": 0,
    "seccompFilters": 2,
    "unlisted": "refused",
    "sockets": "refused",
    "rootReadOnly": True,
    "exec": "refused",
    "fork": "refused",
    "token": "absent",
    "memoryLimit": 2 << 30,
    "landlock": 6,
}
STRICT = """\
import os, sys
sys.path.insert(0, {image!r})
from finlab_sandbox.harness.paths import Paths
from finlab_sandbox.harness.supervisor import supervise
paths = Paths(code={code!r}, input={input!r}, positions={positions!r}, document={document!r}, result={result!r})
os._exit(supervise(paths, walls_must_hold=True))
"""


def told(steps: Steps, body: str, **params: Any) -> dict[str, Any]:
    """What a strategy found that ends with a dictionary `found`; every attempt(call) is an errno's name or "worked"."""
    source = """\
import errno, json

def attempt(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "worked"

def strategy(data, params):
{body}
    print(json.dumps(found))
    return data.close.notna()
"""
    ended = steps.run(source.format(body=indent(dedent(body), "    ")), params=params)
    assert ended.exit_code == 0, ended.document
    found: dict[str, Any] = json.loads(ended.output.splitlines()[-1])
    return found


def test_what_walls_hold_is_in_the_document(steps: Steps) -> None:
    """What does not depend on the pod holds here, too."""
    walls = steps.run(HOLD).document["walls"]
    assert set(walls) == set(HELD)
    assert walls["noNewPrivs"] is True
    assert walls["seccompFilters"] >= 1
    assert (walls["sockets"], walls["exec"], walls["fork"]) == ("refused",) * 3
    assert walls["uid"] == os.getuid()


def test_no_process_and_no_program_can_be_started(steps: Steps) -> None:
    """Python's ways to do so all end in PermissionError, and none hangs."""
    found = told(
        steps,
        """\
        import multiprocessing, os, subprocess
        from concurrent.futures import ProcessPoolExecutor

        def pool():
            with multiprocessing.get_context("fork").Pool(2) as workers:
                workers.map(abs, [1])

        def executor():
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
                workers.submit(abs, -1).result()

        found = {
            "fork": attempt(os.fork),
            "exec": attempt(lambda: os.execv("/bin/sh", ["sh"])),
            "spawn": attempt(lambda: os.posix_spawn("/bin/sh", ["sh"], {})),
            "subprocess": attempt(lambda: subprocess.run(["sh"], check=True)),
            "shell": attempt(lambda: subprocess.run("true", shell=True, check=True)),
            "popen": attempt(lambda: os.popen("true")),
            "Process": attempt(multiprocessing.get_context("fork").Process(target=print).start),
            "spawned": attempt(multiprocessing.get_context("spawn").Process(target=print).start),
            "Pool": attempt(pool),
            "executor": attempt(executor),
        }
        status = os.system("true")
        assert status == 127 << 8, status
        """,
    )
    assert set(found.values()) == {"EPERM"}, found


def test_a_program_that_was_not_started_is_explained(steps: Steps) -> None:
    """The message says what the sandbox has not, and on which line it was asked for."""
    ended = steps.run("import subprocess\ndef strategy(data, params):\n    subprocess.run(['ls'])\n")
    assert ended.exit_code == 1
    assert ended.document["reason"] == "StrategyError"
    assert ended.document["message"] == (
        "PermissionError: [Errno 1] Operation not permitted; the sandbox has no network, and starts no programs and "
        "no other processes (strategy.py line 3)"
    )


def test_nothing_reaches_other_processes(steps: Steps) -> None:
    """No signal, no limit, no processor, no priority of the supervisor or of a group; no session of one's own."""
    found = told(
        steps,
        """\
        import fcntl, os, resource, signal
        other = os.getppid()
        reading, _ = os.pipe()
        found = {
            "kill": [attempt(lambda pid=pid: os.kill(pid, 0)) for pid in (other, 0, -1, -other)],
            "killpg": attempt(lambda: os.killpg(os.getpgid(other), 0)),
            "owner": attempt(lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, other)),
            "signal": attempt(lambda: fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGKILL)),
            "limit": attempt(lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (1, 1))),
            "affinity": attempt(lambda: os.sched_setaffinity(other, {0})),
            "priority": attempt(lambda: os.setpriority(os.PRIO_PROCESS, other, 19)),
            "group": attempt(lambda: os.setpgid(0, 0)),
            "session": attempt(os.setsid),
        }
        """,
    )
    assert found.pop("kill") == ["EPERM"] * 4
    assert set(found.values()) == {"EPERM"}, found


def test_no_socket_but_a_pair(steps: Steps) -> None:
    """asyncio wakes itself through a pair; everything that could lead elsewhere is refused."""
    found = told(
        steps,
        """\
        import socket
        families = [getattr(socket, name) for name in dir(socket) if name.startswith("AF_")]
        pair = socket.socketpair()
        found = {
            "families": sorted({attempt(lambda: socket.socket(family)) for family in families}),
            "bind": attempt(lambda: pair[0].bind("\\0name")),
            "connect": attempt(lambda: pair[0].connect("/run/any.sock")),
            "pair": attempt(lambda: pair[0].send(b"x")),
        }
        """,
    )
    assert found == {"families": ["EPERM"], "bind": "EPERM", "connect": "EPERM", "pair": "worked"}


@pytest.mark.parametrize(("x86_64", "aarch64"), [(101, 117), (165, 40), (272, 97), (321, 280)])
def test_an_attack_ends_the_run(steps: Steps, x86_64: int, aarch64: int) -> None:
    """ptrace, mount, unshare, bpf: no library tries them."""
    number = {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]
    ended = steps.run(f"import ctypes\nctypes.CDLL(None).syscall({number}, 0, 0, 0, 0, 0)\n{HOLD}")
    assert ended.document["reason"] == "SyscallViolation"
    assert ended.document["signal"] == "SIGSYS"


def test_files_are_written_in_few_places(steps: Steps) -> None:
    """Where the kernel has Landlock, also by who would have the right to; reading stays as it was."""
    module = os.__file__  # a checkout may stand in /tmp
    ended = steps.run(
        """\
        import os
        def strategy(data, params):
            open(params["module"]).read()
            for folder in params["free"]:
                path = os.path.join(folder, f".probe-{os.getpid()}")
                open(path, "w").close()
                os.unlink(path)
            open("/dev/null", "w").write("x")
            for path in params["bound"]:
                try:
                    open(path, "r+b").close()
                except PermissionError:
                    print("refused")
            return data.close.notna()
        """,
        params={
            "module": module,
            "free": ["/tmp", "/dev/shm", str(steps.folder), str(steps.folder / "result")],
            "bound": [module, "/proc/self/oom_score_adj"],
        },
    )
    assert ended.exit_code == 0, ended.document
    if ended.document["walls"]["landlock"] is not None:
        assert ended.output.split() == [b"refused"] * 2


def test_honest_work_goes_on(steps: Steps) -> None:
    """Threads, BLAS, late imports, asyncio, temporary files, locks, limits and signals of one's own."""
    found = told(
        steps,
        """\
        import asyncio, ctypes, os, resource, shutil, signal, subprocess, tempfile
        from concurrent.futures import ThreadPoolExecutor
        import multiprocessing
        import sqlite3, decimal, xml.dom.minidom, ctypes.util
        import numpy as np, pandas as pd

        folder = tempfile.mkdtemp()
        os.mkdir(f"{folder}/below")
        np.memmap(f"{folder}/array", "f8", "w+", shape=8)[:] = 1
        os.rename(f"{folder}/array", f"{folder}/below/array")
        database = sqlite3.connect(f"{folder}/data.db")
        database.execute("create table prices (close real)")
        database.close()
        shutil.rmtree(folder)
        with multiprocessing.Lock(), ThreadPoolExecutor(4) as pool:
            total = sum(pool.map(abs, range(10)))
        received = []
        signal.signal(signal.SIGUSR2, lambda *_: received.append("signal"))
        os.kill(os.getpid(), signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR2)

        def version():
            try:
                return subprocess.check_output(["git", "--version"])
            except OSError:
                return "unknown"

        found = {
            "threads": total,
            "blas": bool((np.linalg.svd(np.random.rand(200, 200))[1] > 0).all()),
            "asyncio": asyncio.run(asyncio.to_thread(abs, -3)),
            "library": ctypes.CDLL(None).abs(-4),
            "limits": resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0,
            "affinity": len(os.sched_getaffinity(0)) > 0,
            "signals": received,
            "version": version(),
            "joblib": os.environ["JOBLIB_MULTIPROCESSING"],
            "rows": len(pd.DataFrame({"a": [1]}).merge(pd.DataFrame({"a": [1]}))),
        }
        """,
    )
    assert found == {
        "threads": 45,
        "blas": True,
        "asyncio": 3,
        "library": 4,
        "limits": True,
        "affinity": True,
        "signals": ["signal", "signal"],
        "version": "unknown",
        "joblib": "0",
        "rows": 1,
    }


def test_limits_are_set_and_cannot_be_raised(steps: Steps) -> None:
    """No core dumps, no locked memory, no message queues, a bounded file and few descriptors."""
    found = told(
        steps,
        """\
        import resource
        kinds = {name: getattr(resource, f"RLIMIT_{name}") for name in ("CORE", "FSIZE", "NOFILE", "MEMLOCK")}
        found = {name: resource.getrlimit(kind) for name, kind in kinds.items()}

        def big():
            with open(params["path"], "wb") as file:
                file.truncate((1 << 30) + 1)

        def many():
            kept = []
            while True:
                kept.append(open("/dev/null"))

        found["big"], found["many"] = attempt(big), attempt(many)
        """,
        path=str(steps.folder / "big"),
    )
    assert (found["CORE"], found["MEMLOCK"]) == ([0, 0], [0, 0])
    assert found["FSIZE"][1] <= 1 << 30
    assert found["NOFILE"][1] <= 1024
    assert (found["big"], found["many"]) == ("EFBIG", "EMFILE")


def test_what_the_check_found_cannot_be_forged(steps: Steps) -> None:
    """The strategy finds the pipe, but nobody listens to it on walls any more."""
    source = """\
        import os
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b'W{"fork": "a lie"}\\n')
            except OSError:
                pass
        """
    walls = steps.run(dedent(source) + HOLD).document["walls"]
    assert walls["fork"] == "refused"


def test_who_did_not_come_so_far_says_nothing_of_walls(steps: Steps) -> None:
    """Without a dataset there is nothing to run, and no wall was closed."""
    assert steps.run(HOLD, dataset={"name": "prices", "path": "/nowhere"}).document["walls"] is None


def test_where_walls_must_hold_nothing_runs_without_them(steps: Steps) -> None:
    """As in a pod: on a machine whose root can be written, the run ends before its first line and names the wall."""
    ended = _strictly(steps, "print('ran')\n" + HOLD)
    document = ended.document
    assert selfcheck.gaps(document["walls"]), "this machine's root is read-only, and nobody has a capability"
    assert ended.exit_code == 2
    assert document["reason"] == "ImageInvalid"
    assert document["message"].startswith("the sandbox does not hold: ")
    assert document["message"].endswith("; nothing of the strategy was run")
    assert "rootReadOnly is false" in document["message"]
    assert ended.output == b""
    assert not steps.positions.exists()


def test_in_the_fallback_the_second_wall_is_both(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """What our profile does not list is refused there by the harness itself, and the document says where it was."""
    probe = """\
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"inotify_init1": (294, 26), "timerfd_create": (283, 85), "memfd_create": (319, 279), "getpid": (39, 172)}
def strategy(data, params):
    for name, both in numbers.items():
        ctypes.set_errno(0)
        libc.syscall(both[os.uname().machine == "aarch64"], 0, 0, 0)
        print(name, errno.errorcode.get(ctypes.get_errno()))
    return data.close.notna()
"""
    monkeypatch.setenv("FINLAB_EXECUTOR", "Fallback")
    ended = steps.run(probe)
    walls = ended.document["walls"]
    assert ended.exit_code == 0, ended.document
    assert (walls["executor"], walls["unlisted"]) == ("Fallback", "refused")
    assert ended.output.split() == [
        *(b"inotify_init1", b"EPERM", b"timerfd_create", b"EPERM", b"memfd_create", b"EPERM", b"getpid", b"None")
    ]


def test_a_strategy_cannot_choose_where_it_is(steps: Steps) -> None:
    """What it writes into its environment changes nothing, and without the variable it is in a sandbox."""
    source = "import os\nos.environ['FINLAB_EXECUTOR'] = 'Fallback'\n" + HOLD
    assert steps.run(source).document["walls"]["executor"] == "Sandbox"


def test_a_kind_of_pod_that_nobody_knows_runs_nothing(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the operator's mistake, not the strategy's."""
    monkeypatch.setenv("FINLAB_EXECUTOR", "Anywhere")
    ended = steps.run("print('ran')\n" + HOLD)
    assert (ended.exit_code, ended.output) == (2, b"")
    assert ended.document["reason"] == "ImageInvalid"
    assert ended.document["message"] == "FINLAB_EXECUTOR is 'Anywhere', neither Sandbox nor Fallback"


def test_a_fallback_without_its_walls_runs_nothing(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses by the same rules, and says that it was the fallback."""
    monkeypatch.setenv("FINLAB_EXECUTOR", "Fallback")
    ended = _strictly(steps, "print('ran')\n" + HOLD)
    assert (ended.exit_code, ended.output) == (2, b"")
    assert ended.document["message"].startswith("the fallback does not hold: ")
    assert not steps.positions.exists()


def _strictly(steps: Steps, source: str) -> Ended:
    steps.write(source)
    document = steps.folder / "document.json"
    script = STRICT.format(
        image=str(IMAGE),
        code=str(steps.code),
        input=str(steps.folder / "input.json"),
        positions=str(steps.positions),
        document=str(document),
        result=str(steps.folder / "result"),
    )
    command, environment = [sys.executable, "-I", "-c", script], os.environ | {"FINLAB_INPUT_SHA256": steps.pin()}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr.decode(), document.read_bytes())


@pytest.mark.parametrize(
    ("wall", "found"),
    [
        ("uid", 0),
        ("noNewPrivs", False),
        ("capabilities", 1),
        ("capabilities", None),
        ("seccompFilters", 0),
        ("seccompFilters", 1),
        ("unlisted", "allowed"),
        ("sockets", "allowed"),
        ("rootReadOnly", False),
        ("exec", "allowed"),
        ("fork", "allowed"),
        ("token", "present"),
        ("memoryLimit", 0x7FFFFFFFFFFFF000),
    ],
)
def test_each_wall_is_missed(wall: str, found: object) -> None:
    """One that does not hold is enough."""
    assert selfcheck.gaps(HELD | {wall: found}) == [wall]


def test_what_a_kernel_may_lack_is_not_missed() -> None:
    """Landlock, the number of filters, which kernels before 5.9 do not count, and a cgroup that can be read."""
    assert selfcheck.gaps(HELD | {"memoryLimit": None}) == []
    assert selfcheck.gaps(HELD | {"landlock": None, "seccompFilters": None}) == []
    assert selfcheck.gaps(HELD | {"unlisted": "allowed", "seccompFilters": None}) == []


def test_privileges_are_asked_of_the_kernel() -> None:
    """gVisor's /proc says nothing of them; what every process of this test has not given up, it has not."""
    script = f"""\
import ctypes, sys
sys.path.insert(0, {str(IMAGE)!r})
from finlab_sandbox.harness import selfcheck
selfcheck._status = dict
for privileges in (0, 1):
    ctypes.CDLL(None).prctl(38, privileges, 0, 0, 0)
    print(selfcheck.look(None, "Sandbox")["noNewPrivs"])
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    inherited = "NoNewPrivs:\t1" in Path("/proc/self/status").read_text(encoding="ascii")
    assert done.stdout.split() == [str(inherited), "True"]


@pytest.mark.parametrize("filters", [2, None])
def test_the_fallback_does_not_count_on_the_pods_profile(filters: int | None) -> None:
    """There the harness refuses what is not listed, on every kernel."""
    held = HELD | {"executor": "Fallback", "seccompFilters": filters}
    assert selfcheck.gaps(held) == []
    assert selfcheck.gaps(held | {"unlisted": "allowed"}) == ["unlisted"]
