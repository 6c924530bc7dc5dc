"""The engine that is this machine: the operator's own decisions, in boxes in place of pods."""

import asyncio
import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from strategyrun.adapters.settings import InvalidSettingsError
from strategyrun.client.errors import ClusterError, NotAskedError
from strategyrun.client.following import Progress
from strategyrun.client.result import Result
from strategyrun.client.trial import Dataset, Trial
from strategyrun.local.command import choose
from strategyrun.local.conduct import Outcome, Request, conduct
from strategyrun.local.engine import Engine, EngineError, EngineName
from strategyrun.local.installation import Configuration, NotInstalledError, configured
from strategyrun.local.limits import complaints
from strategyrun.local.plan import NotRunnableError
from strategyrun.local.request import NAMESPACE, UsageError, document, held, missing, of_path, stored
from strategyrun.local.stop import Stop

_under_way: dict[threading.Thread, Stop] = {}


class LocalEngine:
    """Evaluates trials on this machine, each in a thread that waits for its boxes.

    `name` is the engine's; `local` is the first that works.
    """

    def __init__(self, name: str) -> None:
        self._name = EngineName.AUTO if name == "local" else EngineName(name)
        self._engine: Engine | None = None
        self._choice = threading.Lock()

    async def evaluate(self, trial: Trial, progress: Progress | None = None, seconds: float | None = None) -> Result:
        """Return the answer of a trial. Whoever stops waiting stops the boxes, and waits until they are gone.

        So does the time, and that is a result. Raises NotAskedError where the trial cannot be run here, and
        ClusterError where this machine has no engine.
        """
        loop, stop = asyncio.get_running_loop(), Stop()
        states: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        latest: Result | None = None

        def told(body: dict[str, Any] | None) -> None:
            loop.call_soon_threadsafe(states.put_nowait, body)

        work = _in_thread(lambda: self._conduct(trial, stop, told), stop)
        work.add_done_callback(lambda _: told(None))
        try:
            async with asyncio.timeout(seconds) as limit:
                while (body := await states.get()) is not None:
                    latest = Result.of(body, trial)
                    if progress:
                        progress(latest)
                outcome = await asyncio.wrap_future(work)
        except BaseException as error:
            stop.ask()
            (end,) = await asyncio.gather(asyncio.wrap_future(work), return_exceptions=True)
            if not (isinstance(error, TimeoutError) and limit.expired()):
                raise
            if isinstance(end, BaseException):
                seen = latest or Result.unheard(trial.prefix, NAMESPACE, trial)
                return Result.late(trial, seen, seconds, cancelled=True)
            outcome = end  # it came as the time was over
        result = Result.of(outcome.body, trial)
        if progress:
            progress(result)
        return result

    async def close(self) -> None:
        """Nothing is held."""

    def _conduct(self, trial: Trial, stop: Stop, told: Callable[[dict[str, Any]], None]) -> Outcome:
        try:
            config = configured()
            return conduct(_request(trial), lambda: self._chosen(config, stop), config.profile, stop=stop, told=told)
        except (UsageError, NotRunnableError) as error:
            raise NotAskedError(str(error)) from error
        except (EngineError, NotInstalledError, InvalidSettingsError, OSError) as error:
            raise ClusterError(f"nothing on this machine can run a strategy: {error}") from error

    def _chosen(self, config: Configuration, stop: Stop) -> Engine:
        """Return the engine that works here. One trial looks for it at a time, and once it is found nobody does."""
        with self._choice:
            stop.check()
            if self._engine is None:
                self._engine = choose(self._name, config)
            return self._engine


def _in_thread(work: Callable[[], Outcome], stop: Stop) -> Future[Outcome]:
    """Begin work in a thread of its own, which holds no exit of the interpreter."""
    future: Future[Outcome] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            future.set_exception(error)
        finally:
            del _under_way[threading.current_thread()]

    thread = threading.Thread(target=run, name="strategyrun-local", daemon=True)
    _under_way[thread] = stop
    try:
        thread.start()
    except RuntimeError:  # the machine gives no more of them
        del _under_way[thread]
        raise
    return future


@atexit.register
def _leave() -> None:
    """Let no box outlive the interpreter."""
    left = [*_under_way.items()]
    for _, stop in left:
        stop.ask()
    for thread, _ in left:
        thread.join()


def _request(trial: Trial) -> Request:
    """Return the run as an API server would hold it. Raises NotAskedError where one would refuse it, and UsageError."""
    path = _path(trial.dataset)
    spec = replace(trial, dataset=None if path else trial.dataset).spec()
    if path:
        spec["datasets"] = [of_path(spec, path)]
    spec = stored(spec, "spec")
    if found := complaints(spec) or ([] if path else missing(spec, {})):
        raise NotAskedError("; ".join(found))
    meta = trial.metadata(trial.new_name())
    return Request(held(document(meta, spec), meta["name"]), dataset=path)


def _path(dataset: Dataset | None) -> Path | None:
    """Return the file or folder that a dataset names: a path, or a text with a slash or a suffix and no kind."""
    match dataset:
        case Path():
            return dataset.resolve()
        case str() if ":" not in dataset and ("/" in dataset or Path(dataset).suffix):
            return Path(dataset).resolve()
    return None
