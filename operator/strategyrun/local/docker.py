"""Containers of Docker: the sandbox's own image, where bubblewrap cannot be had."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strategyrun.local.engine import About, EngineError, laid_out, program
from strategyrun.local.plan import End, Files, Host, Plan, Scratch, Step
from strategyrun.local.stop import Stop

PROCESSES = 256
LOG_LIMIT_BYTES = 2 * 1024 * 1024
WORDS_LIMIT_BYTES = 4096
PATIENCE_SECONDS = 60


class Docker:
    """A container a step, with the flags that say what the pod's fields say."""

    def __init__(self, image: str, seccomp: bytes, *, patience: float = PATIENCE_SECONDS) -> None:
        """Raises EngineError where there is no engine, it does not answer, or it does not have the image."""
        found = program("docker")
        if found is None:
            raise EngineError("docker is not installed")
        self._program = found
        self._image = image
        self._seccomp = seccomp
        self._patience = patience
        try:
            version = self._ask("version", "--format", "{{.Server.Version}}").strip()
        except EngineError as error:
            raise EngineError(f"docker is installed, but its daemon does not answer: {error}") from error
        try:
            image_id = self._ask("image", "inspect", "--format", "{{.Id}}", image).strip()
        except EngineError as error:
            build = f"build it in a checkout: docker build --tag {image} image"
            raise EngineError(f"docker has no image {image} ({error}); {build}") from error
        self.about = About(
            name=f"docker {version}",
            image_id=image_id,
            weaker=("containers share this machine's kernel; no cluster's policies stand around them",),
        )

    def run(self, plan: Plan, stop: Stop) -> list[End]:
        """Run every step in a container of its own, while one that does nothing holds their scratch space."""
        deadline = time.monotonic() + plan.seconds
        ends: list[End] = []
        with laid_out(plan) as folder, self._scratch(plan, folder.name):
            (folder / "seccomp.json").write_bytes(self._seccomp)
            (folder / "words").mkdir()
            for step in plan.steps:
                ends.append(self._step(step, plan, folder, deadline, stop))
                if ends[-1].exit_code or ends[-1].late:
                    break
        return ends

    @contextmanager
    def _scratch(self, plan: Plan, name: str) -> Iterator[None]:
        """Make volumes in memory, which live as long as a container has them."""
        volumes = {f"{name}-{key}": each.size for key, each in plan.volumes.items() if isinstance(each, Scratch)}
        try:
            for volume, size in volumes.items():
                options = f"size={size},mode=0777,nosuid,nodev"
                kind = ("--opt=type=tmpfs", "--opt=device=tmpfs", f"--opt=o={options}")
                self._ask("volume", "create", "--driver=local", *kind, volume)
            mounts = [f"--volume={volume}:/{volume}:nocopy" for volume in volumes]
            wait = ("python3", "-c", f"import time; time.sleep({plan.seconds + PATIENCE_SECONDS})")
            self._ask("run", "--detach", "--rm", f"--name={name}-hold", "--network=none", *mounts, self._image, *wait)
            yield
        finally:
            self._try("rm", "--force", f"{name}-hold")
            if volumes:
                self._try("volume", "rm", "--force", *volumes)

    def _step(self, step: Step, plan: Plan, folder: Path, deadline: float, stop: Stop) -> End:
        words = folder / "words" / step.name
        words.touch()
        words.chmod(0o666)
        name = f"{folder.name}-{step.name}"
        mounts = [_mount(plan, folder, mount.volume, mount.path, mount.read_only) for mount in step.mounts]
        try:
            self._ask(
                *("create", f"--name={name}", "--network=none", "--read-only", "--cap-drop=ALL", "--ipc=private"),
                *("--security-opt=no-new-privileges", f"--security-opt=seccomp={folder / 'seccomp.json'}"),
                *(f"--user={step.user}:{step.user}", f"--memory={plan.memory}", f"--memory-swap={plan.memory}"),
                *(f"--pids-limit={PROCESSES}", "--shm-size=64m", "--log-driver=json-file", "--log-opt=max-size=4m"),
                *(f"--env={key}={value}" for key, value in step.environment.items()),
                *(f"--volume={each}" for each in mounts),
                *(f"--volume={words}:/dev/termination-log", self._image, *step.command),
            )
            self._ask("start", name)
            late = not self._ended_in_time(name, deadline, stop)
            state = json.loads(self._ask("inspect", "--format", "{{json .State}}", name))
            log = self._try("logs", name, errors=subprocess.STDOUT).stdout
        finally:
            self._try("rm", "--force", name)
        return End(
            name=step.name,
            exit_code=state["ExitCode"],
            started_at=_moment(state["StartedAt"]),
            finished_at=_moment(state["FinishedAt"]),
            message=words.read_bytes()[-WORDS_LIMIT_BYTES:],
            log=log[:LOG_LIMIT_BYTES],
            out_of_memory=state["OOMKilled"],
            late=late,
        )

    def _ended_in_time(self, name: str, deadline: float, stop: Stop) -> bool:
        waiter = subprocess.Popen(  # noqa: S603 - our own command
            [self._program, "wait", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            with stop.ends(waiter):
                _, complaint = waiter.communicate(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._try("kill", name)
            self._ask("wait", name)
            return False
        if waiter.returncode:  # and so nobody knows whether the container has ended
            raise _refused("wait", waiter.returncode, complaint)
        return True

    def _ask(self, *arguments: str) -> str:
        done = self._try(*arguments)
        if done.returncode:
            raise _refused(arguments[0], done.returncode, done.stderr)
        return done.stdout.decode(errors="replace")

    def _try(self, *arguments: str, errors: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
        command = [self._program, *arguments]
        try:
            return subprocess.run(  # noqa: S603 - our own command
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
                timeout=self._patience,
                start_new_session=True,  # a terminal's interrupt is ours to act on
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"docker {arguments[0]}: no answer in {self._patience:g} s; is its daemon well?"
            ) from error


def _refused(command: str, code: int, complaint: bytes) -> EngineError:
    last = complaint.decode(errors="replace").strip().splitlines()
    return EngineError(f"docker {command}: {last[-1] if last else code}")


def _mount(plan: Plan, folder: Path, volume: str, path: str, read_only: bool) -> str:
    source: Any
    match plan.volumes[volume]:
        case Files():
            source = folder / "files" / volume
        case Scratch():
            source = f"{folder.name}-{volume}"
        case Host(host):
            source, path = host, path if host.is_dir() else f"{path}/{host.name}"
    return f"{source}:{path}:{'ro' if read_only else 'rw'}"


def _moment(text: str) -> datetime:
    """Read Docker's nanoseconds as the microseconds that Python has."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}").replace(tzinfo=UTC)
