"""The engine that is this machine: the operator's own decisions, in boxes in place of pods."""

import asyncio
import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from strategyrun.adapters.settings import InvalidSettingsError
from strategyrun.client.errors import ClusterError, NotAskedError
from strategyrun.client.following import Progress
from strategyrun.client.result import Result
from strategyrun.client.trial import Trial
from strategyrun.domain.strategyrun import GROUP, KIND, VERSION
from strategyrun.local.command import choose
from strategyrun.local.conduct import Outcome, Request, conduct
from strategyrun.local.engine import EngineError, EngineName
from strategyrun.local.installation import NotInstalledError, configured
from strategyrun.local.limits import complaints
from strategyrun.local.plan import NotRunnableError, uid_of
from strategyrun.local.request import NAMESPACE, UsageError, missing, stored
from strategyrun.local.stop import Stop

_under_way: dict[threading.Thread, Stop] = {}


class LocalEngine:
    """Evaluates trials on this machine, each in a thread that waits for its boxes."""

    async def evaluate(self, trial: Trial, progress: Progress | None = None) -> Result:
        """Return the answer of a trial. Whoever stops waiting stops the boxes, and waits until they are gone.

        Raises NotAskedError where the trial cannot be run here, and ClusterError where this machine has no engine.
        """
        stop = Stop()
        work = _in_thread(lambda: _conduct(trial, stop), stop)
        try:
            outcome = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            stop.ask()
            await asyncio.gather(asyncio.wrap_future(work), return_exceptions=True)
            raise
        result = Result.of(outcome.body, trial)
        if progress:
            progress(result)
        return result

    async def close(self) -> None:
        """Nothing is held."""


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
    thread.start()
    return future


@atexit.register
def _leave() -> None:
    """Let no box outlive the interpreter."""
    left = [*_under_way.items()]
    for _, stop in left:
        stop.ask()
    for thread, _ in left:
        thread.join()


def _conduct(trial: Trial, stop: Stop) -> Outcome:
    try:
        config = configured()
        return conduct(Request(_document(trial)), lambda: choose(EngineName.AUTO, config), config.profile, stop)
    except (UsageError, NotRunnableError) as error:
        raise NotAskedError(str(error)) from error
    except (EngineError, NotInstalledError, InvalidSettingsError, OSError) as error:
        raise ClusterError(f"nothing on this machine can run a strategy: {error}") from error


def _document(trial: Trial) -> dict[str, Any]:
    """Return the run as an API server would hold it. Raises NotAskedError where one would refuse it."""
    name = f"{trial.prefix}-{token_hex(4)}"
    spec = stored(trial.spec(), "spec")
    if found := complaints(spec) or missing(spec, {}):
        raise NotAskedError("; ".join(found))
    meta = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid_of(name),
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": meta, "spec": spec}
