"""Boxes of bubblewrap: namespaces without a container engine, as root or as an ordinary user."""

import base64
import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from strategyrun.local.engine import About, EngineError, laid_out, program
from strategyrun.local.installation import Installation
from strategyrun.local.plan import End, Files, Host, Plan, Scratch, Step
from strategyrun.local.seccomp import CannotCompileError, compile_profile
from strategyrun.local.stop import Stop

SHARED_MEMORY_BYTES = 64 * 1024 * 1024
PROCESSES = 256
TRIAL_USER, TRIAL_MEMORY, TRIAL_SECONDS = 1000, 1 << 26, 30
COUNTED_BY_NAMESPACE = (5, 14)
"""The first Linux that counts a user's processes in each user namespace, and not all that the user has."""

SUMS_AS_THE_IMAGE = (3, 12)
"""The first Python whose `sum` of floats corrects what rounding loses."""

_ENTRY = ("python3", "-I", "-S", "-c", Path(__file__).with_name("box_entry.py").read_text(encoding="utf-8"))
_NOTHING = ("true",)
_POD_PROCESS = Path(__file__).with_name("pod_process.py")
_ENVIRONMENT = "/opt/venv"
_CODE = "/opt/finlab/code"
_DATASETS = "/opt/finlab/datasets"
_SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin")
_USERS = {  # as the image has them
    "passwd": "finlab:x:1000:1000::/tmp:/usr/sbin/nologin\nevaluator:x:2000:2000::/tmp:/usr/sbin/nologin\n",
    "group": "finlab:x:1000:\nevaluator:x:2000:\n",
}
_FOLDERS = ("/etc", "/sys/fs/cgroup")
_PATH = f"{_ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin"
_SETTINGS = Path("/proc/sys")
_REFUSING = {  # settings of a kernel that give an ordinary user no namespaces, and what would give them
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu, from 24.04 on
    "kernel.unprivileged_userns_clone": ("0", "1"),  # Debian and Arch, in some kernels
    "user.max_user_namespaces": ("0", "15000"),
}
_ENTRY_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


class Bubblewrap:
    """One box a step, each with the sandbox's Python, the code and the mounts of the step, and nothing else of here."""

    def __init__(self, installation: Installation, seccomp: bytes) -> None:
        """Try a box that does nothing.

        Raises EngineError where bubblewrap or libseccomp are missing, or no box can be made.
        """
        found = program("bwrap")
        if found is None:
            raise EngineError("bubblewrap is not installed; on Debian: apt-get install bubblewrap")
        self._program = found
        self._installation = installation
        try:
            self._filter = compile_profile(seccomp)
        except CannotCompileError as error:
            raise EngineError(str(error)) from error
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
        self._version = version[-1] if version else "of no version"
        trial = Step("trial", "", (), {}, TRIAL_USER, (), tells_by_log=False)
        self._run(Plan("trial", (trial,), {"tmp": Scratch(4096)}, TRIAL_MEMORY, TRIAL_SECONDS), Stop(), _NOTHING)
        self.about = About(
            name=f"bubblewrap {self._version}",
            image_id=f"local:{platform.python_implementation().lower()}:{self._libraries()}",
            weaker=self._weaker(),
        )

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Run every step in a box of its own, under one process that outlives them all."""
        return self._run(plan, stop, _ENTRY)

    def _run(self, plan: Plan, stop: Stop, entry: tuple[str, ...]) -> list[End]:
        with laid_out(plan) as folder:
            for name, content in _USERS.items():
                (folder / name).write_text(content)
                (folder / name).chmod(0o444)
            answer = _supervised(self._order(plan, folder, entry), stop)
        if refused := answer.get("refused"):
            raise EngineError(advice(refused, self._version))
        ends = [_end(each) for each in answer["ends"]]
        for end in ends:
            if end.exit_code and not end.message and end.log.startswith((b"bwrap: ", b"finlab-sandbox: ")):
                raise EngineError(advice(end.log.decode(errors="replace").splitlines()[0], self._version))
        return ends

    def _order(self, plan: Plan, folder: Path, entry: tuple[str, ...]) -> dict[str, Any]:
        scratch = {name: volume for name, volume in plan.volumes.items() if isinstance(volume, Scratch)}
        (folder / "words").mkdir()
        for name in scratch:
            (folder / "scratch" / name).mkdir(parents=True)
        return {
            "name": folder.name,
            "words": str(folder / "words"),
            "scratch": {str(folder / "scratch" / name): volume.size for name, volume in scratch.items()},
            "memory": plan.memory,
            "deadline": plan.seconds,
            "users": sorted({step.user for step in plan.steps}),
            "steps": [self._step(step, plan, folder, entry) for step in plan.steps],
        }

    def _step(self, step: Step, plan: Plan, folder: Path, entry: tuple[str, ...]) -> dict[str, Any]:
        limits = {"RLIMIT_CORE": 0}
        if _release() >= COUNTED_BY_NAMESPACE:
            limits["RLIMIT_NPROC"] = PROCESSES
        return {
            "name": step.name,
            "box": self._box(step, plan, folder),
            "seal": ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"],
            "entry": list(entry),
            "settings": {
                "becomes": step.user if os.geteuid() == 0 else None,
                "limits": limits,
                "filter": self._filter.hex(),
            },
            "command": list(step.command),
        }

    def _box(self, step: Step, plan: Plan, folder: Path) -> list[str]:
        alone = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        return [
            self._program,
            *("--as-pid-1", "--new-session", "--die-with-parent", *alone),
            *_identity(step.user),
            *("--hostname", "sandbox", "--clearenv"),
            *self._root(),
            *[word for name in _USERS for word in ("--ro-bind", str(folder / name), f"/etc/{name}")],
            *self._mounts(step, plan, folder),
            *("--bind", str(folder / "words" / step.name), "/dev/termination-log"),
            *[word for pair in self._environment(step).items() for word in ("--setenv", *pair)],
        ]

    def _root(self) -> list[str]:
        """Return what every box sees: the system's libraries, Python, the sandbox's code, its datasets."""
        here = self._installation
        words = _folders([str(here.base), f"{_ENVIRONMENT}/bin", _CODE, _DATASETS, *_FOLDERS])
        words += ["--ro-bind", "/usr", "/usr"]
        for path in _SYSTEM:
            if os.path.islink(path):
                words += ["--symlink", os.readlink(path), path]
            elif os.path.isdir(path):
                words += ["--ro-bind", path, path]
        words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
        if not here.base.is_relative_to("/usr"):
            words += ["--ro-bind", str(here.base), str(here.base)]
        words += ["--symlink", str(here.interpreter), f"{_ENVIRONMENT}/bin/python3"]
        if here.environment is not None:
            words += ["--ro-bind", str(here.environment / "lib"), f"{_ENVIRONMENT}/lib"]
            words += ["--ro-bind", str(here.environment / "pyvenv.cfg"), f"{_ENVIRONMENT}/pyvenv.cfg"]
        words += ["--ro-bind", str(here.package), f"{_CODE}/{here.package.name}"]
        words += ["--ro-bind", str(here.datasets), _DATASETS]
        words += ["--proc", "/proc", "--dev", "/dev"]
        return [*words, "--perms", "1777", "--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108

    def _mounts(self, step: Step, plan: Plan, folder: Path) -> list[str]:
        words: list[str] = []
        for mount in step.mounts:
            target = mount.path
            match plan.volumes[mount.volume]:
                case Files():
                    source = folder / "files" / mount.volume
                case Scratch():
                    source = folder / "scratch" / mount.volume
                case Host(path):
                    source, target = path, target if path.is_dir() else f"{target}/{path.name}"
            words += _folders([str(Path(target).parent)])
            words += ["--bind" if not mount.read_only else "--ro-bind", str(source), target]
        return words

    def _environment(self, step: Step) -> dict[str, str]:
        return {"PATH": _PATH, "LANG": "C.UTF-8", "PYTHONPATH": _CODE, **step.environment}

    def _libraries(self) -> str:
        """Return a word for the installed libraries: their names with versions, hashed."""
        root = self._installation.environment or self._installation.base
        names = sorted(path.name for path in root.glob("lib/python3*/site-packages/*.dist-info"))
        return f"sha256:{sha256(chr(10).join(names).encode()).hexdigest()}"

    def _weaker(self) -> tuple[str, ...]:
        told = ["the boxes share this machine's kernel and processors; no cluster's policies stand around them"]
        if self._installation.version < SUMS_AS_THE_IMAGE:
            told.append(
                "this Python adds floats otherwise than the image's: the last digits may differ from a cluster's"
            )
        if os.geteuid() != 0:
            told.append("strategy and evaluator are the same user of this machine, told apart by their boxes alone")
        return tuple(told)


def advice(told: str, version: str, settings: Path = _SETTINGS) -> str:
    """Return why this machine makes no box, and the next step, by what bubblewrap or the kernel said."""
    otherwise = "or take --engine docker"
    if "Unknown option" in told:
        return f"bubblewrap {version} is too old ({told}); the boxes need 0.8, {otherwise}"
    for name, (refusing, giving) in _REFUSING.items():
        with suppress(OSError):
            if (settings / name.replace(".", "/")).read_text().strip() == refusing:
                mend = f"as root: sysctl -w {name}={giving}, {otherwise}"
                return f"no box could be made ({told}): here {name} is {refusing}; {mend}"
    return f"no box could be made ({told}); does a container or the kernel forbid user namespaces? {otherwise[3:]}"


def _supervised(order: dict[str, Any], stop: Stop) -> dict[str, Any]:
    """Return the answer of the process that runs the boxes; they are gone when it is."""
    supervisor = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", str(_POD_PROCESS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        start_new_session=True,  # a terminal's interrupt is ours to act on
    )
    with stop.ends(supervisor):
        told, complaint = supervisor.communicate(json.dumps({**order, "parent": os.getpid()}).encode())
    if supervisor.returncode:
        last = complaint.decode(errors="replace").strip().splitlines()
        raise EngineError(f"the boxes' supervisor failed: {last[-1] if last else supervisor.returncode}")
    answer: dict[str, Any] = json.loads(told)
    return answer


def _identity(user: int) -> list[str]:
    """Return the words for the user of a box. Root becomes another one in the box; nobody else can."""
    if os.geteuid() == 0:
        return ["--cap-drop", "ALL", *[word for each in _ENTRY_CAPABILITIES for word in ("--cap-add", each)]]
    return ["--unshare-user", "--uid", str(user), "--gid", str(user), "--disable-userns", "--cap-drop", "ALL"]


def _folders(targets: list[str]) -> list[str]:
    """Return the words that make the folders of mounts: those that bubblewrap makes itself, only root may enter."""
    above = {str(parent) for target in targets for parent in [Path(target), *Path(target).parents]}
    return [word for path in sorted(above - {"/"}) for word in ("--perms", "0755", "--dir", path)]


def _end(document: dict[str, Any]) -> End:
    return End(
        name=document["name"],
        exit_code=document["exitCode"],
        started_at=datetime.fromisoformat(document["startedAt"]),
        finished_at=datetime.fromisoformat(document["finishedAt"]),
        message=base64.b64decode(document["message"]),
        log=base64.b64decode(document["log"]),
        out_of_memory=document["outOfMemory"],
        late=document["late"],
    )


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
