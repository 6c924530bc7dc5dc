"""The sandbox as the strategy finds it: what it is, what it can write, what it can call, how much it gets."""

import json
import re

from strategyrun.adapters.settings import load_settings
from strategyrun.domain.hardening import STRATEGY_UID, container_isolation
from strategyrun.domain.job import placement
from strategyrun.domain.strategyrun import Executor
from support.cluster import CHECKOUT, POD, Cluster
from support.probe import look_inside
from support.runs import strategy_run, wait_finished
from support.waiting import wait_until

_PROFILE = json.loads((CHECKOUT / "config" / "seccomp_profile.json").read_bytes())

# Numbers on x86_64 and on aarch64; where the two agree, once.
_KILLED: dict[str, int | tuple[int, int]] = {
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "fsopen": 430,
    "fsmount": 432,
    "move_mount": 429,
    "open_tree": 428,
    "mount_setattr": 442,
    "unshare": (272, 97),
    "setns": (308, 268),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
}
_ABSENT = {
    "clone3": 435,
    "openat2": 437,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "memfd_secret": 447,
    "process_madvise": 440,
    "futex_waitv": 449,
    "set_mempolicy_home_node": 450,
    "cachestat": 451,
    "fchmodat2": 452,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
}
_REFUSED = {
    "memfd_create": (319, 279),
    "chroot": (161, 51),
    "setuid": (105, 146),
    "sethostname": (170, 161),
    "clock_settime": (227, 112),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "personality": (135, 92),
    "syslog": (103, 116),
    "mknodat": (259, 33),
    "inotify_init1": (294, 26),
    "execveat": (322, 281),
}


def _listed(action: str, errno: int | None = None) -> set[str]:
    """Names in the seccomp profile, by what becomes of the call."""
    return {
        name
        for group in _PROFILE["syscalls"]
        for name in group["names"]
        if group["action"] == action and group.get("errnoRet") == errno
    }


def test_process_has_no_privileges_and_can_get_none(cluster: Cluster, namespace: str) -> None:
    """The user is 1000, there are no capabilities, no new privileges, and a seccomp filter is in force."""
    found = look_inside(
        cluster,
        namespace,
        """\
        def look(params):
            status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
            kinds = "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp".split()
            return {kind: sorted(set(status[kind].split())) for kind in kinds}
        """,
    )
    none = ["0000000000000000"]
    assert found == {
        "Uid": ["1000"],
        "Gid": ["1000"],
        "Groups": ["1000"],
        "CapInh": none,
        "CapPrm": none,
        "CapEff": none,
        "CapBnd": none,
        "CapAmb": none,
        "NoNewPrivs": ["1"],
        "Seccomp": ["2"],
    }


def test_file_system_is_read_only_but_for_memory(cluster: Cluster, namespace: str) -> None:
    """Writable are /tmp and /out, of the promised sizes in memory, and /dev/shm; with Landlock no more of /dev."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import os, shutil, stat

        def writable(folder):
            path = os.path.join(folder, ".probe")
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
                os.unlink(path)
            except OSError:
                return False
            return True

        def walk():
            writables, privileged = set(), []
            for folder, folders, files in os.walk("/"):
                if folder == "/":
                    folders[:] = [name for name in folders if name not in ("proc", "sys")]
                if writable(folder):
                    writables.add(folder)
                for name in files:
                    mode = os.lstat(os.path.join(folder, name)).st_mode
                    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                        privileged.append(os.path.join(folder, name))
            return sorted(writables), privileged

        def look(params):
            mounts = {line.split()[1]: line.split() for line in open("/proc/mounts")}
            writables, privileged = walk()
            return {
                "writable": writables,
                "privileged": privileged,
                "read-only": [path for path in ("/", "/code") if os.statvfs(path).f_flag & os.ST_RDONLY],
                "in memory": [path for path in ("/tmp", "/out") if mounts[path][2] == "tmpfs"],
                "MiB": {path: (lambda s: s.f_frsize * s.f_blocks >> 20)(os.statvfs(path)) for path in ("/tmp", "/out")},
                "code": [name for name in sorted(os.listdir("/code")) if not name.startswith("..")],
                "inputs": os.path.exists("/inputs"),
                "tools": [name for name in "cc gcc ld as make pip pip3 curl wget".split() if shutil.which(name)],
            }
        """,
    )
    assert found == {
        "writable": ["/dev/shm", "/out", "/tmp", "/tmp/result"],
        "privileged": [],
        "read-only": ["/", "/code"],
        "in memory": ["/tmp", "/out"],
        "MiB": {"/tmp": 1024, "/out": 64},
        "code": ["input.json", "strategy.py"],
        "inputs": False,
        "tools": [],
    }


def test_nothing_of_the_cluster_is_known_inside(cluster: Cluster, namespace: str) -> None:
    """There is no token, no service of the namespace, no address, no nonce of the evaluator, no input to read."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import os, re

        def look(params):
            env, words = os.environ, "KUBERNETES|SERVICE|FINLAB|TOKEN|SECRET|PROXY"
            return {
                "secrets": [path for path in ("/var/run/secrets", "/run/secrets") if os.path.exists(path)],
                "leaks": sorted(name for name in env if re.search(words, name)),
                "home": [env["HOME"], env["TZ"]],
                "threads": sorted({env[name] for name in env if name.endswith("_NUM_THREADS")}),
                "stdin": os.read(0, 1).decode(),
            }
        """,
    )
    assert found == {"secrets": [], "leaks": [], "home": ["/tmp", "UTC"], "threads": ["1"], "stdin": ""}


def test_no_socket_of_any_family(cluster: Cluster, namespace: str) -> None:
    """The kernel refuses sockets, so nothing leaves the pod even where no NetworkPolicy is enforced."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import errno, socket

        def attempt(call):
            try:
                call()
            except OSError as error:
                return errno.errorcode.get(error.errno, type(error).__name__)
            return "worked"

        def look(params):
            families = [name for name in dir(socket) if name.startswith("AF_")]
            kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
            opened = {attempt(lambda: socket.SocketType(getattr(socket, f), k)) for f in families for k in kinds}
            return {
                "families": {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"} <= set(families),
                "sockets": sorted(opened),
                "names": attempt(lambda: socket.getaddrinfo("kubernetes.default.svc", 443)) != "worked",
                "resolver": [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")],
            }
        """,
    )
    assert found == {"families": True, "sockets": ["EPERM"], "names": True, "resolver": ["127.0.0.1"]}


def test_system_calls_end_as_the_profile_says(cluster: Cluster, namespace: str) -> None:
    """Newer calls do not exist, and what is not listed is refused."""
    assert set(_KILLED) == _listed("SCMP_ACT_KILL_PROCESS")
    assert set(_ABSENT) == _listed("SCMP_ACT_ERRNO", 38)
    assert not set(_REFUSED) & (_listed("SCMP_ACT_ALLOW") | set(_KILLED) | set(_ABSENT))
    found = look_inside(
        cluster,
        namespace,
        """\
        import collections, ctypes, os, platform

        libc = ctypes.CDLL(None, use_errno=True)

        def fate(number):
            return ctypes.get_errno() if libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1 else 0

        def look(params):
            machine = ("x86_64", "aarch64").index(platform.machine())
            return {
                expected: [
                    name
                    for name, number in calls.items()
                    if fate(number if isinstance(number, int) else number[machine]) != int(expected)
                ]
                for expected, calls in params.items()
            }
        """,
        **{"38": _ABSENT, "1": _REFUSED},
    )
    assert found == {"38": [], "1": []}, "calls that end otherwise than by that errno"


def test_tripwires_end_the_run(cluster: Cluster, namespace: str) -> None:
    """Each in a run of its own, as nothing is left of one that made such a call."""
    source = """\
        import ctypes, platform
        machine = ("x86_64", "aarch64").index(platform.machine())

        def strategy(data, params):
            ctypes.CDLL(None).syscall(params["numbers"][machine], 0, 0, 0, 0, 0, 0)
    """
    names = {call: f"run-{call.replace('_', '-')}" for call in _KILLED}
    for call, numbers in _KILLED.items():
        both = [numbers, numbers] if isinstance(numbers, int) else list(numbers)
        cluster.create(strategy_run(names[call], namespace, source=source, params={"numbers": both}))
    failures = {call: wait_finished(cluster, namespace, name)["status"]["failure"] for call, name in names.items()}
    assert {call: failure["reason"] for call, failure in failures.items()} == dict.fromkeys(_KILLED, "SyscallViolation")


_ALONE = """\
import ctypes, errno, json, mmap, os, platform, sys

libc = ctypes.CDLL(None, use_errno=True)
machine = ("x86_64", "aarch64").index(platform.machine())


def fate(call):
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        os._exit(ctypes.get_errno() if call() == -1 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def calls(numbers):
    for name, number in numbers.items():
        number = number if isinstance(number, int) else number[machine]
        yield name, fate(lambda: libc.syscall(number, 0, 0, 0, 0, 0, 0))


def of_32_bits():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


expected = json.loads(sys.argv[1])
pair = (ctypes.c_int * 2)()
found = {
    "otherwise": {fate_: [n for n, f in calls(numbers) if f != int(fate_)] for fate_, numbers in expected.items()},
    "sockets": sorted({fate(lambda: libc.socket(family, kind, 0)) for family in range(48) for kind in (1, 2, 3)}),
    "pairs": [fate(lambda: libc.socketpair(family, 1, 0, pair)) for family in (1, 2)],
    "namespace": fate(lambda: libc.syscall((56, 220)[machine], 0x10000000 | 17, 0, 0, 0, 0)),
    "32 bits": fate(of_32_bits) if machine == 0 else None,
}
with open("/dev/termination-log", "w") as file:
    json.dump(found, file)
"""


def test_the_pods_profile_is_a_wall_of_its_own(cluster: Cluster, namespace: str) -> None:
    """In a pod of the hardened shape without the harness, and so without its filter: each call in a process of its own.

    Behind both walls, one would hide what the other lets through.
    """
    profile = load_settings(CHECKOUT / "config" / "sandbox.yaml").profile
    container = {
        "name": "main",
        "image": profile.sandbox.image,
        "imagePullPolicy": profile.sandbox.image_pull_policy,
        "command": ["python3", "-c", _ALONE, json.dumps({"-31": _KILLED, "38": _ABSENT, "1": _REFUSED})],
        "securityContext": container_isolation(STRATEGY_UID),
    }
    cluster.create(
        {
            "apiVersion": POD.api_version,
            "kind": POD.kind,
            "metadata": {"name": "alone", "namespace": namespace},
            "spec": {**placement(profile, Executor.SANDBOX), "restartPolicy": "Never", "containers": [container]},
        }
    )
    pod = wait_until(
        "the pod has ended",
        lambda: cluster.get(POD, "alone", namespace),
        lambda seen: seen["status"]["phase"] in ("Succeeded", "Failed"),
        seconds=240,
    )
    found = json.loads(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert found.pop("32 bits") in (-31, None)
    assert found == {
        "otherwise": {"-31": [], "38": [], "1": []},
        "sockets": [1],
        "pairs": [0, 1],
        "namespace": 1,
    }


def test_supervisor_is_out_of_reach(cluster: Cluster, namespace: str) -> None:
    """The strategy sees its supervisor and itself, and can neither read nor write nor end the supervisor."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import os, signal

        def opened(path, mode):
            try:
                open(path, mode).close()
            except PermissionError:
                return False
            return True

        def sent(number):
            try:
                os.kill(1, number)
            except PermissionError:
                return False
            return True

        def look(params):
            return {
                "signals": [number for number in (0, signal.SIGKILL, signal.SIGINT) if sent(number)],
                "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()] == [1, os.getpid()],
                "parent": os.getppid(),
                "opened": [name for name in ("environ", "maps", "mem", "fd/1") if opened(f"/proc/1/{name}", "rb")],
                "written": [name for name in ("mem", "oom_score_adj") if opened(f"/proc/1/{name}", "wb")],
            }
        """,
    )
    assert found == {"signals": [], "processes": True, "parent": 1, "opened": [], "written": []}


def test_memory_processor_and_processes_are_limited(cluster: Cluster, namespace: str) -> None:
    """2 GiB of memory, half a processor however many threads ask for it, and 256 threads at most."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import hashlib, os, threading, time

        def first(*paths):
            return next(open(path).read().split() for path in paths if os.path.exists(path))

        def share(seconds):
            started = time.monotonic()
            content = bytes(1 << 20)

            def work():
                while time.monotonic() < started + seconds:
                    hashlib.sha256(content)  # without the interpreter's lock

            threads = [threading.Thread(target=work) for _ in range(2)]
            before = time.process_time()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return (time.process_time() - before) / (time.monotonic() - started)

        def crowd():
            over, size = threading.Event(), 0
            try:
                while size < 1000:
                    threading.Thread(target=over.wait, daemon=True).start()
                    size += 1
                end = "no end"
            except RuntimeError as error:
                end = str(error)
            over.set()
            return end, size

        def look(params):
            cgroup = "/sys/fs/cgroup"
            used = share(2.0)
            end, size = crowd()
            return {
                "memory": first(f"{cgroup}/memory.max", f"{cgroup}/memory/memory.limit_in_bytes"),
                "cpu": first(f"{cgroup}/cpu.max", f"{cgroup}/cpu/cpu.cfs_quota_us")[0],
                "share": round(used, 3),
                "crowd": [end, size],
            }
        """,
    )
    assert found["share"] < 0.6
    end, size = found["crowd"]
    assert end == "can't start new thread"
    assert size < 256
    assert (found["memory"], found["cpu"]) == ([str(2 << 30)], "50000")


def test_every_pinned_package_is_there_and_can_be_imported(cluster: Cluster, namespace: str) -> None:
    """What requirements.in pins is what the sandbox imports, in that version; what only the build needs is gone."""
    pins = _pins()
    build_only = pins.pop("bokeh-sampledata")
    assert len(pins) >= 14, pins
    found = look_inside(
        cluster,
        namespace,
        """\
        import importlib, importlib.metadata, importlib.util, warnings

        def look(params):
            warnings.simplefilter("ignore")
            other = {}
            for package, wanted in params["pins"].items():
                module = params["modules"].get(package, package)
                try:
                    importlib.import_module(module)
                    version = importlib.metadata.version(package)
                except BaseException as error:
                    version = f"{type(error).__name__}: {error}"[:80]
                if version != wanted:
                    other[package] = version
            return {"other": other, "build only": importlib.util.find_spec("bokeh_sampledata") is not None}
        """,
        pins=pins,
        modules={
            "google-generativeai": "google.generativeai",
            "scikit-learn": "sklearn.linear_model",
            "SQLAlchemy": "sqlalchemy",
            "TA-Lib": "talib",
        },
    )
    assert found == {"other": {}, "build only": False}, f"with bokeh-sampledata {build_only} for the build alone"


def _pins() -> dict[str, str]:
    lines = (CHECKOUT / "image" / "requirements.in").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := re.match(r"([\w-]+)==(\S+)$", line))}
